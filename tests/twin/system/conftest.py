"""Whole stacks, one after another, each test module on a twin of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.system import deployed, one_after_another


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    one_after_another(items, Path(__file__).parent)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    yield from deployed(tmp_path_factory.mktemp("system"))
