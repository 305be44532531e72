"""Jobs that call what they are to call when they are to."""

from __future__ import annotations

from pilotlight.twin.gcp.planes import Plane


class SchedulerPlane(Plane):
    """Not written yet."""
