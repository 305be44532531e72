"""Which engine this machine has, for the tests and for the benchmark that weighs the images."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from tests.images.bare import Bare
from tests.images.docker import Docker
from tests.images.engines import Engine, bare_obstacle, has_docker


class NoEngine(RuntimeError):
    """Why images can't be built here."""


def cache_folder() -> Path:
    return Path(os.environ.get("PILOTLIGHT_CACHE") or user_cache_path("pilotlight"))


def engine_here(cache: Path) -> Engine:
    """To be closed by whoever asked for it. Raises NoEngine."""
    obstacle = bare_obstacle()
    if obstacle and not has_docker():
        raise NoEngine(f"Images can't be built here: no Docker daemon, and {obstacle}.")
    return Docker() if obstacle else Bare(cache / "image-base")
