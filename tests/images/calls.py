"""Asking a model server for its first answer, and timing it from the start of the process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.images.engines import Running

SENTENCE = "Serverless means that nobody pays while nobody calls."
PATIENCE_S = 60
_BETWEEN_TRIES_S = 0.01


@dataclass(frozen=True, kw_only=True)
class First:
    """The first answer that was not "not yet", and the seconds from the start of the process."""

    response: httpx.Response
    seconds: float

    @property
    def outputs(self) -> Any:
        return self.response.json()["outputs"]


def first_answer(running: Running, port: int, *, started: float, body: Any = None) -> First:
    """POST /invocations until the server is up and has its model. AssertionError with the log where it ends or never comes."""
    deadline = started + PATIENCE_S
    with httpx.Client(trust_env=False, timeout=PATIENCE_S) as client:
        while time.monotonic() < deadline:
            try:
                response = client.post(f"http://127.0.0.1:{port}/invocations", json=body or {"inputs": SENTENCE})
            except httpx.TransportError:
                response = None
            if response is not None and response.status_code != 503:
                return First(response=response, seconds=time.monotonic() - started)
            assert running.alive(), f"The server ended before it answered:\n{running.logs()}"
            time.sleep(_BETWEEN_TRIES_S)
    raise AssertionError(f"No answer within {PATIENCE_S} s:\n{running.logs()}")


def until(condition: Callable[[], bool], *, seconds: float = PATIENCE_S) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(_BETWEEN_TRIES_S)
    return False
