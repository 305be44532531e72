"""Comparisons: callers that count every answer, peers that fail and keep their rows, pictures, and a cache that is cold."""

import itertools
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from benchmarks import page_cache, wire
from benchmarks.callers import saturate as saturate_slowly
from benchmarks.loader import TENSORS, write_file
from benchmarks.peers import environment, servers
from benchmarks.picture import Bars
from benchmarks.record import BenchmarkError, write
from benchmarks.rows import Rows, ratios
from benchmarks.servers import Server
from benchmarks.torch_start import line_of
from tests.parts.handlers.http_servers import Quiet, serving

ASKED = wire.request("/predict", {"inputs": "x"})


TURNS = itertools.count()


class Answers(Quiet):
    """By its path: with a length, in chunks, refused, or not at all."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/gone":
            self.close_connection = True
        elif self.path == "/in-turns":
            if next(TURNS):
                time.sleep(0.5)
            self.reply(200, b'{"outputs": [1.0, 2]}')
            self.close_connection = True
        elif self.path == "/chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b'5\r\n{"out\r\n11\r\nputs": [1.0, 2]}\n\r\n0\r\n\r\n')
        else:
            self.reply(429 if self.path == "/busy" else 200, b'{"outputs": [1.0, 2]}')


@pytest.fixture
def port() -> Iterator[int]:
    with serving(Answers) as host:
        yield int(host.rpartition(":")[2])


@pytest.mark.parametrize("path", ["/predict", "/chunks"])
def test_every_answer_is_counted_however_it_tells_its_end(port: int, path: str) -> None:
    heard = wire.saturate(port, wire.request(path, {"inputs": "x"}), connections=3, seconds=0.3)
    assert len(heard.seconds) >= 3 == len(heard.last)
    assert all(wire.body(answer) == {"outputs": [1.0, 2]} for answer in heard.last)
    assert all(0 < seconds <= heard.span_s for seconds in heard.seconds)
    slower = saturate_slowly(port, path, [b'{"inputs": "x"}'], connections=2, seconds=0.1)
    assert all(call.value == {"outputs": [1.0, 2]} for call in slower)


def test_a_connection_that_is_done_may_be_closed_while_another_is_answered(port: int) -> None:
    assert len(wire.saturate(port, wire.request("/in-turns", {}), connections=2, seconds=0).last) == 2


def test_as_many_are_asked_as_the_rate_says(port: int) -> None:
    heard = wire.pace(port, ASKED, connections=4, seconds=0.5, rate=40)
    assert len(heard.seconds) == 20
    assert heard.span_s >= 19 / 40


@pytest.mark.parametrize(("path", "told"), [("/busy", "429"), ("/gone", "closed a connection")])
def test_an_answer_that_is_none_gives_no_figure(port: int, path: str, told: str) -> None:
    with pytest.raises(BenchmarkError, match=told):
        wire.saturate(port, wire.request(path, {}), connections=2, seconds=1)


def stand_in(name: str) -> Server:
    return Server(name=name, argv=["/bin/serve", name], cwd=Path(), path="/")


def test_a_peer_that_fails_keeps_its_row_with_the_reason_and_is_not_tried_again() -> None:
    tried: list[str] = []

    def not_installed() -> Server:
        raise BenchmarkError("The environment of c could not be made:\nno such version")

    def measured(server: Server) -> dict[str, float]:
        tried.append(server.name)
        if server.name == "a":
            raise Rows.partly({"p50_ms": 1.0}, BenchmarkError("refuses"))
        if server.name == "b":
            raise KeyError("outputs")
        return {"p50_ms": 2.0, "per_second": 10.0}

    rows = Rows(60)
    for name in ("ours", "a", "b"):
        rows.add(name, partial(stand_in, name))
    rows.add("c", not_installed)
    rows.take(3, measured)
    figures = rows.figures()
    assert tried == ["ours", "a", "b", "ours", "ours"]
    assert figures["ours"]["per_second"]["all"] == [10.0] * 3
    assert (figures["a"]["p50_ms"]["median"], figures["a"]["error"]) == (1.0, "refuses")
    assert figures["b"] == {"command": "serve b", "error": "KeyError: 'outputs'"}
    assert figures["c"] == {"error": "The environment of c could not be made:\nno such version"}


def test_a_program_is_timed_to_its_first_line_and_gives_no_figure_without_one() -> None:
    line, seconds = line_of([sys.executable, "-c", "import os; print(os.environ['MODEL'], flush=True)"], MODEL="folder")
    assert (line, seconds > 0) == ("folder\n", True)
    with pytest.raises(BenchmarkError, match=r"said nothing(.|\n)*no such model"):
        line_of([sys.executable, "-c", "raise SystemExit('no such model')"])


def test_each_request_is_another_one_unless_it_is_repeated() -> None:
    others, same = wire.request("/predict", {"inputs": "x"}), wire.request("/predict", {"inputs": "x"}, repeated=True)
    assert len({next(others) for _ in range(100)}) == 100
    assert len({next(same) for _ in range(100)}) == 1
    assert len({len(next(others)) for _ in range(100)}) == 1


def test_another_server_begins_each_round() -> None:
    tried: list[str] = []

    def measured(server: Server) -> dict[str, float]:
        tried.append(server.name)
        return {"p50_ms": 1.0}

    rows = Rows(60)
    for name in ("ours", "a", "b"):
        rows.add(name, partial(stand_in, name))
    rows.take(3, measured)
    assert tried == ["ours", "a", "b", "a", "b", "ours", "b", "ours", "a"]


def test_without_ours_there_is_no_result() -> None:
    def measured(server: Server) -> dict[str, float]:
        raise BenchmarkError("ours is broken")

    rows = Rows(60)
    rows.add("ours", lambda: stand_in("ours"))
    with pytest.raises(BenchmarkError, match="ours is broken"):
        rows.take(1, measured)


def test_no_round_begins_when_the_time_is_over() -> None:
    rows = Rows(0)
    rows.add("ours", lambda: stand_in("ours"))
    rows.take(5, lambda server: {"p50_ms": 1.0})
    assert rows.rounds == 1


def test_a_ratio_is_greater_where_ours_is_better() -> None:
    mine = {"per_second": {"median": 20}, "p99_ms": {"median": 2}, "installed_mb": 5}
    theirs = {"per_second": {"median": 5}, "p99_ms": {"median": 8}, "error": "x"}
    assert ratios(mine, theirs, higher=("per_second",)) == {"per_second": 4.0, "p99_ms": 4.0}


def test_a_picture_lies_beside_its_result(tmp_path: Path) -> None:
    write("loader", {"headline": "1 s", "picture": Bars("Seconds <of all>", "s", {"ours": 1.5, "peer": None})}, tmp_path)
    assert json.loads((tmp_path / "loader.json").read_text())["picture"] == "loader.svg"
    picture = (tmp_path / "loader.svg").read_text()
    assert "Seconds &lt;of all&gt;" in picture
    assert re.findall(r">([^<]+)</text>", picture)[1:] == ["ours", "1.5 s", "peer", "not measured"]


def test_every_peer_of_the_issue_has_a_way_and_a_lock() -> None:
    assert set(servers.PEERS) == set(servers._WAYS)
    for peer in servers.PEERS:
        pinned = (environment.LOCKS / f"{peer}.txt").read_text()
        listed = (environment.LOCKS / f"{peer}.in").read_text()
        assert all(re.search(rf"^{name}(\[.*\])?==", listed, re.MULTILINE) for name in servers.PACKAGES[peer])
        assert "--hash=sha256:" in pinned


def test_an_environment_that_can_not_be_made_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(environment, "LOCKS", tmp_path)
    (tmp_path / "peer.txt").write_text(f"./none-here-{os.getpid()}.whl --hash=sha256:{'0' * 64}\n")
    with pytest.raises(BenchmarkError, match="The environment of peer could not be made"):
        environment.python("peer")
    assert [path for path in (tmp_path / "cache/envs").iterdir() if path.is_dir()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="mincore and posix_fadvise")
def test_a_file_is_dropped_from_the_page_cache_and_back_once_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    write_file(file, TENSORS * 40_000)
    page_cache.drop(file)
    if page_cache.resident(file) > 0.5:
        pytest.skip("this file system keeps every page")
    assert page_cache.resident(file) < 0.05
    assert len(file.read_bytes()) > TENSORS * 40_000
    assert page_cache.resident(file) == 1
