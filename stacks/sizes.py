"""What follows from the size of an endpoint and the facts of its platform, where the settings leave it open. Pure."""

from typing import TYPE_CHECKING

from components.args import InstanceArgs
from components.platform_facts import PlatformFacts

if TYPE_CHECKING:
    from stacks.settings import Endpoint


def cold_start_s(endpoint: "Endpoint", facts: PlatformFacts) -> int:
    """Seconds kept free for the first call after a rest."""
    if endpoint.cold_start_seconds is not None:
        return endpoint.cold_start_seconds
    return facts.cold_start_s if facts.instance is None or endpoint.gpu is None else facts.instance.gpu_cold_start_s


def instance(endpoint: "Endpoint", facts: PlatformFacts) -> InstanceArgs | None:
    """One instance of the endpoint, where the platform runs several requests on each."""
    own = facts.instance
    if own is None:
        return None
    cpu, requests = (own.cpu, own.requests) if endpoint.gpu is None else (own.gpu_cpu, own.gpu_requests)
    return InstanceArgs(
        cpu=cpu if endpoint.cpu is None else endpoint.cpu,
        gpu=endpoint.gpu,
        requests=requests if endpoint.requests_per_instance is None else endpoint.requests_per_instance,
        private=bool(endpoint.private),
        zonal_redundancy=bool(endpoint.zonal_redundancy),
    )
