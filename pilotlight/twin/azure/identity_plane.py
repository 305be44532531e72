"""What goes with identities: the addresses by which anybody verifies their tokens, there again when the twin comes up."""

from __future__ import annotations

from pilotlight.twin.azure.entra import NAME, Entra
from pilotlight.twin.planes import Plane


class IdentityPlane(Plane):
    async def start(self) -> None:
        self.twin.azure.handlers[NAME] = Entra(self.twin, self.twin.azure.tokens(self.twin))
