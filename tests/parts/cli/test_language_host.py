"""The stand-in for the Python language host as a process: how it starts and how it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from tests.support.ending import ended

HOST = Path(__file__).parents[2] / "support" / "language_host.py"
PATIENCE_S = 15.0
# A launcher that notes what it was given and then waits, or ends as its program's name says.
LAUNCHER = """
import json, os, sys, time
print(json.dumps({"arguments": sys.argv[1:], "config": os.environ["PULUMI_CONFIG"]}), flush=True)
if "wait" in sys.argv[-1]:
    open(os.path.join(os.path.dirname(sys.argv[0]), "pid"), "w").write(str(os.getpid()))
    time.sleep(60)
sys.exit(32 if "told" in sys.argv[-1] else 5 if "broken" in sys.argv[-1] else 0)
"""


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    file = tmp_path / "launcher"
    file.write_text(LAUNCHER)
    return file


@pytest.fixture
def host(launcher: Path) -> Iterator[subprocess.Popen[str]]:
    process = started(launcher)
    yield process
    process.kill()
    process.communicate()


def started(launcher: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PILOTLIGHT_LAUNCHER": str(launcher)}
    return subprocess.Popen(
        [sys.executable, str(HOST), "127.0.0.1:1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def service_of(process: subprocess.Popen[str]) -> tuple[grpc.Channel, language_pb2_grpc.LanguageRuntimeStub]:
    assert process.stdout is not None
    channel = grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}", options=[("grpc.enable_http_proxy", 0)])
    return channel, language_pb2_grpc.LanguageRuntimeStub(channel)


def run_request(folder: Path, entry: str) -> language_pb2.RunRequest:
    info = language_pb2.ProgramInfo(root_directory=str(folder), program_directory=str(folder), entry_point=entry)
    return language_pb2.RunRequest(
        project="p", stack="s", config={"p:a": "1"}, dryRun=True, parallel=4, monitor_address="127.0.0.1:2", info=info
    )


@pytest.mark.parametrize(
    ("entry", "bail", "error"),
    [("fine", False, ""), ("told", True, ""), ("broken", False, "the program ended with exit status 5")],
)
def test_a_program_is_run_by_the_launcher_and_its_end_is_told(
    host: subprocess.Popen[str], tmp_path: Path, entry: str, bail: bool, error: str
) -> None:
    channel, service = service_of(host)
    with channel:
        service.Handshake(language_pb2.LanguageHandshakeRequest(engine_address="127.0.0.1:3"))
        answer = service.Run(run_request(tmp_path, entry), timeout=PATIENCE_S)
    assert (answer.bail, answer.error) == (bail, error)
    assert host.stdout is not None
    noted = host.stdout.readline()
    assert '"--engine", "127.0.0.1:3"' in noted
    assert '"--dry_run", "true"' in noted
    assert r"{\"p:a\": \"1\"}" in noted


def test_it_answers_what_the_engine_asks_first(host: subprocess.Popen[str]) -> None:
    channel, service = service_of(host)
    with channel:
        assert isinstance(service.GetPluginInfo(empty_pb2.Empty()), plugin_pb2.PluginInfo)
        assert list(service.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest()).packages) == []
        assert service.About(language_pb2.AboutRequest()).executable == sys.executable


def test_an_environment_without_pip_fails_as_with_the_official_host(host: subprocess.Popen[str], tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    request = language_pb2.GetRequiredPackagesRequest(info=language_pb2.ProgramInfo(root_directory=str(tmp_path)))
    channel, service = service_of(host)
    with channel, pytest.raises(grpc.RpcError, match="-m pip list --format json`: exit status 1: run `make setup`"):
        service.GetRequiredPackages(request)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_with_its_program(host: subprocess.Popen[str], tmp_path: Path, number: signal.Signals) -> None:
    channel, service = service_of(host)
    with channel:
        running = service.Run.future(run_request(tmp_path, "wait"))
        program = program_of(tmp_path)
        host.send_signal(number)
        assert host.wait(PATIENCE_S) == 0
        assert ended(program)
        running.cancel()


def test_it_ends_with_its_engine_and_takes_its_program_along(launcher: Path, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "host = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)\n"
        "print(host.pid, host.stdout.readline().strip(), flush=True); time.sleep(60)\n"
    )
    environment = os.environ | {"PILOTLIGHT_LAUNCHER": str(launcher)}
    command = [sys.executable, "-c", code, sys.executable, str(HOST), "127.0.0.1:1"]
    engine = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert engine.stdout is not None
    pid, port = map(int, engine.stdout.readline().split())
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        running = language_pb2_grpc.LanguageRuntimeStub(channel).Run.future(run_request(tmp_path, "wait"))
        program = program_of(tmp_path)
        engine.kill()
        engine.communicate()
        assert ended(pid)
        assert ended(program)
        running.cancel()


@pytest.mark.parametrize("launcher_text", ["", "/nothing/there"])
def test_without_a_launcher_it_says_what_to_run(launcher_text: str) -> None:
    result = subprocess.run(
        [sys.executable, str(HOST)], env=os.environ | {"PILOTLIGHT_LAUNCHER": launcher_text}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "run `make setup`" in result.stderr


def program_of(folder: Path) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while not ((folder / "pid").is_file() and (folder / "pid").read_text()):
        assert time.monotonic() < deadline, "the program did not start"
        time.sleep(0.02)
    return int((folder / "pid").read_text())
