"""A whole twin and the real engine, with Azure's provider."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pilotlight.twin import client
from pilotlight.twin.azure.variables import VARIABLES
from tests.twin.engine.project import Project
from tests.twin.gcp.conftest import Twin, projects, pulumi

__all__ = ["pulumi"]

REGION = "westeurope"
CONFIG = {"azure-native:location": REGION}


@pytest.fixture
def twin(pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    for name in (name for names in VARIABLES.values() for name in names if name in os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "program").mkdir()
    made = Twin(tmp_path / "home", tmp_path / "program", uses=("azure-native", "docker-build"))
    yield made
    client.stop(tmp_path / "home")


@pytest.fixture
def project(twin: Twin, pulumi: Path, tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Projects of the twin's subscription: (stack, configuration) -> project."""
    with projects(twin, pulumi, tmp_path, CONFIG) as make:
        yield make
