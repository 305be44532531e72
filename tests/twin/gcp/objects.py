"""Cloud Storage on a whole twin, for tests: requests as this or that account, and buckets made as programs make them."""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import quote

import httpx

from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.iam import ANONYMOUS
from pilotlight.twin.gcp.storage_plane import NAME, VARIABLE, StoragePlane
from pilotlight.twin.gcp.tokens import Tokens
from pilotlight.twin.gcp.types import BUCKET, BUCKET_MEMBER
from pilotlight.twin.world import Resource
from tests.twin.gcp.conftest import REGION
from tests.twin.gcp.harness import GoogleHarness

NUMBERS = itertools.count()
NO_SOFT_DELETE = {"retentionDurationSeconds": 0}
PIECE = 256 * 1024


def quoted(name: str) -> str:
    return quote(name, safe="")


class Cloud:
    """`bucket` makes one, `call` asks the API as the developer, or as `who`."""

    def __init__(self, harness: GoogleHarness) -> None:
        self.harness, self.twin = harness, harness.twin
        self.tokens = Tokens(harness.home)
        self._client = httpx.Client(trust_env=False, timeout=30)

    @property
    def plane(self) -> StoragePlane:
        plane = self.twin.gcp.planes.at(self.twin, "storage_plane:StoragePlane")
        assert isinstance(plane, StoragePlane)
        return plane

    @property
    def address(self) -> str:
        """What the developer's clients are given."""
        return self.address_of(None)

    def address_of(self, email: str | None) -> str:
        """What the clients in a process of that account are given."""
        assert self.plane
        return self.harness.wait(self.twin.gcp.variables(self.twin, Caller(email)))[VARIABLE]

    def bucket(self, **given: Any) -> Resource:
        inputs = {"location": REGION, "uniformBucketLevelAccess": True, "softDeletePolicy": NO_SOFT_DELETE, **given}
        name = f"bucket-{next(NUMBERS)}"
        return self.harness.make(BUCKET, name, **{"name": name, **inputs})

    def grant(self, bucket: Resource, member: str, role: str, **given: Any) -> Resource:
        key = f"grant-{next(NUMBERS)}"
        return self.harness.make(BUCKET_MEMBER, key, bucket=bucket.id, role=f"roles/storage.{role}", member=member, **given)

    def call(self, method: str, path: str, who: str | None = None, headers: dict[str, str] | None = None, **given: Any) -> httpx.Response:
        address = self.address if who is None else self.twin.gcp.url(self.twin, NAME)
        own = {"Authorization": f"Bearer {self.tokens.access(who)}"} if who not in (None, ANONYMOUS) else {}
        return self._client.request(method, address + path, headers={**own, **(headers or {})}, **given)

    def put(self, bucket: Resource, name: str, body: bytes = b"x", who: str | None = None, **query: Any) -> httpx.Response:
        asked = {"uploadType": "media", "name": name, **query}
        return self.call("POST", f"/upload/storage/v1/b/{bucket.id}/o", who, params=asked, content=body)

    def object(self, method: str, bucket: Resource, name: str, who: str | None = None, **given: Any) -> httpx.Response:
        return self.call(method, f"/storage/v1/b/{bucket.id}/o/{quoted(name)}", who, **given)

    def read(
        self, bucket: Resource, name: str, who: str | None = None, headers: dict[str, str] | None = None, **query: Any
    ) -> httpx.Response:
        return self.object("GET", bucket, name, who, headers=headers, params={"alt": "media", **query})

    def listed(self, bucket: Resource, who: str | None = None, **query: Any) -> dict[str, Any]:
        answer = self.call("GET", f"/storage/v1/b/{bucket.id}/o", who, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def generations(self, bucket: Resource, **query: Any) -> list[str]:
        return [one["generation"] for one in self.listed(bucket, **query).get("items", [])]

    def files(self) -> int:
        return sum(1 for _ in (self.harness.home / "storage").iterdir())
