"""What Google's APIs answer and refuse, told by a server that holds answers in the forms of their documentation."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pilotlight.cli.api_errors import ApiError, NotServed
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.gcp import clients
from pilotlight.cli.gcp.backlog import undelivered
from pilotlight.cli.gcp.clients import Api, told

MONITORING = "CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING"
SUBSCRIPTION = "projects/p/subscriptions/dead"


class Service:
    """Answers every request with `status` and `content`; `asked` are the targets."""

    def __init__(self) -> None:
        self.status, self.content = 200, b"{}"
        self.asked: list[str] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append(self.path)
                self.send_response(service.status)
                self.send_header("Content-Length", str(len(service.content)))
                self.end_headers()
                self.wfile.write(service.content)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def variables(self) -> dict[str, str]:
        return {MONITORING: f"http://127.0.0.1:{self.server.server_port}/"}

    def says(self, content: Any, status: int = 200) -> None:
        self.status, self.content = status, content if isinstance(content, bytes) else json.dumps(content).encode()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_the_newest_figure_of_a_subscription_counts(service: Service) -> None:
    points = [{"interval": {}, "value": {"int64Value": "7"}}, {"interval": {}, "value": {"int64Value": "3"}}]
    service.says({"timeSeries": [{"points": points}]})
    assert undelivered(SUBSCRIPTION, Api("monitoring", service.variables)) == 7
    target = urlsplit(service.asked[0])
    assert target.path == "/v3/projects/p/timeSeries"
    wanted = 'metric.type="pubsub.googleapis.com/subscription/num_undelivered_messages" AND resource.labels.subscription_id="dead"'
    assert parse_qs(target.query)["filter"] == [wanted]


@pytest.mark.parametrize(("status", "content"), [(200, {}), (200, {"timeSeries": []}), (403, {"error": {"message": "no"}}), (500, b"x")])
def test_without_a_figure_the_number_is_unknown(service: Service, status: int, content: Any) -> None:
    service.says(content, status)
    assert undelivered(SUBSCRIPTION, Api("monitoring", service.variables)) is None


def test_a_refusal_is_told_in_the_words_of_the_api(service: Service) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED", "domain": "googleapis.com"}
    service.says({"error": {"code": 403, "message": "It is off.", "status": "PERMISSION_DENIED", "details": [info]}}, 403)
    with pytest.raises(ApiError, match=r"It is off\.") as caught:
        Api("monitoring", service.variables).ask("GET", "/v3")
    assert (caught.value.status, caught.value.reason) == (403, "SERVICE_DISABLED")
    service.says(b"<html>", 502)
    said = r"The figures can't be read: 502 Bad Gateway: <html>"
    with pytest.raises(CommandError, match=said) as failed, told("The figures can't be read"):
        Api("monitoring", service.variables).ask("GET", "/v3")
    assert failed.value.code is Exit.FAILED


def test_a_service_that_is_not_there_is_told_without_the_word_in_its_address() -> None:
    with pytest.raises(ApiError, match=r"^http://127\.0\.0\.1:1/_gcp/monitoring can't be asked: ") as caught:
        Api("monitoring", {MONITORING: "http://127.0.0.1:1/_gcp/monitoring/~secret"}, timeout_s=1).ask("GET", "/v3")
    assert caught.value.status is None


def test_an_api_that_the_twin_lacks_is_named() -> None:
    with pytest.raises(NotServed, match=r"The local twin does not serve monitoring\.googleapis\.com"):
        Api("monitoring", {})


def test_missing_credentials_say_how_to_log_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(CommandError, match="run `gcloud auth application-default login`"):
        Api("storage", None)


@pytest.mark.parametrize(
    ("missing", "make"),
    [("google.auth", lambda: Api("storage", None)), ("google.cloud.firestore", lambda: clients.firestore({}, "p", "d"))],
)
def test_missing_libraries_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, missing: str, make: Callable[[], Any]) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(CommandError, match="run `make setup CLOUD=gcp`") as caught:
        make()
    assert caught.value.code is Exit.MISSING
