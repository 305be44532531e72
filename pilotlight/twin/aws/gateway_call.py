"""What both kinds of gateway share: the state of one call, its context variables, its access log line."""

from __future__ import annotations

import json
import re
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pilotlight.twin.asgi import Request
from pilotlight.twin.rows import AwsResponse

# API Gateway quotas page: 10 MB for REST and for HTTP APIs.
PAYLOAD_BYTES = 10 * 1024 * 1024
_VARIABLE = re.compile(r"\$(?:context\.[A-Za-z0-9_.\-]+|\{context\.[A-Za-z0-9_.\-]+\})")


@dataclass(kw_only=True)
class Call:
    """One request on its way through a gateway. `context` are the `$context` variables, for access logs and templates."""

    request: Request
    api_id: str
    stage: str
    path: str
    account: str
    region: str
    extended: bool
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)
    clock_started: float = field(default_factory=time.perf_counter)
    context: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        request = self.request
        self.context |= {
            "requestId": self.request_id,
            "extendedRequestId": self.extended_id,
            "apiId": self.api_id,
            "accountId": self.account,
            "stage": self.stage,
            "domainName": self.domain,
            "domainPrefix": self.domain.partition(".")[0],
            "httpMethod": request.method,
            "path": self.path,
            "protocol": "HTTP/1.1",
            "identity.sourceIp": request.source_ip,
            "identity.userAgent": request.headers.get("user-agent", "-"),
            "requestTime": self.request_time,
            "requestTimeEpoch": str(int(self.started * 1000)),
        }

    @property
    def domain(self) -> str:
        """The host that the client called: on AWS `{api}.execute-api.{region}.amazonaws.com`, here the front's."""
        return self.request.headers.get("host", "127.0.0.1")

    @property
    def extended_id(self) -> str:
        return self.request_id.replace("-", "")[:15] + "="

    @property
    def request_time(self) -> str:
        """Time of arrival in CLF form, as AWS writes it."""
        return datetime.fromtimestamp(self.started, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")

    def source_arn(self, method: str, path: str) -> str:
        """The execute-api ARN of this call, that permissions and policies name."""
        return f"arn:aws:execute-api:{self.region}:{self.account}:{self.api_id}/{self.stage}/{method}{path}"

    def finish(self, response: AwsResponse) -> None:
        """Fill in what only the end knows."""
        self.context |= {
            "status": str(response.status),
            "responseLength": str(len(response.body)),
            "responseLatency": str(round((time.perf_counter() - self.clock_started) * 1000)),
        }

    def log_line(self, template: str) -> str:
        """The access log line in the declared format; a variable that has no value is a dash, as on AWS."""
        return expand(template, self.context)


def expand(template: str, context: dict[str, str], *, as_json: bool = False) -> str:
    """`template` with its `$context` variables replaced. `as_json` is for `$context.error.messageString`, which is a JSON string."""

    def value(match: re.Match[str]) -> str:
        name = match[0].strip("${}").removeprefix("context.")
        # A dot that ends a sentence is not part of the name.
        bare = name.rstrip(".")
        return context.get(bare, "-" if not as_json else "") + name[len(bare) :]

    return _VARIABLE.sub(value, template)


def json_response(status: int, content: Any, headers: dict[str, str] | None = None) -> AwsResponse:
    """A JSON answer of the gateway itself."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return AwsResponse(status=status, headers={"content-type": "application/json", **(headers or {})}, body=body)
