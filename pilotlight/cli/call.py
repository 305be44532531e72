"""`invoke`: one call of a deployed stack, authenticated as the stack asks for it. The answer's body is all that goes to standard output."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.home import Where
from pilotlight.cli.session import Session, open_session

STAGES = "server-timing"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request: `body` is sent as it is. `token` is the bearer token of a stack with `auth.mode: jwt`."""

    stack: str
    folder: Path
    where: Where | None
    body: bytes
    token: str | None
    timeout: float
    timing: bool


def invoke(call: Call) -> Exit:
    """Send it, print the answer; 4 with the status on standard error when it is no 2xx. Raises CommandError when there is no answer."""
    import httpx

    session = open_session(call.folder, call.where, call.stack)
    outputs = outputs_of(session, call.stack, secrets=True)
    url = str(outputs["url"])
    headers = {"content-type": "application/json", "accept": "application/json"}
    headers |= _credentials(outputs, url, call, session, headers)
    try:
        # Variables for proxies are the user's, and right for a cloud; the twin is on this machine.
        answer = httpx.post(url, content=call.body, headers=headers, timeout=call.timeout, trust_env=not session.local)
    except httpx.TimeoutException as error:
        raise CommandError(f"{url} did not answer within {call.timeout:g} s: allow more with --timeout.", Exit.FAILED) from error
    except httpx.HTTPError as error:
        raise CommandError(f"{url} can't be reached: {error}", Exit.FAILED) from error
    sys.stdout.buffer.write(answer.content)
    if sys.stdout.isatty() and not answer.content.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.flush()
    if call.timing and STAGES in answer.headers:
        print(answer.headers[STAGES], file=sys.stderr)  # noqa: T201
    if answer.is_success:
        return Exit.OK
    print(f"pilotlight: {call.stack} answered {answer.status_code} {answer.reason_phrase}", file=sys.stderr)  # noqa: T201
    return Exit.ANSWERED_ERROR


def outputs_of(session: Session, stack: str, *, secrets: bool = False) -> dict[str, Any]:
    """The outputs of a stack that is up; raises CommandError when it is not."""
    from pilotlight.cli.stacks import LocalStack

    if session.local and not LocalStack(session, stack).exists:
        raise CommandError(f"{stack} is not on the twin: bring it up with `pilotlight up {stack} --local`.", Exit.MISSING)
    outputs = session.outputs(stack, secrets=secrets)
    if "url" not in outputs:
        raise CommandError(
            f"{stack} is not up: bring it up with `pilotlight up {stack}{' --local' if session.local else ''}`.", Exit.MISSING
        )
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


def _credentials(outputs: dict[str, Any], url: str, call: Call, session: Session, headers: dict[str, str]) -> dict[str, str]:
    """The headers that the stack's `authMode` asks for."""
    mode = outputs.get("authMode")
    if mode == "api-key":
        return {"x-api-key": str(outputs["apiKey"])}
    if mode == "jwt":
        if not call.token:
            raise CommandError(f"{call.stack} wants a token of its issuer: give it with --token or PILOTLIGHT_TOKEN.")
        return {"authorization": f"Bearer {call.token}"}
    if mode == "iam":
        return _signed(url, call.body, headers, str(outputs["region"]), session)
    raise CommandError(f"{call.stack} has authMode {mode!r}: api-key, jwt and iam are known.", Exit.FAILED)


def _signed(url: str, body: bytes, headers: dict[str, str], region: str, session: Session) -> dict[str, str]:
    """The headers of a request signed (SigV4) with the deployer's credentials."""
    import botocore.session
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    if session.local:
        found = session.variables
        credentials = Credentials(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], found.get("AWS_SESSION_TOKEN") or None)
    else:
        own = botocore.session.get_session().get_credentials()
        if own is None:
            raise CommandError("No AWS credentials were found, and this stack wants signed calls: log in with the AWS CLI first.")
        credentials = own
    request = AWSRequest(method="POST", url=url, data=body, headers=headers)
    SigV4Auth(credentials, "execute-api", region).add_auth(request)
    return dict(request.headers.items())
