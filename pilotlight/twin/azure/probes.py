"""Probes of containers: what asks whether one has started, takes requests, still lives."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pilotlight.twin.rows import Properties
from pilotlight.twin.upstream import UpstreamError

if TYPE_CHECKING:
    from pilotlight.twin.container import Container

STARTUP, READINESS, LIVENESS = "Startup", "Readiness", "Liveness"
# Kubernetes documentation, "Configure Liveness, Readiness and Startup Probes": who asks.
_AGENT = ("user-agent", "kube-probe/1.31")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Times are in seconds. Without a path it only connects. What is not said is Kubernetes' (the same page)."""

    port: int
    path: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0
    period_s: float = 10
    timeout_s: float = 1
    failures: int = 3
    successes: int = 1

    @property
    def longest_s(self) -> float:
        """How long it may fail from the beginning."""
        return self.delay_s + self.period_s * self.failures

    async def passes(self, container: Container, port: int | None) -> bool:
        """Whether the container says yes, once. It listens on `port` by what it says itself; None where it says nothing."""
        if port is not None and port != self.port:
            return False
        try:
            async with asyncio.timeout(self.timeout_s):
                if self.path is None:
                    return await container.listens()
                answer = await container.send("GET", quote(self.path, safe=string.punctuation), [_AGENT, *self.headers], b"")
                await answer.read()
        except (TimeoutError, UpstreamError, OSError):
            return False
        return 200 <= answer.status < 400


# Container Apps documentation, "Health probes", default configuration. On the profile Consumption Azure adds none, and its ingress
# tries to connect until the container listens: for requests that is the same.
def defaults(port: int) -> Mapping[str, Probe]:
    """What an app with ingress has where it declares none of the kind."""
    return {
        STARTUP: Probe(port=port, delay_s=1, period_s=1, timeout_s=3, failures=240),
        READINESS: Probe(port=port, delay_s=3, period_s=5, timeout_s=5, failures=48),
    }


def probes_of(container: Properties, port: int | None) -> dict[str, Probe]:
    """The probes of a container by their kind; `port` is the ingress's, None where there is none."""
    declared = {str(probe["type"]).capitalize(): _probe(probe) for probe in container.get("probes") or []}
    return {**(defaults(port) if port is not None else {}), **declared}


def _probe(given: Mapping[str, Any]) -> Probe:
    get = given.get("httpGet")
    asked: Mapping[str, Any] = get or given["tcpSocket"]
    unsaid = Probe(port=int(asked["port"]))

    def said(name: str, otherwise: float) -> float:
        value = given.get(name)
        return otherwise if value is None else float(value)

    return Probe(
        port=unsaid.port,
        path=None if get is None else str(get.get("path") or "/"),
        headers=tuple((str(one["name"]).lower(), str(one["value"])) for one in asked.get("httpHeaders") or ()),
        delay_s=said("initialDelaySeconds", unsaid.delay_s),
        period_s=said("periodSeconds", unsaid.period_s),
        timeout_s=said("timeoutSeconds", unsaid.timeout_s),
        failures=int(said("failureThreshold", unsaid.failures)),
        successes=int(said("successThreshold", unsaid.successes)),
    )
