"""A provider server with one resource type, for tests of the command against the real engine without the twin.

`mini:index:Thing` takes `value`, `delay` (seconds that its creation lasts), `bad` (Check refuses it), `broken` (Create fails) and `fixed`
(a change replaces the resource). What exists is kept in memory and can be looked at by the test.
`creating` counts the creations in flight.
"""

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc


class MiniProvider(provider_pb2_grpc.ResourceProviderServicer):  # type: ignore[misc]  # the generated base has no types
    """Create, change and delete in memory; `things` maps id to inputs, `port` is where the engine attaches."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Any]] = {}
        self.port = 0
        self.creating = 0
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._count = 0

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=False, accept_resources=False, accept_outputs=False)

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="1.0.0")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        news = _plain(request.news)
        failures = []
        if request.urn.split("::")[-2].split("$")[-1] != "mini:index:Thing":
            failures.append(provider_pb2.CheckFailure(property="", reason="only mini:index:Thing is known"))
        if "bad" in news:
            failures.append(provider_pb2.CheckFailure(property="bad", reason=f"{news['bad']!r} is not allowed: leave it out"))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        olds, news = _plain(request.old_inputs), _plain(request.news)
        changed = [key for key in {*olds, *news} if olds.get(key) != news.get(key)]
        kinds = provider_pb2.DiffResponse
        return kinds(
            changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE,
            diffs=changed,
            replaces=[key for key in changed if key == "fixed"],
        )

    def Create(self, request: Any, context: Any) -> Any:
        inputs = _plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=request.properties)
        self._wait(float(inputs.get("delay", 0)))
        if "broken" in inputs:
            context.abort(grpc.StatusCode.UNKNOWN, f"ThingLimitExceeded: {inputs['broken']}")
        with self._lock:
            self._count += 1
            identity = f"thing-{self._count}"
            self.things[identity] = inputs
        return provider_pb2.CreateResponse(id=identity, properties=request.properties)

    def release(self) -> None:
        """Let creations in flight, and later ones, end at once."""
        self._released.set()

    def _wait(self, seconds: float) -> None:
        self.creating += 1
        self._released.wait(seconds)
        self.creating -= 1

    def Read(self, request: Any, context: Any) -> Any:
        if request.id not in self.things:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id, properties=_struct(self.things[request.id]), inputs=_struct(self.things[request.id])
        )

    def Update(self, request: Any, context: Any) -> Any:
        if not request.preview:
            self.things[request.id] = _plain(request.news)
        return provider_pb2.UpdateResponse(properties=request.news)

    def Delete(self, request: Any, context: Any) -> Any:
        self.things.pop(request.id, None)
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


def _plain(message: struct_pb2.Struct) -> dict[str, Any]:
    return dict(message.items())


def _struct(values: dict[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(values)
    return message


@contextmanager
def mini_provider(provider: MiniProvider | None = None) -> Iterator[MiniProvider]:
    """A served MiniProvider (or the one that is given) on a free port of 127.0.0.1, stopped at the end."""
    provider = provider or MiniProvider()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    provider.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield provider
    finally:
        server.stop(grace=0).wait()
