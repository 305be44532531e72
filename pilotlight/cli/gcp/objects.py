"""The bucket that an event stack's objects are put into, over Cloud Storage's JSON API ("Objects: insert")."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pilotlight.cli.gcp.clients import Api, told


class StorageObjects:
    """The bucket of a stack that is up."""

    def __init__(self, twin: Mapping[str, str] | None, outputs: Mapping[str, Any]) -> None:
        self.bucket = str(outputs["objectsBucket"])
        with told(f"The bucket {self.bucket} can't be reached"):
            self._api = Api("storage", twin)

    def put(self, file: Path, key: str, content_type: str) -> str:
        """The generation that the file became."""
        boundary, body = uuid.uuid4().hex, file.read_bytes()
        with told(f"{file} can't be put into {self.bucket}"):
            stored = self._api.ask(
                "POST",
                f"/upload/storage/v1/b/{quote(self.bucket, safe='')}/o",
                params={"uploadType": "multipart"},
                headers={"Content-Type": f"multipart/related; boundary={boundary}"},
                data=_multipart(boundary, {"name": key, "contentType": content_type}, body),
            )
        return str(stored["generation"])


def _multipart(boundary: str, description: Mapping[str, str], body: bytes) -> bytes:
    """The object and its description in one request (multipart/related, RFC 2387)."""
    first = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(description)}\r\n"
    second = f"--{boundary}\r\nContent-Type: {description['contentType']}\r\n\r\n"
    return first.encode() + second.encode() + body + f"\r\n--{boundary}--\r\n".encode()
