"""Locations that resources of Azure may be in."""

from __future__ import annotations

import difflib

# Regions of the public cloud (Azure documentation, "List of Azure regions", read 2026-11). Not every one is open to every subscription.
_NAMES = """
    australiacentral australiacentral2 australiaeast australiasoutheast austriaeast belgiumcentral brazilsouth brazilsoutheast
    canadacentral canadaeast centralindia centralus chilecentral eastasia eastus eastus2 francecentral francesouth germanynorth
    germanywestcentral indonesiacentral israelcentral italynorth japaneast japanwest jioindiacentral jioindiawest koreacentral
    koreasouth malaysiawest mexicocentral newzealandnorth northcentralus northeurope norwayeast norwaywest polandcentral
    qatarcentral southafricanorth southafricawest southcentralus southindia southeastasia spaincentral swedencentral
    switzerlandnorth switzerlandwest uaecentral uaenorth uksouth ukwest westcentralus westeurope westindia westus westus2 westus3
"""
REGIONS = frozenset(_NAMES.split())


def plain(location: str) -> str:
    """As Azure answers a location: `westeurope` for `West Europe`."""
    return location.replace(" ", "").lower()


def problems(value: object) -> list[str]:
    """What is wrong with a location, if it is one."""
    if not isinstance(value, str) or plain(value) in REGIONS:
        return []
    close = difflib.get_close_matches(plain(value), sorted(REGIONS), 1)
    hint = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(sorted(REGIONS))}."
    return [f"location: {value!r} is no location of Azure's public cloud: {hint}"]
