"""Whole stacks, one after another, each test module on a twin of its own."""

from collections.abc import Iterator

import pytest

from tests.support.deployment import Deployment
from tests.support.system import deployed


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    yield from deployed(tmp_path_factory.mktemp("system"))
