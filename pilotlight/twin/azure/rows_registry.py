"""Container Registry's registries. What is pushed to them is `registry.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pilotlight.twin.azure import arm, naming, registry, times
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.types import REGISTRY
from pilotlight.twin.rows import Properties, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

_TIERS = ("Basic", "Standard", "Premium")
# Container Registry documentation, "SKU features and limits" (read 2026-11): what the tiers below have not.
_PREMIUM: Mapping[str, Callable[[Properties], bool]] = {
    "dataEndpointEnabled": lambda inputs: bool(inputs.get("dataEndpointEnabled")),
    "encryption": lambda inputs: (inputs.get("encryption") or {}).get("status") == "enabled",
    "networkRuleSet": lambda inputs: inputs.get("networkRuleSet") is not None,
    "publicNetworkAccess": lambda inputs: inputs.get("publicNetworkAccess") == "Disabled",
    "zoneRedundancy": lambda inputs: inputs.get("zoneRedundancy") == "Enabled",
    "policies.retentionPolicy": lambda inputs: _is_on(inputs, "retentionPolicy"),
    "policies.trustPolicy": lambda inputs: _is_on(inputs, "trustPolicy"),
    "policies.exportPolicy": lambda inputs: _status(inputs, "exportPolicy") == "disabled",
}
_RETENTION_DAYS = range(366)


def _status(inputs: Properties, policy: str) -> Any:
    return ((inputs.get("policies") or {}).get(policy) or {}).get("status")


def _is_on(inputs: Properties, policy: str) -> bool:
    return bool(_status(inputs, policy) == "enabled")


def _limits(inputs: Properties) -> list[str]:
    tier = (inputs.get("sku") or {}).get("name")
    if tier is not None and tier not in _TIERS:
        return [f"sku.name: {tier!r} is not allowed: it is retired, use one of {', '.join(_TIERS)}."] if tier == "Classic" else []
    found = []
    if tier == "Basic" and inputs.get("anonymousPullEnabled"):
        found.append("anonymousPullEnabled: is not in the tier Basic: use Standard or Premium, or leave it out.")
    if tier in ("Basic", "Standard"):
        found += [f"{name}: is not in the tier {tier}: use Premium, or leave it out." for name, asked in _PREMIUM.items() if asked(inputs)]
    days = ((inputs.get("policies") or {}).get("retentionPolicy") or {}).get("days")
    if isinstance(days, int) and days not in _RETENTION_DAYS:
        found.append(f"policies.retentionPolicy.days: {days} is out of range: use 0 to {_RETENTION_DAYS[-1]}.")
    return found


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "loginServer": registry.login_server(twin, str(inputs[naming.field_of(REGISTRY)])),
        "sku": {**inputs["sku"], "tier": inputs["sku"]["name"]},
        "status": {"displayStatus": "Ready", "message": "The registry is ready.", "timestamp": times.iso(twin.clock.now())},
        "dataEndpointHostNames": [],
        "adminUserEnabled": inputs.get("adminUserEnabled") or False,
        "anonymousPullEnabled": inputs.get("anonymousPullEnabled") or False,
        "publicNetworkAccess": inputs.get("publicNetworkAccess") or "Enabled",
    }


def _delete(twin: Twin, resource: Resource) -> None:
    """A registry takes its images with it."""
    registry.PUSHED.empty(twin, resource.id)


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=REGISTRY,
            id=arm.id_of(REGISTRY),
            limits=_limits,
            assigned=lambda twin, inputs: {"creationDate": times.iso(twin.clock.now())},
            computed=_computed,
            delete=_delete,
        )
    ),
)
