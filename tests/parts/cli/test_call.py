"""Calling a stack: bodies, credentials, answers."""

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pilotlight.cli import call as module
from pilotlight.cli.call import Call, body_of, invoke
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session

ANSWERS = {"/ok": (200, b'{"outputs": [1]}'), "/throttled": (429, b'{"title": "Too Many Requests"}')}


@pytest.fixture
def service() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A local API and the requests that it saw."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append({"body": body, "headers": {name.lower(): value for name, value in self.headers.items()}})
            status, answer = ANSWERS[self.path]
            self.send_response(status)
            self.send_header("Server-Timing", "load;dur=80")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def calling(monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session]) -> Callable[..., Exit]:
    """Invoke with the given stack outputs."""
    variables = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": ""}
    session = dataclasses.replace(session_in("local"), variables=variables)
    monkeypatch.setattr(module, "open_session", lambda *_: session)

    def send(outputs: dict[str, Any], body: bytes = b"{}", token: str | None = None, timeout: float = 5, timing: bool = False) -> Exit:
        monkeypatch.setattr(module, "outputs_of", lambda *_, **__: outputs)
        return invoke(Call(stack="demo", folder=Path(), where=None, body=body, token=token, timeout=timeout, timing=timing))

    return send


def test_only_the_body_goes_to_standard_output(
    service: tuple[str, list[dict[str, Any]]], calling: Callable[..., Exit], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    url, seen = service
    assert calling({"url": f"{url}/ok", "authMode": "api-key", "apiKey": "k3y"}, b'{"inputs": "x"}') is Exit.OK
    captured = capfdbinary.readouterr()
    assert (captured.out, captured.err) == (b'{"outputs": [1]}', b"")
    assert seen[0]["body"] == b'{"inputs": "x"}'
    assert seen[0]["headers"]["x-api-key"] == "k3y"
    assert seen[0]["headers"]["content-type"] == "application/json"


def test_an_error_is_told_apart_by_its_exit_code_and_its_status(
    service: tuple[str, list[dict[str, Any]]], calling: Callable[..., Exit], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert calling({"url": f"{service[0]}/throttled", "authMode": "api-key", "apiKey": "k"}) is Exit.ANSWERED_ERROR
    captured = capfdbinary.readouterr()
    assert json.loads(captured.out) == {"title": "Too Many Requests"}
    assert b"demo answered 429 Too Many Requests" in captured.err


def test_stages_go_to_standard_error_when_asked_for(
    service: tuple[str, list[dict[str, Any]]], calling: Callable[..., Exit], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    calling({"url": f"{service[0]}/ok", "authMode": "api-key", "apiKey": "k"}, timing=True)
    assert capfdbinary.readouterr().err == b"load;dur=80\n"


def test_a_token_is_sent_to_a_stack_that_wants_one(service: tuple[str, list[dict[str, Any]]], calling: Callable[..., Exit]) -> None:
    calling({"url": f"{service[0]}/ok", "authMode": "jwt"}, token="a.b.c")
    assert service[1][0]["headers"]["authorization"] == "Bearer a.b.c"


def test_a_missing_token_says_how_to_give_it(calling: Callable[..., Exit]) -> None:
    with pytest.raises(CommandError, match="--token or PILOTLIGHT_TOKEN"):
        calling({"url": "http://127.0.0.1:1/ok", "authMode": "jwt"})


def test_a_signed_call_carries_a_signature_for_the_gateway(service: tuple[str, list[dict[str, Any]]], calling: Callable[..., Exit]) -> None:
    calling({"url": f"{service[0]}/ok", "authMode": "iam", "region": "eu-west-1"})
    authorization = service[1][0]["headers"]["authorization"]
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
    assert "/eu-west-1/execute-api/aws4_request" in authorization
    assert "x-amz-security-token" not in service[1][0]["headers"]


def test_an_unknown_mode_names_the_known_ones(calling: Callable[..., Exit]) -> None:
    with pytest.raises(CommandError, match="api-key, jwt and iam are known"):
        calling({"url": "http://127.0.0.1:1/", "authMode": "magic"})


def test_a_service_that_is_not_there_is_told(calling: Callable[..., Exit]) -> None:
    with pytest.raises(CommandError, match="can't be reached") as caught:
        calling({"url": "http://127.0.0.1:1/", "authMode": "api-key", "apiKey": "k"})
    assert caught.value.code is Exit.FAILED


def test_the_body_comes_from_text_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(b'{"inputs": "\xc3\xa4"}')
    assert body_of('{"inputs": "ä"}', None) == body_of(None, file)


@pytest.mark.parametrize("given", [(None, None), ("{}", Path("x"))])
def test_the_body_is_given_exactly_once(given: tuple[str | None, Path | None]) -> None:
    with pytest.raises(CommandError, match="once"):
        body_of(*given)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be read: No such file"):
        body_of(None, tmp_path / "nothing.json")


def test_a_body_that_is_no_text_is_sent_as_it_was_typed() -> None:
    # What Python makes of the argument b'{"inputs": "\\xff"}'.
    assert body_of('{"inputs": "\udcff"}', None) == b'{"inputs": "\xff"}'
