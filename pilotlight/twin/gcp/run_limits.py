"""What Cloud Run refuses of a service before anything is made: sizes, probes, concurrency, GPU, reserved names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components import limits
from pilotlight.twin.forms import Form, only_one
from pilotlight.twin.gcp.names import duration_problems, seconds
from pilotlight.twin.rows import Properties

GPU = "nvidia.com/gpu"
L4 = "nvidia-l4"
# Cloud Run API v2, services.create: serviceId.
_NAME = Form(
    r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?", "up to 49 lower-case letters, digits and hyphens that begin with a letter and end with none"
)
# Cloud Run documentation, "Container runtime contract": what it sets itself.
_RESERVED = frozenset({"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"})
# Cloud Run documentation, CPU limits: below one vCPU an instance takes one request at a time (read 2026-11).
_LEAST_CPU = 0.08
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|Ki|Mi|Gi)?")
_UNITS: Mapping[str | None, float] = {None: 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_MIB = 2**20
# Cloud Run API v2, RevisionScaling.
_TARGETS = ("concurrencyUtilization", "cpuUtilization")
_CONCURRENCY = "template.maxInstanceRequestConcurrency"
# Cloud Run documentation, "Configure container health checks", and the provider's reference: what a probe asks by (read 2026-11).
_PROBES = {
    "startupProbe": ("httpGet", "tcpSocket", "grpc"),
    "livenessProbe": ("httpGet", "tcpSocket", "grpc"),
    "readinessProbe": ("httpGet", "grpc"),
}


def quantity(text: object) -> float | None:
    """`500m` as 0.5, `2Gi` as bytes; None for what is no quantity."""
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    return float(match[1]) * _UNITS[match[2]] if match else None


def run_problems(inputs: Properties) -> list[str]:
    """Sentences about a service's known inputs."""
    template = inputs.get("template")
    found = [*_NAME.problems("name", inputs), *scaling_problems("scaling", inputs.get("scaling"))]
    if isinstance(template, Mapping):
        found += [*_template(template, inputs.get("location"))]
    return found


def _template(template: Mapping[str, Any], location: object) -> Iterator[str]:
    yield from scaling_problems("template.scaling", template.get("scaling"))
    yield from _targets("template.scaling", template.get("scaling"))
    yield from duration_problems(
        "template.timeout", template.get("timeout"), limits.CLOUD_RUN_TIMEOUT_S.low, limits.CLOUD_RUN_TIMEOUT_S.high
    )
    concurrency = template.get("maxInstanceRequestConcurrency")
    if isinstance(concurrency, int) and (text := limits.CLOUD_RUN_REQUESTS.problem(concurrency)):
        yield f"{_CONCURRENCY}: {concurrency}: {text}."
    containers = template.get("containers")
    if not containers:
        yield "template.containers: is missing: a service runs at least one container."
    for index, container in enumerate(containers or []):
        if isinstance(container, Mapping):
            yield from _container(container, f"template.containers[{index}].", template, location)
    yield from _network(template.get("vpcAccess"))


def scaling_problems(path: str, scaling: object) -> Iterator[str]:
    """Sentences about the bounds of a service or of its revisions, which are at that path."""
    if not isinstance(scaling, Mapping):
        return
    low, high = scaling.get("minInstanceCount"), scaling.get("maxInstanceCount")
    if isinstance(high, int) and (text := limits.CLOUD_RUN_INSTANCES.problem(high)):
        yield f"{path}.maxInstanceCount: {high}: {text}."
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield f"{path}.minInstanceCount: {low} is more than maxInstanceCount, {high}: use at most that."


def _targets(path: str, scaling: object) -> Iterator[str]:
    """Sentences about the use of an instance from which on there is another one."""
    if not isinstance(scaling, Mapping):
        return
    shares, allowed = {name: scaling.get(name) for name in _TARGETS}, limits.CLOUD_RUN_TARGET
    for name, share in shares.items():
        if isinstance(share, int | float) and share and not allowed.low <= round(share * 100, 6) <= allowed.high:
            yield f"{path}.{name}: {share:g}: use {allowed.low / 100:g} to {allowed.high / 100:g}, or 0 (not by that)."
    if all(share == 0 for share in shares.values()):
        yield f"{path}: {' and '.join(_TARGETS)} are 0: nothing would tell of more instances, leave one out."


def _container(container: Mapping[str, Any], at: str, template: Mapping[str, Any], location: object) -> Iterator[str]:
    resources = container.get("resources") or {}
    sizes = resources.get("limits") or {}
    cpu, memory = quantity(sizes.get("cpu", "1")), quantity(sizes.get("memory", "512Mi"))
    for name in ("cpu", "memory"):
        if name in sizes and quantity(sizes[name]) is None:
            yield f"{at}resources.limits.{name}: {sizes[name]!r} is no quantity: use {'1, 2 or 500m' if name == 'cpu' else '512Mi or 2Gi'}."
    if cpu is not None:
        yield from _cpu(cpu, memory, f"{at}resources.limits.", template.get("maxInstanceRequestConcurrency"))
    if sizes.get(GPU) is not None or (template.get("nodeSelector") or {}).get("accelerator"):
        yield from _gpu(cpu, memory, at, resources, template, location)
    names = [one.get("name") for one in container.get("envs") or [] if isinstance(one, Mapping)]
    yield from (f"{at}envs: {name} is set by Cloud Run itself: leave it out." for name in sorted(_RESERVED & set(names)))
    yield from (f"{at}envs: {name!r} is there twice." for name in sorted({name for name in names if name and names.count(name) > 1}))
    for probe, kinds in _PROBES.items():
        if isinstance(container.get(probe), Mapping):
            yield from _probe(container[probe], f"{at}{probe}.", kinds, starts=probe == "startupProbe")


def _cpu(cpu: float, memory: float | None, at: str, concurrency: object) -> Iterator[str]:
    if cpu not in limits.CLOUD_RUN_CPU and not _LEAST_CPU <= cpu < 1:
        yield f"{at}cpu: {cpu:g}: use {limits.CLOUD_RUN_CPU.allowed()}, or {_LEAST_CPU} to less than 1."
    if cpu < 1 and concurrency not in (None, 1):
        yield f"{at}cpu or {_CONCURRENCY}: {cpu:g} vCPU takes one request at a time: set the second to 1, or use 1 vCPU or more."
    allowed = limits.CLOUD_RUN_CPU_MEMORY_MB.get(int(cpu)) if cpu >= 1 else None
    if memory is not None and allowed is not None and not allowed.low <= memory / _MIB <= allowed.high:
        yield f"{at}memory or {at}cpu: {memory / _MIB:g} MiB with {cpu:g} vCPU: use {allowed.allowed()}."


def _gpu(
    cpu: float | None, memory: float | None, at: str, resources: Mapping[str, Any], template: Mapping[str, Any], location: object
) -> Iterator[str]:
    sizes, kind = resources.get("limits") or {}, (template.get("nodeSelector") or {}).get("accelerator")
    if kind != L4:
        yield f"template.nodeSelector.accelerator: {kind!r}: a container with {GPU} needs one; the local twin knows {L4!r}."
    if sizes.get(GPU) != "1":
        yield f"{at}resources.limits.{GPU}: {sizes.get(GPU)!r}: use '1', one GPU an instance."
    if cpu is not None and (text := limits.CLOUD_RUN_L4_CPU.problem(cpu)):
        yield f"{at}resources.limits.cpu: {cpu:g} with an L4: {text}."
    if memory is not None and (text := limits.CLOUD_RUN_L4_MEMORY_MB.problem(memory / _MIB)):
        yield f"{at}resources.limits.memory: {memory / _MIB:g} MiB with an L4: {text}."
    if resources.get("cpuIdle") is not False:
        yield f"{at}resources.cpuIdle: a GPU is billed by the instance: set it to false."
    if isinstance(location, str) and (text := limits.CLOUD_RUN_L4_REGIONS.problem(location)):
        yield f"location: {location!r} has no L4 for Cloud Run: {text} ({limits.CLOUD_RUN_L4_REGIONS.source})."


def _probe(probe: Mapping[str, Any], at: str, kinds: tuple[str, ...], *, starts: bool) -> Iterator[str]:
    yield from only_one(probe, *kinds, at=at)
    period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
    longest = limits.CLOUD_RUN_START_S.high
    if starts and period * failures > longest:
        yield f"{at}failureThreshold or {at}periodSeconds: {failures} times {period} s: a start may take {longest} s."
    if probe.get("timeoutSeconds", 1) > period:
        yield f"{at}timeoutSeconds or {at}periodSeconds: {probe['timeoutSeconds']} is more than periodSeconds, {period}: use at most that."


def _network(access: object) -> Iterator[str]:
    if not isinstance(access, Mapping):
        return
    yield from only_one(access, "connector", "networkInterfaces", at="template.vpcAccess.")
    for index, one in enumerate(access.get("networkInterfaces") or []):
        if isinstance(one, Mapping) and not (one.get("network") or one.get("subnetwork")):
            yield f"template.vpcAccess.networkInterfaces[{index}]: names neither network nor subnetwork: use at least one."


def timeout_s(template: Mapping[str, Any]) -> float:
    """How long a request may take, in seconds: 300 where the service says nothing (Cloud Run documentation, request timeout)."""
    return seconds(template.get("timeout")) or 300.0
