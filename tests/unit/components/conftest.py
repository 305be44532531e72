"""Ready stacks and variants of them, built under the recording mock."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.args import ModelArtifact
from components.inference_api import InferenceApi
from components.platforms import load_endpoint, load_home
from components.tags import standard, tagging
from stacks.service import home_args, service_args
from stacks.settings import parse
from tests.unit.components.recording import Graph, record

ROOT = Path(__file__).resolve().parents[3]
Build = Callable[..., Graph]


def pytest_configure(config: pytest.Config) -> None:
    """Make misused Outputs fail; the SDK's warnings about its own old classes concern nobody here."""
    # Text made from an Output is a bug that the SDK else only warns of.
    os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "true"
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:pulumi_aws")


def ready(stack: str) -> dict[str, Any]:
    """The settings of a ready stack, as plain data."""
    config = yaml.safe_load((ROOT / f"stacks/Pulumi.{stack}.yaml").read_text())["config"]
    return dict(config["pilotlight:service"])


def changed(settings: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with dotted keys replaced; None takes a key away."""
    for key, value in changes.items():
        *path, last = key.split(".")
        place = settings
        for step in path:
            place = place.setdefault(step, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return settings


def service(stack: str, changes: Mapping[str, Any], folder: Path, name: str = "api") -> InferenceApi:
    """What `stacks/__main__.py` does, with artifacts made up."""
    settings = parse(changed(ready(stack), changes), stack)
    artifact = ModelArtifact(path=folder / "model.tar.gz", sha256="a" * 64, size=90_000_000, task=settings.model.task)
    code = folder / "function.zip" if settings.endpoint.platform == "aws-sagemaker" else None
    home = load_home(settings.cloud)(home_args(settings, "pilotlight", stack))
    tags = tagging(standard("pilotlight", stack))
    args = service_args(settings, artifact, code, "build-0123456789ab", datetime(2026, 11, 25, 12, tzinfo=UTC))
    return InferenceApi(name, home, load_endpoint(settings.endpoint.platform), args, pulumi.ResourceOptions(transformations=[tags]))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build a stack; keyword arguments with `__` for dots change its settings. Equal calls share one graph."""
    folder = tmp_path_factory.mktemp("cache")
    for name in ("model.tar.gz", "function.zip"):
        (folder / name).write_bytes(b"packaged")
    built: dict[str, Graph] = {}

    def run(stack: str, *, preview: bool = False, again: bool = False, **changes: Any) -> Graph:
        dotted = {key.replace("__", "."): value for key, value in changes.items()}

        def program() -> dict[str, Any]:
            made = service(stack, dotted, folder)
            secret = None if made.api_key is None else made.api_key.is_secret()
            return {"url": made.url, "key_is_secret": secret, "log_groups": made.log_groups, "endpoint": made.endpoint}

        key = repr((stack, preview, sorted(dotted.items())))
        if again or key not in built:
            built[key] = record(program, stack=stack, preview=preview)
        return built[key]

    return run
