"""Processes of the twin: what they see, what they may use, and that none is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from pilotlight.twin import sandbox
from pilotlight.twin.processes import Process, Processes


def spec(code: str) -> sandbox.LaunchSpec:
    return sandbox.LaunchSpec(argv=(sys.executable, "-c", code), cwd="/", parent=os.getpid())


def run(work):
    async def main():
        processes = Processes()
        try:
            return await asyncio.wait_for(work(processes), 30)
        finally:
            await processes.stop_all(1)

    return asyncio.run(main())


async def started(processes: Processes, code: str, **options) -> tuple[Process, list[str]]:
    lines: list[str] = []
    process = await processes.spawn(spec(code), {"PATH": os.defpath, "ONLY": "this"}, name="test", on_line=lines.append, **options)
    return process, lines


async def said(lines: list[str]) -> None:
    for _ in range(1000):
        if lines:
            return
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_until(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def test_a_process_gets_the_given_variables_and_no_others():
    async def work(processes):
        process, lines = await started(processes, "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))")
        assert await process.wait() == 0
        assert lines == ["['ONLY', 'PATH']"]

    run(work)


def test_lines_of_both_streams_arrive_also_without_a_line_end_and_in_bad_encoding():
    async def work(processes):
        code = "import sys; sys.stderr.write('e\\n'); sys.stderr.flush(); sys.stdout.buffer.write(b'\\xff\\nlast'); sys.stdout.flush()"
        process, lines = await started(processes, code)
        await process.wait()
        assert lines == ["e", "\ufffd", "last"]

    run(work)


def test_drain_hands_on_what_was_written_before():
    async def work(processes):
        process, lines = await started(processes, "import time; print('x' * 200000, flush=True); time.sleep(60)")
        while not lines:
            await asyncio.sleep(0.01)
            process.drain()
        assert len(lines[0]) == 200000

    run(work)


def test_stop_asks_first_and_then_kills():
    async def work(processes):
        polite, lines = await started(
            processes, "import signal, time, sys; signal.signal(15, lambda *_: sys.exit(5)); print('on', flush=True); time.sleep(60)"
        )
        await said(lines)
        assert await polite.stop(10) == 5
        deaf, lines = await started(
            processes, "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
        )
        await said(lines)
        assert await deaf.stop(0.2) == -signal.SIGKILL
        assert not deaf.out_of_memory

    run(work)


@pytest.mark.parametrize("place", ["itself", "in a child"])
def test_a_process_above_its_memory_is_killed_and_says_so(place):
    code = "x = b'x' * (150 << 20); import time; time.sleep(30)"
    if place == "in a child":
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"

    async def work(processes):
        process, _ = await started(processes, code, memory_mb=100)
        assert await process.wait() == -signal.SIGKILL
        assert process.out_of_memory
        assert process.peak_bytes > 100 << 20

    run(work)


def test_a_program_that_is_not_there_ends_with_a_clear_line():
    async def work(processes):
        lines: list[str] = []
        nowhere = sandbox.LaunchSpec(argv=("/no/such/program",), cwd="/", parent=os.getpid())
        process = await processes.spawn(nowhere, {}, name="test", on_line=lines.append)
        assert await process.wait() == 126
        assert lines == ["The program could not be started: No such file or directory (/no/such/program)."]

    run(work)


def test_children_of_a_process_end_with_it():
    async def work(processes):
        code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)"
        process, lines = await started(processes, code)
        await process.wait()
        assert wait_until(lambda: not alive(int(lines[0])))

    run(work)


def test_nothing_is_started_after_the_end():
    async def main():
        processes = Processes()
        await processes.stop_all()
        with pytest.raises(RuntimeError, match="stopping"):
            await started(processes, "pass")

    asyncio.run(main())


def test_starts_are_paced():
    async def main():
        processes = Processes(starts_per_second=10)
        began = time.monotonic()
        await asyncio.gather(*(started(processes, "pass") for _ in range(4)))
        assert time.monotonic() - began >= 0.29
        await processes.stop_all()

    asyncio.run(main())


def test_children_and_grandchildren_end_with_a_killed_twin(tmp_path: Path):
    """The stand-in for the twin is killed with -9; a child of its child ignores every polite signal."""
    grandchild = "import signal, time; signal.signal(15, signal.SIG_IGN); signal.signal(1, signal.SIG_IGN); time.sleep(60)"
    child = f"import os, subprocess, sys; print(os.getpid(), subprocess.Popen([sys.executable, '-c', {grandchild!r}]).pid, flush=True); import time; time.sleep(60)"  # noqa: E501
    twin = textwrap.dedent(f"""
        import asyncio, os, sys
        from pilotlight.twin import sandbox
        from pilotlight.twin.processes import Processes
        async def main():
            spec = sandbox.LaunchSpec(argv=(sys.executable, "-c", {child!r}), cwd="/", parent=os.getpid())
            await Processes().spawn(spec, {{}}, name="child", on_line=lambda line: print(line, flush=True))
            await asyncio.sleep(60)
        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", twin], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        pids = [int(word) for word in running.stdout.readline().split()]
        helpers = psutil.Process(running.pid).children()
        assert all(alive(pid) for pid in pids)
        running.kill()
    assert wait_until(lambda: not any(alive(pid) for pid in pids))
    assert wait_until(lambda: not any(alive(helper.pid) for helper in helpers))


@pytest.mark.skipif(not sandbox.available(), reason="a file system of its own needs root on Linux, with the right to mount")
def test_a_sandboxed_process_sees_only_what_it_was_given(tmp_path: Path):
    (tmp_path / "root").mkdir()
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "file").write_text("inside")
    hidden = tmp_path / "hidden"
    hidden.write_text("of the host")
    code = "import os; print(os.getuid(), os.getgroups(), open('/data/file').read(), "
    code += f"os.path.exists({str(hidden)!r}), os.path.exists('/home'))"
    code += "\ntry:\n    open('/data/file', 'w')\nexcept OSError as error:\n    print(error.errno)\nopen('/tmp/mine', 'w').write('x')"

    async def work(processes):
        lines: list[str] = []
        mounts = (*sandbox.host_mounts(), sandbox.tmpfs("/tmp", 1), sandbox.readonly(tmp_path / "shown", "/data"))
        launch = sandbox.LaunchSpec(
            argv=(sandbox.interpreter(), "-c", code),
            cwd="/",
            parent=os.getpid(),
            root=str(tmp_path / "root"),
            mounts=mounts,
            uid=10001,
            gid=10001,
        )
        process = await processes.spawn(launch, {}, name="test", on_line=lines.append)
        assert await process.wait() == 0
        assert lines == ["10001 [] inside False False", "30"]

    run(work)
    assert not list((tmp_path / "root").iterdir())
    assert not Path("/tmp/mine").exists()
