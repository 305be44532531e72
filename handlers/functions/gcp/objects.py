"""The generations of objects in Cloud Storage."""

from collections.abc import Mapping

from handlers.functions.gcp.storage import Storage
from handlers.functions.objects import Content
from handlers.functions.outcomes import Refused, Unavailable
from handlers.functions.rest import ApiError
from handlers.functions.versions import ObjectVersion


class CloudStorageObjects:
    """Reads in several threads; `max_bytes` is the most that it takes into memory for an object."""

    def __init__(self, storage: Storage, *, max_bytes: int) -> None:
        self._storage = storage
        self._max_bytes = max_bytes

    def read(self, version: ObjectVersion) -> Content:
        """The generation's bytes and content type. Raises Refused when it is gone or larger than its event said, Unavailable."""
        return self.get(version.bucket, version.key, {"generation": version.version} if version.version else {})

    def get(self, bucket: str, key: str, which: Mapping[str, str]) -> Content:
        """The same for a `generation`, or the newest one."""
        try:
            with self._storage.open(bucket, key, generation=which.get("generation")) as download:
                return download.content(max_bytes=self._max_bytes)
        except ApiError as error:
            if error.status == 404:
                raise Refused("The object can't be read: it was deleted, or replaced in a bucket that keeps no versions.") from error
            raise Unavailable(f"The object can't be read: {error}") from error
