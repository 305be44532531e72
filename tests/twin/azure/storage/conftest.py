"""A twin with a storage account, for each module of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pilotlight.twin.world import Resource
from tests.twin.azure.accounts import account
from tests.twin.azure.harness import AzureHarness, harness_in


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureHarness]:
    running = harness_in(tmp_path_factory.mktemp("storage"))
    yield running
    running.down()


@pytest.fixture(scope="module")
def stored(harness: AzureHarness) -> Resource:
    """An account without keys."""
    return account(harness)


@pytest.fixture
def plane(harness: AzureHarness, stored: Resource) -> Any:
    return harness.twin.azure.planes.made("storage_plane:StoragePlane")
