"""Firestore: databases, composite indexes, settings of single fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pilotlight.twin.forms import only_one
from pilotlight.twin.gcp import assigned
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.names import seconds
from pilotlight.twin.gcp.places import DATABASES
from pilotlight.twin.gcp.types import DATABASE
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

API = "firestore.googleapis.com"
INDEX = "gcp:firestore/index:Index"
FIELD = "gcp:firestore/field:Field"
DEFAULT = "(default)"
# Firestore API, projects.databases.create: databaseId.
_NAME = re.compile(r"[a-z][a-z0-9-]{2,61}[a-z0-9]")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENTERPRISE = ("firestoreDataAccessMode", "mongodbCompatibleDataAccessMode", "realtimeUpdatesMode")
_WAYS = ("order", "arrayConfig", "vectorConfig", "searchConfig")
_HOUR, _WEEK = "3600s", "604800s"
_PITR = "POINT_IN_TIME_RECOVERY_ENABLED"


def database_id(properties: Properties) -> str:
    """The full name of the database that an index or a field belongs to."""
    return f"projects/{properties['project']}/databases/{properties.get('database') or DEFAULT}"


def _limits(inputs: Properties) -> list[str]:
    found, name = [], inputs.get("name")
    if isinstance(name, str) and name != DEFAULT and (not _NAME.fullmatch(name) or _UUID.fullmatch(name)):
        found.append(
            f"name: {name!r} is not allowed: use 4 to 63 lower-case letters, digits and hyphens that begin with a letter and end with "
            f"none, no UUID, or {DEFAULT!r}."
        )
    if inputs.get("databaseEdition") != "ENTERPRISE":
        found += [f"{field}: only databases of the edition ENTERPRISE have it." for field in _ENTERPRISE if inputs.get(field)]
    return found


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    recoverable = inputs.get("pointInTimeRecoveryEnablement") == _PITR
    return {
        "updateTime": assigned.now(twin),
        "earliestVersionTime": assigned.now(twin),
        "etag": assigned.etag(),
        "keyPrefix": "",
        "versionRetentionPeriod": _WEEK if recoverable else _HOUR,
        "pointInTimeRecoveryEnablement": inputs.get("pointInTimeRecoveryEnablement") or "POINT_IN_TIME_RECOVERY_DISABLED",
        "databaseEdition": inputs.get("databaseEdition") or "STANDARD",
        "concurrencyMode": inputs.get("concurrencyMode") or "PESSIMISTIC",
        "appEngineIntegrationMode": inputs.get("appEngineIntegrationMode") or "DISABLED",
        "deleteProtectionState": inputs.get("deleteProtectionState") or "DELETE_PROTECTION_DISABLED",
        "firestoreDataAccessMode": inputs.get("firestoreDataAccessMode") or "DATA_ACCESS_MODE_ENABLED",
        "mongodbCompatibleDataAccessMode": inputs.get("mongodbCompatibleDataAccessMode") or "DATA_ACCESS_MODE_DISABLED",
        "realtimeUpdatesMode": inputs.get("realtimeUpdatesMode") or "REALTIME_UPDATES_MODE_ENABLED",
    }


def _delete(twin: Twin, resource: Resource) -> None:
    if resource.get("deleteProtectionState") == "DELETE_PROTECTION_ENABLED":
        raise Refusal(
            "FAILED_PRECONDITION",
            f"{resource.id} may not be deleted: set deleteProtectionState to DELETE_PROTECTION_DISABLED, run `up`, then try again.",
        )
    for field in twin.world.find(FIELD):
        if field.id.startswith(f"{resource.id}/"):
            twin.world.delete(FIELD, field.id)


def _check_database(twin: Twin, inputs: Properties) -> None:
    if twin.world.get(DATABASE, database_id(inputs)) is None:
        raise Refusal("NOT_FOUND", f"The database {database_id(inputs)} does not exist: use a Database's `name`.", 404)


def _index_limits(inputs: Properties) -> list[str]:
    found, fields = [], inputs.get("fields")
    if not isinstance(fields, list):
        return []
    for index, one in enumerate(fields):
        found += only_one(one, *_WAYS, at=f"fields[{index}].") if isinstance(one, Mapping) else []
    paths = [one for one in fields if isinstance(one, Mapping) and one.get("fieldPath") != "__name__"]
    if len(paths) == 1 and not paths[0].get("vectorConfig"):
        found.append("fields: an index of one field is not necessary: Firestore has one of every field (firestore.Field sets it).")
    return found


def _new_index(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {"name": f"{database_id(inputs)}/collectionGroups/{inputs['collection']}/indexes/{assigned.short_hash(assigned.new_uuid())}"}


def _field_name(properties: Properties) -> str:
    return f"{database_id(properties)}/collectionGroups/{properties['collection']}/fields/{properties['field']}"


def _field_limits(inputs: Properties) -> list[str]:
    offset = (inputs.get("ttlConfig") or {}).get("expirationOffset")
    if offset is not None and seconds(offset) is None:
        return [f"ttlConfig.expirationOffset: {offset!r} is no duration: use seconds, as '86400s'."]
    return []


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=DATABASE,
            id=lambda p: f"projects/{p['project']}/databases/{p['name']}",
            name=Name(field="name", max_length=63, lower=True),
            replaces=frozenset({"name", "databaseEdition", "cmekConfig", "tags", *_ENTERPRISE}),
            assigned=lambda twin, inputs: {"uid": assigned.new_uuid(), "createTime": assigned.now(twin)},
            computed=_computed,
            discovery="firestore.v1:GoogleFirestoreAdminV1Database",
            limits=_limits,
            delete=_delete,
        ),
        api=API,
        place="locationId",
        places=DATABASES,
        # The provider's own default: a destroy forgets the database, and its data stays.
        policy="ABANDON",
    ),
    google(
        Row(
            token=INDEX,
            id=lambda p: str(p["name"]),
            replaces=frozenset(
                {"apiScope", "collection", "database", "density", "fields", "multikey", "queryScope", "unique"},
            ),
            assigned=_new_index,
            computed=lambda twin, inputs: {
                "density": inputs.get("density") or "SPARSE_ALL",
                "unique": inputs.get("unique", False),
                "apiScope": inputs.get("apiScope") or "ANY_API",
                "queryScope": inputs.get("queryScope") or "COLLECTION",
            },
            discovery="firestore.v1:GoogleFirestoreAdminV1Index",
            limits=_index_limits,
            check=_check_database,
        ),
        api=API,
    ),
    google(
        Row(
            token=FIELD,
            id=_field_name,
            replaces=frozenset({"collection", "database", "field"}),
            computed=lambda twin, inputs: {"name": _field_name(inputs)},
            discovery="firestore.v1:GoogleFirestoreAdminV1Field",
            rename={f"indexConfig.indexes.{way}": f"indexConfig.indexes.fields.{way}" for way in ("order", "arrayConfig")},
            limits=_field_limits,
            check=_check_database,
            # Every field is there already: this only sets it.
            upsert=True,
        ),
        api=API,
    ),
)
