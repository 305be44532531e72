"""Artifact Registry: what was pushed to which repository, and the access tokens that allow a push."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilotlight.twin.gcp.types import REPOSITORY
from pilotlight.twin.pushed import Pushed
from pilotlight.twin.registry_tokens import expiry_of, password
from pilotlight.twin.rows import Refusal
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource, World

PUSHED = Pushed(
    token="twin:artifactregistry/image:Image",  # noqa: S106 (a type)
    id=lambda repository, image, digest: f"{repository}/dockerImages/{image}@{digest}",
)
# The name under which an access token is a password (Artifact Registry documentation, "Authenticate to Artifact Registry").
USER = "oauth2accesstoken"
# Lifetime of an access token by Google's documentation: one hour.
TOKEN_S = 3600
# How Google's access tokens begin.
_TOKEN_KIND = "ya29"  # noqa: S105 (no token)
_HOST = "-docker.pkg.dev"
_URI = re.compile(
    r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[^/]+)/(?P<repository>[^/@:]+)/(?P<image>[^@:]+)"
    r"(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What an image's address says: `repository` is the id of the repository's resource, `image` its name in there."""

    repository: str
    image: str
    tag: str | None
    digest: str | None


def is_here(host: str) -> bool:
    """Whether the host is a registry of Google's."""
    return host.endswith(_HOST)


def reference(uri: str) -> Reference | None:
    """The parts of `LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE:TAG@DIGEST`; None for what is no such address."""
    parts = _URI.fullmatch(uri)
    if parts is None:
        return None
    where = f"projects/{parts['project']}/locations/{parts['location']}/repositories/{parts['repository']}"
    return Reference(repository=where, image=parts["image"], tag=parts["tag"], digest=parts["digest"])


def image(world: World, uri: str) -> Resource | None:
    """The pushed image of an address (outputs `digest`, `tags`, `image`, `repository`), or None."""
    wanted = reference(uri)
    if wanted is None:
        return None
    return PUSHED.find(world, wanted.repository, wanted.image, wanted.tag, wanted.digest)


def access_token(twin: Twin) -> str:
    """The developer's access token: nobody else's is accepted for a push."""
    return f"{_TOKEN_KIND}." + password(twin, int(twin.clock.now()) + TOKEN_S)


def repository(twin: Twin, host: str, name: str) -> Resource:
    """The repository that `host/name` names. Raises Refusal as the registry answers a push."""
    wanted = reference(f"{host}/{name}")
    if wanted is None:
        raise Refusal("NAME_INVALID", f"{host}/{name} names no image: use LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE.")
    found = twin.world.get(REPOSITORY, wanted.repository)
    if found is None:
        raise Refusal(
            "NAME_UNKNOWN",
            f"name unknown: Repository {wanted.repository!r} not found: make the repository first (`depends_on`).",
            404,
        )
    if found.get("format", "").upper() != "DOCKER":
        raise Refusal("NAME_INVALID", f"The repository {found.id} holds {found['format']} packages, not images: make one of format DOCKER.")
    return found


def authorize(twin: Twin, target: Resource, user: str, given: str) -> None:
    """Raises Refusal for a token that this twin did not issue, or that has expired."""
    kind, _, token = given.partition(".")
    expiry = expiry_of(twin, token) if kind == _TOKEN_KIND else None
    if user != USER or expiry is None or expiry < twin.clock.now():
        raise Refusal("DENIED", f"Unauthenticated request: use {USER} and the token of organizations.getClientConfig.", 401)


def push(twin: Twin, target: Resource, host: str, name: str, tag: str, digest: str, media_type: str) -> None:
    """Record an image under a tag. Raises Refusal where the repository's tags cannot move."""
    held = reference(f"{host}/{name}")
    assert held is not None
    bearer = PUSHED.find(twin.world, target.id, held.image, tag, None)
    if bearer is not None and bearer["digest"] != digest and (target.get("dockerConfig") or {}).get("immutableTags"):
        raise Refusal("MANIFEST_INVALID", f"The repository has enabled tag immutability: {tag!r} of {held.image} cannot move.")
    PUSHED.push(twin, target.id, held.image, tag, digest, media_type)


def remove(twin: Twin, host: str, name: str, digest: str) -> None:
    """Delete an image; one that is not there is no error."""
    if (wanted := reference(f"{host}/{name}")) is not None:
        PUSHED.remove(twin, wanted.repository, wanted.image, digest)


def holds(twin: Twin, host: str, name: str, digest: str) -> bool:
    return image(twin.world, f"{host}/{name}@{digest}") is not None


def empty(twin: Twin, repository_id: str) -> None:
    """Delete every image of a repository."""
    PUSHED.empty(twin, repository_id)
