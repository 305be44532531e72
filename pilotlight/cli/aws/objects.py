"""The bucket that an event stack's objects are put into."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.cli.aws.clients import client, told
from pilotlight.cli.session import Session


class S3Objects:
    """The bucket of a stack that is up."""

    def __init__(self, session: Session, outputs: Mapping[str, Any]) -> None:
        self.bucket = str(outputs["objectsBucket"])
        self._s3 = client("s3", session, str(outputs["region"]))

    def put(self, file: Path, key: str, content_type: str) -> str:
        """The version that the file became; `null` in a bucket without versions."""
        with file.open("rb") as body, told(f"{file} can't be put into {self.bucket}"):
            answer = self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)
        return str(answer.get("VersionId", "null"))
