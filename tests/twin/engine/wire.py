"""An engine of the tests' own: the provider protocol spoken directly, for what a whole run of the CLI would be too slow to try."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

from pilotlight.twin.values import from_struct, to_struct


def urn(token: str, name: str, stack: str = "test") -> str:
    return f"urn:pulumi:{stack}::tried::{token}::{name}"


@dataclass(frozen=True)
class Checked:
    inputs: dict[str, Any]
    problems: list[str]


class Wire:
    """One connection to one provider server, configured as an engine does it."""

    def __init__(
        self, port: int, region: str | None = "us-east-1", default_tags: dict[str, str] | None = None, *, configure: bool = True
    ) -> None:
        # A connection of its own, as every engine has: channels of one process would share one.
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
        self.stub = ResourceProviderStub(self._channel)
        if configure:
            args: dict[str, Any] = {"region": region} if region else {}
            if default_tags:
                args["defaultTags"] = json.dumps({"tags": default_tags})
            self.stub.Configure(pb.ConfigureRequest(args=to_struct(args)))

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def check(self, token: str, name: str, news: dict[str, Any], olds: dict[str, Any] | None = None, seed: bytes = b"seed") -> Checked:
        request = pb.CheckRequest(
            urn=urn(token, name), news=to_struct(news), randomSeed=seed, **({"olds": to_struct(olds)} if olds else {})
        )
        answer = self.stub.Check(request)
        return Checked(from_struct(answer.inputs), [failure.reason for failure in answer.failures])

    def create(
        self, token: str, name: str, inputs: dict[str, Any], *, preview: bool = False, timeout: float = 30
    ) -> tuple[str, dict[str, Any]]:
        request = pb.CreateRequest(urn=urn(token, name), properties=to_struct(inputs), preview=preview)
        answer = self.stub.Create(request, timeout=timeout)
        return answer.id, from_struct(answer.properties)

    def made(self, token: str, name: str, news: dict[str, Any], seed: bytes = b"seed") -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Checked and created: (id, inputs, outputs)."""
        checked = self.check(token, name, news, seed=seed)
        assert checked.problems == []
        id_, outputs = self.create(token, name, checked.inputs)
        return id_, checked.inputs, outputs

    def diff(self, token: str, name: str, id_: str, old: dict[str, Any], olds: dict[str, Any], new: dict[str, Any]) -> Any:
        request = pb.DiffRequest(id=id_, urn=urn(token, name), old_inputs=to_struct(old), olds=to_struct(olds), news=to_struct(new))
        return self.stub.Diff(request)

    def update(
        self, token: str, name: str, id_: str, olds: dict[str, Any], news: dict[str, Any], *, preview: bool = False
    ) -> dict[str, Any]:
        request = pb.UpdateRequest(id=id_, urn=urn(token, name), olds=to_struct(olds), news=to_struct(news), preview=preview)
        return from_struct(self.stub.Update(request).properties)

    def read(self, token: str, name: str, id_: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
        answer = self.stub.Read(pb.ReadRequest(id=id_, urn=urn(token, name), inputs=to_struct(inputs)))
        return answer.id, from_struct(answer.properties), from_struct(answer.inputs)

    def delete(self, token: str, name: str, id_: str) -> None:
        self.stub.Delete(pb.DeleteRequest(id=id_, urn=urn(token, name)))

    def invoke(self, token: str, args: dict[str, Any] | None = None) -> tuple[dict[str, Any], list[str]]:
        answer = self.stub.Invoke(pb.InvokeRequest(tok=token, args=to_struct(args or {})))
        return from_struct(getattr(answer, "return")), [failure.reason for failure in answer.failures]


def message(error: grpc.RpcError) -> str:
    """The text that the engine prints."""
    return str(error.details())  # type: ignore[attr-defined]
