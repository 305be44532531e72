"""What of a network hangs on other settings: one of the two forms, room for the replicas. Pure."""

import math
from collections.abc import Iterator

from components import subnets
from components.limits_azure import CONTAINER_APPS_SUBNET
from components.platform_facts import PLATFORM_FACTS
from stacks.messages import Problem, shown, told
from stacks.settings_service import Settings
from stacks.sizes import instance


def network_problems(settings: Settings) -> Iterator[Problem]:
    """Every problem; parts that could not be read are passed over, and so is a cloud that has no such setting."""
    network = settings.network
    if network is None or settings.cloud != "azure":
        return
    if network.addresses is None and network.subnet_id is None:
        yield told("network: neither is set: use either network.addresses or network.subnetId")
    if network.addresses is not None and network.subnet_id is not None:
        yield told("network: both are set: use either network.addresses or network.subnetId", "network.addresses", "network.subnetId")
    if network.addresses is not None:
        problem = subnets.problem(network.addresses) or _room(settings, network.addresses)
        if problem is not None:
            yield told(f"network.addresses: {shown(network.addresses)}: {problem}", "network.addresses")


def _room(settings: Settings, addresses: str) -> str | None:
    """What is wrong with the size of a range that the endpoint's replicas don't fit in; the function's are fewer, and not counted."""
    endpoint = settings.endpoint
    facts = None if endpoint is None else PLATFORM_FACTS.get(endpoint.platform)
    one = None if facts is None else instance(endpoint, facts)
    if facts is None or facts.instance is None or one is None or not endpoint.max_concurrency:
        return None
    if one.requests not in facts.instance.most_requests:
        return None
    wanted = math.ceil(endpoint.max_concurrency / one.requests)
    room = subnets.replicas(int(addresses.partition("/")[2]))
    if wanted <= room:
        return None
    return (
        f"has room for {room} replicas, and the endpoint may have {wanted}: use /{subnets.longest_prefix(wanted)} or larger, or lower "
        f"endpoint.maxConcurrency ({CONTAINER_APPS_SUBNET.source})"
    )
