"""gRPC servers in the twin's loop: one port for each identity, every call decided before it is served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from pilotlight.twin.gcp.callers import Allowed, Caller

# What a call needs: (permission, full name of the resource), all of them.
Needs = Callable[[Any], Iterable[tuple[str, str]]]
# Pub/Sub and Firestore take requests of 10 MB and 10 MiB; what frames them is small.
REQUEST_BYTES = 11 * 1024 * 1024
GRACE_S = 0.5
_LOG = logging.getLogger(__name__)


class GrpcError(Exception):
    """The status that a call ends with."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> GrpcError:
    return GrpcError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_served(message: str) -> GrpcError:
    return GrpcError(grpc.StatusCode.UNIMPLEMENTED, message)


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method of a service. `request` is the message's class; `needs` is asked about the request, of a stream about its first.

    `unary` answers one request with one message, `streamed` one with several. `both` gets an iterator over further requests as well.
    """

    request: Any
    needs: Needs
    unary: Callable[[Any, Caller], Any] | None = None
    streamed: Callable[[Any, Caller], AsyncGenerator[Any, None]] | None = None
    both: Callable[[Any, AsyncIterator[Any], Caller], AsyncGenerator[Any, None]] | None = None


class GrpcFront:
    """Services by full name (`google.firestore.v1.Firestore`), each a map of methods. To be used in one loop."""

    def __init__(self, services: Mapping[str, Mapping[str, Method]], allowed: Allowed, out: Callable[[], bool] = lambda: False) -> None:
        """`out` tells whether nothing is to be served, since a test asked for that."""
        self._services = services
        self._allowed = allowed
        self._out = out
        self._servers: dict[Caller, tuple[grpc.aio.Server, int]] = {}
        self._opening = asyncio.Lock()

    async def port(self, caller: Caller) -> int:
        """The port of 127.0.0.1 that answers this caller, opened now if it is not yet."""
        async with self._opening:
            if caller not in self._servers:
                # Without it two processes may share a port, and each would get half of the other's calls.
                alone = ("grpc.so_reuseport", 0)
                sizes = (("grpc.max_receive_message_length", REQUEST_BYTES), ("grpc.max_send_message_length", -1))
                server = grpc.aio.server(options=(alone, *sizes))
                server.add_generic_rpc_handlers((_Handlers(self, caller),))
                port = server.add_insecure_port("127.0.0.1:0")
                await server.start()
                self._servers[caller] = server, port
            return self._servers[caller][1]

    async def close_port(self, caller: Caller) -> None:
        """End the port of a caller that is gone; one that has none is no error."""
        async with self._opening:
            held = self._servers.pop(caller, None)
        if held is not None:
            await held[0].stop(GRACE_S)

    async def close(self) -> None:
        servers = [server for server, _ in self._servers.values()]
        self._servers.clear()
        await asyncio.gather(*(server.stop(GRACE_S) for server in servers))

    def method(self, path: str) -> Method | None:
        """The method of `/SERVICE/NAME`, None where the twin has none."""
        _, service, name = path.split("/", 2)
        return self._services.get(service, {}).get(name)

    def refuse(self, path: str) -> GrpcError:
        _, service, name = path.split("/", 2)
        served = ", ".join(sorted(self._services.get(service, ()))) or "nothing of that service"
        return not_served(f"The local twin does not serve {service}/{name}. It serves {served}.")

    def judge(self, caller: Caller, method: Method, request: Any) -> None:
        """GrpcError where the caller may not (PERMISSION_DENIED), or nobody may (UNAVAILABLE)."""
        if self._out():
            raise GrpcError(grpc.StatusCode.UNAVAILABLE, "The service is out: a test asked for it.")
        for permission, resource in method.needs(request):
            if reason := self._allowed(caller.email, permission, resource):
                raise GrpcError(grpc.StatusCode.PERMISSION_DENIED, reason)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """What grpc asks for the handler of a path: those of one caller."""

    def __init__(self, front: GrpcFront, caller: Caller) -> None:
        self._front = front
        self._caller = caller
        self._known: dict[str, grpc.RpcMethodHandler] = {}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        path = details.method
        if path not in self._known:
            method = self._front.method(path)
            if method is None:
                return grpc.stream_stream_rpc_method_handler(partial(self._unknown, path))
            self._known[path] = self._handler(method)
        return self._known[path]

    def _handler(self, method: Method) -> grpc.RpcMethodHandler:
        # Partials, since grpc looks at a function itself to learn whether it is asynchronous.
        kinds = {"request_deserializer": method.request.FromString, "response_serializer": _bytes}
        if method.unary is not None:
            return grpc.unary_unary_rpc_method_handler(partial(self._unary, method), **kinds)
        if method.streamed is not None:
            return grpc.unary_stream_rpc_method_handler(partial(self._streamed, method), **kinds)
        return grpc.stream_stream_rpc_method_handler(partial(self._both, method), **kinds)

    async def _unary(self, method: Method, request: Any, context: Any) -> Any:
        assert method.unary is not None
        try:
            self._front.judge(self._caller, method, request)
            return await method.unary(request, self._caller)
        except Exception as error:  # noqa: BLE001 (each becomes a status)
            await _abort(context, error)

    async def _streamed(self, method: Method, request: Any, context: Any) -> AsyncIterator[Any]:
        assert method.streamed is not None
        try:
            self._front.judge(self._caller, method, request)
            async with aclosing(method.streamed(request, self._caller)) as answers:
                async for answer in answers:
                    yield answer
        except Exception as error:  # noqa: BLE001
            await _abort(context, error)

    async def _both(self, method: Method, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        assert method.both is not None
        try:
            further = aiter(requests)
            first = await anext(further, None)
            if first is None:
                return
            self._front.judge(self._caller, method, first)
            async with aclosing(method.both(first, further, self._caller)) as answers:
                async for answer in answers:
                    yield answer
        except Exception as error:  # noqa: BLE001
            await _abort(context, error)

    async def _unknown(self, path: str, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await _abort(context, self._front.refuse(path))
        yield b""


def _bytes(message: Any) -> bytes:
    content: bytes = message.SerializeToString()
    return content


async def _abort(context: Any, error: Exception) -> None:
    if isinstance(error, GrpcError):
        await context.abort(error.code, error.message)
    _LOG.error("a call failed", exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, f"The twin failed at this call: {error}")
