"""`dataRetention: keep`: a stack whose bucket or registry still holds something is not destroyed, and nothing of it is touched."""

from collections.abc import Mapping
from typing import Any

from pilotlight.cli.clients import client, region_of
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session

BUCKETS = {"aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2"}
REPOSITORIES = {"aws:ecr/repository:Repository"}
IMAGES = {"docker-build:index:Image"}
GONE = {"404", "NoSuchBucket", "RepositoryNotFoundException"}
# What a service says that can be reached but does not offer the question.
NOT_OFFERED = {"NotImplemented", "UnknownOperationException", "UnrecognizedClientException", "501", "InvalidAction"}


def refuse_to_lose_data(session: Session, stack: str) -> None:
    """Raise CommandError when destroying the stack would fail on, or lose, what it was told to keep.

    What counts is what was deployed: the flags in the stack's state that `dataRetention` set at the last `up`.
    """
    resources = session.resources(stack)
    kept = [resource for resource in resources if keeps(resource)]
    if not kept:
        return
    region = region_of(session, stack)
    full = [name for resource in kept if (name := _what_it_holds(session, region, resource, resources))]
    if full:
        raise CommandError(
            f"{stack} is not destroyed, because `dataRetention: keep` holds {' and '.join(full)}. Nothing was deleted. "
            f"Empty it, or set `dataRetention: delete` in Pulumi.{stack}.yaml, run `pilotlight up {stack}`, then destroy again.",
            Exit.FAILED,
        )


def keeps(resource: Mapping[str, Any]) -> bool:
    """Whether a resource in the state is a bucket or registry that may not be deleted with its content."""
    inputs = resource.get("inputs") or {}
    if resource["type"] in BUCKETS:
        return inputs.get("forceDestroy") is not True
    return resource["type"] in REPOSITORIES and inputs.get("forceDelete") is not True


def _what_it_holds(session: Session, region: str, resource: Mapping[str, Any], resources: list[Mapping[str, Any]]) -> str | None:
    """`the bucket x (not empty)`, or None when there is nothing in it."""
    from botocore.exceptions import BotoCoreError, ClientError

    name = str((resource.get("outputs") or {}).get("bucket" if resource["type"] in BUCKETS else "name") or resource.get("id"))
    try:
        if resource["type"] in BUCKETS:
            answer = client("s3", session, region).list_object_versions(Bucket=name, MaxKeys=1)
            return f"the bucket {name} (not empty)" if answer.get("Versions") or answer.get("DeleteMarkers") else None
        return _images(session, region, name, resource, resources)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in GONE:
            return None
        raise CommandError(f"Whether {name} is empty can't be seen, so nothing was deleted: {error}", Exit.FAILED) from error
    except BotoCoreError as error:
        raise CommandError(f"Whether {name} is empty can't be seen, so nothing was deleted: {error}", Exit.FAILED) from error


def _images(session: Session, region: str, name: str, resource: Mapping[str, Any], resources: list[Mapping[str, Any]]) -> str | None:
    from botocore.exceptions import ClientError

    try:
        found = bool(client("ecr", session, region).list_images(repositoryName=name, maxResults=1)["imageIds"])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in NOT_OFFERED:
            raise
        # The twin keeps images without a registry API; what this stack pushed is in its state.
        address = str((resource.get("outputs") or {}).get("repositoryUrl"))
        found = any(
            str((image.get("outputs") or {}).get("ref", "")).startswith((f"{address}:", f"{address}@"))
            for image in resources
            if image["type"] in IMAGES
        )
    return f"the image repository {name} (not empty)" if found else None
