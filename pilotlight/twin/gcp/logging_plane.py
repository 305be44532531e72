"""What services wrote, and the API that tells it."""

from __future__ import annotations

from pilotlight.twin.gcp.planes import Plane


class LoggingPlane(Plane):
    """Not written yet."""
