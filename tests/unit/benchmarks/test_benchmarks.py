"""Benchmarks: a figure is only written with what it depends on, and never for a wrong answer."""

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.record import BenchmarkError, machine, summary, write
from benchmarks.servers import Server, cold_start, same

# Answers every POST with 1.0 once it listens; `ends` makes it leave before that.
SCRIPT = """
import http.server, os, sys
if sys.argv[1:] == ["ends"]:
    sys.exit("no model here")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(int(os.environ.get("STATUS", "200")))
        self.end_headers()
        self.wfile.write(b'{"outputs": [1.0]}')
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def server(tmp_path: Path, *arguments: str, **env: str) -> Server:
    script = tmp_path / "server.py"
    script.write_text(SCRIPT)
    return Server(
        name="stand-in", argv=[sys.executable, str(script), *arguments], cwd=tmp_path, path="/predict", env=dict(os.environ) | env
    )


def test_a_first_answer_is_timed_and_weighed_and_the_process_is_gone(tmp_path: Path, free_tcp_port: int) -> None:
    start = cold_start(server(tmp_path), free_tcp_port, {"inputs": "x"}, expected=[1.0])
    assert 0 < start.seconds < 60
    assert start.resident_mb > 1
    assert [child for child in psutil.Process().children() if str(tmp_path) in " ".join(child.cmdline())] == []


def test_a_process_that_a_server_leaves_to_the_system_is_weighed_and_gone_too(tmp_path: Path, free_tcp_port: int) -> None:
    marker = f"left-by-{free_tcp_port}"
    orphan = [sys.executable, "-c", "import time; held = bytes([1]) * 200_000_000; time.sleep(600)", marker]
    parent = f"import subprocess, time; subprocess.Popen({orphan!r}); time.sleep(3)"
    made = server(tmp_path)
    (tmp_path / "server.py").write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {parent!r}])\n{SCRIPT}")
    assert cold_start(made, free_tcp_port, {"inputs": "x"}).resident_mb > 200
    assert [each for each in psutil.process_iter(["cmdline"]) if marker in (each.info["cmdline"] or ())] == []


def test_a_wrong_answer_gives_no_figure(tmp_path: Path, free_tcp_port: int) -> None:
    with pytest.raises(BenchmarkError, match="another answer"):
        cold_start(server(tmp_path), free_tcp_port, {"inputs": "x"}, expected=[1.001])


def test_an_error_gives_no_figure(tmp_path: Path, free_tcp_port: int) -> None:
    with pytest.raises(BenchmarkError, match="stand-in answered 500"):
        cold_start(server(tmp_path, STATUS="500"), free_tcp_port, {"inputs": "x"})


def test_a_server_that_ends_is_told_with_its_own_words(tmp_path: Path, free_tcp_port: int) -> None:
    with pytest.raises(BenchmarkError, match=r"ended with 1 before it answered\.\nno model here"):
        cold_start(server(tmp_path, "ends"), free_tcp_port, {"inputs": "x"})


def test_a_servers_command_names_no_place_of_the_machine() -> None:
    env = {"PATH": "/usr/bin", "HOME": "/root", "PYTHONPATH": "/work", "MODEL": "/opt/models/minilm", "WORK": "sums"}
    server = Server(name="x", argv=["/opt/x/bin/python", "-m", "x.y", "--port", "{port}"], cwd=Path("/"), path="/", env=env)
    assert server.command == "MODEL=minilm WORK=sums python -m x.y --port '{port}'"


def test_answers_of_different_shape_or_value_differ() -> None:
    assert same([[1.0, 2.0]], [[1.00009, 2.0]])
    assert not same([[1.0, 2.0]], [[1.0002, 2.0]])
    assert not same([1.0, 2.0], [[1.0, 2.0]])


def test_a_result_names_its_command_and_its_time(tmp_path: Path) -> None:
    assert write("cold-start", {"headline": "1 s", "machine": machine()}, tmp_path) == "1 s"
    document = json.loads((tmp_path / "cold-start.json").read_text())
    assert document["command"] == "python -m benchmarks cold-start"
    assert document["at"].endswith("+00:00")
    assert document["machine"]["cpus"] >= 1


def test_a_summary_keeps_every_figure() -> None:
    assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "all": [3.0, 1.0, 2.0]}


def test_an_unknown_benchmark_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cold-strat"]) == 2
    assert capsys.readouterr().err == f"No benchmark cold-strat: use {', '.join(BENCHMARKS)}, or none for all that need no GPU.\n"
