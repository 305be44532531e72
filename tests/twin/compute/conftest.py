"""One twin for the tests of a worker process; its environments are the user's own, so that they are made once."""

from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from tests.twin.compute.harness import Harness


@pytest.fixture(scope="session")
def twin_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("twin")


@pytest.fixture(scope="session")
def shared_cache(twin_home: Path) -> Path:
    """A cache of the tests' own, but for the environments."""
    envs = platformdirs.user_cache_path("pilotlight") / "envs"
    envs.mkdir(parents=True, exist_ok=True)
    cache = twin_home / "cache"
    cache.mkdir()
    (cache / "envs").symlink_to(envs)
    return cache


@pytest.fixture(scope="session")
def harness(twin_home: Path, shared_cache: Path) -> Iterator[Harness]:
    running = Harness(twin_home / "home", shared_cache).up()
    yield running
    running.down()


@pytest.fixture(scope="session")
def function_role(harness: Harness) -> str:
    return str(harness.role("function-role", "lambda.amazonaws.com")["arn"])
