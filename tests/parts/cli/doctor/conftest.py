"""An account, a project and a subscription to examine, on a machine where nothing is late."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.doctor import machine, run
from pilotlight.doctor import subject as subject_module
from tests.parts.cli.account import Account
from tests.parts.cli.azure_subscription import AzureSubscription
from tests.parts.cli.google_project import GoogleProject


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    made = Account(tmp_path)
    yield made
    made.close()


@pytest.fixture
def google() -> Iterator[GoogleProject]:
    made = GoogleProject()
    yield made
    made.close()


@pytest.fixture
def azure() -> Iterator[AzureSubscription]:
    made = AzureSubscription()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine nothing here is late."""
    monkeypatch.setattr(run, "TIMEOUT_S", 60.0)
    monkeypatch.setattr(machine, "COMMAND_S", 60.0)
    monkeypatch.setattr(subject_module, "READ_S", 60.0)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a checkout may be made, with homes of its own."""
    monkeypatch.setenv("PILOTLIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "checkout"
