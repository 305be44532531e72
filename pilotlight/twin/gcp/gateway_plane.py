"""Gateways, answering as their documents say."""

from __future__ import annotations

from pilotlight.twin.gcp.planes import Plane


class GatewayPlane(Plane):
    """Not written yet."""
