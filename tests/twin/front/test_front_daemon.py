"""The daemon from outside: started, found, killed, started again, stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from pilotlight.twin import client, state
from pilotlight.twin.client import Running, TwinError
from pilotlight.twin.serving import listen


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "home"
    yield folder
    client.stop(folder)


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def gone(processes: list[psutil.Process], within_s: float = 10) -> bool:
    _, alive = psutil.wait_procs(processes, within_s)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def aws(running: Running, service: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in client.environment(running).items():
        monkeypatch.setenv(name, value)
    return boto3.session.Session().client(service)


def test_the_environment_is_all_that_clients_need(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = client.ensure_running(home)
    assert client.ensure_running(home) == running
    assert aws(running, "sts", monkeypatch).get_caller_identity()["Account"] == "123456789012"
    s3 = aws(running, "s3", monkeypatch)
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="x", Body=b"x")
    assert aws(running, "lambda", monkeypatch).list_functions()["Functions"] == []
    assert aws(running, "sagemaker", monkeypatch).list_endpoints()["Endpoints"] == []
    assert aws(running, "logs", monkeypatch).describe_log_groups()["logGroups"] == []
    assert (home / "twin.json").stat().st_mode & 0o777 == 0o600


def test_a_restart_keeps_address_objects_and_provider_ports(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "stacks"
    program.mkdir()
    first = client.ensure_running(home)
    ports = client.providers(program, home)
    assert set(ports) == {"aws", "azure-native", "docker-build", "gcp"}
    assert client.providers(program, home) == ports
    s3 = aws(first, "s3", monkeypatch)
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="x", Body=b"here")
    processes = family(first.pid)
    assert client.stop(home)
    assert gone(processes)
    assert client.find(home) is None
    assert not client.stop(home)
    second = client.ensure_running(home)
    assert (second.front_url, second.pid != first.pid) == (first.front_url, True)
    with socket.create_connection(("127.0.0.1", ports["aws"]), timeout=5):
        pass
    assert client.providers(program, home) == ports
    assert aws(second, "s3", monkeypatch).get_object(Bucket="kept", Key="x")["Body"].read() == b"here"


def test_a_killed_daemon_leaves_no_process_and_the_next_one_takes_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.ensure_running(home)
    s3 = aws(first, "s3", monkeypatch)
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="x", Body=b"here")
    processes = family(first.pid)
    assert len(processes) > 1
    os.kill(first.pid, signal.SIGKILL)
    assert gone(processes)
    assert client.find(home) is None
    second = client.ensure_running(home)
    assert second.front_url == first.front_url
    assert aws(second, "s3", monkeypatch).get_object(Bucket="kept", Key="x")["Body"].read() == b"here"


def test_a_killed_daemon_comes_back_with_its_time_and_what_it_counted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.ensure_running(home)
    client.call(first, "clock", {"advance_s": 7 * 86400})
    moved = client.call(first, "clock", {"speed": 60})["now"]
    told = time.time()
    aws(first, "cloudwatch", monkeypatch).put_metric_data(Namespace="Own", MetricData=[{"MetricName": "Seen", "Value": 5}])
    assert len(aws(first, "cloudwatch", monkeypatch).list_metrics(Namespace="Own")["Metrics"]) == 1
    processes = family(first.pid)
    os.kill(first.pid, signal.SIGKILL)
    assert gone(processes)
    second = client.ensure_running(home)
    clock = client.call(second, "clock")
    expected = moved + (time.time() - told) * 60
    assert clock["speed"] == 60
    assert expected - 60 * 2 < clock["now"] < expected + 60 * 2
    span = {"StartTime": moved - 120, "EndTime": clock["now"] + 120, "Period": 60}
    found = aws(second, "cloudwatch", monkeypatch).get_metric_statistics(Namespace="Own", MetricName="Seen", Statistics=["Sum"], **span)
    assert [point["Sum"] for point in found["Datapoints"]] == [5]


def test_two_starts_at_once_give_one_daemon(home: Path) -> None:
    start = f"from pathlib import Path; from pilotlight.twin import client; print(client.ensure_running(Path({str(home)!r})).pid)"
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: subprocess.run([sys.executable, "-c", start], capture_output=True, text=True), range(3)))
    assert [run.returncode for run in done] == [0, 0, 0], [run.stderr for run in done]
    assert len({run.stdout for run in done}) == 1


def test_a_daemon_that_is_too_busy_to_answer_is_waited_for_and_not_started_again(home: Path) -> None:
    running = client.ensure_running(home)
    os.kill(running.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TwinError, match=f"process {running.pid}.*has not answered"):
            client.ensure_running(home, deadline_s=0.5)
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(client.ensure_running, home)
            time.sleep(0.5)
            os.kill(running.pid, signal.SIGCONT)
            assert found.result(timeout=30) == running
    finally:
        os.kill(running.pid, signal.SIGCONT)


def test_a_second_daemon_in_the_same_home_says_that_one_runs(home: Path) -> None:
    client.ensure_running(home)
    second = subprocess.run([sys.executable, "-m", "pilotlight.twin", "--home", str(home)], capture_output=True, text=True, timeout=30)
    assert (second.returncode, "A twin runs in" in second.stderr) == (1, True)
    assert "Traceback" not in second.stderr


def test_a_port_that_another_program_took_is_named_with_what_to_do(home: Path) -> None:
    first = client.ensure_running(home)
    client.stop(home)
    port = int(first.front_url.rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(TwinError, match=f"Port {port}.*another program has it") as raised:
            client.ensure_running(home)
    assert "Traceback" not in str(raised.value)
    assert client.ensure_running(home).front_url == first.front_url


def test_the_record_of_a_pid_that_went_to_another_program_is_not_believed(home: Path) -> None:
    held = state.new()
    state.save(home, state.State(token=held.token, secret=held.secret, port=1, pid=os.getpid(), started=1.0))
    assert client.find(home) is None
    assert not client.stop(home)
    assert client.ensure_running(home).pid != os.getpid()


def test_a_damaged_record_says_which_file_it_is(home: Path) -> None:
    home.mkdir()
    (home / "twin.json").write_text("{")
    with pytest.raises(TwinError, match=r"twin\.json is damaged"):
        client.ensure_running(home)
    (home / "twin.json").unlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything(home: Path, number: int) -> None:
    running = client.ensure_running(home)
    processes = family(running.pid)
    os.kill(running.pid, number)
    assert gone(processes)
    assert state.load(home) is not None
    assert client.find(home) is None


def test_control_sets_faults_and_the_clock_and_shows_processes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = client.ensure_running(home)
    assert client.call(running, "faults", {"outages": ["s3"]})["outages"] == ["s3"]
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Exception, match="ServiceUnavailable"):
        aws(running, "s3", monkeypatch).list_buckets()
    assert client.call(running, "faults", {})["outages"] == []
    before = client.call(running, "clock")["now"]
    assert client.call(running, "clock", {"advance_s": 3600})["now"] - before > 3599
    later = client.forward(running, until=before + 7200)
    assert later["now"] - before > 7199
    assert (later["ran"], {timer["name"] for timer in later["due"]}) == ([], {"alarms", "budgets"})
    assert [process["name"] for process in client.call(running, "processes")["processes"]] == ["ministack"]
    for name, body, message in (
        ("faults", {"outage": ["s3"]}, "outage"),
        ("clock", {"advance_s": -1}, "0 or more"),
        ("clock", {"back": 1}, "is not known"),
        ("clock", {"until": "2001-01-01T00:00:00Z"}, "0 or more"),
        ("clock", {"until": "2101-01-01T00:00:00"}, "has no offset"),
        ("clock", {"advance_s": 1e9}, "at most a year"),
        ("spend", {"usd": -1}, "0 or more"),
        ("spend", {"usd": 1}, "there is no budget"),
        ("spend", {}, "usd is missing"),
        ("providers", {"program_dir": "relative"}, "absolute path"),
        ("providers", {"program_dir": str(home / "none")}, "absolute path"),
        ("odd", {}, "is not known"),
    ):
        with pytest.raises(TwinError, match=message):
            client.call(running, name, body)


def test_control_can_end_the_twin(home: Path) -> None:
    running = client.ensure_running(home)
    processes = family(running.pid)
    assert client.call(running, "stop", {}) == {"status": "stopping"}
    assert gone(processes)


def test_a_client_that_holds_its_connection_does_not_hold_the_end(home: Path) -> None:
    running = client.ensure_running(home)
    host, port = running.front_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as held:
        held.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        time.sleep(0.2)
        started = time.monotonic()
        assert client.stop(home)
        assert time.monotonic() - started < 10


def test_answers_are_not_held_back_by_nagles_algorithm(tmp_path: Path) -> None:
    with listen(None, tmp_path) as listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP
