"""A project with nothing in it, and one that has everything that the twin knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.twin.gcp.account import Account
from tests.parts.twin.gcp.declared import Made, fill


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    made = Account(tmp_path)
    yield made
    made.world.close()


@pytest.fixture
def made(account: Account) -> Made:
    """Everything in the account, by name."""
    return fill(account)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Account, Made]]:
    """An account with everything, for tests that change nothing in it."""
    account = Account(tmp_path_factory.mktemp("whole"))
    yield account, fill(account)
    account.world.close()
