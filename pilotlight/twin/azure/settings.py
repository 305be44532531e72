"""Subscription, tenant and location, as Azure's provider finds them: its configuration, then the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pilotlight.twin.azure import locations
from pilotlight.twin.azure.account import SUBSCRIPTION, TENANT
from pilotlight.twin.azure.variables import VARIABLES
from pilotlight.twin.rows import Properties
from pilotlight.twin.settings import Configuration, Settings
from pilotlight.twin.values import UNKNOWN

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _completed(config: Properties, environment: Mapping[str, str]) -> Properties:
    found = {key: next((environment[name] for name in names if environment.get(name)), None) for key, names in VARIABLES.items()}
    return {**{key: value for key, value in found.items() if value}, **{key: value for key, value in config.items() if value != ""}}


def _settings(config: Properties) -> Settings:
    ids = {"subscriptionId": config.get("subscriptionId") or SUBSCRIPTION, "tenantId": config.get("tenantId") or TENANT}
    location = config.get("location")
    return Settings(context={**ids, "location": location} if location else ids)


def _problems(config: Properties) -> list[str]:
    found = [
        f"{key}: {config[key]!r} is no id: use the GUID that `az account show` tells."
        for key in ("subscriptionId", "tenantId")
        if config.get(key) not in (None, UNKNOWN) and not _GUID.fullmatch(str(config[key]))
    ]
    if config.get("environment") not in (None, UNKNOWN, "public"):
        found.append(f"environment: {config['environment']!r} is not known to the local twin: it stands in for 'public'.")
    return [*found, *locations.problems(None if config.get("location") == UNKNOWN else config.get("location"))]


CONFIGURATION = Configuration(settings=_settings, completed=_completed, problems=_problems)
