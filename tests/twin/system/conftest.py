"""One twin and one checkout per test module; both gone afterwards, with every process."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.twin.system.deployment import Deployment, copy_checkout

STACKS = ("aws-sagemaker-api", "aws-lambda-api")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs all of these, one after another: two whole stacks under load at once would only measure the machine."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("system"))


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
