"""One twin and one checkout per test module; both gone afterwards, with every process."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.twin.system.deployment import Deployment, copy_checkout

STACKS = ("aws-sagemaker-api", "aws-lambda-api")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder: Path = tmp_path_factory.mktemp("system")
    made = Deployment(checkout=copy_checkout(folder / "checkout"), home=folder / "home")
    yield made
    made.down()
    deadline = time.monotonic() + 10
    while made.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    left = [" ".join(process.cmdline())[:200] for process in made.processes()]
    assert left == [], "processes are left"


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)
