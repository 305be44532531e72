"""Packaging with the real things: the MiniLM of the ready stacks, the torch environment, a disk that is full."""

import os
from pathlib import Path

import pytest

from pilotlight.packaging.export import environment_folder, environment_ready
from pilotlight.toolchain import cache_folder

WANTED = "PILOTLIGHT_TEST_EXPORT"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def export_cache(cache: Path) -> Path:
    """The test's cache with the user's export environment in it; made first where `PILOTLIGHT_TEST_EXPORT` is set."""
    shared = cache_folder()
    if not environment_ready(shared) and not os.environ.get(WANTED):
        pytest.skip(f"the export environment (5.4 GB) is not there: set {WANTED}=1 to have it made, or package a model that needs it")
    environment_folder(shared).parent.mkdir(parents=True, exist_ok=True)
    cache.mkdir()
    (cache / "envs").symlink_to(environment_folder(shared).parent)
    return cache
