"""Images that were pushed to a registry of the twin. They are no resources of a program: the world keeps them under types of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource, World


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """The images of one cloud's registries: outputs `repository` (the id of a resource), `image`, `digest`, `tags`, `mediaType`.

    token  the type under which the world keeps them
    id     (repository, image, digest) -> an image's id
    """

    token: str
    id: Callable[[str, str, str], str]

    def find(self, world: World, repository: str, image: str, tag: str | None, digest: str | None) -> Resource | None:
        """By the digest where there is one, else by the tag, `latest` without one."""
        found = world.find(self.token, repository=repository, image=image)
        if digest:
            return next((one for one in found if one["digest"] == digest), None)
        return next((one for one in found if (tag or "latest") in one["tags"]), None)

    def push(self, twin: Twin, repository: str, image: str, tag: str, digest: str, media_type: str) -> None:
        """Record an image under a tag, which moves to it."""
        held = twin.world.find(self.token, repository=repository, image=image)
        bearer = next((one for one in held if tag in one["tags"]), None)
        if bearer is not None and bearer["digest"] != digest:
            self._record(twin, bearer, [one for one in bearer["tags"] if one != tag])
        same = next((one for one in held if one["digest"] == digest), None)
        made = {"repository": repository, "image": image, "digest": digest, "mediaType": media_type}
        new = Resource(token=self.token, id=self.id(repository, image, digest), urn="", outputs=made)
        self._record(twin, new, sorted({*(same["tags"] if same else []), tag}))

    def remove(self, twin: Twin, repository: str, image: str, digest: str) -> None:
        """Delete an image; one that is not there is no error."""
        for one in twin.world.find(self.token, repository=repository, image=image, digest=digest):
            twin.world.delete(self.token, one.id)

    def empty(self, twin: Twin, repository: str) -> None:
        """Delete every image of a repository."""
        for one in twin.world.find(self.token, repository=repository):
            twin.world.delete(self.token, one.id)

    def _record(self, twin: Twin, image: Resource, tags: list[str]) -> None:
        twin.world.put(Resource(token=self.token, id=image.id, urn="", outputs={**image.outputs, "tags": tags}))
