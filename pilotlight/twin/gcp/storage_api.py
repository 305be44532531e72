"""Cloud Storage's JSON API at the twin's front, for Google's clients unchanged (STORAGE_EMULATOR_HOST).

Served: objects with everything about their versions, and what is read of buckets. Not served, and refused: access control lists, keys
of one's own (CMEK, CSEK), composing, the XML API, batches, managed folders, and making or changing buckets, which programs declare.
The parameter `fields` is not needed for anything here: answers are whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.gcp.http_api import Asked, HttpApi, answered, json_of
from pilotlight.twin.gcp.iam import bucket_name
from pilotlight.twin.gcp.storage_access import Access, denied
from pilotlight.twin.gcp.storage_conditions import Conditions, NotModified, flag, number
from pilotlight.twin.gcp.storage_download import send_media
from pilotlight.twin.gcp.storage_list import page
from pilotlight.twin.gcp.storage_objects import Objects
from pilotlight.twin.gcp.storage_resource import bucket_resource, require_name, said_fields, versioned
from pilotlight.twin.gcp.storage_store import Version
from pilotlight.twin.gcp.storage_uploads import DESCRIPTION_BYTES, Uploads
from pilotlight.twin.gcp.types import BUCKET
from pilotlight.twin.rows import AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_ROOT = ["storage", "v1", "b"]
_KEYS = "x-goog-encryption-"


class StorageApi(HttpApi):
    name = "storage"

    def __init__(self, twin: Twin, objects: Objects) -> None:
        super().__init__(twin)
        self._objects = objects
        self._access = Access(twin)
        self.uploads = Uploads(objects, self._access)

    async def answer(self, asked: Asked, send: Send) -> None:
        try:
            if any(name.startswith(_KEYS) for name in asked.request.headers):
                raise Refusal("notImplemented", "The twin keeps no objects with customer-supplied encryption keys.", 501)
            response = await self._routed(asked, send)
        except NotModified:
            response = AwsResponse(status=304)
        if response is not None:
            await respond(send, response)

    async def _routed(self, asked: Asked, send: Send) -> AwsResponse | None:
        """The answer; None where it was sent already."""
        parts = [unquote(part, errors="replace") for part in asked.path.strip("/").split("/")]
        kind = parts.pop(0) if parts[0] in ("upload", "download") else ""
        if parts[:3] != _ROOT:
            raise _unknown(asked)
        query, method = dict(asked.request.query), asked.request.headers.get("x-http-method-override", asked.request.method)
        if kind == "upload":
            return await self._upload(asked, method, parts[3:], query)
        match method, parts[3:]:
            case "GET", []:
                return self._buckets(asked, query)
            case "GET", [bucket]:
                return self._bucket(asked, bucket)
            case "GET", [bucket, "iam", "testPermissions"]:
                return self._tested(asked, bucket)
            case "GET", [bucket, "o"]:
                return self._list(asked, bucket, query)
            case _, [bucket, "o", name]:
                return await self._object(asked, send, method, self._objects.bucket(bucket), require_name(name), kind, query)
            case "POST", [bucket, "o", name, "restore"]:
                return self._restore(asked, self._objects.bucket(bucket), name, query)
            case "POST", [bucket, "o", name, "rewriteTo" | "copyTo" as how, "b", other, "o", new]:
                version, size = await self._copy(asked, (bucket, name), (other, new), query)
                told = self._told(asked, version)
                done = {"kind": "storage#rewriteResponse", "totalBytesRewritten": size, "objectSize": size, "done": True, "resource": told}
                return answered(told if how == "copyTo" else done)
        raise _unknown(asked)

    # Buckets.

    def _buckets(self, asked: Asked, query: Mapping[str, str]) -> AwsResponse:
        project = query.get("project", "")
        reason = self.twin.gcp.iam.allowed(asked.caller, "storage.buckets.list", f"projects/{project}")
        if reason is not None:
            raise denied(asked.caller, "storage.buckets.list", "project", reason)
        found = [one for one in self.twin.world.find(BUCKET, project=project) if one.id.startswith(query.get("prefix", ""))]
        return answered({"kind": "storage#buckets", "items": [bucket_resource(one) for one in sorted(found, key=lambda one: one.id)]})

    def _bucket(self, asked: Asked, name: str) -> AwsResponse:
        bucket = self._objects.bucket(name)
        self._access.permit(asked.caller, "storage.buckets.get", bucket)
        return answered(bucket_resource(bucket))

    def _tested(self, asked: Asked, name: str) -> AwsResponse:
        full = bucket_name(self._objects.bucket(name).id)
        wanted = [value for key, value in asked.request.query if key == "permissions"]
        may = [one for one in wanted if self.twin.gcp.iam.allowed(asked.caller, one, full) is None]
        return answered({"kind": "storage#testIamPermissionsResponse", "permissions": may})

    def _list(self, asked: Asked, name: str, query: Mapping[str, str]) -> AwsResponse:
        bucket = self._objects.bucket(name)
        self._access.permit(asked.caller, "storage.objects.list", bucket)
        found = page(self._objects.store, name, query)
        told: dict[str, Any] = {"kind": "storage#objects"}
        if found.token:
            told["nextPageToken"] = found.token
        if found.prefixes:
            told["prefixes"] = found.prefixes
        if found.items:
            told["items"] = [self._told(asked, version) for version in found.items]
        return answered(told)

    # Objects.

    async def _object(
        self, asked: Asked, send: Send, method: str, bucket: Resource, name: str, kind: str, query: Mapping[str, str]
    ) -> AwsResponse | None:
        match method:
            case "GET":
                version = self._meant(asked, bucket, name, query, "storage.objects.get", reading=True)
                if kind == "download" or query.get("alt") == "media":
                    await send_media(asked.request, send, version, self._objects.blobs)
                    return None
                return answered(self._told(asked, version))
            case "DELETE":
                version = self._meant(asked, bucket, name, query, "storage.objects.delete")
                self._objects.delete(bucket, version, permanently="generation" in query or not versioned(bucket))
                return AwsResponse(status=204)
            case "PATCH" | "PUT":
                self._access.permit(asked.caller, "storage.objects.update", bucket, name)
                said = said_fields(json_of(await _body(asked.request)), storage_class=False)
                version = self._meant(asked, bucket, name, query, "storage.objects.get")
                return answered(self._told(asked, self._objects.patch(bucket, version, said, whole=method == "PUT")))
        raise _unknown(asked)

    def _restore(self, asked: Asked, bucket: Resource, name: str, query: Mapping[str, str]) -> AwsResponse:
        if "generation" not in query:
            raise Refusal("required", "Required parameter: generation: that of the soft-deleted object.")
        version = self._meant(asked, bucket, name, {**query, "softDeleted": "true"}, "storage.objects.restore")
        self._access.permit(asked.caller, "storage.objects.create", bucket, name)
        made = self._objects.copy(version, bucket, name, {}, Conditions.of(query), self._access.replaces(asked.caller))
        return answered(self._told(asked, made))

    async def _copy(self, asked: Asked, source: tuple[str, str], target: tuple[str, str], query: Mapping[str, str]) -> tuple[Version, str]:
        """The copy, and its size as the API tells it."""
        said = said_fields(json_of(await _body(asked.request)))
        bucket, name = self._objects.bucket(target[0]), require_name(target[1])
        self._access.permit(asked.caller, "storage.objects.create", bucket, name)
        wanted = {"generation": query["sourceGeneration"]} if "sourceGeneration" in query else {}
        version = self._meant(
            asked, self._objects.bucket(source[0]), source[1], wanted, "storage.objects.get", Conditions.of(query, "ifSource")
        )
        made = self._objects.copy(version, bucket, name, said, Conditions.of(query), self._access.replaces(asked.caller))
        return made, str(made.size)

    def _meant(
        self,
        asked: Asked,
        bucket: Resource,
        name: str,
        query: Mapping[str, str],
        permission: str,
        conditions: Conditions | None = None,
        *,
        reading: bool = False,
    ) -> Version:
        """The version that a request is about. Refusal where the caller may not, where it is not there, and for unmet conditions."""
        self._access.permit(asked.caller, permission, bucket, name)
        store, generation = self._objects.store, number(query, "generation")
        live = store.live(bucket.id, name)
        version = live if generation is None else store.version(bucket.id, name, generation, soft=flag(query, "softDeleted"))
        if version is None:
            raise self._access.missing(asked.caller, bucket, name)
        (conditions or Conditions.of(query)).check(live, version, reading=reading)
        return version

    # Uploads.

    async def _upload(self, asked: Asked, method: str, parts: list[str], query: Mapping[str, str]) -> AwsResponse:
        match method, parts:
            case "DELETE", [_, "o"] if "upload_id" in query:
                self.uploads.cancel(query["upload_id"])
                # Cloud Storage documentation, "Resumable uploads", cancelling: the client closed the request.
                return AwsResponse(status=499)
            case "POST" | "PUT", [_, "o"] if "upload_id" in query:
                # Whoever has the id may go on: it stands for who began.
                return self._went_on(asked, await self.uploads.go_on(query["upload_id"], asked.request))
            case "POST" | "PUT", [name, "o"]:
                bucket = self._objects.bucket(name)
                match query.get("uploadType"):
                    case "media":
                        return answered(self._told(asked, await self.uploads.media(asked, bucket, query)))
                    case "multipart":
                        return answered(self._told(asked, await self.uploads.multipart(asked, bucket, query)))
                    case "resumable":
                        id_ = await self.uploads.begin(asked, bucket, query)
                        location = f"{self._base(asked)}/upload/storage/v1/b/{name}/o?uploadType=resumable&upload_id={id_}"
                        return AwsResponse(headers={"location": location, "x-guploader-uploadid": id_})
                raise Refusal("invalid", f"Invalid uploadType {query.get('uploadType')!r}: use media, multipart or resumable.")
        raise _unknown(asked)

    def _went_on(self, asked: Asked, come: Version | int) -> AwsResponse:
        if isinstance(come, Version):
            return answered(self._told(asked, come))
        return AwsResponse(status=308, headers={"range": f"bytes=0-{come - 1}"} if come else {})

    def _told(self, asked: Asked, version: Version) -> dict[str, Any]:
        return self._objects.resource(version, self._base(asked))

    def _base(self, asked: Asked) -> str:
        """The address that the caller has for this API."""
        return self.twin.front_url + asked.request.raw_path.removesuffix(asked.path)


def _unknown(asked: Asked) -> Refusal:
    text = f"The twin's Cloud Storage does not serve {asked.request.method} {asked.path}"
    return Refusal("notFound", f"{text}: it has the JSON API's objects, and reads buckets.", 404)


async def _body(request: Request) -> bytes:
    too_large = Refusal("uploadTooLarge", f"What is said of an object has {DESCRIPTION_BYTES} bytes at the most.", 413)
    return await request.body(DESCRIPTION_BYTES, too_large)
