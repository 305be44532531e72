"""What the image allows its process, and how it ends."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from pilotlight.twin.dockerfile import resolve
from tests.images.calls import first_answer
from tests.images.conftest import Serve
from tests.images.engines import OUT_OF_MEMORY, Container, Engine, Launch

pytestmark = pytest.mark.images

# The smallest size that SageMaker and the ready stacks offer, in MB.
SMALLEST_MB = 1024
PYTHON = "/opt/venv/bin/python"


def own(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key.startswith("dev.pilotlight.")}


def python(container: Container, code: str) -> tuple[int, str]:
    done = container.execute([PYTHON, "-c", code])
    return done.returncode, done.stdout.strip() + done.stderr.strip()


def test_it_runs_as_a_numeric_user_on_a_root_that_it_can_not_write(serve: Serve) -> None:
    with serve() as (container, port):
        first_answer(container, port, started=container.started)
        assert python(container, "import os; print(os.getuid(), os.getgid())") == (0, "10001 10001")
        for folder in ("/", "/app", "/opt/venv", "/opt/ml/model", "/var"):
            status, said = python(container, f"open({folder!r} + '/x', 'w')")
            assert (status, "Read-only file system" in said or "Permission denied" in said) == (1, True), said
        assert python(container, "open('/tmp/x', 'w').write('x')")[0] == 0


def test_it_says_nothing_of_the_host(serve: Serve) -> None:
    with serve(Launch(env={"GIVEN": "yes"})) as (container, port):
        first_answer(container, port, started=container.started)
        environment = container.execute([PYTHON, "-c", "import os; print(*sorted(os.environ))"]).stdout.split()
    expected = {"BIND_HOST", "GIVEN", "MODEL_DIR", "ORT_DISABLE_TELEMETRY", "PATH", "PORT", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    assert set(environment) - {"HOME", "HOSTNAME", "LC_CTYPE"} == expected


def test_pip_and_build_tools_are_not_in_it(serve: Serve) -> None:
    with serve() as (container, port):
        first_answer(container, port, started=container.started)
        find = "import importlib.util as u, shutil; print([n for n in ('pip', 'setuptools', 'wheel', 'ensurepip') if u.find_spec(n)], "
        find += "[n for n in ('pip', 'pip3', 'uv', 'gcc', 'cc', 'make', 'git', 'curl') if shutil.which(n)])"
        assert python(container, find) == (0, "[] []")
        base = container.execute(["python3", "-c", "import sys; sys.path.append('/usr/local/lib/python3.11/site-packages'); import pip"])
        assert (base.returncode, "No module named 'pip'" in base.stderr) == (1, True)


def test_sigterm_ends_it_with_status_0_and_at_once(serve: Serve) -> None:
    with serve(Launch(args=["serve"])) as (container, port):
        first_answer(container, port, started=container.started)
        asked = time.monotonic()
        container.terminate()
        assert container.wait(10) == 0
        assert time.monotonic() - asked < 3


def test_sigterm_lets_a_request_under_way_finish(serve: Serve) -> None:
    answers: list[int] = []
    texts = ["word " * 400] * 16

    def ask() -> None:
        response = httpx.post(f"http://127.0.0.1:{port}/invocations", json={"inputs": texts}, timeout=60, trust_env=False)
        answers.append(response.status_code)

    with serve(Launch(env={"MAX_ANSWER_BYTES": str(1 << 30), "DRAIN_S": "30"})) as (container, port):
        first_answer(container, port, started=container.started)
        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.3)
        assert asking.is_alive(), "the request was over before the signal: make it longer"
        container.terminate()
        status = container.wait(40)
        asking.join(30)
    assert (answers, status) == ([200], 0)


def test_the_smallest_memory_size_is_enough(serve: Serve) -> None:
    with serve(Launch(memory_mb=SMALLEST_MB)) as (container, port):
        assert first_answer(container, port, started=container.started).response.status_code == 200


def test_too_little_memory_is_an_out_of_memory_kill(serve: Serve) -> None:
    with serve(Launch(memory_mb=48)) as (container, _):
        assert container.wait(60) == OUT_OF_MEMORY


def test_what_the_image_says_is_what_the_twin_reads_in_the_dockerfile(engine: Engine, image: str, context: Path) -> None:
    built, read = engine.config(image), resolve(context / "containers/Dockerfile", "cpu")
    assert built.user == read.user
    assert built.entrypoint == read.entrypoint
    assert built.workdir == read.workdir
    assert own(built.labels) == own(read.labels) != {}
    assert {key: value for key, value in built.env.items() if key != "PATH"}.items() <= dict(read.env).items()
