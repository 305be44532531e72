"""Databases and times to live of programs, in the twin's Firestore."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pilotlight.twin.gcp.firestore import FirestoreService, TimeToLive
from pilotlight.twin.gcp.names import seconds
from pilotlight.twin.gcp.rows_firestore import FIELD, database_id
from pilotlight.twin.gcp.types import DATABASE
from pilotlight.twin.planes import Plane

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin
    from pilotlight.twin.world import Resource, World

VARIABLE = "FIRESTORE_EMULATOR_HOST"


def times_to_live(world: World) -> Iterable[TimeToLive]:
    """What programs declared: one for each field with a `ttlConfig`."""
    for field in world.find(FIELD):
        if (config := field.outputs.get("ttlConfig")) is not None:
            yield TimeToLive(
                database=database_id(field.outputs),
                collection=field["collection"],
                field=field["field"],
                offset_s=seconds(config.get("expirationOffset")) or 0.0,
            )


class FirestorePlane(Plane):
    """Made when a program makes its first database; `twin.gcp.emulators` has its ports."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.service = FirestoreService(
            twin.home / "firestore.sqlite3",
            twin.timers,
            twin.gcp.iam.allowed,
            exists=lambda name: twin.world.get(DATABASE, name) is not None,
            expiring=lambda: times_to_live(twin.world),
            out=lambda: twin.faults.is_out("firestore"),
        )

    async def start(self) -> None:
        await self.service.start()
        self.twin.gcp.emulators[VARIABLE] = self.service.front

    async def close(self) -> None:
        self.twin.gcp.emulators.pop(VARIABLE, None)
        await self.service.close()

    def delete(self, resource: Resource) -> None:
        """A database goes with its documents; one that is abandoned keeps them, and nothing of it comes here."""
        if resource.token == DATABASE:
            self.service.store.drop(resource.id)
