"""What alerts and workbooks name by its id: a resource, or a service of a storage account."""

from __future__ import annotations

import re

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.types import STORAGE_ACCOUNT
from pilotlight.twin.world import World

# The services of a storage account, which are there with it and have metrics of their own.
_SERVICE = re.compile(r"(.+)/(blobServices|fileServices|queueServices|tableServices)/default", re.IGNORECASE)


def kind_of(world: World, scope: str) -> str | None:
    """The ARM type of what is watched; None where it is not there."""
    service = _SERVICE.fullmatch(scope)
    about = arm.find(world, service[1] if service else scope)
    if about is None or (service and about.token != STORAGE_ACCOUNT):
        return None
    return f"{arm.kind_of(about.token)}/{service[2]}" if service else arm.kind_of(about.token)
