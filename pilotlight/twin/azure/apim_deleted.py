"""API Management services that were deleted: their names stay taken for two days, in which they can be brought back."""

from __future__ import annotations

from typing import Any

from pilotlight.twin.azure.types import API_MANAGEMENT
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource, World

DELETED = "twin:azure/deletedService:DeletedService"
# The page "soft-delete" (2022-02): hard-deleted after 48 hours; a restored service takes nothing from what restores it.
KEPT_S = 48 * 3600
_KEPT = ("publisherEmail", "publisherName", "sku", "location")


def keep(twin: Twin, service: Resource) -> None:
    """Remember a service that is being deleted."""
    held = {name: service[name] for name in _KEPT} | {"serviceId": service.id, "purges": twin.clock.now() + KEPT_S}
    twin.world.put(Resource(token=DELETED, id=_id(service["name"]), urn="", outputs=held))


def check(twin: Twin, inputs: Properties) -> None:
    """Refusal for a name that a deleted service has, and for bringing back what is not there."""
    name, restore = str(inputs["serviceName"]), bool(inputs.get("restore"))
    if _exists(twin.world, name):
        return
    held = _held(twin, name)
    if held is not None and not restore:
        raise Refusal(
            "ServiceAlreadyExistsInSoftDeletedState",
            f"Api service {name} was soft-deleted. In order to create the new service with the same name, you have to either undelete the "
            f"service or purge it. See https://aka.ms/apimsoftdelete. On Azure: `az apim deletedservice purge --service-name {name} "
            f"--location {held['location']}`; here, move the twin's clock on by {KEPT_S // 3600} hours, use another name, or set restore.",
            409,
        )
    if held is None and restore:
        raise Refusal("ServiceNotFound", f"There is no soft-deleted Api service {name} to restore: leave `restore` out.", 404)


def restored(twin: Twin, service: Resource) -> dict[str, Any]:
    """What a service that is brought back has of the one that was deleted."""
    held = _held(twin, str(service["name"])) if service.get("restore") else None
    if held is None:
        return {}
    twin.world.delete(DELETED, held.id)
    return {name: held[name] for name in _KEPT}


def every(twin: Twin) -> list[Resource]:
    """The deleted services whose time is not over."""
    return [one for one in twin.world.find(DELETED) if twin.clock.now() < one["purges"]]


def _held(twin: Twin, name: str) -> Resource | None:
    found = twin.world.get(DELETED, _id(name))
    if found is not None and twin.clock.now() >= found["purges"]:
        twin.world.delete(DELETED, found.id)
        return None
    return found


def _exists(world: World, name: str) -> bool:
    return any(str(one["name"]).lower() == name.lower() for one in world.find(API_MANAGEMENT))


def _id(name: object) -> str:
    return f"/deletedServices/{str(name).lower()}"
