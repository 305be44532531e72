"""Buckets and objects, and the API that serves them."""

from __future__ import annotations

from pilotlight.twin.gcp.planes import Plane


class StoragePlane(Plane):
    """Not written yet."""
