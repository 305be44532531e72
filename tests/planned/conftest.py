"""Ready stacks and variants of them, built under the recording mock."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2

from components.args import ModelArtifact
from components.event_pipeline import EventPipeline
from components.inference_api import InferenceApi
from components.platforms import load_endpoint, load_home
from components.tags import standard, tagging
from pilotlight.planned import config_of, ready_stacks
from stacks.artifacts import needs_function
from stacks.service import home_args, pipeline_args, service_args
from stacks.settings import parse
from tests.planned.recording import Graph, record

ROOT = Path(__file__).resolve().parents[2]
AWS_STACKS = tuple(stack for stack in ready_stacks() if stack.startswith("aws-"))
Build = Callable[..., Graph]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def pytest_configure() -> None:
    """Text made from an Output is a bug that the SDK else only warns of."""
    os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "true"


@pytest.fixture(scope="module", autouse=True)
def nobody_asks_where_a_resource_was_made() -> Iterator[None]:
    """The SDK writes down the whole call stack for each one, and below a test that is a quarter of what a plan takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource, "_get_stack_trace", source_pb2.StackTrace)
        yield


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


def service(
    stack: str, changes: Mapping[str, Any], folder: Path, name: str | None = None, now: datetime = NOW
) -> InferenceApi | EventPipeline:
    """What `stacks/__main__.py` does, with artifacts made up."""
    settings = parse(changed(ready(stack), changes), stack)
    name = name or settings.pattern
    artifact = ModelArtifact(path=folder / "model.tar.gz", sha256="a" * 64, size=90_000_000, task=settings.model.task)
    code = folder / "function.zip" if needs_function(settings) else None
    home = load_home(settings.cloud)(home_args(settings, "pilotlight", stack))
    given = (settings, artifact, code, "build-0123456789ab", now)
    platform, opts = (
        load_endpoint(settings.endpoint.platform),
        pulumi.ResourceOptions(transformations=[tagging(standard("pilotlight", stack))]),
    )
    if settings.pattern == "events":
        return EventPipeline(name, home, platform, pipeline_args(*given), opts)
    return InferenceApi(name, home, platform, service_args(*given), opts)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build a stack as of `now`; keyword arguments with `__` for dots change its settings. Equal calls share one graph."""
    folder = tmp_path_factory.mktemp("cache")
    for name in ("model.tar.gz", "function.zip"):
        (folder / name).write_bytes(b"packaged")
    built: dict[str, Graph] = {}

    def run(stack: str, *, preview: bool = False, again: bool = False, now: datetime = NOW, **changes: Any) -> Graph:
        dotted = {key.replace("__", "."): value for key, value in changes.items()}

        def program() -> dict[str, Any]:
            made = service(stack, dotted, folder, now=now)
            key = made.outputs.get("apiKey")
            secret = None if key is None else key.is_secret()
            return {"outputs": made.outputs, "endpoint": made.endpoint, "key_is_secret": secret}

        key = repr((stack, preview, now, sorted(dotted.items())))
        if again or key not in built:
            # Azure's SDK knows the location from its provider's config alone.
            pulumi.runtime.set_all_config({name: value for name, value in config_of(stack).items() if isinstance(value, str)})
            built[key] = record(program, stack=stack, preview=preview)
            pulumi.runtime.set_all_config({})
        return built[key]

    return run
