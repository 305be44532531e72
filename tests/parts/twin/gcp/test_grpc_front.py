"""gRPC ports of the twin, over a service that only echoes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import wrappers_pb2

from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.grpc_front import GrpcFront, Method, invalid
from tests.parts.twin.gcp.google_ports import Loop

Text = wrappers_pb2.StringValue


async def _echo(request: Any, caller: Caller) -> Any:
    if request.value == "bad":
        raise invalid("bad is not good")
    if request.value == "broken":
        raise KeyError("broken")
    return Text(value=f"{caller.email} {request.value}")


async def _twice(request: Any, caller: Caller) -> AsyncGenerator[Any, None]:
    for _ in range(2):
        yield await _echo(request, caller)


async def _all(first: Any, further: AsyncIterator[Any], caller: Caller) -> AsyncGenerator[Any, None]:
    yield await _echo(first, caller)
    async for request in further:
        yield await _echo(request, caller)


def _needs(request: Any) -> list[tuple[str, str]]:
    return [("says", request.value)]


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def front(loop: Loop) -> Iterator[GrpcFront]:
    async def make() -> GrpcFront:
        methods = {
            "Echo": Method(request=Text, needs=_needs, unary=_echo),
            "Twice": Method(request=Text, needs=_needs, streamed=_twice),
            "All": Method(request=Text, needs=_needs, both=_all),
        }
        return GrpcFront({"a.Service": methods}, lambda email, permission, resource: f"{email} no" if resource == "secret" else None)

    made = loop.wait(make())
    yield made
    loop.wait(made.close())


@pytest.fixture
def channel(loop: Loop, front: GrpcFront) -> Iterator[Callable[[str], grpc.Channel]]:
    opened: list[grpc.Channel] = []

    def make(email: str) -> grpc.Channel:
        opened.append(grpc.insecure_channel(f"127.0.0.1:{loop.wait(front.port(Caller(email)))}"))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def call(channel: grpc.Channel, kind: str, name: str, given: Any) -> Any:
    coding = {"request_serializer": Text.SerializeToString, "response_deserializer": Text.FromString}
    return getattr(channel, kind)(f"/a.Service/{name}", **coding)(given, timeout=10)


def test_a_call_is_answered_in_the_name_of_its_port(channel: Callable[[str], grpc.Channel]) -> None:
    for email in ("one@x.y", "two@x.y"):
        port = channel(email)
        assert call(port, "unary_unary", "Echo", Text(value="a")).value == f"{email} a"
        assert [one.value for one in call(port, "unary_stream", "Twice", Text(value="a"))] == [f"{email} a"] * 2
        both = call(port, "stream_stream", "All", iter([Text(value="a"), Text(value="b")]))
        assert [one.value for one in both] == [f"{email} a", f"{email} b"]


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        ("secret", grpc.StatusCode.PERMISSION_DENIED, "one@x.y no"),
        ("bad", grpc.StatusCode.INVALID_ARGUMENT, "bad is not good"),
        ("broken", grpc.StatusCode.INTERNAL, "The twin failed at this call: 'broken'"),
    ],
)
def test_what_can_not_be_is_a_status(channel: Callable[[str], grpc.Channel], value: str, code: grpc.StatusCode, text: str) -> None:
    port = channel("one@x.y")
    request = Text(value=value)
    for kind, name, given in (
        ("unary_unary", "Echo", request),
        ("unary_stream", "Twice", request),
        ("stream_stream", "All", iter([request])),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            list(call(port, kind, name, given))
        assert (caught.value.code(), caught.value.details()) == (code, text)


def test_an_unknown_method_is_refused_with_those_that_there_are(channel: Callable[[str], grpc.Channel]) -> None:
    port = channel("one@x.y")
    for kind, given in (("unary_unary", Text()), ("stream_stream", iter([Text()]))):
        with pytest.raises(grpc.RpcError) as caught:
            list(call(port, kind, "None", given))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert caught.value.details() == "The local twin does not serve a.Service/None. It serves All, Echo, Twice."


def test_a_caller_keeps_its_port_until_it_is_closed(loop: Loop, front: GrpcFront, channel: Callable[[str], grpc.Channel]) -> None:
    port = loop.wait(front.port(Caller("one@x.y")))
    assert loop.wait(front.port(Caller("one@x.y"))) == port
    assert loop.wait(front.port(Caller("two@x.y"))) != port
    held = channel("one@x.y")
    loop.wait(front.close_port(Caller("one@x.y")))
    with pytest.raises(grpc.RpcError) as caught:
        call(held, "unary_unary", "Echo", Text(value="a"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
