"""The twin's clock from the command line: against the twin's own control API, without the rest of a twin."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn

from pilotlight.cli import deploy
from pilotlight.cli.clock import clock, moved_to, wish_of
from pilotlight.cli.deploy import Request
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session
from pilotlight.cli.times import moment_of
from pilotlight.twin import state as states
from pilotlight.twin.asgi import Receive, Scope, Send
from pilotlight.twin.asgi import Request as HttpRequest
from pilotlight.twin.clock import Clock
from pilotlight.twin.control import Control
from pilotlight.twin.timers import Timers


class Twin:
    """A twin that has a clock and nothing else, found in `home` as any twin is."""

    def __init__(self, home: Path) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock)
        held = states.new()
        control = Control(held.token, providers=lambda folder: cast(Any, None), stop=lambda: None)
        control.twin = cast(Any, SimpleNamespace(clock=self.clock, timers=self.timers))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await control.handle(HttpRequest.of(scope, receive), send)

        self._server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error"))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        states.save(home, states.State(token=held.token, secret=held.secret, port=port).owned_by(os.getpid()))

    async def _run(self) -> None:
        await self.timers.start()
        await self._server.serve()
        await self.timers.close()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    home = tmp_path / "home"
    monkeypatch.setenv("PILOTLIGHT_HOME", str(home))
    twin = Twin(home)
    yield twin
    twin.close()


def hourly(twin: Twin, fired: list[float]) -> None:
    async def ring(at: float) -> str:
        fired.append(at)
        return "rang"

    twin.timers.every(lambda after: after // 3600 * 3600 + 3600, ring, "bell")


def test_the_time_is_told(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    assert clock({}, as_json=True) is Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert abs(datetime.fromisoformat(found["now"]).timestamp() - time.time()) < 5
    assert found["speed"] == 1


def test_a_day_forward_runs_what_is_due_on_the_way(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    fired: list[float] = []
    hourly(twin, fired)
    before = twin.clock.now()
    clock(wish_of("24h", None, None), as_json=False)
    assert len(fired) == 24
    assert 86400 <= twin.clock.now() - before < 86460
    out = capsys.readouterr().out
    assert out.count("bell  rang\n") == 24
    assert "24 things ran on the way" in out
    assert out.count("  next  ") == 1


def test_forward_to_a_moment(twin: Twin) -> None:
    moment = datetime.fromtimestamp(int(time.time()) + 7200).astimezone()
    clock(wish_of(None, moment.isoformat(), None), as_json=True)
    assert 0 <= twin.clock.now() - moment.timestamp() < 5


def test_speed_is_set_and_told(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    clock(wish_of(None, None, 60), as_json=False)
    assert twin.clock.speed == 60
    assert "running 60 times as fast" in capsys.readouterr().out


def test_the_past_is_refused_in_the_twins_words(twin: Twin) -> None:
    with pytest.raises(CommandError, match="use 0 or more"):
        clock(wish_of(None, "2020-01-01T00:00Z", None), as_json=False)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (("24h", "2027-01-01T00:00Z", None), "exclude each other"),
        (("1h", None, 2.0), "exclude each other"),
        (("soon", None, None), "--advance soon: use a number and s, m, h or d"),
        ((None, "2027-01-01T00:00", None), "--until 2027-01-01T00:00: use a moment with its offset"),
        ((None, "tomorrow", None), "--until tomorrow: use a moment"),
    ],
)
def test_a_wish_that_can_not_be_granted_says_what_can(wish: tuple[str | None, str | None, float | None], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        wish_of(*wish)


def test_a_clock_that_nobody_moved_is_the_machines(twin: Twin, tmp_path: Path) -> None:
    assert moved_to(tmp_path / "home") is None


def test_a_moved_clock_is_told(twin: Twin, tmp_path: Path) -> None:
    twin.clock.advance(3600)
    moved = moved_to(tmp_path / "home")
    assert moved is not None
    assert abs(datetime.fromisoformat(moved).timestamp() - time.time() - 3600) < 5


def test_without_a_twin_nothing_is_moved(tmp_path: Path) -> None:
    assert moved_to(tmp_path / "nothing") is None


@pytest.fixture
def program_sees(monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session]) -> Callable[..., str | None]:
    """The moment that the program of an operation gets in its environment."""

    def run(where: str, operation: str, at: str | None = None) -> str | None:
        session = session_in(where)
        request = Request(
            operation=cast(Any, operation),
            stack="demo",
            folder=session.project.root,
            where=cast(Any, where),
            at=None if at is None else moment_of(at, "--at"),
        )
        return deploy._moment(request, session).get("PILOTLIGHT_NOW")

    return run


def test_up_on_a_moved_twin_declares_for_its_time(twin: Twin, program_sees: Callable[..., str | None]) -> None:
    assert program_sees("local", "up") is None
    twin.clock.advance(7200)
    for operation in ("preview", "up"):
        seen = program_sees("local", operation)
        assert seen is not None
        assert abs(datetime.fromisoformat(seen).timestamp() - time.time() - 7200) < 5
    assert program_sees("local", "destroy") is None
    assert program_sees("cloud", "up") is None


@pytest.mark.parametrize("where", ["local", "cloud"])
def test_an_asked_for_moment_goes_before_the_twins(twin: Twin, program_sees: Callable[..., str | None], where: str) -> None:
    twin.clock.advance(7200)
    assert program_sees(where, "preview", "2027-03-28T02:30+01:00") == "2027-03-28T02:30:00+01:00"
