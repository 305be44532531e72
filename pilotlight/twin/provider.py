"""One provider server: the engine's gRPC requests, translated for `Lifecycle`. Inputs are never logged: secrets come in clear text."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from pilotlight.twin.answering import NotReady, answered
from pilotlight.twin.differ import top
from pilotlight.twin.lifecycle import Lifecycle, UnknownType
from pilotlight.twin.rows import Halfway, Invoke, Refusal, Row
from pilotlight.twin.settings import Configuration, Settings
from pilotlight.twin.twin import Twin
from pilotlight.twin.values import DEFAULTS, from_struct, to_struct, with_secrets, without_secrets

# Connections whose configuration is remembered; an engine has one per provider, so this is far more than run at once.
_PEERS = 4096


@dataclass(frozen=True, kw_only=True)
class Package:
    """A provider package: `sdk` is the distribution whose version it answers with. Its tables are made when the engine first needs them.

    `rare` begins the types that are not made ready before a program asks for one.
    """

    name: str
    sdk: str
    rows: Callable[[], Mapping[str, Row]]
    invokes: Callable[[], Mapping[str, Invoke]] = dict
    configuration: Configuration = field(default_factory=Configuration)
    rare: tuple[str, ...] = ()


class Provider(ResourceProviderServicer):
    """See Pulumi's provider protocol for what each method answers."""

    def __init__(self, twin: Twin, package: Package, lifecycle: Lifecycle, environment: Callable[[], Mapping[str, str]] = dict) -> None:
        """`environment` gives the variables of the program's shell that the provider reads."""
        self._environment = environment
        self._twin = twin
        self._package = package
        self._life = lifecycle
        self._settings: OrderedDict[str, Settings] = OrderedDict()
        self._lock = threading.Lock()

    def Handshake(self, request: Any, context: Any) -> Any:
        return pb.ProviderHandshakeResponse(accept_secrets=False, accept_resources=True, accept_outputs=False)

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=metadata.version(self._package.sdk))

    def GetSchema(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"The twin serves no schema of {self._package.name!r}: its Python SDK has it.")

    def Cancel(self, request: Any, context: Any) -> Any:
        # One Ctrl-C: what is being created is finished, so that the state knows of it.
        return empty_pb2.Empty()

    @answered
    def CheckConfig(self, request: Any, context: Any) -> Any:
        given = self._package.configuration.completed(from_struct(request.news), self._environment())
        failures = [pb.CheckFailure(reason=text) for text in self._package.configuration.problems(given)]
        return pb.CheckResponse(inputs=to_struct(given), failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        # Nothing of a provider's configuration moves a resource here: the region is an input of each resource.
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)

    @answered
    def Configure(self, request: Any, context: Any) -> Any:
        settings = self._package.configuration.settings(_values(request.args))
        with self._lock:
            self._settings[context.peer()] = settings
            while len(self._settings) > _PEERS:
                self._settings.popitem(last=False)
        return pb.ConfigureResponse(acceptSecrets=False, acceptResources=True, supportsPreview=True)

    @answered
    def Check(self, request: Any, context: Any) -> Any:
        news, olds = _values(request.news), _values(request.olds)
        try:
            inputs, problems = self._life.check(_token(request.urn), request.urn, request.randomSeed, news, olds, self._configured(context))
        except UnknownType as error:
            return pb.CheckResponse(inputs=request.news, failures=[pb.CheckFailure(reason=str(error))])
        # The property stays empty: with it the engine would print the property's value, which may be a secret.
        return pb.CheckResponse(inputs=to_struct(inputs), failures=[pb.CheckFailure(reason=text) for text in problems])

    @answered
    def Diff(self, request: Any, context: Any) -> Any:
        old_inputs, olds, news = _values(request.old_inputs), _values(request.olds), _values(request.news)
        found = self._life.diff(_token(request.urn), request.id, olds, old_inputs or olds, news, self._configured(context))
        detailed = {
            path: pb.PropertyDiff(kind=pb.PropertyDiff.Kind.Value(f"{kind}_REPLACE" if path in found.replaces else kind), inputDiff=True)
            for path, kind in found.paths.items()
        }
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if found.any else pb.DiffResponse.DIFF_NONE,
            diffs=found.fields,
            replaces=sorted({top(path) for path in found.replaces}),
            deleteBeforeReplace=found.delete_first,
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    @answered
    def Create(self, request: Any, context: Any) -> Any:
        token, inputs, settings = _token(request.urn), _values(request.properties), self._configured(context)
        if request.preview:
            return pb.CreateResponse(properties=to_struct(self._marked(token, self._life.preview_create(token, inputs, settings))))
        self._delay(request.urn, context)
        try:
            made = self._life.create(token, request.urn, inputs, settings, context.is_active)
        except Halfway as half:
            raise self._not_ready(token, half, request.properties) from None
        return pb.CreateResponse(id=made.id, properties=to_struct(self._marked(token, made.outputs)))

    @answered
    def Read(self, request: Any, context: Any) -> Any:
        token = _token(request.urn)
        found = self._life.read(token, request.id, request.urn, _values(request.inputs))
        if found is None:
            return pb.ReadResponse(id="")
        live, inputs = found
        return pb.ReadResponse(id=request.id, properties=to_struct(self._marked(token, live)), inputs=to_struct(inputs))

    @answered
    def Update(self, request: Any, context: Any) -> Any:
        token, news, settings = _token(request.urn), _values(request.news), self._configured(context)
        if request.preview:
            outputs = self._life.preview_update(token, _values(request.olds), news, settings)
        else:
            try:
                outputs = dict(self._life.update(token, request.id, request.urn, news, settings, _values(request.olds)).outputs)
            except Halfway as half:
                raise self._not_ready(token, half, request.news) from None
        return pb.UpdateResponse(properties=to_struct(self._marked(token, outputs)))

    @answered
    def Delete(self, request: Any, context: Any) -> Any:
        self._life.delete(_token(request.urn), request.id, request.urn)
        return empty_pb2.Empty()

    @answered
    def Invoke(self, request: Any, context: Any) -> Any:
        invokes = self._package.invokes()
        invoke = invokes.get(request.tok)
        if invoke is None:
            known = ", ".join(sorted(invokes)) or "none"
            text = f"The local twin does not know the function {request.tok!r}: it knows {known}."
            return pb.InvokeResponse(failures=[pb.CheckFailure(reason=text)])
        settings = self._configured(context)
        answer = invoke.answer(self._twin, {**settings.filled, **settings.context, **_values(request.args)})
        return pb.InvokeResponse(**{"return": to_struct(with_secrets(answer, invoke.secrets))})

    def Call(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"The local twin does not know the method {request.tok!r}.")

    def Construct(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"The local twin does not know the component {request.type!r}.")

    def _not_ready(self, token: str, half: Halfway, inputs: Any) -> NotReady:
        """As Pulumi's bridge tells it: the state has what was asked for, and the error with it."""
        state = to_struct(self._marked(token, {**half.live.outputs, **_values(inputs)}))
        return NotReady(str(half), pb.ErrorResourceInitFailed(id=half.live.id, properties=state, reasons=[str(half)], inputs=inputs))

    def _configured(self, context: Any) -> Settings:
        with self._lock:
            settings = self._settings.get(context.peer())
        if settings is None:
            raise Refusal("NotConfigured", f"The provider {self._package.name!r} was not configured on this connection: run again.", 500)
        return settings

    def _marked(self, token: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
        row, _ = self._life.type(token)
        return with_secrets({key: value for key, value in outputs.items() if key != DEFAULTS}, row.secrets)

    def _delay(self, urn: str, context: Any) -> None:
        """Wait as long as a test asked for, not longer than the engine lives."""
        seconds = self._twin.faults.create_delay(urn)
        if seconds:
            gone = threading.Event()
            if context.add_callback(gone.set):
                gone.wait(seconds)


def _token(urn: str) -> str:
    """`aws:s3/bucket:Bucket` of a URN, whose type part names the parents' types too."""
    return str(urn.split("::")[2].rsplit("$", 1)[-1])


def _values(struct: Any) -> dict[str, Any]:
    plain: dict[str, Any] = without_secrets(from_struct(struct))
    return plain
