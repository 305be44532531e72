"""Azure Resource Manager, as far as the floor of an endpoint needs it: a budget, apps and jobs of Container Apps, each by its id.

A change is a JSON merge patch of the part that it names (Container Apps REST API, "Container Apps - Update", "Jobs - Update"). Whoever
names an environment or an identity in it needs a right on that as well (LinkedAuthorizationFailed, microsoft/azure-container-apps issue
530), so no change here does.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from handlers.functions.azure import identity
from handlers.functions.rest import Api, patiently

# Another address of Resource Manager's; clients of Azure's own have a constant.
ADDRESS = ("PILOTLIGHT_RESOURCE_MANAGER", "https://management.azure.com")
AUDIENCE = "https://management.azure.com/"
_APPS, _BUDGETS = "2025-07-01", "2024-08-01"
# A change is accepted at once; where it is waited for, a new revision starts first.
_TIMEOUT_S = 60.0


class Manager:
    """Every method raises ApiError, and ValueError for an answer that is no object."""

    def __init__(self, api: Api | None = None) -> None:
        self._api = api or _api()

    def budget(self, id_: str) -> dict[str, Any]:
        """With what was spent, as it was last looked at."""
        return self._sent("GET", id_, _BUDGETS)

    def app(self, id_: str) -> dict[str, Any]:
        return self._sent("GET", id_, _APPS)

    def job(self, id_: str) -> dict[str, Any]:
        return self._sent("GET", id_, _APPS)

    def change_app(self, id_: str, change: Mapping[str, Any]) -> None:
        """Accepted; it is in force a moment later."""
        self._sent("PATCH", id_, _APPS, change)

    def change_job(self, id_: str, change: Mapping[str, Any]) -> None:
        """Accepted; it is in force a moment later."""
        self._sent("PATCH", id_, _APPS, change)

    def _sent(self, method: str, id_: str, version: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        text = patiently(lambda: self._once(method, f"{id_}?api-version={version}", content))
        told = json.loads(text) if text else {}
        if not isinstance(told, dict):
            raise ValueError(f"The answer to {method} {id_} is no object.")
        return told

    def _once(self, method: str, path: str, content: bytes | None) -> bytes:
        with self._api.asked(method, path, {"Content-Type": "application/json"}, content) as answer:
            return answer.read()


def _api() -> Api:
    variable, address = ADDRESS
    return Api((os.environ.get(variable) or address).rstrip("/"), timeout_s=_TIMEOUT_S, tokens=identity.access_tokens(AUDIENCE))
