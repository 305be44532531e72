"""Lifecycle rules that buckets declare, applied on the twin's clock (Cloud Storage documentation, "Object Lifecycle Management").

Cloud Storage looks at objects at moments of its own, up to a day late; the twin does every hour.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from pilotlight.twin.gcp.storage_objects import Objects
from pilotlight.twin.gcp.storage_resource import instant
from pilotlight.twin.gcp.storage_store import Version
from pilotlight.twin.gcp.types import BUCKET
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

EVERY_S = 3600.0
_DAY_S = 86_400.0


def apply(objects: Objects) -> str | None:
    """Do what the rules of all buckets ask for by now; what was done, None where nothing was."""
    done = {bucket.id: _apply(objects, bucket) for bucket in objects.twin.world.find(BUCKET) if bucket.get("lifecycleRules")}
    told = [f"{count} of {name}" for name, count in done.items() if count]
    return f"deleted or moved: {', '.join(told)}" if told else None


def _apply(objects: Objects, bucket: Resource) -> int:
    found, now = objects.store.select("bucket = ? AND deleted IS NULL", bucket.id), objects.twin.clock.now()
    done = 0
    for _, group in groupby(list(found), key=lambda version: version.name):
        versions = list(group)
        for place, version in enumerate(versions):
            done += _applied(objects, bucket, version, len(versions) - place - 1, now)
    return done


def _applied(objects: Objects, bucket: Resource, version: Version, newer: int, now: float) -> bool:
    """Whether a rule did something. Deletion comes before another storage class."""
    actions = [rule["action"] for rule in bucket["lifecycleRules"] if meets(rule.get("condition") or {}, version, newer, now)]
    if any(action["type"] == "Delete" for action in actions):
        # What is held or retained stays.
        with contextlib.suppress(Refusal):
            objects.delete(bucket, version, permanently=not version.live)
            return True
        return False
    moved = [action["storageClass"] for action in actions if action["type"] == "SetStorageClass"]
    if not moved or moved[0] == version.fields.get("storageClass"):
        return False
    with objects.store.transaction():
        objects.store.put(replace(version, fields={**version.fields, "storageClass": moved[0]}))
    return True


def meets(condition: Mapping[str, Any], version: Version, newer: int, now: float) -> bool:
    """Whether a version meets every part of a condition, and there is one. `newer` counts the object's newer versions.

    A number of 0 counts where its `send…IfZero` is set, as in the provider.
    """
    tests: list[bool] = []

    def days(name: str, since: float | None) -> None:
        least = condition.get(name)
        if least or (least == 0 and condition.get(f"send{name[0].upper()}{name[1:]}IfZero")):
            tests.append(since is not None and now - since >= least * _DAY_S)

    def before(name: str, moment: float | None) -> None:
        if condition.get(name):
            tests.append(moment is not None and moment < _date(condition[name]))

    custom = instant(version.fields.get("customTime", ""))
    days("age", version.created)
    days("daysSinceNoncurrentTime", version.ended)
    days("daysSinceCustomTime", custom)
    before("createdBefore", version.created)
    before("noncurrentTimeBefore", version.ended)
    before("customTimeBefore", custom)
    if least := condition.get("numNewerVersions"):
        tests.append(newer >= least)
    if (state := condition.get("withState") or "ANY") != "ANY":
        tests.append(version.live == (state == "LIVE"))
    for name, part in (("matchesPrefixes", version.name.startswith), ("matchesSuffixes", version.name.endswith)):
        if condition.get(name):
            tests.append(part(tuple(condition[name])))
    if condition.get("matchesStorageClasses"):
        tests.append(version.fields.get("storageClass") in condition["matchesStorageClasses"])
    return bool(tests) and all(tests)


def _date(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
