"""What a stack's program registers, with every value known: no engine, no cloud, no packaged model. For documents and tests.

`planned("aws-sagemaker-api")` runs `stacks/__main__.py` with that stack's config; `changes` replaces settings by their dotted keys.
"""

import asyncio
import contextlib
import functools
import gc
import hashlib
import json
import os
import runpy
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import mocks, rpc

from components.artifact import function_folder, function_key, model_folder, model_key, shrink_of
from components.capabilities import PLACES
from components.platforms import RESERVED
from pilotlight.planned_azure import without_registry
from pilotlight.planned_cloud import PlannedCloud

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "pilotlight"
# A Monday inside the usual windows, so that what a warming plan declares does not hang on the day of the run.
MOMENT = "2026-11-02T12:00:00+01:00"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One resource: inputs with every value known, what the cloud would add, and which resources each input was taken from (URNs).

    delete_first  whether a replacement deletes the old one before it makes the new one; None leaves that to the provider
    waits_for     URNs of what it is made after
    retained      whether it stays when the stack goes
    deleted_with  URN of what takes it along, so that it is not deleted by itself where both go; empty where nothing does
    ignored       inputs whose change is none
    provider      URN and id of the provider that makes it, where it is one of the program's own
    """

    type: str
    name: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    taken_from: Mapping[str, frozenset[str]] = field(default_factory=dict)
    delete_first: bool | None = None
    waits_for: frozenset[str] = frozenset()
    protect: bool = False
    retained: bool = False
    deleted_with: str = ""
    ignored: tuple[str, ...] = ()
    provider: str = ""

    @property
    def custom(self) -> bool:
        """Whether it is a cloud's resource, not a component."""
        return not self.type.startswith("pilotlight:")


def config_of(stack: str, root: Path = ROOT) -> dict[str, Any]:
    """The `config` of a stack's file."""
    return dict(yaml.safe_load((root / f"stacks/Pulumi.{stack}.yaml").read_text())["config"])


def ready_stacks(root: Path = ROOT) -> list[str]:
    """The stacks that come with the repository, by name: whoever forks it gives theirs other ones (`RESERVED`)."""
    names = (path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in (root / "stacks").glob("Pulumi.*.yaml"))
    return sorted(name for name in names if name.startswith(RESERVED))


def changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the settings with dotted keys replaced; None takes a key away."""
    copy: dict[str, Any] = json.loads(json.dumps(settings))
    for key, value in changes.items():
        *path, last = key.split(".")
        place = copy
        for step in path:
            place = place.setdefault(step, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return copy


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All resources, sorted by URN, and the values of the stack's outputs."""

    resources: tuple[Planned, ...]
    outputs: Mapping[str, Any]


def planned(stack: str, changes: Mapping[str, Any] | None = None) -> tuple[Planned, ...]:
    """Every resource of the stack, sorted by URN. Raises RunError as the program does."""
    return plan(stack, changes).resources


def plan(stack: str, changes: Mapping[str, Any] | None = None) -> Plan:
    """What the stack's program registers and exports; equal calls share one plan. Raises RunError as the program does."""
    config = config_of(stack)
    return plan_as(stack, {**config, "pilotlight:service": changed(config["pilotlight:service"], changes or {})})


def plan_as(stack: str, config: Mapping[str, Any]) -> Plan:
    """The plan of a stack whose file would have that `config`."""
    return _plan(stack, json.dumps(config))


@functools.cache
def _plan(stack: str, content: str) -> Plan:
    return plan_by(_main, stack, json.loads(content))


def _main() -> None:
    runpy.run_path(str(ROOT / "stacks/__main__.py"), run_name="__main__")


def plan_by(program: Callable[[], None], stack: str, config: Mapping[str, Any]) -> Plan:
    """What another program registers and exports where a stack's file has that `config`: the model of its settings is packaged."""
    settings = config["pilotlight:service"]
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    region = next((config[key] for key in PLACES.values() if config.get(key)), "us-east-1")
    monitor = _Monitor(PlannedCloud(region, config.get("gcp:project") or config.get("azure-native:subscriptionId") or ""))
    ensure_event_loop()
    mocks.set_mocks(monitor.mocks, project=PROJECT, stack=stack, monitor=monitor)
    outputs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="pilotlight-planned-") as cache, _surroundings(cache), without_registry():
        _package(settings["model"], Path(cache))
        pulumi.runtime.set_all_config({**texts, "pilotlight:service": json.dumps(settings)})
        pulumi.runtime.test(lambda: _program(program, outputs))()  # type: ignore[no-untyped-call]
    return Plan(resources=tuple(sorted(monitor.found, key=lambda each: each.urn)), outputs=outputs)


def ensure_event_loop() -> None:
    """Gives the thread the loop that Pulumi asks it for, where something that ran before took it away (`asyncio.run` does)."""
    try:
        asyncio.get_event_loop()
    except RuntimeError:
        asyncio.set_event_loop(asyncio.new_event_loop())


@contextlib.contextmanager
def _surroundings(cache: str) -> Iterator[None]:
    """The environment that the program reads, as it was afterwards; a quarter of the time would go to collecting garbage."""
    held = {key: os.environ.get(key) for key in ("PILOTLIGHT_CACHE", "PILOTLIGHT_NOW")}
    collecting = gc.isenabled()
    os.environ.update(PILOTLIGHT_CACHE=cache, PILOTLIGHT_NOW=MOMENT)
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        pulumi.runtime.set_all_config({})
        for key, value in held.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
        if collecting:
            gc.enable()


def _program(program: Callable[[], None], outputs: dict[str, Any]) -> pulumi.Output[None]:
    """Runs the program; its exports are in `outputs` once what comes back is known."""
    exported: dict[str, Any] = {}
    export, pulumi.export = pulumi.export, lambda name, value: exported.update({name: value})
    try:
        program()
    finally:
        pulumi.export = export
    # An output that does not apply is absent.
    return pulumi.Output.all(**exported).apply(lambda known: outputs.update({k: v for k, v in known.items() if v is not None}))


def _package(model: Mapping[str, Any], cache: Path) -> None:
    """What `find_model` and `find_function` look for, with nothing in it."""
    shrink = shrink_of(model.get("quantize"), model.get("prune"), model.get("maxDrift"))
    key = model_key(model["source"], model["task"], model.get("engine", "onnx"), ROOT, shrink)
    for folder, name in ((model_folder(cache, key), "model"), (function_folder(cache, function_key(ROOT)), "function")):
        folder.mkdir(parents=True)
        archive = folder / {"model": "model.tar.gz", "function": "function.zip"}[name]
        archive.write_bytes(b"packaged")
        described = {"sha256": hashlib.sha256(b"packaged").hexdigest(), "bytes": archive.stat().st_size}
        (folder / {"model": "artifact.json", "function": "function.json"}[name]).write_text(json.dumps(described))


def _plain(value: Any) -> Any:
    """A value of the engine's wire as JSON: no secrets' wrappers, assets as their paths, whole numbers whole."""
    value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return getattr(value, "path", value)


class _Monitor(mocks.MockMonitor):
    """Keeps each registration with the resources that its inputs were taken from."""

    def __init__(self, cloud: PlannedCloud) -> None:
        super().__init__(cloud)
        self.found: list[Planned] = []

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if any(each.urn == answer.urn for each in self.found):
            raise RuntimeError(f"Two resources have one URN, which the engine refuses: {answer.urn}")
        if request.type != "pulumi:pulumi:Stack":
            inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
            self.found.append(
                Planned(
                    type=request.type,
                    name=request.name,
                    urn=answer.urn,
                    parent=request.parent,
                    inputs=_plain(inputs),
                    outputs=_plain(rpc.deserialize_properties(answer.object)) | {"id": answer.id},
                    taken_from={key: frozenset(each.urns) for key, each in request.propertyDependencies.items() if each.urns},
                    delete_first=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
                    waits_for=frozenset(request.dependencies),
                    protect=request.protect,
                    deleted_with=request.deletedWith,
                    retained=request.retainOnDelete,
                    ignored=tuple(request.ignoreChanges),
                    provider=request.provider,
                )
            )
        return answer
