"""What of a network hangs on other settings: one of the two forms, room for the replicas. Pure."""

import math
from collections.abc import Iterator

from components import subnets
from components.args import InstanceArgs
from components.function_size import instances_of, requests_of, shared
from components.limits_azure import CONTAINER_APPS_MAX_REPLICAS, CONTAINER_APPS_REPLICAS_PER_ADDRESS, CONTAINER_APPS_SUBNET
from components.platform_facts import PLATFORM_FACTS, PlatformFacts
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
    """What is wrong with the size of a range that the replicas of all that runs in it don't fit in."""
    wanted, room = places(settings), subnets.replicas(int(addresses.partition("/")[2]))
    if wanted <= room:
        return None
    told = ", ".join(f"{part} {count}" for part, count in replicas(settings).items() if count) + of_gpus(settings)
    return (
        f"has room for {room} replicas, and the stack may have {wanted} ({told}): use /{subnets.longest_prefix(wanted)} or larger, or "
        f"lower endpoint.maxConcurrency ({CONTAINER_APPS_SUBNET.source})"
    )


def places(settings: Settings) -> int:
    """How many replicas of the consumption profile take as much of a subnet as the stack's may: one with a GPU has an address of its own
    (Container Apps documentation, serverless GPUs: "Consumption GPUs use one IP address per replica", read 2026-11)."""
    parts = replicas(settings)
    with_gpu = parts.get("endpoint", 0) if _has_gpu(settings) else 0
    return sum(parts.values()) + with_gpu * (CONTAINER_APPS_REPLICAS_PER_ADDRESS - 1)


def of_gpus(settings: Settings) -> str:
    """What a list of replicas says of those with a GPU."""
    return f"; one with a GPU counts as {CONTAINER_APPS_REPLICAS_PER_ADDRESS}" if _has_gpu(settings) else ""


def _has_gpu(settings: Settings) -> bool:
    return settings.endpoint is not None and settings.endpoint.gpu is not None


def replicas(settings: Settings) -> dict[str, int]:
    """How many replicas each part of a stack may have, as the components bound them; nothing where the settings don't tell it."""
    endpoint = settings.endpoint
    facts = None if endpoint is None else PLATFORM_FACTS.get(endpoint.platform)
    one = None if facts is None else instance(endpoint, facts)
    if facts is None or facts.instance is None or one is None or not endpoint.max_concurrency or settings.function is None:
        return {}
    return _parts(settings, facts, one, endpoint.max_concurrency) if one.requests in facts.instance.most_requests else {}


def _parts(settings: Settings, facts: PlatformFacts, one: InstanceArgs, at_once: int) -> dict[str, int]:
    """The same, where the endpoint takes so many requests at once."""
    endpoint, most = settings.endpoint, CONTAINER_APPS_MAX_REPLICAS.high
    body = facts.max_body_bytes if endpoint.max_body_bytes is None else endpoint.max_body_bytes
    requests, found = requests_of(settings.function.memory_mb, body), {"endpoint": math.ceil(at_once / one.requests)}
    if settings.events is not None:
        requests = requests_of(settings.function.memory_mb, max(body, settings.events.max_object_bytes))
        found["function"] = shared(max(1, settings.events.max_concurrency), requests, most)[0]
    else:
        found["function"] = min(instances_of(at_once, requests), most)
    later = settings.answers is not None and settings.answers.async_
    if later:
        found["worker"] = shared(at_once, requests, most)[0]
    pings = sum(rule.kind == "ping" for rule in settings.warming or ())
    drops = settings.budget is not None and settings.budget.on_exceeded == "drop-warming"
    return {**found, "jobs": pings + later + drops}
