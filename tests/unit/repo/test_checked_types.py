"""What mypy reads of the clouds' SDKs: each part that components name, since one that is skipped would be Any without a word."""

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import components
from components.platforms import CLOUDS, SDKS
from pilotlight import compiled

ROOT = Path(__file__).resolve().parents[3]
SKIPPED = {sdk for sdk, *_ in SDKS.values()}


def overrides(follow: str) -> set[str]:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    return {module for each in found if each.get("follow_imports") == follow for module in each["module"]}


def named(cloud: str) -> set[str]:
    """Modules of the cloud's SDK that its components name: parts, and what lies beside them (`aws.get_region`, `gcp.Provider`)."""
    sdk = SDKS[cloud][0]
    texts = [path.read_text() for path in (Path(components.__path__[0]) / cloud).glob("*.py")]
    beside = {re.sub(r"(?<=.)(?=[A-Z])", "_", name).lower() for text in texts for name in re.findall(rf"\b{cloud}\.([A-Za-z_]+)\(", text)}
    parts = {name for name in compiled._parts() if name.startswith(f"{sdk}.") and find_spec(name)}
    return {f"{name}.*" for name in parts} | {f"{sdk}.{name}" for name in beside if find_spec(f"{sdk}.{name}")}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_part_of_an_sdk_that_components_name_is_checked_and_no_other_is_read(cloud: str) -> None:
    sdk = SDKS[cloud][0]
    listed = {module for module in overrides("normal") if module == sdk or module.startswith(f"{sdk}.")}
    assert listed == {sdk, f"{sdk}._utilities", *named(cloud)}


def test_the_sdks_are_skipped_but_for_these_parts() -> None:
    assert overrides("skip") == {f"{sdk}.*" for sdk in SKIPPED}
