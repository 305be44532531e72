"""`invoke`: one call of a deployed stack, authenticated as the stack asks for it. The answer's body is all that goes to standard output."""

import os
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pilotlight.cli.access import Access
from pilotlight.cli.answers import Waiting, address, follow
from pilotlight.cli.app import say
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Where
from pilotlight.cli.session import Session, open_session

if TYPE_CHECKING:
    import httpx

STAGES = "server-timing"
# The rules for idempotency keys are Stripe's: at most 255 characters.
KEY_LENGTH = 255
Pattern = Literal["api", "events"]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request: `body` is sent as it is. `token` is the bearer token of a stack with `auth.mode: jwt`.

    `asynchronous` asks for the address of the answer at once; with `wait` an answer that comes later is waited for `max_wait` seconds.
    """

    stack: str
    folder: Path
    where: Where | None
    body: bytes
    token: str | None
    timeout: float
    timing: bool
    asynchronous: bool = False
    wait: bool = True
    max_wait: float = 900
    idempotency_key: str | None = None


def invoke(call: Call) -> Exit:
    """Send it, print the answer; 4 with the status on standard error when it is no 2xx. Raises CommandError when there is no answer."""
    import httpx

    headers = _headers(call)
    session = open_session(call.folder, call.where, call.stack)
    outputs = outputs_of(session, call.stack, secrets=True, pattern="api")
    if call.asynchronous and "answersTable" not in outputs:
        raise CommandError(
            f"{call.stack} answers while the caller waits: set `answers: {{async: true}}` and run `up`, or leave --async out."
        )
    url = str(outputs["url"])
    access = Access(stack=call.stack, outputs=outputs, session=session, token=call.token)
    # Variables for proxies are the user's, and right for a cloud; the twin is on this machine.
    with httpx.Client(timeout=call.timeout, trust_env=not session.local) as http:
        try:
            answer = http.post(url, content=call.body, headers=access.headers("POST", url, call.body, headers))
        except httpx.TimeoutException as error:
            raise CommandError(f"{url} did not answer within {call.timeout:g} s: allow more with --timeout.", Exit.FAILED) from error
        except httpx.HTTPError as error:
            raise CommandError(f"{url} can't be reached: {error}", Exit.FAILED) from error
        if answer.status_code == 202:
            target = address(answer, url)
            if not call.wait:
                sys.stdout.write(f"{target}\n")
                return Exit.OK
            try:
                answer = follow(http, target, answer, access, Waiting(max_wait=call.max_wait, say=say, live=_live))
            except KeyboardInterrupt:
                say(f"pilotlight: interrupted: the answer will be at {target}")
                return Exit.INTERRUPTED
    return _print(answer, call)


def _headers(call: Call) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept": "application/json"}
    if call.asynchronous:
        headers["prefer"] = "respond-async"
    if call.idempotency_key is not None:
        key = call.idempotency_key
        if not (key.isascii() and key.isprintable() and 1 <= len(key.strip()) <= len(key) <= KEY_LENGTH):
            raise CommandError(f"--idempotency-key {key[:40]!r}: use 1 to {KEY_LENGTH} printable ASCII characters, a UUID, say.")
        headers["idempotency-key"] = key
    return headers


def _live(text: str) -> AbstractContextManager[object]:
    """A line that shows that something is waited for, on a terminal; nothing elsewhere."""
    from rich.console import Console

    return Console(stderr=True, quiet=not sys.stderr.isatty()).status(text)


def _print(answer: "httpx.Response", call: Call) -> Exit:
    sys.stdout.buffer.write(answer.content)
    if sys.stdout.isatty() and not answer.content.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.flush()
    if call.timing and STAGES in answer.headers:
        say(answer.headers[STAGES])
    if answer.is_success:
        return Exit.OK
    say(f"pilotlight: {call.stack} answered {answer.status_code} {answer.reason_phrase}")
    return Exit.ANSWERED_ERROR


def outputs_of(session: Session, stack: str, *, secrets: bool = False, pattern: Pattern | None = None) -> dict[str, Any]:
    """The outputs of a stack that is up; raises CommandError when it is not, or is of another pattern than the verb is for."""
    from pilotlight.cli.stacks import LocalStack

    if session.local and not LocalStack(session, stack).exists:
        raise CommandError(f"{stack} is not on the twin: bring it up with `pilotlight up {stack} --local`.", Exit.MISSING)
    outputs = session.outputs(stack, secrets=secrets)
    found: Pattern | None = "api" if "url" in outputs else "events" if "objectsBucket" in outputs else None
    if found is None:
        raise CommandError(
            f"{stack} is not up: bring it up with `pilotlight up {stack}{' --local' if session.local else ''}`.", Exit.MISSING
        )
    if pattern == "api" and found == "events":
        raise CommandError(f"{stack} takes objects, no calls: `pilotlight upload {stack} FILE --wait` shows what becomes of one.")
    if pattern == "events" and found == "api":
        raise CommandError(f"{stack} takes calls, no objects: `pilotlight invoke {stack} --json BODY`.")
    return outputs


def body_of(text: str | None, file: Path | None) -> bytes:
    """The body from `--json` or `--file` (`-` is standard input); raises CommandError unless exactly one is given."""
    if (text is None) == (file is None):
        raise CommandError("Give the request's body once: --json BODY or --file FILE (- for standard input).")
    if text is not None:
        # What is no text in the terminal's encoding is sent as it was typed: the service is the judge of it.
        return os.fsencode(text)
    assert file is not None
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise CommandError(f"--file {file} can't be read: {error.strerror}") from error
