"""What of an endpoint with several requests on each instance hangs on other settings: CPU and memory, GPU, image, instances. Pure."""

import math
from collections.abc import Iterator

from components import limits
from components.args import InstanceArgs
from components.limits import Choice, Range
from components.platform_facts import PLATFORM_FACTS
from stacks.messages import Problem, shown, told, within
from stacks.settings_service import Endpoint, Settings
from stacks.sizes import instance

# The rows of a GPU type: vCPUs, memory, regions.
GPUS = {"l4": (limits.CLOUD_RUN_L4_CPU, limits.CLOUD_RUN_L4_MEMORY_MB, limits.CLOUD_RUN_L4_REGIONS)}


def instance_problems(settings: Settings, region: str | None) -> Iterator[Problem]:
    """Every problem; parts that could not be read are passed over."""
    endpoint = settings.endpoint
    facts = None if endpoint is None else PLATFORM_FACTS.get(endpoint.platform)
    size = None if facts is None else instance(endpoint, facts)
    if size is None:
        return
    yield from within("endpoint.cpu", size.cpu, limits.CLOUD_RUN_CPU)
    yield from within("endpoint.requestsPerInstance", size.requests, limits.CLOUD_RUN_REQUESTS)
    yield from _memory(endpoint, size)
    yield from _instances(endpoint, size)
    yield from _gpu(endpoint, size, region)
    yield from _image(settings, endpoint)


def _memory(endpoint: Endpoint, size: InstanceArgs) -> Iterator[Problem]:
    """Memory that the vCPUs don't go with; with a GPU both have tighter bounds."""
    pair = limits.CLOUD_RUN_CPU_MEMORY_MB.get(size.cpu)
    memory = endpoint.memory_mb
    if pair is None or memory is None or memory not in limits.CLOUD_RUN_MEMORY_MB or _below(endpoint, size):
        return
    if memory not in pair:
        fitting = [cpu for cpu, allowed in limits.CLOUD_RUN_CPU_MEMORY_MB.items() if memory in allowed]
        yield told(
            f"endpoint.memoryMb: {memory}: {pair.problem(memory)} with {size.cpu} vCPU ({pair.source}), "
            f"or endpoint.cpu {' or '.join(map(str, fitting))}",
            "endpoint.memoryMb",
            "endpoint.cpu",
        )


def _below(endpoint: Endpoint, size: InstanceArgs) -> bool:
    """Whether the GPU's own rows tell more."""
    return size.gpu in GPUS and (size.cpu not in GPUS[size.gpu][0] or endpoint.memory_mb not in GPUS[size.gpu][1])


def _instances(endpoint: Endpoint, size: InstanceArgs) -> Iterator[Problem]:
    wanted = endpoint.max_concurrency
    if wanted is None or wanted < 1 or size.requests not in limits.CLOUD_RUN_REQUESTS:
        return
    instances, most = math.ceil(wanted / size.requests), limits.CLOUD_RUN_INSTANCES.high
    if instances > most:
        yield told(
            f"endpoint.maxConcurrency: {wanted}: that is {instances} instances of {size.requests} requests: use 1 to "
            f"{most * size.requests}, or raise endpoint.requestsPerInstance ({limits.CLOUD_RUN_INSTANCES.source})"
        )


def _gpu(endpoint: Endpoint, size: InstanceArgs, region: str | None) -> Iterator[Problem]:
    if size.gpu not in GPUS:
        if endpoint.zonal_redundancy:
            yield told("endpoint.zonalRedundancy: true: it is a setting of GPUs: set endpoint.gpu, or leave it out")
        return
    cpus, memory, regions = GPUS[size.gpu]
    what = f" with endpoint.gpu {size.gpu}"
    bounds: tuple[tuple[str, int | None, Range | Choice], ...] = (
        ("endpoint.cpu", size.cpu, cpus),
        ("endpoint.memoryMb", endpoint.memory_mb, memory),
    )
    for key, value, allowed in bounds:
        yield from within(key, value, allowed, what)
    problem = None if region is None else regions.problem(region)
    if problem is not None:
        yield told(f"endpoint.gpu: {shown(size.gpu)}: not in {region!r}: {problem} as gcp:region ({regions.source})")


def _image(settings: Settings, endpoint: Endpoint) -> Iterator[Problem]:
    """The target has the engines' builds for the hardware: the wrong one would run on the CPU of an instance with a GPU."""
    build = None if settings.image is None else settings.image.build
    wanted = "cpu" if endpoint.gpu is None else "gpu"
    if build is None or build.target is None or build.target == wanted:
        return
    why = f"endpoint.gpu is {endpoint.gpu}: use gpu" if wanted == "gpu" else "there is no endpoint.gpu: use cpu, or set endpoint.gpu"
    yield told(f"image.build.target: {shown(build.target)}: {why}")
