"""The images of other clouds' functions: their processes, and that they hold nothing of the model server."""

import json
from pathlib import Path

import httpx
import pytest

from pilotlight.twin.dockerfile import resolve
from pilotlight.twin.ports import port_for_later
from tests.images.calls import until
from tests.images.engines import Engine, Launch
from tests.images.test_isolation import PYTHON, own

pytestmark = pytest.mark.images

VARIABLES = {"ENDPOINT_URL": "http://127.0.0.1:1", "MODEL_TASK": "feature-extraction", "BIND_HOST": "127.0.0.1"}
# What a platform tells beside that, by the images' targets.
PLATFORMS = {
    "function-azure": {"CONTAINER_APP_NAME": "mine", "AZURE_CLIENT_ID": "11111111-2222-3333-4444-555555555555"},
    "function-gcp": {"K_SERVICE": "mine", "GCE_METADATA_HOST": "127.0.0.1:1"},
}


@pytest.fixture(scope="module", params=PLATFORMS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def function(engine: Engine, context: Path, target: str) -> str:
    return engine.build(context, dockerfile=context / "containers/Dockerfile", target=target)


def status(url: str) -> int:
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.TransportError:
        return 0


def test_it_answers_in_its_role_and_leaves_when_it_is_told_to(engine: Engine, function: str, target: str) -> None:
    port = port_for_later()
    address = f"http://127.0.0.1:{port}"
    with engine.run(function, Launch(env={**VARIABLES, **PLATFORMS[target], "PORT": str(port)}, args=["api"])) as container:
        assert until(lambda: status(f"{address}/health/startup") == 200), container.logs()
        answer = httpx.post(f"{address}/predict", json={"inputs": "cold"}, trust_env=False)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:pilotlight:problem:not-ready")
        found = container.execute([PYTHON, "-c", "import os; print(os.getuid(), *sorted(os.listdir('/app/handlers')))"])
        assert found.stdout.split() == ["10001", "__init__.py", "__pycache__", "functions", "web"]
        container.terminate()
        assert container.wait(10) == 0
        assert [json.loads(line)["level"] for line in container.logs().splitlines()]


def test_without_a_role_it_says_which_there_are(engine: Engine, function: str) -> None:
    with engine.run(function, Launch(env=VARIABLES)) as container:
        assert container.wait(30) == 2
        assert json.loads(container.logs())["event"] == "role_unknown"


def test_what_it_says_is_what_the_twin_reads_in_the_dockerfile(engine: Engine, function: str, target: str, context: Path) -> None:
    built, read = engine.config(function), resolve(context / "containers/Dockerfile", target)
    assert (built.user, built.entrypoint, built.workdir) == (read.user, read.entrypoint, read.workdir)
    assert own(built.labels) == own(read.labels) != {}
