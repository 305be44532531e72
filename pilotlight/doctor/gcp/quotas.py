"""Checks of the project's quotas of GPUs, vCPUs and memory: new projects have few, and what exceeds them is refused late."""

import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from components.function_size import instances_of, requests_of, shared
from components.platform_facts import PLATFORM_FACTS
from pilotlight.cli.api_errors import ApiError
from pilotlight.doctor.findings import Finding, fail, ok, warn
from pilotlight.doctor.subject import Subject
from stacks.settings_service import Settings
from stacks.sizes import instance

ID, SIZE = "quota.gpu", "quota.size"
MIB = 1024**2
# Service Usage's name of a quota → what it counts, how many of its units that is, and Cloud Quotas' name.
_SIZES = {
    "cpu_allocation": ("vCPU", 1000, "CpuAllocPerProjectRegion"),
    "mem_allocation": ("GiB of memory", 1024**3, "MemAllocPerProjectRegion"),
}
# Cloud Run documentation, "GPU support for services": with the first deployment in a region, for GPUs without zonal redundancy.
FIRST_GRANT = 3
# Service Usage's name of the quota, and that of Cloud Quotas; by zonal redundancy.
_METRIC = {
    False: "run.googleapis.com/nvidia_l4_gpu_allocation_no_zonal_redundancy",
    True: "run.googleapis.com/nvidia_l4_gpu_allocation",
}
_QUOTA_ID = {False: "NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion", True: "NvidiaL4GpuAllocPerProjectRegion"}


def gpu(subject: Subject) -> Iterator[Finding]:
    """As many GPUs as instances may run are granted in the region (Service Usage API v1beta1, consumerQuotaMetrics.get)."""
    assert subject.settings is not None
    endpoint = subject.settings.endpoint
    one = instance(endpoint, PLATFORM_FACTS[endpoint.platform])
    if one is None or one.gpu is None:
        return
    wanted, redundant = math.ceil((endpoint.max_concurrency or 1) / one.requests), one.zonal_redundancy
    kind = f"L4 GPUs with{'' if redundant else 'out'} zonal redundancy"
    try:
        granted = _limit(_asked(subject, _METRIC[redundant]), subject.region)
    except ApiError as error:
        if error.status != 404 and error.reason != "SERVICE_DISABLED":
            raise
        granted = 0
    if granted is None or wanted <= granted:
        yield ok(ID, f"{wanted} of {'any number of' if granted is None else granted} {kind} in {subject.region}")
        return
    mend = f"{_preference(subject, _QUOTA_ID[redundant], wanted)}, or lower endpoint.maxConcurrency"
    if granted == 0 and not redundant and wanted <= FIRST_GRANT:
        yield warn(
            ID,
            f"no {kind} are granted in {subject.region} yet: Cloud Run grants {FIRST_GRANT} with the first deployment there",
            allowed=f"{wanted}",
            mend=f"go on with `up`; where it is refused, {mend}",
        )
        return
    most = granted or (0 if redundant else FIRST_GRANT)
    yield fail(
        ID,
        f"the endpoint may run {wanted} instances, {granted} {kind} are granted in {subject.region}",
        allowed=f"at most {most} instances, which is maxConcurrency of {most * one.requests}",
        mend=mend,
    )


def size(subject: Subject) -> Iterator[Finding]:
    """No service may run more instances than its region's vCPUs and memory are for: Cloud Run refuses the revision (Quota violated:
    CpuAllocPerProjectRegion)."""
    assert subject.settings is not None
    endpoint = subject.settings.endpoint
    facts = PLATFORM_FACTS[endpoint.platform]
    one = instance(endpoint, facts)
    if one is None:
        return
    memory_mb, most = subject.settings.function.memory_mb, endpoint.max_concurrency or 1
    behind = _functions(subject.settings, most, endpoint.max_body_bytes or facts.max_body_bytes)
    served = math.ceil(most / one.requests)
    wanted = {
        "cpu_allocation": {"endpoint": math.ceil(served * one.cpu * 1000), "function": behind * 1000},
        "mem_allocation": {"endpoint": served * endpoint.memory_mb * MIB, "function": behind * memory_mb * MIB},
    }
    enough = []
    for metric, needs in wanted.items():
        what, unit, quota = _SIZES[metric]
        try:
            granted = _limit(_asked(subject, f"run.googleapis.com/{metric}"), subject.region)
        except ApiError as error:
            if error.status != 404 and error.reason != "SERVICE_DISABLED":
                raise
            # Known once the API is on, which `up` turns on.
            continue
        part, need = max(needs.items(), key=lambda each: each[1])
        if granted is None or need <= granted:
            enough.append(f"{need / unit:g} of {'any number of' if granted is None else f'{granted / unit:g}'} {what}")
            continue
        yield fail(
            SIZE,
            f"the {part} may run instances of {need / unit:g} {what} together, {granted / unit:g} are granted in {subject.region}",
            allowed=f"at most {granted / unit:g} {what} for each service",
            mend=f"{_preference(subject, quota, need)}, or lower endpoint.maxConcurrency",
        )
    if enough:
        yield ok(SIZE, f"{', '.join(enough)} in {subject.region} for the largest service")


def _functions(settings: Settings, most: int, body_bytes: int) -> int:
    """The most instances of the pattern's function, as the components bound them."""
    memory_mb, events = settings.function.memory_mb, settings.events
    if events is None:
        return instances_of(most, requests_of(memory_mb, body_bytes))
    return shared(events.max_concurrency, requests_of(memory_mb, max(events.max_object_bytes, body_bytes)))[0]


def _asked(subject: Subject, metric: str) -> Any:
    path = f"/v1beta1/projects/{subject.google_project}/services/run.googleapis.com/consumerQuotaMetrics/{quote(metric, safe='')}"
    return subject.clients.of("serviceusage").ask("GET", path)


def _preference(subject: Subject, quota: str, value: int) -> str:
    """The command that asks for more (Google Cloud CLI reference, gcloud beta quotas preferences create; an increase wants an address)."""
    where = f"--service run.googleapis.com --project {subject.google_project} --quota-id {quota} --dimensions region={subject.region}"
    return f"gcloud beta quotas preferences create {where} --preferred-value {value} --email $(gcloud config get account)"


def _limit(metric: Any, region: str) -> int | None:
    """The limit that holds in a region, None for none at all: the bucket of the region, else the one of every region.

    Service Usage API v1beta1, QuotaBucket: -1 is "unlimited"; buckets come from the least specific to the most.
    """
    found = 0
    for limit in metric.get("consumerQuotaLimits", []):
        for bucket in limit.get("quotaBuckets", []):
            if (bucket.get("dimensions") or {}).get("region", region) == region:
                found = int(bucket.get("effectiveLimit", 0))
    return None if found < 0 else found
