"""What can be done to objects, whoever asks: versions, soft deletion, holds and retention as the bucket declares them, events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pilotlight.twin.gcp.rows_storage import require_bucket
from pilotlight.twin.gcp.storage_blobs import Blobs
from pilotlight.twin.gcp.storage_conditions import Conditions
from pilotlight.twin.gcp.storage_events import ObjectEvent, Outbox
from pilotlight.twin.gcp.storage_resource import iso, merged, resource, retention_s, soft_delete_s, versioned, without_nulls
from pilotlight.twin.gcp.storage_store import ObjectStore, Version
from pilotlight.twin.gcp.types import BUCKET
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_HASHES = ("md5Hash", "crc32c")
NO_CONDITIONS = Conditions()


def nothing(version: Version) -> None:
    """What is to be done with a version: nothing."""


class Objects:
    """To be used in the twin's loop. Every change is whole on disk, with its events, when a method returns."""

    def __init__(self, twin: Twin, store: ObjectStore, blobs: Blobs, outbox: Outbox) -> None:
        self.twin = twin
        self.store = store
        self.blobs = blobs
        self._outbox = outbox

    def bucket(self, name: str) -> Resource:
        """Refusal where there is none."""
        return require_bucket(self.twin, name)

    def insert(
        self,
        bucket: Resource,
        name: str,
        blob: str,
        fields: Mapping[str, Any],
        conditions: Conditions = NO_CONDITIONS,
        *,
        replaces: Callable[[Version], None] = nothing,
        made: Callable[[Version], None] = nothing,
    ) -> Version:
        """Store a version that owns `blob`. `replaces` may refuse to displace the live one; `made` is in the same transaction."""
        store, now = self.store, self.twin.clock.now()
        with store.transaction():
            before = store.live(bucket.id, name)
            conditions.check(before, before)
            if before is not None:
                replaces(before)
                self._require_free(bucket, before)
            hold = {"eventBasedHold": True} if bucket.get("defaultEventBasedHold") else {}
            kept = without_nulls({"storageClass": bucket["storageClass"], **hold, **fields})
            version = Version(
                bucket=bucket.id,
                name=name,
                generation=store.next_generation(now),
                blob=blob,
                size=self.blobs.size(blob),
                created=now,
                updated=now,
                fields=kept,
            )
            gone = self._displace(bucket, before, by=version.generation) if before is not None else None
            store.put(version)
            self._tell("finalized", bucket, version, overwrote=before.generation if before is not None else None)
            made(version)
        self._after(gone)
        return version

    def delete(self, bucket: Resource, version: Version, *, permanently: bool) -> None:
        """What is live in a bucket with versions becomes noncurrent, unless it is to go `permanently`."""
        with self.store.transaction():
            self._require_free(bucket, version)
            gone = self._remove(bucket, version) if permanently else self._displace(bucket, version)
        self._after(gone)

    def patch(self, bucket: Resource, version: Version, said: Mapping[str, Any], *, whole: bool = False) -> Version:
        """Change what is said of a version; with `whole` everything that is not said goes."""
        kept = {name: version.fields[name] for name in (*_HASHES, "storageClass") if name in version.fields}
        fields = without_nulls({**kept, **said}) if whole else merged(version.fields, said)
        changed = replace(version, fields=fields, metageneration=version.metageneration + 1, updated=self.twin.clock.now())
        with self.store.transaction():
            self.store.put(changed)
            self._tell("metadataUpdated", bucket, changed)
        self._after(None)
        return changed

    def copy(
        self,
        source: Version,
        bucket: Resource,
        name: str,
        said: Mapping[str, Any],
        conditions: Conditions,
        replaces: Callable[[Version], None],
    ) -> Version:
        """A new version with the bytes of another, and what was said of that but for what is `said` now."""
        kept = {key: value for key, value in source.fields.items() if key not in ("storageClass", "temporaryHold", "eventBasedHold")}
        fields, blob = merged(kept, said), self.blobs.linked(source.blob)
        try:
            return self.insert(bucket, name, blob, fields, conditions, replaces=replaces)
        except BaseException:
            self.blobs.remove([blob])
            raise

    def empty(self, bucket: Resource) -> None:
        """Delete everything for ever, what is soft-deleted too. Refusal where something is held or retained."""
        with self.store.transaction():
            for version in self.store.select("bucket = ? AND deleted IS NULL", bucket.id):
                self._require_free(bucket, version)
                self._tell("deleted", bucket, version)
            gone = self._forget(bucket.id)
        self.blobs.remove(gone)
        self._after(None)

    def forget(self, bucket: str) -> None:
        """Whatever is left of a bucket of that name."""
        with self.store.transaction():
            gone = self._forget(bucket)
        self.blobs.remove(gone)

    def _forget(self, bucket: str) -> list[str]:
        versions = list(self.store.select("bucket = ?", bucket))
        for version in versions:
            self.store.drop(version)
        return [version.blob for version in versions]

    def purge(self) -> None:
        """What has been soft-deleted for as long as its bucket keeps such objects."""
        for version in list(self.store.select("deleted IS NOT NULL")):
            bucket = self.twin.world.get(BUCKET, version.bucket)
            if bucket is None or (version.deleted or 0.0) + soft_delete_s(bucket) <= self.twin.clock.now():
                self.store.drop(version)
                self.blobs.remove([version.blob])

    def resource(self, version: Version, base: str | None = None) -> dict[str, Any]:
        """The object as the API tells it; its bytes are below `base`, else at the address that programs have."""
        return resource(version, base or self.twin.gcp.url(self.twin, "storage"), self.bucket(version.bucket))

    def _displace(self, bucket: Resource, version: Version, by: int | None = None) -> str | None:
        if not versioned(bucket):
            return self._remove(bucket, version, by)
        ended = replace(version, ended=self.twin.clock.now())
        self.store.put(ended)
        self._tell("archived", bucket, ended, overwritten_by=by)
        return None

    def _remove(self, bucket: Resource, version: Version, by: int | None = None) -> str | None:
        """The file that nobody owns then; None where the bucket keeps what is deleted for a while."""
        now = self.twin.clock.now()
        if soft_delete_s(bucket):
            deleted = replace(version, deleted=now)
            self.store.put(deleted)
            self._tell("deleted", bucket, deleted, overwritten_by=by)
            return None
        self.store.drop(version)
        self._tell("deleted", bucket, replace(version, ended=version.ended or now), overwritten_by=by)
        return version.blob

    def _require_free(self, bucket: Resource, version: Version) -> None:
        """Refusal where a hold or the bucket's retention keeps a version from being deleted or replaced."""
        where = f"Object '{version.bucket}/{version.name}'"
        for field, what in (("temporaryHold", "Temporary hold"), ("eventBasedHold", "Event-Based hold")):
            if version.fields.get(field):
                text = f"{where} is under active {what} and cannot be deleted, overwritten or archived until hold is removed."
                raise Refusal("forbidden", text, 403)
        until = version.created + retention_s(bucket)
        if until > self.twin.clock.now():
            text = f"{where} is subject to bucket's retention policy and cannot be deleted or overwritten until {iso(until)}."
            raise Refusal("retentionPolicyNotMet", text, 403)

    def _tell(self, kind: str, bucket: Resource, version: Version, **more: Any) -> None:
        told = self.resource(version)
        self._outbox.add(ObjectEvent(kind=kind, bucket=bucket.id, resource=told, at=self.twin.clock.now(), **more))

    def _after(self, gone: str | None) -> None:
        if gone is not None:
            self.blobs.remove([gone])
        self._outbox.tell()
