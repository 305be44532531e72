"""What a stack's program registers, with every value known: no engine, no cloud, no packaged model. For documents and tests.

`planned("aws-sagemaker-api")` runs `stacks/__main__.py` with that stack's config; `changes` replaces settings by their dotted keys.
"""

import hashlib
import json
import os
import runpy
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import mocks, rpc

from components.artifact import function_folder, function_key, model_folder, model_key

ROOT = Path(__file__).resolve().parent.parent
PROJECT, ACCOUNT = "pilotlight", "111122223333"
# A Monday inside the usual windows, so that what a warming plan declares does not hang on the day of the run.
MOMENT = "2026-11-02T12:00:00+01:00"
# What Pulumi appends to a name where it makes the physical one.
SUFFIX = "-0a1b2c3"
# The shapes of ARNs, where they are not `arn:aws:<service>:<region>:<account>:<name>` (Service authorization reference).
_ARNS = {
    "aws:apigateway/stage:Stage": "arn:aws:apigateway:{region}::/restapis/abc/stages/{name}",
    "aws:cloudwatch/logGroup:LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}",
    "aws:dynamodb/table:Table": "arn:aws:dynamodb:{region}:{account}:table/{name}",
    "aws:ecr/repository:Repository": "arn:aws:ecr:{region}:{account}:repository/{name}",
    "aws:iam/role:Role": "arn:aws:iam::{account}:role/{name}",
    "aws:lambda/alias:Alias": "arn:aws:lambda:{region}:{account}:function:{functionName}:{name}",
    "aws:lambda/function:Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "aws:s3/bucket:Bucket": "arn:aws:s3:::{name}",
    "aws:sagemaker/endpoint:Endpoint": "arn:aws:sagemaker:{region}:{account}:endpoint/{name}",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "arn:aws:sagemaker:{region}:{account}:endpoint-config/{name}",
    "aws:sagemaker/model:Model": "arn:aws:sagemaker:{region}:{account}:model/{name}",
    "aws:scheduler/schedule:Schedule": "arn:aws:scheduler:{region}:{account}:schedule/{groupName}/{name}",
    "aws:scheduler/scheduleGroup:ScheduleGroup": "arn:aws:scheduler:{region}:{account}:schedule-group/{name}",
}


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One resource: inputs with every value known, what the cloud would add, and which resources each input was taken from (URNs).

    delete_first  whether a replacement deletes the old one before it makes the new one, which Pulumi else does the other way round
    """

    type: str
    name: str
    urn: str
    parent: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    taken_from: Mapping[str, frozenset[str]] = field(default_factory=dict)
    delete_first: bool = False

    @property
    def custom(self) -> bool:
        """Whether it is a cloud's resource, not a component."""
        return not self.type.startswith("pilotlight:")


def config_of(stack: str, root: Path = ROOT) -> dict[str, Any]:
    """The `config` of a stack's file."""
    return dict(yaml.safe_load((root / f"stacks/Pulumi.{stack}.yaml").read_text())["config"])


def ready_stacks(root: Path = ROOT) -> list[str]:
    """The stacks that have a file, by name."""
    return sorted(path.name.split(".")[1] for path in (root / "stacks").glob("Pulumi.*.yaml"))


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


def planned(stack: str, changes: Mapping[str, Any] | None = None) -> list[Planned]:
    """Every resource of the stack, sorted by URN. Raises RunError as the program does."""
    config = config_of(stack)
    settings = changed(config["pilotlight:service"], changes or {})
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    pulumi.runtime.set_all_config({**texts, "pilotlight:service": json.dumps(settings)})
    monitor = _Monitor(_Cloud(config.get("aws:region", "us-east-1")))
    mocks.set_mocks(monitor.mocks, project=PROJECT, stack=stack, monitor=monitor)
    with tempfile.TemporaryDirectory(prefix="pilotlight-planned-") as cache, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        _package(settings["model"], Path(cache))
        held = {key: os.environ.get(key) for key in ("PILOTLIGHT_CACHE", "PILOTLIGHT_NOW")}
        os.environ.update(PILOTLIGHT_CACHE=cache, PILOTLIGHT_NOW=MOMENT)
        try:
            pulumi.runtime.test(_program)()  # type: ignore[no-untyped-call]
        finally:
            for key, value in held.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})
    return sorted(monitor.found, key=lambda each: each.urn)


def _program() -> None:
    runpy.run_path(str(ROOT / "stacks/__main__.py"), run_name="__main__")


def _package(model: Mapping[str, Any], cache: Path) -> None:
    """What `find_model` and `find_function` look for, with nothing in it."""
    key = model_key(model["source"], model["task"], model.get("engine", "onnx"), ROOT)
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


class _Cloud(mocks.Mocks):
    """What the cloud would fill in."""

    def __init__(self, region: str) -> None:
        self.region = region

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        given = args.inputs.get("name", args.inputs.get("bucket", args.inputs.get("stageName")))
        name = given if isinstance(given, str) else f"{args.name}{SUFFIX}"
        service = args.typ.split(":")[1].split("/")[0]
        known = {"groupName": "default", **args.inputs, "region": self.region, "account": ACCOUNT, "name": name}
        arn = _ARNS.get(args.typ, f"arn:aws:{service}:{{region}}:{{account}}:{{name}}").format_map(known)
        made = {"name": name, "arn": arn, "version": "1", "digest": "sha256:" + "d" * 64, "value": "key-of-the-plan"}
        made |= {"invokeArn": f"arn:aws:apigateway:{self.region}:lambda:path/2015-03-31/functions/{arn}/invocations"}
        made |= {"executionArn": f"arn:aws:execute-api:{self.region}:{ACCOUNT}:abc", "rootResourceId": "root"}
        made |= {"invokeUrl": "https://abc.example/v1", "apiEndpoint": "https://abc.example", "streamArn": f"{arn}/stream/1"}
        made |= {"url": f"https://sqs.{self.region}.amazonaws.com/{ACCOUNT}/{name}", "dashboardArn": arn}
        return f"{args.name}-id", made | args.inputs

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:  # type: ignore[override]
        answers = {
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:user/u", "userId": "u"},
            "aws:index/getRegion:getRegion": {"region": self.region, "name": self.region},
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "registry-password"},
        }
        if args.token not in answers:
            raise pulumi.RunError(f"The program asks {args.token}, which a plan without a cloud can't answer: add it to {__name__}.")
        return answers[args.token]


class _Monitor(mocks.MockMonitor):
    """Keeps each registration with the resources that its inputs were taken from."""

    def __init__(self, cloud: _Cloud) -> None:
        super().__init__(cloud)
        self.found: list[Planned] = []

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
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
                    delete_first=request.deleteBeforeReplace,
                )
            )
        return answer
