"""The image as SageMaker runs it: `serve` appended, the model unpacked at /opt/ml/model, two routes on one port."""

from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.images.calls import First, first_answer, until
from tests.images.conftest import Ask, Derive, Serve
from tests.images.engines import Launch

pytestmark = pytest.mark.images


def get(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False)


def test_it_answers_ping_and_invocations_with_the_mounted_model(serve: Serve, on_the_host: Ask) -> None:
    with serve(Launch(args=["serve"])) as (container, port):
        first: First = first_answer(container, port, started=container.started)
        assert first.response.status_code == 200, first.response.text
        assert get(port, "/ping").status_code == 200
        np.testing.assert_allclose(first.outputs, on_the_host().outputs, atol=1e-5)


def test_the_first_answer_carries_the_stages_of_the_cold_start_and_the_second_does_not(serve: Serve) -> None:
    with serve(Launch(args=["serve"])) as (container, port):
        first = first_answer(container, port, started=container.started).response
        second = first_answer(container, port, started=container.started).response
    assert first.headers["X-Amzn-SageMaker-Custom-Attributes"].startswith("cold-start=boot:")
    assert [stage.split(";")[0] for stage in first.headers["Server-Timing"].split(", ")] == ["boot", "import", "fetch", "load", "first"]
    assert "X-Amzn-SageMaker-Custom-Attributes" not in second.headers


def test_sagemaker_may_choose_the_port(serve: Serve) -> None:
    with (
        serve(Launch(args=["serve"])) as (_, port),
        serve(Launch(args=["serve"], env={"PORT": "", "SAGEMAKER_BIND_TO_PORT": str(port + 1)})) as (other, _),
    ):
        assert first_answer(other, port + 1, started=other.started).response.status_code == 200


def test_the_health_check_of_the_dockerfile_passes_once_the_model_is_loaded(serve: Serve, health_check: list[str]) -> None:
    with serve() as (container, port):
        first_answer(container, port, started=container.started)
        assert container.execute(health_check).returncode == 0


def test_bad_input_gets_a_problem_document_and_the_server_stays(serve: Serve) -> None:
    with serve(Launch(args=["serve"])) as (container, port):
        refused = first_answer(container, port, started=container.started, body={"inputs": 3}).response
        assert refused.status_code == 422, refused.text
        assert refused.headers["content-type"] == "application/problem+json"
        assert first_answer(container, port, started=container.started).response.status_code == 200


def test_without_a_model_it_ends_with_an_error_that_names_the_folder(serve: Serve, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with serve(Launch(args=["serve"], mounts={"/opt/ml/model": tmp_path})) as (container, _):
        assert container.wait(30) == 1
        assert "/opt/ml/model" in container.logs()


def test_a_package_that_is_missing_in_the_image_is_named_and_the_server_ends(serve: Serve, image_without: Derive) -> None:
    with serve(image=image_without("tokenizers")) as (container, _):
        assert container.wait(30) == 1
        assert "needs tokenizers, which this image does not carry" in container.logs()


def test_ping_says_503_until_the_model_is_loaded(serve: Serve) -> None:
    seen: list[int] = []

    def ready() -> bool:
        try:
            seen.append(get(port, "/ping").status_code)
        except httpx.TransportError:
            return False
        return seen[-1] == 200

    with serve() as (container, port):
        assert until(ready), container.logs()
    assert set(seen) <= {200, 503}
