"""Triggers, bringing events to services."""

from __future__ import annotations

from pilotlight.twin.gcp.planes import Plane


class EventarcPlane(Plane):
    """Not written yet."""
