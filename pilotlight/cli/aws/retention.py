"""What a stack on AWS may not lose: buckets and registries that are not emptied by a destroy."""

from collections.abc import Mapping
from typing import Any

from pilotlight.cli.aws.clients import client, region_of
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session

BUCKETS = {"aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2"}
REPOSITORIES = {"aws:ecr/repository:Repository"}
IMAGES = {"docker-build:index:Image"}
GONE = {"404", "NoSuchBucket", "RepositoryNotFoundException"}
# What a service says that can be reached but does not offer the question.
NOT_OFFERED = {"NotImplemented", "UnknownOperationException", "UnrecognizedClientException", "501", "InvalidAction"}


class Kept:
    """Asked in the region that the stack's file names."""

    def __init__(self, session: Session, stack: str, resources: list[Mapping[str, Any]]) -> None:
        self._session, self._stack, self._resources = session, stack, resources

    def keeps(self, resource: Mapping[str, Any]) -> bool:
        """Whether it is a bucket or registry that may not be deleted with its content."""
        inputs = resource.get("inputs") or {}
        if resource["type"] in BUCKETS:
            return inputs.get("forceDestroy") is not True
        return resource["type"] in REPOSITORIES and inputs.get("forceDelete") is not True

    def holds(self, resource: Mapping[str, Any]) -> str | None:
        """`the bucket x (not empty)`, or None when there is nothing in it."""
        from botocore.exceptions import BotoCoreError, ClientError

        name = str((resource.get("outputs") or {}).get("bucket" if resource["type"] in BUCKETS else "name") or resource.get("id"))
        try:
            if resource["type"] in BUCKETS:
                answer = self._client("s3").list_object_versions(Bucket=name, MaxKeys=1)
                return f"the bucket {name} (not empty)" if answer.get("Versions") or answer.get("DeleteMarkers") else None
            return self._images(name, resource)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in GONE:
                return None
            raise CommandError(f"Whether {name} is empty can't be seen, so nothing was deleted: {error}", Exit.FAILED) from error
        except BotoCoreError as error:
            raise CommandError(f"Whether {name} is empty can't be seen, so nothing was deleted: {error}", Exit.FAILED) from error

    def _images(self, name: str, resource: Mapping[str, Any]) -> str | None:
        from botocore.exceptions import ClientError

        try:
            found = bool(self._client("ecr").list_images(repositoryName=name, maxResults=1)["imageIds"])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in NOT_OFFERED:
                raise
            # The twin keeps images without a registry API; what this stack pushed is in its state.
            found = pushed_to(str((resource.get("outputs") or {}).get("repositoryUrl")), self._resources)
        return f"the image repository {name} (not empty)" if found else None

    def _client(self, service: str) -> Any:
        return client(service, self._session, region_of(self._session, self._stack))


def pushed_to(address: str, resources: list[Mapping[str, Any]]) -> bool:
    """Whether a stack's state holds an image of the repository with this address."""
    return any(
        str((image.get("outputs") or {}).get("ref", "")).startswith((f"{address}:", f"{address}@"))
        for image in resources
        if image["type"] in IMAGES
    )
