"""How the twin's Cloud Run tells a request of one of Google's own services from any other: all of them come from this machine."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

HEADER = "x-twin-inside"


class Inside:
    """Pub/Sub, and Eventarc with it, and Cloud Scheduler count as internal for services of the same project (Cloud Run documentation,
    "Restrict network ingress"). Their requests carry a word that this process alone knows, and containers never see."""

    def __init__(self) -> None:
        self._secret = secrets.token_hex(16)

    def headers(self, project: str) -> dict[str, str]:
        """What a request carries that a service of Google's sends for a project; for addresses of the twin alone."""
        return {HEADER: f"{project}:{self._secret}"}

    def came(self, headers: Mapping[str, str], project: str) -> bool:
        """Whether a request was sent so, for that project."""
        return hmac.compare_digest(headers.get(HEADER, "").encode(), self.headers(project)[HEADER].encode())
