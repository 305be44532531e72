"""An endpoint that no connection reaches yet is asked again for as long as there is time."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from handlers.functions import connections, endpoint
from handlers.functions.connections import NotConnected, Server
from handlers.functions.endpoint import MAX_ATTEMPTS, Dropped, EndpointAnswer, NotReached, patiently
from handlers.functions.problems import DeadlineExceeded


@pytest.fixture
def full() -> Iterator[int]:
    """The port of a listener that takes no connection more: the kernel answers nothing, as where there is no way."""
    with ExitStack() as held:
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = listener.getsockname()[1]
        held.enter_context(socket.create_connection(("127.0.0.1", port)))
        yield port


def test_a_connection_that_does_not_come_about_is_told_from_an_answer_that_is_late(full: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_S", 0.2)
    server = Server(f"http://127.0.0.1:{full}")
    with pytest.raises(NotConnected, match=r"no connection within 0.2 s"), server.asked("POST", "/", headers={}, timeout_s=5):
        pass
    # All the time there was.
    with pytest.raises(NotConnected, match=r"0\.1 s"), server.asked("POST", "/", headers={}, timeout_s=0.1):
        pass


def test_it_is_asked_more_often_than_what_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "FIRST_PAUSE_S", 0.001)
    failures = [NotReached("not yet", retry_after_s=1)] * (3 * MAX_ATTEMPTS) + [Dropped("lost", retry_after_s=1)] * (MAX_ATTEMPTS - 1)

    def once(left_s: float) -> EndpointAnswer:
        if failures:
            raise failures.pop()
        return EndpointAnswer(b"{}", {})

    assert patiently(once, 5).body == b"{}"
    assert failures == []


@pytest.mark.parametrize(("error", "at_most_s"), [(NotReached("not yet", retry_after_s=1), 0.3), (Dropped("lost", retry_after_s=1), 5)])
def test_it_ends_with_the_time(error: Dropped, at_most_s: float) -> None:
    asked: list[float] = []

    def once(left_s: float) -> EndpointAnswer:
        asked.append(left_s)
        time.sleep(0.05)
        raise error

    began = time.monotonic()
    with pytest.raises((type(error), DeadlineExceeded)):
        patiently(once, at_most_s)
    assert time.monotonic() - began < at_most_s + 0.2
    assert len(asked) <= MAX_ATTEMPTS or isinstance(error, NotReached)
