"""What a test may ask for of an account, a project or a subscription: what there usually is, and what may be said instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Service Quotas, quota codes: what an account has that was never asked for more (Lambda and SageMaker developer guides, quotas).
QUOTAS = {"L-B99A9384": 1000, "L-96300102": 200}
# What a project on Google Cloud has in each region, by the quota's name below `run.googleapis.com/`: that of GPUs without zonal redundancy
# once Cloud Run has granted its first ones (its documentation, "GPU support for services"), thousandths of vCPUs, and bytes of memory, as
# refusals name them in new projects (googlecodelabs/feedback issue 1856).
RUN_QUOTAS = {
    "nvidia_l4_gpu_allocation_no_zonal_redundancy": 3,
    "nvidia_l4_gpu_allocation": 0,
    "cpu_allocation": 20_000,
    "mem_allocation": 40 * 1024**3,
}
# What a subscription on Azure has in each region (Container Apps documentation, "quotas", by the names of its API). How many GPUs a
# subscription is granted without asking is not told there; two were seen.
AZURE_QUOTAS = {"ManagedEnvironmentCount": 15, "SubscriptionConsumptionT4Gpus": 2, "SubscriptionConsumptionNCA100Gpus": 2}
REGIONAL = {**RUN_QUOTAS, **AZURE_QUOTAS}
_LISTS = ("denied", "inactive_tags", "confirmed", "open_keys", "unregistered", "lacking")
# What may be said of a project; otherwise it is active, and an open billing account is linked to it. A subscription is enabled.
_WORDS = {
    "billing": ("closed", "unlinked"),
    "project": ("DELETE_REQUESTED",),
    "subscription": ("Warned", "PastDue", "Disabled", "Deleted"),
}
_ACCOUNT = ("quotas", *_LISTS, *_WORDS)


def checked(value: Any) -> dict[str, Any]:
    """What is said of an account, as `Faults` keeps it. ValueError names what is wrong."""
    if not isinstance(value, Mapping) or set(value) - set(_ACCOUNT):
        raise ValueError(f"faults: account {value!r}: use {', '.join(_ACCOUNT)}.")
    quotas = value.get("quotas") or {}
    if not isinstance(quotas, Mapping) or not all(_is_quota(key, limit) for key, limit in quotas.items()):
        known = ", ".join((*QUOTAS, *REGIONAL, *(f"{name}:REGION" for name in REGIONAL)))
        raise ValueError(f"faults: account.quotas {quotas!r}: use whole numbers for {known}.")
    for name in _LISTS:
        if not isinstance(value.get(name) or [], list) or not all(isinstance(one, str) for one in value.get(name) or []):
            raise ValueError(f"faults: account.{name} {value[name]!r}: use a list of texts.")
    for name, words in _WORDS.items():
        if value.get(name) and value[name] not in words:
            raise ValueError(f"faults: account.{name} {value[name]!r}: use {' or '.join(map(repr, words))}, or leave it out.")
    return {name: part for name, part in value.items() if part}


def _is_quota(key: Any, limit: Any) -> bool:
    name, colon, region = str(key).partition(":")
    known = (name in REGIONAL and bool(region) == bool(colon)) or key in QUOTAS
    return known and isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
