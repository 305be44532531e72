"""A collector of OpenTelemetry on this machine: what comes is read with the official protobufs."""

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from tests.parts.handlers.http_servers import Quiet, serving

PATIENCE_S = 30


@dataclass
class Receiver:
    """`statuses` are its next answers in place of 200, with `said` headers; `rejects` how many spans of each request it does not take."""

    address: str = ""
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    rejects: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    @property
    def spans(self) -> list[Any]:
        return [span for request in self.requests for part in request.resource_spans for scope in part.scope_spans for span in scope.spans]

    @property
    def resources(self) -> list[dict[str, Any]]:
        return [told(part.resource) for request in self.requests for part in request.resource_spans]

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]

    def until(self, *names: str) -> list[Any]:
        """The first span of each name, once they are there."""
        end = time.monotonic() + PATIENCE_S
        with self.changed:
            self.changed.wait_for(lambda: all(map(self.named, names)), timeout=end - time.monotonic())
            assert all(map(self.named, names)), f"{names} are not among {[span.name for span in self.spans]}"
            return [self.named(name)[0] for name in names]


def told(message: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in message.attributes}


@contextmanager
def receiving() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = made.statuses.pop(0) if made.statuses else 200
            with made.changed:
                made.paths.append(self.path)
                made.headers.append({name.lower(): value for name, value in self.headers.items()})
                if status == 200:
                    plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                    made.requests.append(ExportTraceServiceRequest.FromString(plain))
                made.changed.notify_all()
            answer = ExportTraceServiceResponse()
            if made.rejects:
                answer.partial_success.rejected_spans = made.rejects
                answer.partial_success.error_message = "too old"
            self.reply(status, answer.SerializeToString(), {"Content-Type": "application/x-protobuf", **made.said})

    with serving(Handler) as made.address:
        yield made
