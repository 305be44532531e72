"""Firestore and Pub/Sub for the functions under test: gRPC servers on the official clients' own messages.

As much of both as the functions call: documents with preconditions, committed together or not at all; messages of known topics.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.firestore_v1.types import firestore as api
from google.cloud.firestore_v1.types import write as writes
from google.protobuf.timestamp_pb2 import Timestamp
from google.pubsub_v1.types import pubsub

Fault = tuple[str, grpc.StatusCode, bool]


@dataclass
class Faults:
    """`failing` are (method, status, whether the call has its effect first), each for one call; `before` runs in front of each."""

    failing: list[Fault] = field(default_factory=list)
    before: Callable[[str], None] = field(default=lambda method: None)
    calls: list[str] = field(default_factory=list)

    def around(self, method: str, context: Any, call: Callable[[], Any]) -> Any:
        self.calls.append(method)
        self.before(method)
        fault = next((each for each in self.failing if each[0] == method), None)
        if fault is None:
            return call()
        self.failing.remove(fault)
        if fault[2]:
            call()
        return context.abort(fault[1], "told to fail")


class Refusal(Exception):
    """What a commit is refused with."""


@dataclass
class Firestore(Faults):
    """Documents by their full names."""

    address: str = ""
    documents: dict[str, Any] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)
    _last: int = 0

    def commit(self, request: Any, context: Any) -> Any:
        return self.around("Commit", context, lambda: self._commit(request, context))

    def batch_get(self, request: Any, context: Any) -> Iterator[Any]:
        yield from self.around("BatchGetDocuments", context, lambda: self._read(request))

    def _read(self, request: Any) -> list[Any]:
        with self.lock:
            now = self._now()
            return [self._found(name, request, now) for name in request.documents]

    def _found(self, name: str, request: Any, now: Timestamp) -> Any:
        answer = api.BatchGetDocumentsResponse.pb()(read_time=now)
        if name not in self.documents:
            answer.missing = name
            return answer
        answer.found.CopyFrom(self.documents[name])
        if request.HasField("mask"):
            for field_name in set(answer.found.fields) - set(request.mask.field_paths):
                del answer.found.fields[field_name]
        return answer

    def _commit(self, request: Any, context: Any) -> Any:
        with self.lock:
            now, staged = self._now(), dict(self.documents)
            for write in request.writes:
                name = write.update.name or write.delete
                trouble = _refused(write.current_document, staged.get(name))
                if trouble:
                    context.abort(trouble, name)
                _apply(write, staged, now)
            self.documents = staged
            results = [writes.WriteResult.pb()(update_time=now) for _ in request.writes]
            return api.CommitResponse.pb()(commit_time=now, write_results=results)

    def _now(self) -> Timestamp:
        """Of its own for each commit, in microseconds as Firestore's are."""
        self._last = max(time.time_ns() // 1000, self._last + 1)
        return Timestamp(seconds=self._last // 10**6, nanos=self._last % 10**6 * 1000)


def _refused(condition: Any, current: Any) -> grpc.StatusCode | None:
    kind = condition.WhichOneof("condition_type")
    if kind == "exists" and condition.exists != (current is not None):
        return grpc.StatusCode.NOT_FOUND if condition.exists else grpc.StatusCode.ALREADY_EXISTS
    if kind == "update_time" and (current is None or current.update_time != condition.update_time):
        return grpc.StatusCode.FAILED_PRECONDITION
    return None


def _apply(write: Any, staged: dict[str, Any], now: Timestamp) -> None:
    if write.WhichOneof("operation") == "delete":
        staged.pop(write.delete, None)
        return
    assert not write.update_transforms, "transforms are not played"
    known = staged.get(write.update.name)
    made = type(write.update)()
    made.CopyFrom(known if known is not None and write.HasField("update_mask") else write.update)
    for path in write.update_mask.field_paths:
        if path in write.update.fields:
            made.fields[path].CopyFrom(write.update.fields[path])
        else:
            made.fields.pop(path, None)
    made.create_time.CopyFrom(known.create_time if known is not None else now)
    made.update_time.CopyFrom(now)
    staged[write.update.name] = made


@dataclass
class Topics(Faults):
    """Messages by their topics' full names; what is not in it is refused."""

    address: str = ""
    messages: dict[str, list[Any]] = field(default_factory=dict)

    def publish(self, request: Any, context: Any) -> Any:
        return self.around("Publish", context, lambda: self._publish(request, context))

    def _publish(self, request: Any, context: Any) -> Any:
        if request.topic not in self.messages:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={request.topic}).")
        self.messages[request.topic] += request.messages
        return pubsub.PublishResponse(message_ids=[str(len(self.messages[request.topic])) for _ in request.messages])


def _serialized(message: Any) -> bytes:
    return bytes(message.SerializeToString())


@contextmanager
def _serving(service: str, methods: dict[str, Any]) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(32))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextmanager
def firestore_server() -> Iterator[Firestore]:
    made = Firestore()
    methods = {
        "Commit": grpc.unary_unary_rpc_method_handler(made.commit, api.CommitRequest.pb().FromString, _serialized),
        "BatchGetDocuments": grpc.unary_stream_rpc_method_handler(
            made.batch_get, api.BatchGetDocumentsRequest.pb().FromString, _serialized
        ),
    }
    with _serving("google.firestore.v1.Firestore", methods) as address:
        made.address = address
        yield made


@contextmanager
def pubsub_server(*topics: str) -> Iterator[Topics]:
    made = Topics(messages={topic: [] for topic in topics})
    publish = grpc.unary_unary_rpc_method_handler(made.publish, pubsub.PublishRequest.deserialize, pubsub.PublishResponse.serialize)
    with _serving("google.pubsub.v1.Publisher", {"Publish": publish}) as address:
        made.address = address
        yield made
