"""What a stack on Google Cloud may not lose: buckets, databases and registries that `dataRetention: keep` protects."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pilotlight.cli.api_errors import ApiError, NotServed
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.gcp.clients import PATIENCE_S, Api, firestore, installed
from pilotlight.cli.session import Session

BUCKET = "gcp:storage/bucket:Bucket"
DATABASE = "gcp:firestore/database:Database"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
IMAGE = "docker-build:index:Image"


class Kept:
    """Asked where the stack is."""

    def __init__(self, session: Session, stack: str, resources: list[Mapping[str, Any]]) -> None:
        self._twin, self._resources = session.variables if session.local else None, resources

    def keeps(self, resource: Mapping[str, Any]) -> bool:
        """Whether it is something with content that may not be deleted."""
        inputs = resource.get("inputs") or {}
        if resource["type"] == BUCKET:
            return inputs.get("forceDestroy") is not True
        if resource["type"] == DATABASE:
            return inputs.get("deleteProtectionState") == "DELETE_PROTECTION_ENABLED"
        # Deleting a registry deletes its images, whatever its inputs say.
        return resource["type"] == REPOSITORY and resource.get("protect") is True

    def holds(self, resource: Mapping[str, Any]) -> str | None:
        """`the bucket x (not empty)`, or None when there is nothing in it."""
        with installed():
            from google.api_core.exceptions import GoogleAPIError, NotFound
            from google.auth.exceptions import GoogleAuthError
        outputs = resource.get("outputs") or {}
        name = str(outputs.get("repositoryId" if resource["type"] == REPOSITORY else "name") or resource.get("id"))
        try:
            if resource["type"] == BUCKET:
                return f"the bucket {name} (not empty)" if self._objects(name) else None
            if resource["type"] == DATABASE:
                return f"the database {name} (not empty)" if self._documents(str(outputs["project"]), name) else None
            return f"the image repository {name} (not empty)" if self._images(str(resource["id"]), outputs) else None
        except NotFound:
            return None
        except (ApiError, GoogleAPIError, GoogleAuthError) as error:
            if isinstance(error, ApiError) and error.status == 404:
                return None
            raise CommandError(f"Whether {name} is empty can't be seen, so nothing was deleted: {error}", Exit.FAILED) from error

    def _objects(self, bucket: str) -> bool:
        asked = {"versions": "true", "maxResults": "1"}
        return bool(Api("storage", self._twin).ask("GET", f"/storage/v1/b/{quote(bucket, safe='')}/o", params=asked).get("items"))

    def _documents(self, project: str, database: str) -> bool:
        name = database.rpartition("/")[2]
        return any(True for _ in firestore(self._twin, project, name).collections(timeout=PATIENCE_S))

    def _images(self, id_: str, outputs: Mapping[str, Any]) -> bool:
        try:
            return bool(Api("artifactregistry", self._twin).ask("GET", f"/v1/{id_}/packages", params={"pageSize": "1"}).get("packages"))
        except NotServed:
            # The twin keeps images without a registry API; what this stack pushed is in its state.
            address = f"{outputs.get('registryUri')}/"
            refs = (str((one.get("outputs") or {}).get("ref", "")) for one in self._resources if one["type"] == IMAGE)
            return any(ref.startswith(address) for ref in refs)
