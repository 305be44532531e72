"""Several processes behind one port: who answers, what is told of them together, and how they end."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from handlers.server.board import Board, merged
from pilotlight.twin.ports import port_for_later
from tests.parts.handlers.processes import ROOT, exit_of, running

PATIENCE_S = 60
# Forked from a loaded one; and each loading for itself.
WAYS = {"shared": {"MODEL_THREADS": "1"}, "each its own": {"MODEL_THREADS": "2"}}


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(pid):
    """Whether a process is over; a zombie that nobody waits for is."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until(condition):
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def ask(server, times=1, inputs="cold start", headers=None):
    """Answers over connections of their own, which the kernel deals out."""
    answers = []
    for _ in range(times):
        with httpx.Client(base_url=server.client.base_url, timeout=PATIENCE_S, verify=False) as client:
            answers.append(client.post("/predict", json={"inputs": inputs}, headers=headers))
    assert {answer.status_code for answer in answers} == {200}
    return answers


def answered(client):
    lines = client.get("/metrics").text.splitlines()
    return next((int(float(line.split()[1])) for line in lines if line.startswith("pilotlight_prediction_seconds_count")), 0)


def told_by_each(server):
    """What the processes tell over new connections, so many that hardly all of them come to one."""
    told = set()
    for _ in range(20):
        with httpx.Client(base_url=server.client.base_url, timeout=PATIENCE_S, verify=False) as client:
            told.add(answered(client))
    return told


def test_processes_share_a_port_and_tell_their_figures_together(tiny, workshop):
    with running(workshop, MODEL_DIR=str(tiny), WORKERS="2", **WAYS["shared"]) as server:
        first, second = until(lambda: len(found := children(server.process.pid)) == 2 and found)
        alone = np.array(ask(server, 40)[0].json()["outputs"])
        assert np.shape(alone) == (1, 4, 64)
        # Of another one a process knows what that wrote down, at the latest half a second ago.
        until(lambda: told_by_each(server) == {40})
        started = [json.loads(line) for line in server.log.splitlines() if '"cold_start"' in line]
        assert len(started) == 2, "each of them answered"
        assert 'tier="local"} 1\n' in server.client.get("/metrics").text, "what each of them has is no sum"
        assert all(list(line["stages"]) == ["boot", "import", "fetch", "load", "fork", "first"] for line in started)
        os.kill(first, signal.SIGKILL)
        again = until(lambda: len(found := children(server.process.pid)) == 2 and first not in found and found)
        assert second in again
        until(lambda: '"worker_ended"' in server.log)
        server.until_ready()
        assert told_by_each(server) == {40}, "what was counted before is not forgotten"
        ask(server, 20)
        until(lambda: told_by_each(server) == {60})
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=9) == 0
        assert time.monotonic() - began < 9
        assert all(map(ended, (*again, second)))


@pytest.mark.parametrize("way", WAYS)
def test_processes_answer_while_they_end_and_leave_none_behind(tiny, workshop, way):
    with running(workshop, MODEL_DIR=str(tiny), WORKERS="2", **WAYS[way]) as server:
        # More than the threads of an engine that was forked away could ever compute.
        ask(server, 10, inputs=["cold " * 60] * 8)
        left = until(lambda: len(found := children(server.process.pid)) == 2 and found)
        # The one that they are forked from has computed its first answer with none of its own.
        assert len(os.listdir(f"/proc/{server.process.pid}/task")) == 1
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(timeout=9)
        until(lambda: all(map(ended, left)))


@pytest.mark.parametrize("way", WAYS)
def test_none_of_several_processes_has_brought_up_tls(tiny, workshop, way):
    with running(workshop, MODEL_DIR=str(tiny), WORKERS="2", **WAYS[way]) as server:
        ask(server, 4)
        pids = [server.process.pid, *until(lambda: found if len(found := children(server.process.pid)) == 2 else [])]
        # What `ssl` brings along; hashes by OpenSSL come from its other library.
        mapped = ["/_ssl." in Path(f"/proc/{pid}/maps").read_text() for pid in pids]
        assert mapped == [False, False, False]


def test_a_child_that_is_no_process_of_the_server_may_end(tiny, workshop):
    """What a script began before it became the server; in a container also what lost its parent."""
    with running(workshop, module=("tests.parts.handlers.behind_another",), MODEL_DIR=str(tiny), WORKERS="2", **WAYS["shared"]) as server:
        until(lambda: len(children(server.process.pid)) == 2)
        ask(server, 4)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=9) == 0


def test_a_process_that_is_begun_again_takes_no_request_before_its_model_is_there(tiny, workshop, tmp_path):
    slowly = tmp_path / "slowly"
    with running(
        workshop, module=("tests.parts.handlers.slow_again",), MODEL_DIR=str(tiny), WORKERS="2", SLOWLY=str(slowly), **WAYS["each its own"]
    ) as server:
        both = until(lambda: len(found := children(server.process.pid)) == 2 and found)
        ask(server, 10)
        slowly.touch()
        os.kill(both[0], signal.SIGKILL)
        until(lambda: len(found := children(server.process.pid)) == 2 and both[0] not in found)
        # More than none would be dealt to the one that loads.
        ask(server, 20, headers={"x-request-timeout-ms": "20000"})
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=20) == 0


def test_a_model_that_fails_after_a_long_load_ends_the_server():
    """The second process finds no room on the GPU, say: for ever, and nobody would be told."""
    code = """
from handlers.engines.manifest import ModelError
from handlers.server import processes
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings

processes._LEAST_LIFE_S = 0.0

def load(settings, mark):
    raise ModelError("There is no room for it.")

settings = HandlerSettings(workers=2, port=PORT, bind_host="127.0.0.1", drain_s=1)
raise SystemExit(processes._Processes(settings, Stages(0), load).run())
"""
    command = [sys.executable, "-c", code.replace("PORT", str(port_for_later()))]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE_S, check=False).returncode == 1


def test_a_model_or_a_port_that_can_not_be_used_is_refused_before_there_are_processes(tiny, tmp_path):
    status, log = exit_of(tmp_path, MODEL_DIR=str(tmp_path / "none"), WORKERS="2")
    assert (status, "manifest.json does not exist" in log) == (1, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, log = exit_of(tmp_path, MODEL_DIR=str(tiny), WORKERS="2", PORT=port)
    assert status == 1
    assert f"PORT is {port}, which can't be used" in log


def test_what_breaks_while_the_model_loads_is_no_port_and_no_bare_traceback(tiny, tmp_path):
    code = """
import os
from handlers.engines import fetching
from handlers.server.__main__ import main

def fetch(settings):
    raise {"os": OSError(36, "File name too long"), "other": TypeError("odd")}[os.environ["WHAT"]]

fetching.fetch = fetch
raise SystemExit(main())
"""
    variables = {"PATH": os.environ["PATH"], "BIND_HOST": "127.0.0.1", "MODEL_DIR": str(tmp_path / "none")}
    for what, workers in itertools.product(("os", "other"), ("1", "2")):
        more = {"WHAT": what, "WORKERS": workers, "PORT": str(port_for_later())}
        told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=variables | more, capture_output=True, text=True, check=False)
        (line,) = [json.loads(line) for line in told.stdout.splitlines()]
        assert (line["event"], told.returncode, told.stderr) == ("model_failed", 1, ""), told


def test_figures_are_added_and_gauges_are_not():
    one = '# TYPE a_total counter\na_total{x="1"} 2\n# TYPE pilotlight_ready gauge\npilotlight_ready 1\n'
    two = '# TYPE a_total counter\na_total{x="1"} 3\na_total{x="2"} 0.5\n# TYPE pilotlight_ready gauge\npilotlight_ready 0\n'
    assert merged([one, two]) == two.replace("3", "5")
    assert merged([one]) == one


def test_a_slot_goes_on_where_the_one_before_it_ended():
    board = Board(2)
    text = "# TYPE a_total counter\na_total {}\n# TYPE pilotlight_waiting gauge\npilotlight_waiting {}\n"
    board.slot(0).write(text.format(5, 3))
    board.slot(1).write(text.format(7, 1))
    again = board.slot(0)
    assert again.whole(text.format(0, 0)) == text.format(12, 1)
    again.write(text.format(1, 0))
    assert again.whole(text.format(1, 0)) == text.format(13, 1)
    assert board.slot(1).whole(text.format(0, 0)) == text.format(13, 0)
    assert Board(2).slot(0).whole(text.format(2, 0)) == text.format(2, 0)


def test_no_counter_falls_whichever_process_is_asked(tiny, workshop):
    with running(workshop, MODEL_DIR=str(tiny), WORKERS="3", **WAYS["shared"]) as server:
        address, last = f"http://127.0.0.1:{server.port}", 0.0
        for turn in range(60):
            # Each by a connection of its own, which another process may take.
            httpx.post(f"{address}/predict", json={"inputs": "cold"}).raise_for_status()
            told = httpx.get(f"{address}/metrics").text
            count = float(re.search(r"pilotlight_prediction_seconds_count (\d+)", told)[1])
            assert count >= last, turn
            last = count
    assert last > 20


def test_figures_of_a_process_that_is_stopped_while_it_writes_stay_as_they_were():
    board = Board(2)
    board.slot(1).write("# TYPE a_total counter\na_total 7\n")
    before = board.slot(0).whole("# TYPE a_total counter\na_total 2\n")
    board._memory[65_536:65_544] = bytes(8)
    assert board.slot(0).whole("# TYPE a_total counter\na_total 2\n") == before == "# TYPE a_total counter\na_total 9\n"
