"""What follows from the size of an endpoint and the facts of its platform, where the settings leave it open. Pure."""

from components.args import InstanceArgs
from components.platform_facts import PlatformFacts
from stacks.settings_events import Events
from stacks.settings_service import Endpoint


def cold_start_s(endpoint: Endpoint, facts: PlatformFacts) -> int:
    """Seconds kept free for the first call after a rest."""
    if endpoint.cold_start_seconds is not None:
        return endpoint.cold_start_seconds
    return facts.cold_start_s if facts.instance is None or endpoint.gpu is None else facts.instance.gpu_cold_start_s


def requests(events: Events, facts: PlatformFacts) -> int:
    """Requests to the endpoint that one call of the event function has time for."""
    return events.requests_per_object * (events.batch_size if facts.batched else 1)


def instance(endpoint: Endpoint, facts: PlatformFacts) -> InstanceArgs | None:
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
