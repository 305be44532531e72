"""What every resource type of Google Cloud has in common, put around a row that says what is its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pilotlight.twin import schema
from pilotlight.twin.forms import choice_problems
from pilotlight.twin.gcp import services
from pilotlight.twin.gcp.labels import label_problems
from pilotlight.twin.gcp.places import project_problems, region_problems
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# pulumi-gcp 10.2: what of a labelled type the SDK itself marks secret.
LABELS = frozenset({"effectiveLabels", "pulumiLabels"})
POLICY = "deletionPolicy"
POLICIES = ("DELETE", "PREVENT", "ABANDON")


def google(
    row: Row,
    *,
    api: str | None = None,
    project_of: Callable[[Properties], str | None] | None = None,
    place: str | None = None,
    places: frozenset[str] = frozenset(),
    labelled: bool = False,
    policy: str | None = "DELETE",
    policies: tuple[str, ...] = POLICIES,
) -> Row:
    """The row with what its type has in common with the others.

    api         service that must be enabled in the resource's project before it can be made; None where the row itself sees to it
    project_of  what the project is of a type that has no `project`; where it has one, that is required and replaces
    place       input that names a location, required, and replaces; `places` are locations that are no region
    labelled    whether it takes labels
    policy      what `deletionPolicy` is where the program gives none, one of `policies`; None for a type without it

    The data plane of the type is told of every resource.
    """
    own_project = project_of is None and api is not None
    project = project_of or (lambda inputs: inputs.get("project"))
    return replace(
        row,
        name=None if row.name is None else replace(row.name, frees=True),
        replaces=row.replaces | ({"project"} if own_project else frozenset()) | ({place} if place else frozenset()),
        secrets=row.secrets | (LABELS if labelled else frozenset()),
        limits=lambda inputs: [
            *(project_problems(inputs.get("project")) if own_project else []),
            *(_place_problems(row.token, place, inputs, places) if place else []),
            *(label_problems(inputs.get("labels")) if labelled else []),
            *(choice_problems(POLICY, inputs.get(POLICY), policies) if policy else []),
            *row.limits(inputs),
        ],
        computed=lambda twin, inputs: {
            **({POLICY: inputs.get(POLICY) or policy} if policy else {}),
            **row.computed(twin, inputs),
        },
        check=lambda twin, inputs: _check(row, api, project(inputs), twin, inputs),
        create=lambda twin, resource: _create(row, twin, resource),
        update=lambda twin, old, new: _update(row, twin, old, new),
        delete=lambda twin, resource: _delete(row, twin, resource),
        abandoned=lambda resource: resource.get(POLICY) == "ABANDON" or row.abandoned(resource),
        read=lambda twin, resource: _read(row, twin, resource),
    )


def _place_problems(token: str, place: str, inputs: Properties, places: frozenset[str]) -> list[str]:
    if inputs.get(place) is None:
        declared = schema.sdk_type(token)
        if declared is not None and place in schema.required(declared.inputs):
            return []
        return [f"{place}: is missing: set it, or the provider's region with `pulumi config set gcp:region europe-west1`."]
    return region_problems(place, inputs[place], places)


def _check(row: Row, api: str | None, project: str | None, twin: Twin, inputs: Properties) -> None:
    if api is not None and project is not None:
        services.require(twin.world, project, api)
    row.check(twin, inputs)


def _create(row: Row, twin: Twin, resource: Resource) -> dict[str, Any]:
    own, plane = row.create(twin, resource) or {}, twin.gcp.planes.of(twin, row.token)
    made = {**own, **(plane.create(_with(resource, own)) or {})}
    try:
        _require_settled(row.token, {**resource.outputs, **made})
    except Refusal:
        plane.delete(_with(resource, made))
        raise
    return made


def _require_settled(token: str, outputs: Properties) -> None:
    """Every output that the SDK says is always there must be there, those that are inputs too: nobody else would notice."""
    declared = schema.sdk_type(token)
    missing = sorted(name for name in (declared.settled if declared else ()) if outputs.get(name) is None)
    if missing:
        raise Refusal("MissingOutput", f"The twin's row of {token} gives no {', '.join(missing)}: that is an error in the row.", 500)


def _update(row: Row, twin: Twin, old: Resource, new: Resource) -> dict[str, Any]:
    own = row.update(twin, old, new) or {}
    return {**own, **(twin.gcp.planes.of(twin, row.token).update(old, _with(new, own)) or {})}


def _delete(row: Row, twin: Twin, resource: Resource) -> None:
    if resource.get(POLICY) == "PREVENT":
        raise Refusal(
            "DeletionPrevented", f"{resource.id} may not be deleted: its {POLICY} is PREVENT. Set it to DELETE, run `up`, then try again."
        )
    row.delete(twin, resource)
    twin.gcp.planes.of(twin, row.token).delete(resource)


def _read(row: Row, twin: Twin, resource: Resource) -> dict[str, Any] | None:
    live = row.read(twin, resource)
    return None if live is None else twin.gcp.planes.of(twin, row.token).read(replace(resource, outputs=live))


def _with(resource: Resource, outputs: Mapping[str, Any]) -> Resource:
    return replace(resource, outputs={**resource.outputs, **outputs})
