"""Whether a service can run the image that a program names: pushed to a repository, and held by the twin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pilotlight.twin.aws import ecr

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_URI = re.compile(
    r"(?P<registry>(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com)/(?P<name>[\w./-]+)@(?P<digest>sha256:[0-9a-f]{64})"
)


def image_digest_of(uri: str) -> str:
    """The digest of an image address that `image_problem` found none with."""
    return uri.rpartition("@")[2]


def repository_arn(uri: str) -> str:
    """ARN of the repository that the address names; "*" for an address of another form."""
    match = _URI.fullmatch(uri)
    return f"arn:aws:ecr:{match['region']}:{match['account']}:repository/{match['name']}" if match else "*"


def image_problem(twin: Twin, uri: str) -> str | None:
    """Why the image cannot be run, in a sentence that says what to do; None when it can."""
    match = _URI.fullmatch(uri)
    if match is None:
        return f"{uri!r} is not of the form ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:DIGEST, and the local twin runs no other."
    if not ecr.holds(twin, match["name"], match["digest"]):
        return f"Repository {match['name']} has no image {match['digest']}: build and push it first (`image: {{build: …}}`)."
    if twin.images.find(match["digest"]) is None:
        return f"The files of {match['digest']} are gone from the cache: run `up` again with `image: {{build: …}}`."
    return None
