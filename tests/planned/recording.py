"""The one recording mock of the blueprint's tests: every registration with its options, no engine, no cloud."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc

from components.aws.versions import DEPLOYED
from pilotlight import planned_azure, planned_gcp
from pilotlight.planned import ensure_event_loop

ACCOUNT, REGION = "111122223333", "eu-central-1"
NAMED = ("name", "bucket")
# What a model server says to a ping.
PONG = '{"ping": {"cold": true}}'
# How the engine's wire format marks a secret.
SECRET = "1b47061264138c4ac30d75fd1eb44270"


@dataclass
class Registered:
    """One registration: type token, logical name, inputs, and what the options made of it."""

    type: str
    name: str
    urn: str
    parent: str
    inputs: dict[str, Any]
    dependencies: list[str]
    property_dependencies: dict[str, list[str]]
    protect: bool
    retain_on_delete: bool
    # None: as the provider has it.
    delete_before_replace: bool | None
    custom: bool
    secrets: set[str]


@dataclass
class Graph:
    """All that one program registered, and what it gave back."""

    resources: list[Registered] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    result: Any = None

    def all(self, type_: str) -> list[Registered]:
        return [each for each in self.resources if each.type == type_]

    def one(self, type_: str, ending: str = "") -> Registered:
        """The only resource of a type, or the only one whose name ends so."""
        found = [each for each in self.all(type_) if each.name.endswith(ending)]
        assert len(found) == 1, f"{len(found)} of {type_} *{ending}: {sorted(each.name for each in self.resources)}"
        return found[0]

    def reaches(self, start: Registered, goal: Registered) -> bool:
        """Whether `start` waits for `goal`, directly or through others."""
        by_urn = {each.urn: each for each in self.resources}
        seen, todo = set(), list(start.dependencies)
        while todo:
            urn = todo.pop()
            if urn == goal.urn:
                return True
            if urn not in seen and urn in by_urn:
                seen.add(urn)
                todo += by_urn[urn].dependencies
        return False


def without_stamp(function: Mapping[str, Any]) -> dict[str, Any]:
    """A Lambda function's variables, as its program declares them: without what tells one version from another."""
    return {key: value for key, value in function["environment"]["variables"].items() if key != DEPLOYED}


class Answers(mocks.Mocks):
    """What the cloud would fill in, which in a preview is nothing; a call that nobody planned is a failure."""

    # The environment of every version, where it is not its function's.
    version: Mapping[str, Any] | None = None
    # The image of every version, where it is not its function's.
    image: str | None = None

    def __init__(self, preview: bool) -> None:
        self.preview = preview
        self.functions: dict[str, dict[str, Any]] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if self.preview:
            # Azure's identities come back in another form than they went in: in a preview not at all.
            return "", {key: value for key, value in args.inputs.items() if key != "identity" or not args.typ.startswith("azure-native:")}
        if args.typ.startswith("gcp:"):
            return planned_gcp.made(args.typ, args.name, args.inputs)
        if args.typ.startswith("azure-native:"):
            return planned_azure.made(args.typ, args.name, args.inputs)
        name = next((args.inputs[key] for key in NAMED if key in args.inputs), f"{args.name}-0a1b2c3")
        arn = f"arn:aws:{args.typ.split(':')[1].split('/')[0]}:{REGION}:{ACCOUNT}:{name}"
        made = {"name": name, "arn": arn, "invokeArn": f"{arn}/invocations", "executionArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:abc"}
        made |= {"rootResourceId": "root", "version": "1", "invokeUrl": "https://abc.example/v1", "apiEndpoint": "https://abc.example"}
        made |= {"result": PONG, "value": "key-of-the-mock", "digest": "sha256:" + "d" * 64}
        if args.typ == "aws:lambda/function:Function":
            self.functions[name] = args.inputs
        made |= {"url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"}
        return f"{args.name}-id", made | args.inputs

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        answers = {
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:user/u", "userId": "u"},
            "aws:index/getRegion:getRegion": {"region": REGION, "name": REGION},
            "aws:ecr/getAuthorizationToken:getAuthorizationToken": {"userName": "AWS", "password": "registry-password"},
        }
        if args.token == "aws:lambda/getFunction:getFunction":
            own = self.functions[args.args["functionName"]]
            environment = own["environment"] if self.version is None else self.version
            return {**args.args, "environment": environment, "imageUri": self.image or own.get("imageUri")}
        known = planned_gcp.answer(args.token) or planned_azure.answer(args.token)
        if known is not None:
            answers[args.token] = known
        if args.token not in answers or (args.args and known is None):
            raise AssertionError(f"unexpected cloud call {args.token} {args.args}")
        return answers[args.token]


class Recorder(mocks.MockMonitor):
    """Keeps what the mocks are not shown: parents, dependencies, protection."""

    def __init__(self, preview: bool) -> None:
        super().__init__(Answers(preview))
        self.graph = Graph()

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
            self.graph.resources.append(
                Registered(
                    type=request.type,
                    name=request.name,
                    urn=answer.urn,
                    parent=request.parent,
                    inputs={key: rpc.unwrap_rpc_secret(value) for key, value in inputs.items()},
                    dependencies=list(request.dependencies),
                    property_dependencies={key: list(each.urns) for key, each in request.propertyDependencies.items()},
                    protect=request.protect,
                    retain_on_delete=request.retainOnDelete,
                    delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
                    custom=request.custom,
                    secrets={key for key, value in request.object.fields.items() if SECRET in str(value)},
                )
            )
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:
        self.graph.outputs[request.urn] = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)


def record(build: Callable[[], Any], *, stack: str = "teststack", preview: bool = False) -> Graph:
    """Run a program (its result may be or hold Outputs) and give back what it registered."""
    recorder = Recorder(preview)
    ensure_event_loop()
    mocks.set_mocks(recorder.mocks, project="pilotlight", stack=stack, preview=preview, monitor=recorder)

    def keep(result: Any) -> None:
        recorder.graph.result = result

    with planned_azure.without_registry():
        pulumi.runtime.test(lambda: pulumi.Output.from_input(build()).apply(keep))()
    return recorder.graph
