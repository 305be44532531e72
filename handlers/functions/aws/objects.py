"""The versions of objects in S3."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from handlers.functions.objects import Content
from handlers.functions.outcomes import Refused, Unavailable
from handlers.functions.versions import ObjectVersion

# GetObject's codes for what will not come back, by their meaning (S3 API reference, "Error responses"). A delete marker can't be
# read (405), and IfMatch is sent only for objects without versions, which then were replaced (412).
_GONE = {
    "NoSuchKey": "it was deleted",
    "NoSuchVersion": "it was deleted",
    "NoSuchBucket": "its bucket was deleted",
    "MethodNotAllowed": "it is a delete marker",
    "PreconditionFailed": "it was replaced, and its bucket keeps no versions",
    "InvalidObjectState": "it is archived: restore it, then replay the message",
    "404": "it was deleted",
    "405": "it is a delete marker",
    "412": "it was replaced, and its bucket keeps no versions",
}


class S3Objects:
    """Reads with one client in several threads; `max_bytes` is the most that it takes into memory for an object."""

    def __init__(self, client: Any, *, max_bytes: int) -> None:
        self._client = client
        self._max_bytes = max_bytes

    def read(self, version: ObjectVersion) -> Content:
        """The version's bytes and content type. Raises Refused when it is gone or larger than its event said, Unavailable."""
        # Where there are no versions the content could be a later one's: its own event brings that.
        which = {"VersionId": version.version} if version.version else {"IfMatch": f'"{version.etag}"'} if version.etag else {}
        return self.get(version.bucket, version.key, which)

    def get(self, bucket: str, key: str, which: Mapping[str, str]) -> Content:
        """The same for further arguments of GetObject, which say what is wanted."""
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key, **which)
            size = int(answer["ContentLength"])
            if size > self._max_bytes:
                answer["Body"].close()
                raise Refused(f"The object has {size} bytes: {self._max_bytes} are allowed.")
            return Content(answer["Body"].read(), answer.get("ContentType"))
        except ClientError as error:
            code = error.response["Error"].get("Code", "")
            if code in _GONE:
                raise Refused(f"The object can't be read: {_GONE[code]}.") from error
            raise Unavailable(f"The object can't be read: {code}: {error.response['Error'].get('Message', '')}") from error
        except BotoCoreError as error:
            raise Unavailable(f"The object can't be read: {error}") from error
