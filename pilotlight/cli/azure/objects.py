"""The container that an event stack's objects are put into."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.cli.azure.storage import Login, told


class BlobObjects:
    """The container of a stack that is up."""

    def __init__(self, login: Login, outputs: Mapping[str, Any]) -> None:
        self.bucket = str(outputs["objectsBucket"])
        self._container = login.container(str(outputs["objectsUrl"]))

    def put(self, file: Path, key: str, content_type: str) -> str:
        """The ETag that the file became, under which it is known until something takes its place."""
        from azure.storage.blob import ContentSettings

        settings = ContentSettings(content_type=content_type)
        with file.open("rb") as content, told(f"{file} can't be put into {self.bucket}", data="Blob"):
            stored = self._container.upload_blob(key, content, overwrite=True, content_settings=settings)
            return etag_of(stored.get_blob_properties().etag)


def etag_of(text: str) -> str:
    """Without quotes, as Event Grid tells it."""
    return text.strip('"')
