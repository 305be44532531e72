"""Buckets and objects of programs, and the API that serves them. Why it is the twin's own: docs/decisions/0007."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.twin.gcp import storage_lifecycle
from pilotlight.twin.gcp.storage_api import StorageApi
from pilotlight.twin.gcp.storage_blobs import Blobs
from pilotlight.twin.gcp.storage_events import Listener, Outbox
from pilotlight.twin.gcp.storage_notifications import publish
from pilotlight.twin.gcp.storage_objects import Objects
from pilotlight.twin.gcp.storage_resource import WRITABLE, said_fields, versioned
from pilotlight.twin.gcp.storage_store import ObjectStore, Version
from pilotlight.twin.gcp.types import BUCKET, BUCKET_OBJECT
from pilotlight.twin.planes import Plane
from pilotlight.twin.rows import Refusal
from pilotlight.twin.timers import Timer

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

VARIABLE = "STORAGE_EMULATOR_HOST"
NAME = StorageApi.name
# Inputs of an object that the twin does not keep; refused where a program sets them.
_NOT_KEPT = ("customerEncryption", "retention", "contexts")


class StoragePlane(Plane):
    """`listeners` hear what happened to objects: add one, in the loop, then call `pending`."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.store = ObjectStore(twin.home / "storage.sqlite3")
        self.blobs = Blobs(twin.home / "storage")
        self._outbox = Outbox(twin, self.store, partial(publish, twin))
        self.objects = Objects(twin, self.store, self.blobs, self._outbox)
        self._api = StorageApi(twin, self.objects)
        self._timer: Timer | None = None

    @property
    def listeners(self) -> list[Listener]:
        """Called in the loop with each event once it is on disk. One that returns has it; one that raises is told again."""
        return self._outbox.listeners

    def pending(self) -> None:
        """Tell what nobody has taken yet: from before the twin ended, or since. In the loop."""
        self._outbox.tell()

    async def start(self) -> None:
        # What a twin left that was killed between bytes and row.
        self.blobs.sweep(self.store.blobs())
        every = storage_lifecycle.EVERY_S
        self._timer = self.twin.timers.every(lambda after: (after // every + 1) * every, self._tidy, name="Cloud Storage's lifecycle rules")
        self.twin.gcp.handlers[NAME] = self._api
        self.twin.gcp.apis[VARIABLE] = NAME
        self.pending()

    async def close(self) -> None:
        self.twin.gcp.apis.pop(VARIABLE, None)
        self.twin.gcp.handlers.pop(NAME, None)
        if self._timer is not None:
            self._timer.cancel()
        self._outbox.close()
        self.store.close()

    def create(self, resource: Resource) -> Mapping[str, Any] | None:
        if resource.token == BUCKET_OBJECT:
            return self.twin.wait(self._put(resource))
        self.twin.wait(self._begin(resource))
        return None

    def update(self, old: Resource, new: Resource) -> Mapping[str, Any] | None:
        return self.twin.wait(self._put(new)) if new.token == BUCKET_OBJECT else None

    def delete(self, resource: Resource) -> None:
        if resource.token == BUCKET_OBJECT:
            self.twin.wait(self._delete(resource))
        else:
            self.twin.wait(self._delete_bucket(resource))

    def read(self, resource: Resource) -> dict[str, Any] | None:
        return self.twin.wait(self._read(resource)) if resource.token == BUCKET_OBJECT else dict(resource.outputs)

    async def _begin(self, bucket: Resource) -> None:
        """A new bucket is empty; one that is taken over from an engine that was killed is not new."""
        if self.twin.world.get(BUCKET, bucket.id) is None:
            self.objects.forget(bucket.id)

    async def _put(self, resource: Resource) -> dict[str, Any]:
        """Store the bytes, unless they are there: then only what is said of them."""
        bucket, live = self.objects.bucket(resource["bucket"]), self._live(resource)
        said = said_fields({name: resource.outputs[name] for name in (*WRITABLE, "storageClass", *_NOT_KEPT) if name in resource.outputs})
        if resource.get("forceEmptyContentType"):
            said.pop("contentType", None)
        if live is not None and live.fields.get("md5Hash") == resource["md5hash"] and live.fields["storageClass"] == said["storageClass"]:
            return self._told(self.objects.patch(bucket, live, said, whole=True))
        if "content" in resource.inputs:
            blob = self.blobs.new()
            self.blobs.path(blob).write_bytes(str(resource.inputs["content"]).encode())
        else:
            blob = await self.blobs.copied(Path(resource.inputs["source"]["path"]))
        try:
            return self._told(self.objects.insert(bucket, resource["name"], blob, {**said, **await self.blobs.hashes(blob)}))
        except BaseException:
            self.blobs.remove([blob])
            raise

    def _told(self, version: Version) -> dict[str, Any]:
        return {"generation": version.generation, "mediaLink": self.objects.resource(version)["mediaLink"]}

    async def _delete(self, resource: Resource) -> None:
        live = self._live(resource)
        if live is not None:
            bucket = self.objects.bucket(resource["bucket"])
            self.objects.delete(bucket, live, permanently=not versioned(bucket))

    async def _delete_bucket(self, bucket: Resource) -> None:
        held = self.store.count(bucket.id)
        if held and not bucket.get("forceDestroy"):
            raise Refusal(
                "BucketNotEmpty",
                f"The bucket {bucket.id} holds objects ({held}, noncurrent versions included): delete them, or set forceDestroy, "
                "run `up`, then try again.",
                409,
            )
        self.objects.empty(bucket)
        self._api.uploads.drop_of(bucket.id)

    async def _read(self, resource: Resource) -> dict[str, Any] | None:
        """The live outputs; a source or content that is another by now is told as one that no program has."""
        live = self._live(resource)
        if live is None:
            return None
        fields = live.fields
        told = {name: fields[name] for name in (*WRITABLE, "storageClass") if name in fields}
        outputs = {**resource.outputs, **told, **self._told(live), "crc32c": fields["crc32c"], "md5hash": fields["md5Hash"]}
        if fields["md5Hash"] != resource["md5hash"]:
            if "source" in outputs:
                outputs["source"] = {**resource["source"], "hash": ""}
            elif "content" in outputs:
                outputs["content"] = ""
        return outputs

    def _live(self, resource: Resource) -> Version | None:
        return self.store.live(resource["bucket"], resource["name"])

    async def _tidy(self, due: float) -> str | None:
        self._api.uploads.expire()
        self.objects.purge()
        return storage_lifecycle.apply(self.objects)
