"""Locks: every requirement is in its lock, with hashes and without the address it was downloaded from."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LISTS = sorted(path for name in ("locks/", "containers/requirements/", "benchmarks/peers/locks/") for path in ROOT.glob(f"{name}*.in"))
LISTS += sorted(path for name in ("pilotlight", "policies", "tests", "examples") for path in ROOT.glob(f"{name}/**/*requirements.in"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(path: Path) -> set[str]:
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    return {normal(re.split(r"[\[<>=!~; ]", line)[0]) for line in lines if line and not line.startswith("-")}


@pytest.mark.parametrize("path", LISTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_requirement_is_in_its_lock(path: Path) -> None:
    pinned = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", path.with_suffix(".txt").read_text(), re.MULTILINE)}
    assert requirements(path) - pinned == set()


@pytest.mark.parametrize("path", LISTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_has_a_hash_for_every_package_and_no_address(path: Path) -> None:
    text = path.with_suffix(".txt").read_text()
    assert "://" not in text
    assert "index-url" not in text
    packages = re.split(r"^(?=[A-Za-z0-9._-]+(?:\[[^\]]*\])?==)", text, flags=re.MULTILINE)[1:]
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []


def test_nobody_who_deploys_or_runs_the_demo_installs_torch() -> None:
    for name in ("aws", "tool", "dev"):
        pinned = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "locks" / f"{name}.txt").read_text(), re.MULTILINE)
        assert not {"torch", "transformers"} & {normal(package) for package in pinned}


def test_what_deploys_has_pip_which_pulumis_python_host_asks_for_the_plugins() -> None:
    """`pulumi up` runs `.venv/bin/python -m pip list` first; uv takes a pip away that no lock names."""
    assert "pip" in {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "locks/aws.txt").read_text(), re.MULTILINE)}
