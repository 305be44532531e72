"""What serves a cloud's resources: hooks of the rows, made and started when the first resource of a type needs them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource


class Plane:
    """What serves the resources of some types; this one leaves them alone.

    `create`, `update`, `delete` and `read` are called in threads of the providers after the row's own hook of that name. They may
    block (`twin.wait` runs a coroutine in the loop) and raise `Refusal`; then nothing of the operation is recorded. A resource has
    its inputs and every output that the row knows; what `create` and `update` return is added to them. `start` and `close` run in
    the twin's loop.
    """

    # Planes that are to be there before this one, as in `PLANES`.
    needs: tuple[str, ...] = ()

    def __init__(self, twin: Twin) -> None:
        self.twin = twin

    async def start(self) -> None:
        """Before the first resource, and when the twin comes up again: the world then holds the resources of before."""

    async def close(self) -> None:
        """After the provider servers have stopped."""

    def create(self, resource: Resource) -> Mapping[str, Any] | None:
        return None

    def update(self, old: Resource, new: Resource) -> Mapping[str, Any] | None:
        return None

    def delete(self, resource: Resource) -> None:
        return None

    def read(self, resource: Resource) -> dict[str, Any] | None:
        """The live outputs; None when it is gone."""
        return dict(resource.outputs)


class Planes:
    """The planes of one twin."""

    def __init__(self, table: Mapping[str, str], package: str) -> None:
        """`table`: resource type -> `module:Class` below that package. Several types may name one class, which is then made once."""
        self._table = table
        self._package = package
        self._lock = threading.RLock()
        self._made: dict[str, Plane] = {}

    def of(self, twin: Twin, token: str) -> Plane:
        """What serves a type, started. Not to be called in the twin's loop."""
        place = self._table.get(token)
        return Plane(twin) if place is None else self.at(twin, place)

    def at(self, twin: Twin, place: str) -> Plane:
        """The plane of a `module:Class`, started. Not to be called in the twin's loop."""
        with self._lock:
            if place not in self._made:
                plane = self._make(twin, place)
                for needed in plane.needs:
                    self.at(twin, needed)
                twin.wait(plane.start())
                self._made[place] = plane
            return self._made[place]

    def made(self, place: str) -> Plane | None:
        """The plane of a `module:Class` if it was started: for planes that `needs` names, and those that do without."""
        return self._made.get(place)

    async def start(self, twin: Twin) -> None:
        """Bring back what serves the resources that the world holds."""
        held = {resource.token for resource in twin.world.all()}
        for place in dict.fromkeys(place for token, place in self._table.items() if token in held):
            await self._started(twin, place)

    async def _started(self, twin: Twin, place: str) -> None:
        if place in self._made:
            return
        plane = self._make(twin, place)
        for needed in plane.needs:
            await self._started(twin, needed)
        await plane.start()
        self._made[place] = plane

    async def close(self) -> None:
        for plane in reversed(self._made.values()):
            await plane.close()
        self._made.clear()

    def _make(self, twin: Twin, place: str) -> Plane:
        module, _, name = place.partition(":")
        made: Plane = getattr(import_module(f"{self._package}.{module}"), name)(twin)
        return made
