"""What a registry on Azure is asked before it is destroyed, told by recorded answers of Resource Manager."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pilotlight.cli.azure.retention import IMAGE, REGISTRY
from pilotlight.cli.exits import CommandError
from pilotlight.cli.home import Where
from pilotlight.cli.retention import refuse_to_lose_data
from pilotlight.cli.session import Session
from tests.parts.cli.azure_subscription import START, AzureSubscription

ID = f"{START}/resourceGroups/demo/providers/Microsoft.ContainerRegistry/registries/images"
STATE = {
    "type": REGISTRY,
    "id": ID,
    "urn": f"urn:pulumi:demo::p::{REGISTRY}::the-images",
    "outputs": {"name": "images", "loginServer": "images.azurecr.io"},
    "protect": True,
}
EMPTY = "`dataRetention: keep` protects the-images, though nothing is in them"
PUSHED = {"type": IMAGE, "outputs": {"ref": "images.azurecr.io/functions:build-1@sha256:0"}}


@pytest.fixture
def subscription() -> Iterator[AzureSubscription]:
    made = AzureSubscription()
    yield made
    made.close()


@pytest.fixture
def destroying(
    monkeypatch: pytest.MonkeyPatch, session_in: Callable[[Where], Session], subscription: AzureSubscription
) -> Callable[[], None]:
    session = dataclasses.replace(session_in("local"), variables=subscription.variables)
    monkeypatch.setattr(Session, "resources", lambda self, stack: [STATE, PUSHED])
    return lambda: refuse_to_lose_data(session, "demo")


def usages(size: int) -> dict[str, Any]:
    """In the form of the published example of Registries - List Usages."""
    return {
        "value": [
            {"name": "Size", "limit": 107374182400, "currentValue": size, "unit": "Bytes"},
            {"name": "Webhooks", "limit": 100, "currentValue": 2, "unit": "Count"},
        ]
    }


def test_a_registry_is_full_or_empty_by_the_size_that_azure_tells(subscription: AzureSubscription, destroying: Callable[[], None]) -> None:
    subscription.says(f"{ID}/listUsages", usages(0))
    with pytest.raises(CommandError, match=EMPTY):
        destroying()
    subscription.says(f"{ID}/listUsages", usages(12345678))
    with pytest.raises(CommandError, match=r"`dataRetention: keep` holds the image registry images \(not empty\)"):
        destroying()
    assert ("GET", f"{ID}/listUsages", [("api-version", "2025-11-01")], None) in subscription.asked


def test_a_registry_that_is_gone_holds_nothing_and_one_that_is_not_told_of_stops_the_destroy(
    subscription: AzureSubscription, destroying: Callable[[], None]
) -> None:
    with pytest.raises(CommandError, match=EMPTY):
        destroying()
    subscription.refuses(f"{ID}/listUsages", 403, "AuthorizationFailed", "The client has no authorization.")
    with pytest.raises(
        CommandError, match="Whether images is empty can't be seen, so nothing was deleted: The client has no authorization"
    ):
        destroying()
