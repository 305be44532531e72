"""What Azure refuses of the containers of apps and jobs: sizes, variables, probes; and what does not run here, by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components import limits_azure as limits
from pilotlight.twin.forms import Form, choice_problems, only_one
from pilotlight.twin.rows import Properties

CONSUMPTION = limits.CONSUMPTION
# Container Apps documentation, "Containers", configuration: what a container has that asks for nothing.
CPU, MEMORY = 0.5, "1Gi"
PROBES = ("Liveness", "Readiness", "Startup")
# Kubernetes, RFC 1123 labels, which Azure quotes ("template.containers").
_NAME = Form(
    r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", "up to 63 lower-case letters, digits and hyphens that begin and end with a letter or digit"
)
_MEMORY = re.compile(r"(\d+(?:\.\d{1,2})?)Gi")
_RANGES = {
    "failureThreshold": limits.CONTAINER_APPS_PROBE_FAILURES,
    "initialDelaySeconds": limits.CONTAINER_APPS_PROBE_DELAY_S,
    "periodSeconds": limits.CONTAINER_APPS_PROBE_PERIOD_S,
    "successThreshold": limits.CONTAINER_APPS_PROBE_SUCCESSES,
    "timeoutSeconds": limits.CONTAINER_APPS_PROBE_TIMEOUT_S,
}
_PORTS = range(1, 65_536)


def template_problems(template: Properties, secrets: frozenset[str], profile: object) -> Iterator[str]:
    """Sentences about the containers of an app's or a job's template; `secrets` are the names in its configuration."""
    containers = template.get("containers")
    if not isinstance(containers, list) or not containers:
        yield "template.containers: is missing: there is at least one."
        return
    for name in ("initContainers", "serviceBinds", "volumes"):
        if template.get(name):
            yield f"template.{name}: the local twin runs none: leave them out."
    if len(containers) > 1:
        yield f"template.containers: {len(containers)}: the local twin runs one."
    for index, container in enumerate(containers):
        if isinstance(container, Mapping):
            yield from _container(container, f"template.containers[{index}].", secrets)
    first = containers[0]
    if profile in (None, CONSUMPTION) and isinstance(first, Mapping) and len(containers) == 1:
        at = "template.containers[0].resources."
        yield from (f"{at}cpu or {at}memory: {text}" for text in consumption_problems(first))


def size_of(container: Properties) -> tuple[float, float] | None:
    """vCPUs and GiB of a container; None where it does not say them rightly."""
    resources = container.get("resources") or {}
    cpu, memory = resources.get("cpu", CPU), _MEMORY.fullmatch(str(resources.get("memory", MEMORY)))
    return (float(cpu), float(memory[1])) if isinstance(cpu, int | float) and memory else None


def consumption_problems(container: Properties) -> Iterator[str]:
    """What is wrong with the size of a container on the profile Consumption."""
    size = size_of(container)
    if size is None:
        return
    cpu, memory = size
    most = limits.CONTAINER_APPS_CPU.high
    if not (0 < cpu <= most and (cpu * 4).is_integer() and memory * 1024 == cpu * limits.CONTAINER_APPS_MB_PER_CPU):
        pairs = ", ".join(f"{quarter / 4:g} with {quarter / 2:g}Gi" for quarter in range(1, most * 4 + 1))
        yield f"{cpu:g} vCPU with {memory:g}Gi is no size that there is: use {pairs}."


def gpu_problems(container: Properties, profile_type: str) -> Iterator[str]:
    """What is wrong with the size of a container on a serverless GPU."""
    gpu = next((one for one in limits.CONTAINER_APPS_GPUS.values() if one.type == profile_type), None)
    size = size_of(container)
    if gpu is None or size is None:
        return
    cpu, memory = size
    most_cpu, most_gib = gpu.cpu.values[0], gpu.memory_mb.values[0] / 1024
    if not 0 < cpu <= most_cpu or not 0 < memory <= most_gib:
        yield f"{cpu:g} vCPU with {memory:g}Gi on {profile_type}: use up to {most_cpu} vCPU and {most_gib:g}Gi."


def _container(container: Mapping[str, Any], at: str, secrets: frozenset[str]) -> Iterator[str]:
    for name in ("image", "name"):
        if not container.get(name):
            yield f"{at}{name}: is missing: every container has one."
    yield from (at + text for text in _NAME.problems("name", container))
    if container.get("volumeMounts"):
        yield f"{at}volumeMounts: the local twin mounts none: leave them out."
    resources = container.get("resources") or {}
    if "memory" in resources and not _MEMORY.fullmatch(str(resources["memory"])):
        yield f"{at}resources.memory: {resources['memory']!r}: use GiB with at most two decimals, as '1.25Gi' or '2Gi'."
    if resources.get("gpu"):
        yield f"{at}resources.gpu: {resources['gpu']:g}: a serverless GPU comes with the workload profile: leave it out."
    for index, one in enumerate(container.get("env") or []):
        if isinstance(one, Mapping):
            yield from _variable(one, f"{at}env[{index}].", secrets)
    yield from _probes(container.get("probes") or [], f"{at}probes")


def _variable(one: Mapping[str, Any], at: str, secrets: frozenset[str]) -> Iterator[str]:
    if not one.get("name"):
        yield f"{at}name: is missing: every variable has one."
    secret = one.get("secretRef")
    if secret and one.get("value"):
        yield f"{at}value, {at}secretRef: exclude each other: use one of them."
    if isinstance(secret, str) and secret and secret not in secrets:
        known = ", ".join(sorted(secrets)) or "value, there is none"
        yield f"{at}secretRef: {secret!r} is no secret of configuration.secrets: use {known}."


def _probes(probes: list[Any], at: str) -> Iterator[str]:
    given = [probe for probe in probes if isinstance(probe, Mapping)]
    types = [str(probe.get("type") or "").capitalize() for probe in given]
    yield from (f"{at}: {name} is there {types.count(name)} times: use one of each type." for name in PROBES if types.count(name) > 1)
    for index, probe in enumerate(given):
        yield from _probe(probe, types[index], f"{at}[{index}].")


def _probe(probe: Mapping[str, Any], kind: str, at: str) -> Iterator[str]:
    yield from (at + text for text in choice_problems("type", kind, PROBES))
    for name, allowed in _RANGES.items():
        value = probe.get(name)
        if isinstance(value, int) and (text := allowed.problem(value)):
            yield f"{at}{name}: {value}: {text}."
    if kind in ("Liveness", "Startup") and isinstance(probe.get("successThreshold"), int) and probe["successThreshold"] != 1:
        yield f"{at}successThreshold: {probe['successThreshold']}: use 1 for {kind}."
    yield from only_one(probe, "httpGet", "tcpSocket", at=at)
    for name in ("httpGet", "tcpSocket"):
        if isinstance(probe.get(name), Mapping):
            yield from port_problems(f"{at}{name}.port", probe[name].get("port"))
            if probe[name].get("host"):
                yield f"{at}{name}.host: the local twin asks the container itself: leave it out."
    if str((probe.get("httpGet") or {}).get("scheme") or "HTTP").upper() != "HTTP":
        yield f"{at}httpGet.scheme: the local twin asks containers by HTTP: use HTTP."


def port_problems(path: str, port: object) -> Iterator[str]:
    if port is None:
        yield f"{path}: is missing: use the port that the container listens on."
    elif isinstance(port, int) and port not in _PORTS:
        yield f"{path}: {port}: use {_PORTS.start} to {_PORTS.stop - 1}."
