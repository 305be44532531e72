"""Who may do what with buckets and objects, in Cloud Storage's words.

Access control lists are not known: a bucket without uniform access is judged by its grants alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pilotlight.twin.gcp.iam import ANONYMOUS, bucket_name
from pilotlight.twin.gcp.rows_storage import require_bucket
from pilotlight.twin.gcp.storage_store import Version
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin


class Access:
    """`caller` is a service account's address, None for the developer, ANONYMOUS for who proved nothing."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def permit(self, caller: str | None, permission: str, bucket: Resource, name: str | None = None) -> None:
        """Refusal where the caller may not do it with the object of that name; with the bucket where None."""
        full = bucket_name(bucket.id) + ("" if name is None else f"/objects/{name}")
        reason = self._twin.gcp.iam.allowed(caller, permission, full)
        if reason is not None:
            raise denied(caller, permission, "bucket" if name is None else "object", reason)

    def replaces(self, caller: str | None) -> Callable[[Version], None]:
        """What refuses to let a live version be replaced: that takes the right to delete it."""

        def check(version: Version) -> None:
            self.permit(caller, "storage.objects.delete", require_bucket(self._twin, version.bucket), version.name)

        return check

    def missing(self, caller: str | None, bucket: Resource, name: str) -> Refusal:
        """What is said of an object that is not there: who may not list the bucket is not told so."""
        try:
            self.permit(caller, "storage.objects.list", bucket)
        except Refusal as refusal:
            return refusal
        return Refusal("notFound", f"No such object: {bucket.id}/{name}", 404)


def denied(caller: str | None, permission: str, what: str, reason: str) -> Refusal:
    who = caller or "Anonymous caller"
    text = f"{who} does not have {permission} access to the Google Cloud Storage {what}. {reason}"
    return Refusal("required", text, 401) if caller == ANONYMOUS else Refusal("forbidden", text, 403)
