"""Projects: APIs switched on, agents of services, custom roles, API keys."""

from __future__ import annotations

import re
import secrets
from typing import Any

from pilotlight.twin.gcp import agents, assigned, identities, services
from pilotlight.twin.gcp.base import POLICIES, google
from pilotlight.twin.gcp.types import API_KEY, CUSTOM_ROLE, ENABLED, IDENTITY
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin

USAGE = "serviceusage.googleapis.com"
# IAM API, projects.roles.create: the id of a role, and of a permission.
_ROLE_ID = re.compile(r"[a-zA-Z0-9_.]{3,64}")
_PERMISSION = re.compile(r"[a-zA-Z0-9]+\.[a-zA-Z0-9]+\.[a-zA-Z0-9]+")
# API Keys API, projects.locations.keys.create: RFC 1034, lower case.
_KEY_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def _service_limits(inputs: Properties) -> list[str]:
    service = inputs.get("service")
    if isinstance(service, str) and "." not in service:
        return [f"service: {service!r} is no service: use its whole name, as run.googleapis.com."]
    return []


def _known_service(twin: Twin, inputs: Properties) -> None:
    if problem := services.known_problem(twin.world, inputs["service"]):
        raise Refusal("NOT_FOUND", f"Not found or permission denied for service(s): {problem}", 404)


def _identity(twin: Twin, inputs: Properties) -> dict[str, Any]:
    email = agents.agent(inputs["project"], inputs["service"])
    return {"email": email, "member": f"serviceAccount:{email}"}


def _check_identity(twin: Twin, inputs: Properties) -> None:
    services.require(twin.world, inputs["project"], inputs["service"])


def _role_limits(inputs: Properties) -> list[str]:
    found = []
    role_id = inputs.get("roleId")
    if isinstance(role_id, str) and not _ROLE_ID.fullmatch(role_id):
        found.append(f"roleId: {role_id!r} is not allowed: use 3 to 64 letters, digits, _ and . (a generated name has a hyphen: set it).")
    wrong = [one for one in inputs.get("permissions") or [] if isinstance(one, str) and not _PERMISSION.fullmatch(one)]
    found += [f"permissions: {one!r} is no permission: use one as run.services.get." for one in wrong]
    if inputs.get("permissions") == []:
        found.append("permissions: is empty: a role permits at least one thing.")
    return found


def _role_id(properties: Properties) -> str:
    return f"projects/{properties['project']}/roles/{properties['roleId']}"


def _key_limits(inputs: Properties) -> list[str]:
    name = inputs.get("name")
    if isinstance(name, str) and not _KEY_ID.fullmatch(name):
        return [f"name: {name!r} is not allowed: use up to 63 lower-case letters, digits and hyphens that begin with a letter."]
    return []


def _check_key(twin: Twin, inputs: Properties) -> None:
    if email := inputs.get("serviceAccountEmail"):
        identities.require(twin.world, email)
    for target in (inputs.get("restrictions") or {}).get("apiTargets") or []:
        service = target["service"]
        if problem := services.known_problem(twin.world, service):
            raise Refusal("INVALID_ARGUMENT", f"restrictions.apiTargets: {problem}")
        services.require(twin.world, inputs["project"], service)


def _new_key(twin: Twin, inputs: Properties) -> dict[str, Any]:
    # The form of Google's keys: 39 characters, by which scanners of secrets know them.
    return {"keyString": "AIza" + secrets.token_urlsafe(27)[:35], "uid": assigned.new_uuid()}


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=ENABLED,
            id=lambda p: services.service_id(p["project"], p["service"]),
            replaces=frozenset({"service"}),
            limits=_service_limits,
            check=_known_service,
            upsert=True,
            # Left on, which is what the provider does unless it is told otherwise, it stays the project's.
            abandoned=lambda resource: not resource.get("disableOnDestroy"),
        ),
        api=USAGE,
    ),
    google(
        Row(
            token=IDENTITY,
            id=lambda p: f"projects/{p['project']}/services/{p['service']}",
            replaces=frozenset({"service"}),
            computed=_identity,
            limits=_service_limits,
            check=_check_identity,
            upsert=True,
            # Google has no way to delete one.
            abandoned=lambda resource: True,
        ),
        api=USAGE,
        policy=None,
    ),
    google(
        Row(
            token=CUSTOM_ROLE,
            id=_role_id,
            # pulumi-gcp 10.2: names are generated with a hyphen, which Google does not allow here.
            name=Name(field="roleId", max_length=255),
            replaces=frozenset({"roleId"}),
            computed=lambda twin, inputs: {"name": _role_id(inputs), "deleted": False, "stage": inputs.get("stage") or "GA"},
            discovery="iam.v1:Role",
            rename={"permissions": "includedPermissions", "roleId": ""},
            limits=_role_limits,
        ),
        api="iam.googleapis.com",
    ),
    google(
        Row(
            token=API_KEY,
            id=lambda p: f"projects/{p['project']}/locations/global/keys/{p['name']}",
            name=Name(field="name", max_length=255),
            replaces=frozenset({"name", "serviceAccountEmail"}),
            assigned=_new_key,
            secrets=frozenset({"keyString"}),
            discovery="apikeys.v2:V2Key",
            limits=_key_limits,
            check=_check_key,
        ),
        api="apikeys.googleapis.com",
        # Google does not delete a key that was used in the last seven days, unless it is forced.
        policies=(*POLICIES, "FORCE"),
    ),
)
