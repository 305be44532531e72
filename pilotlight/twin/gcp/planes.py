"""What serves Google Cloud's resources: hooks of the rows, made and started when the first resource of a type needs them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pilotlight.twin.gcp.types import RUN_SERVICE

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource

# Resource type -> `module:Class` below this package. Several types may name one class, which is then made once.
PLANES: Mapping[str, str] = {RUN_SERVICE: "cloud_run:CloudRun"}


class Plane:
    """What serves the resources of some types; this one leaves them alone.

    `create`, `update`, `delete` and `read` are called in threads of the providers after the row's own hook of that name. They may
    block (`twin.wait` runs a coroutine in the loop) and raise `Refusal`; then nothing of the operation is recorded. A resource has
    its inputs and every output that the row knows; what `create` and `update` return is added to them. `start` and `close` run in
    the twin's loop.
    """

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

    def __init__(self, table: Mapping[str, str] = PLANES) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._made: dict[str, Plane] = {}

    def of(self, twin: Twin, token: str) -> Plane:
        """What serves a type, started. Not to be called in the twin's loop."""
        place = self._table.get(token)
        if place is None:
            return Plane(twin)
        with self._lock:
            if place not in self._made:
                plane = _make(twin, place)
                twin.wait(plane.start())
                self._made[place] = plane
            return self._made[place]

    async def start(self, twin: Twin) -> None:
        """Bring back what serves the resources that the world holds."""
        held = {resource.token for resource in twin.world.all()}
        for place in dict.fromkeys(place for token, place in self._table.items() if token in held):
            plane = _make(twin, place)
            await plane.start()
            self._made[place] = plane

    async def close(self) -> None:
        for plane in reversed(self._made.values()):
            await plane.close()
        self._made.clear()


def _make(twin: Twin, place: str) -> Plane:
    module, _, name = place.partition(":")
    made: Plane = getattr(import_module(f"{__package__}.{module}"), name)(twin)
    return made
