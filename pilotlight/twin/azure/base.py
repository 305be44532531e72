"""What every resource type of Azure has in common, put around a row that says what is its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.twin import schema
from pilotlight.twin.azure import account, arm, attached, locations, naming, presence
from pilotlight.twin.azure import write_only as write
from pilotlight.twin.azure.tags import tag_problems
from pilotlight.twin.azure.times import iso
from pilotlight.twin.azure.types import GROUP
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.settings import Settings
from pilotlight.twin.twin import Twin
from pilotlight.twin.values import UNKNOWN
from pilotlight.twin.world import Resource

# What the SDK says is always there, and no type of the twin's has.
_ABSENT = frozenset({"privateEndpointConnections", "privateLinkScopedResources", "deploymentErrors"})


def azure(row: Row, *, absent: frozenset[str] = frozenset(), write_only: tuple[write.Path, ...] = (), everywhere: bool = False) -> Row:
    """The row with what its type has in common with the others. `id` is `arm.id_of(TOKEN)`, whose template is in `arm.PATHS`.

    absent      outputs that the SDK says are always there and that Azure leaves out
    everywhere  whether its location is `global`, and no region
    write_only  inputs that Azure never tells again, secrets mostly: they are in no output, and no drift

    Beside their inputs hooks see `subscriptionId` and `tenantId`. From the template come the name (rules in `naming.RULES`), the
    outputs `name` and `type`, what replaces, what must exist before and what goes with the resource. Every type has
    `azureApiVersion`, and where the SDK declares them `location`, `provisioningState`, `systemData`, `identity`.
    The data plane of the type (`planes.PLANES`) is told of every resource.
    """
    return replace(
        row,
        name=row.name or naming.name_of(row.token),
        replaces=row.replaces | frozenset((*arm.parameters(row.token), "location")),
        # pulumi-azure-native's Diff: only what it named at random is there twice for a while.
        delete_first=True,
        absent=row.absent | absent | _ABSENT,
        limits=lambda inputs: [
            *naming.problems(row.token, inputs),
            *_location_problems(row.token, inputs, everywhere),
            *tag_problems(inputs.get("tags")),
            *attached.problems(inputs.get("identity")),
            *row.limits(inputs),
        ],
        filled=lambda twin, settings, inputs, olds: {
            **_location(row.token, twin, settings, inputs, olds),
            **row.filled(twin, settings, inputs, olds),
        },
        assigned=lambda twin, inputs: {**_assigned(row.token, twin), **row.assigned(twin, inputs)},
        computed=lambda twin, inputs: {**_computed(row.token, inputs), **row.computed(twin, inputs)},
        check=lambda twin, inputs: _check(row, twin, inputs),
        create=lambda twin, resource: _told(write_only, resource, _create(row, twin, resource)),
        update=lambda twin, old, new: _told(write_only, new, _update(row, twin, old, new)),
        delete=lambda twin, resource: _delete(row, twin, resource),
        read=lambda twin, resource: _read(row, twin, resource),
        as_inputs=lambda made, live: row.as_inputs(made, write.restored(_as_inputs(made, live), made.inputs, write_only)),
        comparable=lambda inputs: row.comparable(_comparable(inputs)),
    )


def _declares(token: str, output: str) -> bool:
    declared = schema.sdk_type(token)
    return declared is not None and output in declared.outputs


def _location_problems(token: str, inputs: Properties, everywhere: bool) -> list[str]:
    if not _declares(token, "location"):
        return []
    if inputs.get("location") is None:
        return ["location: is missing: set it, or the provider's with `pulumi config set azure-native:location westeurope`."]
    if everywhere:
        given = locations.plain(inputs["location"])
        return [] if given == "global" else [f"location: {inputs['location']!r} is not allowed: use 'global'."]
    return locations.problems(inputs["location"])


def _location(token: str, twin: Twin, settings: Settings, inputs: Properties, olds: Properties) -> dict[str, Any]:
    """The location of a resource that names none: that of before, the configured one, that of its group."""
    if inputs.get("location") is not None or not _declares(token, "location"):
        return {}
    found = olds.get("location") or settings.context.get("location")
    if found is None and (name := inputs.get("resourceGroupName")) is not None:
        group = arm.find(twin.world, arm.id_of(GROUP)({**settings.context, "resourceGroupName": name}))
        found = group["location"] if group else UNKNOWN if name == UNKNOWN else None
    return {} if found is None else {"location": found}


def _assigned(token: str, twin: Twin) -> dict[str, Any]:
    if not _declares(token, "systemData"):
        return {}
    now, who = iso(twin.clock.now()), account.CLIENT
    data = {"createdAt": now, "createdBy": who, "createdByType": "Application"}
    return {"systemData": {**data, "lastModifiedAt": now, "lastModifiedBy": who, "lastModifiedByType": "Application"}}


def _computed(token: str, inputs: Properties) -> dict[str, Any]:
    found: dict[str, Any] = {"name": inputs[naming.field_of(token)], "type": arm.kind_of(token)}
    if _declares(token, "azureApiVersion"):
        found["azureApiVersion"] = schema.api_version(token)
    if _declares(token, "location") and "location" in inputs:
        found["location"] = locations.plain(inputs["location"])
    if _declares(token, "provisioningState"):
        found["provisioningState"] = "Succeeded"
    return found


def _as_inputs(made: Resource, live: Properties) -> Properties:
    """The outputs without the kind that Azure says every resource has, where an input of that name means something else."""
    found = attached.as_inputs(made, live)
    return {**found, "type": made.inputs["type"]} if "type" in made.inputs else found


def _comparable(inputs: Properties) -> Properties:
    location = inputs.get("location")
    return {**inputs, "location": locations.plain(location)} if isinstance(location, str) and location != UNKNOWN else inputs


def _check(row: Row, twin: Twin, inputs: Properties) -> None:
    presence.require(twin, row.token, inputs)
    attached.check(twin, inputs)
    row.check(twin, inputs)


def _create(row: Row, twin: Twin, resource: Resource) -> dict[str, Any]:
    presence.require_free_name(twin, resource)
    identity = attached.outputs(twin, resource.outputs)
    own = {**identity, **(row.create(twin, _with(resource, identity)) or {})}
    return {**own, **(twin.azure.planes.of(twin, row.token).create(_with(resource, own)) or {})}


def _update(row: Row, twin: Twin, old: Resource, new: Resource) -> dict[str, Any]:
    identity = attached.outputs(twin, new.outputs, old)
    own = {**identity, **(row.update(twin, old, _with(new, identity)) or {})}
    return {**own, **(twin.azure.planes.of(twin, row.token).update(old, _with(new, own)) or {})}


def _delete(row: Row, twin: Twin, resource: Resource) -> None:
    """What is in a resource goes with it, whoever made it."""
    # Imported here: the table is made of rows that this module makes.
    from pilotlight.twin.azure import rows

    row.delete(twin, resource)
    left = arm.below(twin.world, resource.id)
    while left:
        kept = [one for one in left if not _gone(rows(), twin, one)]
        if len(kept) == len(left):
            raise Refusal("Conflict", f"{resource.id} holds what can't be deleted: {', '.join(one.id for one in kept)}.", 409)
        left = kept
    twin.azure.planes.of(twin, row.token).delete(resource)


def _gone(table: Mapping[str, Row], twin: Twin, resource: Resource) -> bool:
    """Whether it is deleted: what something else needs is not, until that is gone."""
    if twin.world.get(resource.token, resource.id) is not None:
        try:
            table[resource.token].delete(twin, resource)
        except Refusal:
            return False
        twin.world.delete(resource.token, resource.id)
    return True


def _told(write_only: tuple[write.Path, ...], resource: Resource, outputs: dict[str, Any]) -> dict[str, Any]:
    return {**outputs, **write.left_out({**resource.outputs, **outputs}, write_only)}


def _read(row: Row, twin: Twin, resource: Resource) -> dict[str, Any] | None:
    live = row.read(twin, resource)
    return None if live is None else twin.azure.planes.of(twin, row.token).read(replace(resource, outputs=live))


def _with(resource: Resource, outputs: Mapping[str, Any]) -> Resource:
    return replace(resource, outputs={**resource.outputs, **outputs})
