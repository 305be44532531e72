"""ECR's registry: what was pushed to which repository, and the tokens that allow a push."""

from __future__ import annotations

import fnmatch
import re

from pilotlight.twin.registry_tokens import expiry_of
from pilotlight.twin.rows import Refusal
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource, World

REPOSITORY = "aws:ecr/repository:Repository"
# A pushed image is no resource of a program; the twin keeps it in the world under a type of its own.
IMAGE = "twin:ecr/image:Image"
# ECR user guide, "Private registry authentication": a token is valid for 12 hours.
TOKEN_S = 12 * 3600
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_URI = re.compile(r"(?P<host>[^/]+)/(?P<name>[^@:]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")


def registry(twin: Twin, region: str) -> str:
    """The host name of the account's registry in a region."""
    return f"{twin.account}.dkr.ecr.{region}.amazonaws.com"


def image(world: World, uri: str) -> Resource | None:
    """The pushed image of `host/name:tag` or `host/name@digest` (outputs `digest`, `tags`, `repository`), or None."""
    parts = _URI.fullmatch(uri)
    if parts is None:
        return None
    found = [one for one in world.find(IMAGE, repository=parts["name"]) if one["host"] == parts["host"]]
    if parts["digest"]:
        return next((one for one in found if one["digest"] == parts["digest"]), None)
    return next((one for one in found if (parts["tag"] or "latest") in one["tags"]), None)


def repository(twin: Twin, host: str, name: str) -> Resource:
    """The repository that `host/name` names. Raises Refusal as a registry answers a push."""
    found = next((one for one in twin.world.find(REPOSITORY, name=name) if one["repositoryUrl"] == f"{host}/{name}"), None)
    if found is None:
        raise Refusal(
            "RepositoryNotFoundException",
            f"name unknown: the repository {name!r} does not exist in the registry {host or '(none)'}: the twin holds the registries "
            f"{twin.account}.dkr.ecr.<region>.amazonaws.com; make the repository first (`depends_on`).",
            404,
        )
    return found


def authorize(twin: Twin, target: Resource, user: str, given: str) -> None:
    """Raises Refusal for a token that this twin did not issue, or that has expired."""
    expiry = expiry_of(twin, given)
    if user != "AWS" or expiry is None:
        raise Refusal("denied", "Your authorization token is not valid: get one with getAuthorizationToken.", 401)
    if expiry < twin.clock.now():
        raise Refusal("denied", "Your authorization token has expired. Reauthenticate and try again.", 401)


def push(twin: Twin, target: Resource, host: str, name: str, tag: str, digest: str, media_type: str) -> None:
    """Record an image under a tag. Raises Refusal where the repository's tags cannot move."""
    held = twin.world.find(IMAGE, repository=name, host=host)
    bearer = next((one for one in held if tag in one["tags"]), None)
    if bearer is not None and bearer["digest"] != digest:
        if not _movable(target, tag):
            raise Refusal(
                "ImageTagAlreadyExistsException",
                f"The image tag {tag!r} already exists in the {name!r} repository and cannot be overwritten because the tag is immutable.",
            )
        _record(twin, name, host, bearer["digest"], [one for one in bearer["tags"] if one != tag], media_type_of(bearer))
    same = next((one for one in held if one["digest"] == digest), None)
    _record(twin, name, host, digest, sorted({*(same["tags"] if same else []), tag}), media_type)


def media_type_of(image: Resource) -> str:
    """Media type of a pushed image's manifest; one that was pushed before it was recorded counts as Docker's."""
    return str(image.get("mediaType", DOCKER_MANIFEST))


def remove(twin: Twin, host: str, name: str, digest: str) -> None:
    """Delete an image; one that is not there is no error."""
    for one in twin.world.find(IMAGE, repository=name, host=host, digest=digest):
        twin.world.delete(IMAGE, one.id)


def holds(twin: Twin, host: str, name: str, digest: str) -> bool:
    return twin.world.one(IMAGE, repository=name, host=host, digest=digest) is not None


def _record(twin: Twin, name: str, host: str, digest: str, tags: list[str], media_type: str) -> None:
    outputs = {"repository": name, "host": host, "digest": digest, "tags": tags, "mediaType": media_type}
    twin.world.put(Resource(token=IMAGE, id=f"{host}/{name}@{digest}", urn="", outputs=outputs))


def _movable(target: Resource, tag: str) -> bool:
    mode = target.get("imageTagMutability", "MUTABLE")
    filters = [str(one["filter"]) for one in target.get("imageTagMutabilityExclusionFilters", [])]
    excluded = mode.endswith("_WITH_EXCLUSION") and any(fnmatch.fnmatchcase(tag, pattern) for pattern in filters)
    return bool(mode.startswith("MUTABLE") != excluded)
