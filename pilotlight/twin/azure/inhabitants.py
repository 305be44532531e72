"""Which environment of Container Apps a process of the twin's runs in."""

from __future__ import annotations

from collections.abc import Iterator

from pilotlight.twin.container import Container


class Inhabitants:
    """Containers of apps and jobs, each with the id of its environment, from their start to their end."""

    def __init__(self) -> None:
        self._held: dict[Container, str] = {}

    def enter(self, container: Container, environment_id: str) -> None:
        self._held[container] = environment_id.lower()

    def leave(self, container: Container) -> None:
        self._held.pop(container, None)

    def pids(self) -> Iterator[int]:
        """The processes of all of them."""
        for container in self._held:
            if container.process is not None:
                yield from container.process.pids()

    def environment_of(self, pid: int) -> str | None:
        """The id of the environment, in lower case; None for a process of none."""
        return next((held for one, held in self._held.items() if one.process is not None and pid in one.process.pids()), None)
