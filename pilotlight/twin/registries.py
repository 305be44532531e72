"""The image registry that a host name belongs to: each cloud has its own rules for a push."""

from __future__ import annotations

from typing import Protocol, cast

from pilotlight.twin.aws import ecr
from pilotlight.twin.azure import registry as azure
from pilotlight.twin.gcp import registry
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource


class Registry(Protocol):
    """A module that keeps a registry. `host/name` is an image's address without tag and digest."""

    def repository(self, twin: Twin, host: str, name: str) -> Resource:
        """The repository that takes the image. Raises Refusal as the registry answers a push."""

    def authorize(self, twin: Twin, target: Resource, user: str, given: str) -> None:
        """Raises Refusal for credentials that allow no push to that repository."""

    def push(self, twin: Twin, target: Resource, host: str, name: str, tag: str, digest: str, media_type: str) -> None:
        """Record an image under a tag. Raises Refusal where the repository's tags cannot move."""

    def remove(self, twin: Twin, host: str, name: str, digest: str) -> None:
        """Delete an image; one that is not there is no error."""

    def holds(self, twin: Twin, host: str, name: str, digest: str) -> bool: ...


def of(host: str) -> Registry:
    return cast(Registry, next((one for one in (registry, azure) if one.is_here(host)), ecr))
