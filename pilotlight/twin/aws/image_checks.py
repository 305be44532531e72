"""Whether a service can run the image that a program names: pushed to a repository, and held by the twin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pilotlight.twin.aws import ecr

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_URI = re.compile(r"\d{12}\.dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com/(?P<name>[\w./-]+)(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?")


def pushed_digest(twin: Twin, uri: str) -> str | None:
    """The digest that the address stands for now, or None where nothing of that name was pushed."""
    image = ecr.image(twin.world, uri)
    return str(image["digest"]) if image else None


def repository_arn(twin: Twin, uri: str) -> str:
    """ARN of the repository that the address names; "*" for an address of another form."""
    match = _URI.fullmatch(uri)
    return f"arn:aws:ecr:{match['region']}:{twin.account}:repository/{match['name']}" if match else "*"


def manifest_problem(twin: Twin, uri: str, accepted: tuple[str, ...]) -> str | None:
    """Why a service that takes manifests of the `accepted` media types refuses a pushed image, None when it takes it."""
    image = ecr.image(twin.world, uri)
    found = None if image is None else ecr.media_type_of(image)
    if found is None or found in accepted:
        return None
    return (
        f"Unsupported manifest media type {found} for image {uri}. Ensure that valid manifest media type is used for specified image. "
        f"(Allowed: {' or '.join(accepted)}: push one platform, with `ociMediaTypes: false` in the registry export.)"
    )


def image_problem(twin: Twin, uri: str) -> str | None:
    """Why the image cannot be run, in a sentence that says what to do; None when it can."""
    if _URI.fullmatch(uri) is None:
        return f"{uri!r} is not of the form ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:DIGEST, and the local twin runs no other."
    digest = pushed_digest(twin, uri)
    if digest is None:
        return "It was never pushed: build and push it first (`image: {build: …}`)."
    if twin.images.find(digest) is None:
        return f"The files of {digest} are gone from the cache: run `up` again with `image: {{build: …}}`."
    return None
