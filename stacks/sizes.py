"""What follows from the size of an endpoint and the facts of its platform, where the settings leave it open. Pure."""

import math

from components.args import InstanceArgs
from components.limits import SERVER_MB, Range
from components.platform_facts import GpuFacts, InstanceFacts, PlatformFacts
from components.warming_checks import EVERY_MINUTES
from stacks.settings_events import Events
from stacks.settings_service import Endpoint


def cold_start_s(endpoint: Endpoint, facts: PlatformFacts) -> int:
    """Seconds kept free for the first call after a rest."""
    if endpoint.cold_start_seconds is not None:
        return endpoint.cold_start_seconds
    gpu = _gpu(endpoint, facts)
    return facts.cold_start_s if gpu is None else gpu.cold_start_s


def requests(events: Events, facts: PlatformFacts) -> int:
    """Requests to the endpoint that one call of the event function has time for."""
    return events.requests_per_object * (events.batch_size if facts.batched else 1)


def instance(endpoint: Endpoint, facts: PlatformFacts) -> InstanceArgs | None:
    """One instance of the endpoint, where the platform runs several requests on each."""
    own = facts.instance
    if own is None:
        return None
    gpu = _gpu(endpoint, facts)
    requests = own.requests if gpu is None else gpu.requests
    return InstanceArgs(
        cpu=_cpu(endpoint, own, gpu) if endpoint.cpu is None else endpoint.cpu,
        gpu=endpoint.gpu,
        requests=requests if endpoint.requests_per_instance is None else endpoint.requests_per_instance,
        private=bool(endpoint.private),
        zonal_redundancy=bool(endpoint.zonal_redundancy),
        scale_at_requests=endpoint.scale_at_requests,
        scale_at_cpu=endpoint.scale_at_cpu,
        cooldown_s=endpoint.cooldown_seconds,
    )


def ping_minutes(endpoint: Endpoint, facts: PlatformFacts | None) -> Range:
    """Minutes between pings that keep an instance: what a schedule can do, where the platform doesn't say how long it keeps one."""
    own = None if facts is None else facts.instance
    if facts is None or own is None:
        return EVERY_MINUTES
    gpu = _gpu(endpoint, facts)
    return (own.ping_minutes if gpu is None else gpu.ping_minutes) or EVERY_MINUTES


def cpu_of(memory_mb: int, mb_per_cpu: int) -> float:
    """The vCPUs that go with a memory, a whole number where it is one."""
    cpu = memory_mb / mb_per_cpu
    return int(cpu) if cpu.is_integer() else cpu


def model_bytes(endpoint: Endpoint, facts: PlatformFacts) -> int:
    """The largest packaged model: half of the disk, the other half is for what is unpacked from it."""
    one, disk = instance(endpoint, facts), () if facts.instance is None else facts.instance.disk_gib
    if one is None or not disk:
        return facts.model_bytes
    return next((gib for cpu, gib in disk if one.cpu <= cpu), disk[-1][1]) * 1024**3 // 2


def memory_for(model_bytes: int) -> int:
    """The least memory in MB for a packaged model: its weights, which hardly get smaller in an archive, and the server itself."""
    return math.ceil(model_bytes / 1024**2) + SERVER_MB


def _gpu(endpoint: Endpoint, facts: PlatformFacts) -> GpuFacts | None:
    """The facts of the endpoint's GPU, None where it has none, or one that the platform has not."""
    return None if facts.instance is None or endpoint.gpu is None else facts.instance.gpus.get(endpoint.gpu)


def _cpu(endpoint: Endpoint, own: InstanceFacts, gpu: GpuFacts | None) -> float:
    if gpu is not None:
        return gpu.cpu
    return own.cpu if own.cpu is not None else cpu_of(endpoint.memory_mb or 0, own.mb_per_cpu or 1)
