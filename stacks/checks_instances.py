"""What of an endpoint with several requests on each instance hangs on other settings: CPU and memory, GPU, image, instances. Pure."""

import math
from collections.abc import Iterator

from components.args import InstanceArgs
from components.capabilities import PLACES
from components.limits import SERVER_BATCH_WAIT_MS, SERVER_WORKERS, Choice, Range
from components.limits_azure import CONTAINER_APPS_COOLDOWN_S
from components.platform_facts import PLATFORM_FACTS, GpuFacts, InstanceFacts, PlatformFacts
from stacks.messages import Problem, shown, told, within
from stacks.settings_service import Endpoint, Settings
from stacks.sizes import cpu_of, instance


def instance_problems(settings: Settings, region: str | None) -> Iterator[Problem]:
    """Every problem; parts that could not be read are passed over."""
    endpoint = settings.endpoint
    facts = None if endpoint is None else PLATFORM_FACTS.get(endpoint.platform)
    size = None if facts is None else instance(endpoint, facts)
    if facts is None or facts.instance is None or size is None:
        return
    own, gpu = facts.instance, facts.instance.gpus.get(size.gpu or "")
    if gpu is None:
        yield from within("endpoint.cpu", endpoint.cpu, own.cpus)
        yield from _memory(endpoint, size, facts)
    else:
        yield from _gpu(settings, size, gpu, region)
        yield from _memory(endpoint, size, facts) if _fits(endpoint, size, gpu) else ()
    if gpu is None and endpoint.zonal_redundancy and own.pairs:
        yield told("endpoint.zonalRedundancy: true: it is a setting of GPUs: set endpoint.gpu, or leave it out")
    yield from within("endpoint.requestsPerInstance", size.requests, own.most_requests)
    if settings.cloud == "azure":
        yield from within("endpoint.cooldownSeconds", size.cooldown_s, CONTAINER_APPS_COOLDOWN_S)
    yield from _targets(size, own)
    yield from _load(endpoint, size)
    yield from _instances(endpoint, size, own)
    yield from _image(settings, endpoint)


def is_gpu(endpoint: Endpoint, facts: PlatformFacts) -> bool:
    """Whether the endpoint has a GPU of its platform, whose own rows say what CPU and memory there are."""
    return facts.instance is not None and endpoint.gpu in facts.instance.gpus


def _memory(endpoint: Endpoint, size: InstanceArgs, facts: PlatformFacts) -> Iterator[Problem]:
    """Memory that the vCPUs don't go with."""
    own, memory = facts.instance, endpoint.memory_mb
    if own is None or memory is None or memory not in facts.memory_mb:
        return
    if own.mb_per_cpu is not None and size.cpu != cpu_of(memory, own.mb_per_cpu):
        fitting = cpu_of(memory, own.mb_per_cpu)
        if size.cpu in own.cpus:
            yield told(
                f"endpoint.cpu: {size.cpu}: use {fitting} with endpoint.memoryMb {memory}, or leave it out ({facts.memory_mb.source})"
            )
        return
    pair = own.pairs.get(int(size.cpu))
    if pair is not None and memory not in pair:
        cpus = [cpu for cpu, allowed in own.pairs.items() if memory in allowed]
        yield told(
            f"endpoint.memoryMb: {memory}: {pair.problem(memory)} with {size.cpu} vCPU ({pair.source}), "
            f"or endpoint.cpu {' or '.join(map(str, cpus))}",
            "endpoint.memoryMb",
            "endpoint.cpu",
        )


def _fits(endpoint: Endpoint, size: InstanceArgs, gpu: GpuFacts) -> bool:
    """Whether the GPU's own rows allow both; else they tell more."""
    return size.cpu in gpu.cpus and endpoint.memory_mb in gpu.memory_mb


def _instances(endpoint: Endpoint, size: InstanceArgs, own: InstanceFacts) -> Iterator[Problem]:
    wanted = endpoint.max_concurrency
    if wanted is None or wanted < 1 or size.requests not in own.most_requests:
        return
    instances, most = math.ceil(wanted / size.requests), own.most.high
    if instances > most:
        yield told(
            f"endpoint.maxConcurrency: {wanted}: that is {instances} instances of {size.requests} requests: use 1 to "
            f"{most * size.requests}, or raise endpoint.requestsPerInstance ({own.most.source})"
        )


def _load(endpoint: Endpoint, size: InstanceArgs) -> Iterator[Problem]:
    """What the model server makes of requests that come at the same time, where an instance has them."""
    wait, workers = endpoint.batch_wait_ms, endpoint.workers
    yield from within("endpoint.batchWaitMs", wait, SERVER_BATCH_WAIT_MS)
    yield from within("endpoint.workers", workers, SERVER_WORKERS)
    more = "raise endpoint.requestsPerInstance, or leave it out"
    if wait and wait in SERVER_BATCH_WAIT_MS and size.requests == 1:
        yield told(f"endpoint.batchWaitMs: {wait}: an instance has one request at a time, so that nobody else comes: {more}")
    if workers is None or workers == 1 or workers not in SERVER_WORKERS:
        return
    if size.gpu is not None:
        yield told(f"endpoint.workers: {workers}: one process keeps a GPU busy, and each has the model in its memory: leave it out")
    elif workers > size.requests:
        yield told(f"endpoint.workers: {workers}: an instance has {size.requests} requests at a time: {more}")


def _targets(size: InstanceArgs, own: InstanceFacts) -> Iterator[Problem]:
    """Where the platform has none, the settings are refused as a whole (`components/capabilities.py`)."""
    if own.target is None:
        return
    if size.scale_at_requests == size.scale_at_cpu == 0:
        keys = ("endpoint.scaleAtRequests", "endpoint.scaleAtCpu")
        low, high, source = own.target.low, own.target.high, own.target.source
        yield told(f"{' and '.join(keys)}: 0: without both nothing tells of more: use {low} to {high} % for one ({source})", *keys)
    for key, value in (("endpoint.scaleAtRequests", size.scale_at_requests), ("endpoint.scaleAtCpu", size.scale_at_cpu)):
        yield from within(key, value or None, own.target)


def _gpu(settings: Settings, size: InstanceArgs, gpu: GpuFacts, region: str | None) -> Iterator[Problem]:
    what = f" with endpoint.gpu {size.gpu}"
    bounds: tuple[tuple[str, float | None, Range | Choice], ...] = (
        ("endpoint.cpu", size.cpu, gpu.cpus),
        ("endpoint.memoryMb", settings.endpoint.memory_mb, gpu.memory_mb),
    )
    for key, value, allowed in bounds:
        yield from within(key, value, allowed, what)
    problem = None if region is None else gpu.regions.problem(region)
    if problem is not None:
        key = PLACES[settings.cloud]
        yield told(f"endpoint.gpu: {shown(size.gpu)}: not in {region!r}: {problem} as {key} ({gpu.regions.source})")


def _image(settings: Settings, endpoint: Endpoint) -> Iterator[Problem]:
    """The target has the engines' builds for the hardware: the wrong one would run on the CPU of an instance with a GPU."""
    build = None if settings.image is None else settings.image.build
    wanted = ("cpu",) if endpoint.gpu is None else ("gpu", "gpu-torch")
    if build is None or build.target is None or build.target in wanted:
        return
    use = "use gpu, or gpu-torch with model.engine torch"
    why = "there is no endpoint.gpu: use cpu, or set endpoint.gpu" if endpoint.gpu is None else f"endpoint.gpu is {endpoint.gpu}: {use}"
    yield told(f"image.build.target: {shown(build.target)}: {why}")
