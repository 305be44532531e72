"""Whole stacks, one after another, each test module on a twin of its own."""

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite(*(f"tests.conformance.{name}" for name in ("answering", "event_promises", "evented", "gates")))

from tests.support.deployment import Deployment  # noqa: E402
from tests.support.system import deployed  # noqa: E402


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    yield from deployed(tmp_path_factory.mktemp("system"))
