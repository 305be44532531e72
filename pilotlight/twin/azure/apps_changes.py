"""Apps and jobs of Container Apps as Resource Manager tells of them, and changes of a part of them: GET and PATCH.

A PATCH is a JSON merge patch (Container Apps REST API, "Container Apps - Update", "Jobs - Update"; RFC 7396): an object is merged, a list
is replaced, null takes out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.types import APP, JOB
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

TYPES: Mapping[str, str] = {"microsoft.app/containerapps": APP, "microsoft.app/jobs": JOB}
ID = re.compile(r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/(Microsoft\.App/(?:containerApps|jobs))/[^/]+", re.IGNORECASE)
# What stands beside `properties`; the rest of what the engine knows is in there, but for what is the provider's own.
_BESIDE = ("location", "tags", "identity", "systemData")
_APART = (*_BESIDE, "name", "type", "azureApiVersion", "resourceGroupName", "containerAppName", "jobName")
# What a PATCH may say here. Whoever names an environment or an identity needs rights on that, too (LinkedAuthorizationFailed).
_PARTS = ("template", "configuration")


def described(resource: Resource) -> dict[str, Any]:
    """An app or a job in Resource Manager's form; without secrets, which it does not tell either."""
    beside = {name: resource[name] for name in _BESIDE if resource.get(name) is not None}
    properties = {name: value for name, value in resource.outputs.items() if name not in _APART}
    return {"id": resource.id, "name": resource["name"], "type": resource["type"], **beside, "properties": properties}


def changed(twin: Twin, resource: Resource, body: Any) -> Resource:
    """The resource with a PATCH in force. It may block: not to be called in the twin's loop. Refusal for a body that is none, for what is
    not changed here, and for what Azure would refuse."""
    # Imported here: the table is made of rows that import much.
    from pilotlight.twin.azure import rows

    asked = _asked(body)
    inputs, outputs = (merged(one, asked) for one in (resource.inputs, resource.outputs))
    row = rows()[resource.token]
    if problems := row.limits(inputs):
        raise Refusal("InvalidRequestContent", " ".join(problems))
    new = replace(resource, inputs=inputs, outputs=outputs)
    more = row.update(twin, resource, new) or {}
    made = replace(new, outputs={**new.outputs, **more})
    twin.world.put(made)
    return made


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return patch
    base = dict(old) if isinstance(old, Mapping) else {}
    kept = {key: value for key, value in base.items() if key not in patch}
    return {**kept, **{key: merged(base.get(key), value) for key, value in patch.items() if value is not None}}


def found(twin: Twin, id_: str) -> Resource:
    """The app or the job of an id. Refusal where it is not there."""
    match = ID.fullmatch(id_)
    token = TYPES[match[1].lower()] if match else ""
    one = next((each for each in twin.world.find(token) if arm.same(each.id, id_)), None)
    if one is None:
        raise Refusal("ResourceNotFound", f"The Resource '{id_}' under resource group was not found.", 404)
    return one


def _asked(body: Any) -> dict[str, Any]:
    properties = body.get("properties", {}) if isinstance(body, Mapping) else None
    if not isinstance(properties, Mapping):
        raise Refusal("InvalidRequestContent", "The request content was invalid and could not be deserialized: send an object.")
    unknown = sorted([*(set(body) - {"tags", "properties"}), *(f"properties.{name}" for name in set(properties) - set(_PARTS))])
    if unknown:
        text = (
            f"{', '.join(unknown)}: the local twin changes tags, properties.template and properties.configuration; the rest is a program's."
        )
        raise Refusal("NotImplemented", text, 501)
    return {**properties, **({"tags": body["tags"]} if "tags" in body else {})}
