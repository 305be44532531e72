"""Answers that come later: the address, the wait, the credentials, Ctrl-C."""

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from pilotlight.cli import answers
from pilotlight.cli import call as module
from pilotlight.cli.call import Call, invoke, outputs_of
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session

RESULT = b'{"outputs": [[0.5]]}'
KEY = {"authMode": "api-key", "apiKey": "k3y", "answersTable": "demo-answers"}
Answer = tuple[int, dict[str, str], bytes]


class Service:
    """A local API that answers from a script: to the call first, then to each look at the result."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.seen: list[dict[str, Any]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers["content-length"])))

            def do_GET(self) -> None:
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                service.seen.append({"method": self.command, "path": self.path, "body": body, "headers": headers})
                status, extra, content = service.script[min(len(service.seen), len(service.script)) - 1]
                self.send_response(status)
                for name, value in {**extra, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def later(self, retry: str = "0", **extra: str) -> Answer:
        body = json.dumps({"id": "a1", "status": "pending", "result": f"{self.url}/v1/results/a1"}).encode()
        return 202, {"Content-Type": "application/json", "Retry-After": retry, **extra}, body


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between two looks, made short."""
    asked: list[float] = []
    monkeypatch.setattr(answers.time, "sleep", asked.append)
    return asked


@pytest.fixture
def calling(monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session], service: Service) -> Callable[..., Exit]:
    """Invoke with the given stack outputs and options."""
    variables = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": ""}
    session = dataclasses.replace(session_in("local"), variables=variables)
    monkeypatch.setattr(module, "open_session", lambda *_: session)

    def send(outputs: dict[str, Any], **options: Any) -> Exit:
        monkeypatch.setattr(module, "outputs_of", lambda *_, **__: {"url": f"{service.url}/v1/predict", **outputs})
        given: dict[str, Any] = {"body": b"{}", "token": None, "timeout": 5, "timing": False, **options}
        return invoke(Call(stack="demo", folder=Path(), where=None, **given))

    return send


def test_an_answer_that_comes_later_is_waited_for_and_only_its_body_is_printed(
    service: Service, calling: Callable[..., Exit], pauses: list[float], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    service.script = [service.later("2"), service.later("3"), (200, {}, RESULT)]
    assert calling(KEY) is Exit.OK
    captured = capfdbinary.readouterr()
    assert captured.out == RESULT
    assert f"{service.url}/v1/results/a1".encode() in captured.err
    assert pauses == [2, 3]
    assert [(one["method"], one["path"]) for one in service.seen] == [
        ("POST", "/v1/predict"),
        ("GET", "/v1/results/a1"),
        ("GET", "/v1/results/a1"),
    ]
    assert {one["headers"]["x-api-key"] for one in service.seen} == {"k3y"}


def test_a_signed_caller_signs_every_look_for_itself(service: Service, calling: Callable[..., Exit], pauses: list[float]) -> None:
    service.script = [service.later(), (200, {}, RESULT)]
    calling({"authMode": "iam", "region": "eu-west-1"})
    signatures = [one["headers"]["authorization"] for one in service.seen]
    assert all("/eu-west-1/execute-api/aws4_request" in signature for signature in signatures)
    assert signatures[0] != signatures[1]


def test_a_later_answer_that_is_an_error_is_told_as_one(
    service: Service, calling: Callable[..., Exit], pauses: list[float], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    service.script = [service.later(), (422, {}, b'{"title": "The input is not what the model takes"}')]
    assert calling(KEY) is Exit.ANSWERED_ERROR
    assert b"demo answered 422" in capfdbinary.readouterr().err


def test_the_location_header_may_be_relative(service: Service, calling: Callable[..., Exit], pauses: list[float]) -> None:
    service.script = [service.later(Location="/v1/results/b2"), (200, {}, RESULT)]
    assert calling(KEY) is Exit.OK
    assert service.seen[1]["path"] == "/v1/results/b2"


@pytest.mark.parametrize(
    ("told", "there"),
    [
        ("https://mine.azure-api.net/results/b2", "http://127.0.0.1:1/_azure/apim/mine.azure-api.net/results/b2"),
        ("https://mine.gateway.dev/results/b2", None),
        ("https://others.azure-api.net/results/b2", None),
    ],
)
def test_a_gateway_on_the_twin_may_name_itself_as_in_its_cloud_and_no_other(told: str, there: str | None) -> None:
    answer = httpx.Response(202, headers={"location": told})
    asked = "http://127.0.0.1:1/_azure/apim/mine.azure-api.net/predict"
    if there is not None:
        assert answers.address(answer, asked) == there
        assert answers.address(answer, "https://mine.azure-api.net/predict") == told
        return
    with pytest.raises(CommandError, match="another place"):
        answers.address(answer, asked)


def test_credentials_are_not_sent_to_another_place(service: Service, calling: Callable[..., Exit], pauses: list[float]) -> None:
    service.script = [service.later(Location="http://localhost:9/elsewhere")]
    with pytest.raises(CommandError, match="another place"):
        calling(KEY)
    assert len(service.seen) == 1


def test_a_202_without_an_address_is_told(service: Service, calling: Callable[..., Exit], pauses: list[float]) -> None:
    service.script = [(202, {}, b"accepted")]
    with pytest.raises(CommandError, match="without saying where"):
        calling(KEY)


def test_a_date_to_come_back_at_is_understood(service: Service, calling: Callable[..., Exit], pauses: list[float]) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    service.script = [service.later(at), (200, {}, RESULT)]
    calling(KEY)
    assert 25 < pauses[0] <= 30


@pytest.mark.parametrize(("told", "waited"), [("", 1.0), ("soon", 1.0), ("0", 0.2)])
def test_without_a_usable_time_it_looks_every_second(
    service: Service, calling: Callable[..., Exit], pauses: list[float], told: str, waited: float
) -> None:
    service.script = [service.later(told), (200, {}, RESULT)]
    calling(KEY)
    assert pauses == [waited]


def test_a_throttled_look_and_a_hiccup_of_the_gateway_are_looked_at_again(
    service: Service, calling: Callable[..., Exit], pauses: list[float], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    throttled, hiccup = (429, {"Retry-After": "4"}, b"{}"), (504, {}, b"{}")
    service.script = [service.later(), throttled, hiccup, hiccup, (200, {}, RESULT)]
    assert calling(KEY) is Exit.OK
    assert capfdbinary.readouterr().out == RESULT
    assert pauses == [0.2, 4, 1, 1]


def test_an_answer_that_is_a_504_is_printed_in_the_end(
    service: Service, calling: Callable[..., Exit], pauses: list[float], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    service.script = [service.later(), (504, {}, b'{"title": "The prediction took too long"}')]
    assert calling(KEY) is Exit.ANSWERED_ERROR
    assert json.loads(capfdbinary.readouterr().out)["title"] == "The prediction took too long"
    assert len(service.seen) == 1 + answers.PATIENCE


def test_an_api_that_is_gone_while_it_is_waited_for_is_told_with_the_address(
    service: Service, calling: Callable[..., Exit], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.script = [service.later()]

    def gone(seconds: float) -> None:
        service.server.socket.close()

    monkeypatch.setattr(answers.time, "sleep", gone)
    with pytest.raises(CommandError, match=r"/v1/results/a1 can't be reached"):
        calling(KEY, timeout=1)


def test_an_answer_that_never_comes_ends_with_the_address(service: Service, calling: Callable[..., Exit]) -> None:
    service.script = [service.later()]
    with pytest.raises(CommandError, match=r"No answer within 1 s: it will be at .*/v1/results/a1") as caught:
        calling(KEY, max_wait=1)
    assert caught.value.code is Exit.FAILED
    assert len(service.seen) > 2


def test_ctrl_c_leaves_the_address(
    service: Service, calling: Callable[..., Exit], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service.script = [service.later()]

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(answers.time, "sleep", interrupted)
    assert calling(KEY) is Exit.INTERRUPTED
    assert capsys.readouterr().err.endswith(f"interrupted: the answer will be at {service.url}/v1/results/a1\n")


def test_without_waiting_the_address_is_the_output(
    service: Service, calling: Callable[..., Exit], capsys: pytest.CaptureFixture[str]
) -> None:
    service.script = [service.later()]
    assert calling(KEY, wait=False) is Exit.OK
    assert capsys.readouterr().out == f"{service.url}/v1/results/a1\n"
    assert len(service.seen) == 1


def test_async_and_an_idempotency_key_are_headers_of_the_call(service: Service, calling: Callable[..., Exit], pauses: list[float]) -> None:
    service.script = [service.later(), (200, {}, RESULT)]
    calling(KEY, asynchronous=True, idempotency_key="order-17")
    call, look = (one["headers"] for one in service.seen)
    assert (call["prefer"], call["idempotency-key"]) == ("respond-async", "order-17")
    assert "prefer" not in look
    assert "idempotency-key" not in look


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "schlüssel", "a\nb"])
def test_an_idempotency_key_that_no_header_takes_is_refused(calling: Callable[..., Exit], service: Service, key: str) -> None:
    with pytest.raises(CommandError, match="1 to 255 printable ASCII"):
        calling(KEY, idempotency_key=key)
    assert service.seen == []


def test_async_is_refused_where_the_stack_has_no_such_answers(calling: Callable[..., Exit], service: Service) -> None:
    with pytest.raises(CommandError, match=r"answers: \{async: true\}"):
        calling({"authMode": "api-key", "apiKey": "k"}, asynchronous=True)
    assert service.seen == []


@pytest.mark.parametrize(
    ("pattern", "outputs", "verb"),
    [
        ("api", {"objectsBucket": "b"}, "pilotlight upload demo FILE --wait"),
        ("events", {"url": "u"}, "pilotlight invoke demo --json BODY"),
    ],
)
def test_a_verb_for_another_pattern_names_the_right_one(
    monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session], pattern: Any, outputs: dict[str, str], verb: str
) -> None:
    monkeypatch.setattr(Session, "outputs", lambda *_, **__: outputs)
    with pytest.raises(CommandError) as caught:
        outputs_of(session_in("cloud"), "demo", pattern=pattern)
    assert verb in str(caught.value)
    assert caught.value.code is Exit.USAGE
