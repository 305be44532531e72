"""What a revision of a container app runs, and what an execution of a job does: a template read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.twin.azure import arm, registry
from pilotlight.twin.azure.container_limits import size_of
from pilotlight.twin.azure.probes import Probe, probes_of
from pilotlight.twin.azure.scale_rules import Rule, rules_of
from pilotlight.twin.azure.scaling import Scale
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

# Container Apps API, Template: what a container has after SIGTERM where the template says nothing, in seconds.
GRACE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """The container of a template, as one process. `owner` is the app or the job; `environment` what the program declared."""

    owner: Resource
    environment_id: str
    domain: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    environment: Mapping[str, str]
    memory_mb: int
    # The port that it listens on in Azure, by what it or its image is told; None where nobody says.
    listens: int | None


@dataclass(frozen=True, kw_only=True)
class Revision:
    """`port` is the ingress's target; None without ingress."""

    name: str
    program: Program
    port: int | None
    probes: Mapping[str, Probe]
    grace_s: float
    scale: Scale
    rules: tuple[Rule, ...]

    @property
    def wrong_port(self) -> bool:
        """Whether the container listens elsewhere than where the ingress looks for it."""
        return self.port is not None and self.program.listens is not None and self.program.listens != self.port

    def same(self, other: Revision) -> bool:
        """Whether what runs for one runs for the other: a revision never changes, and the target port is the app's."""
        return self.name == other.name and self.port == other.port


def revision_of(twin: Twin, app: Resource) -> Revision:
    """The revision that an app's template makes. Refusal for an image that is gone."""
    template, ingress = app["template"], (app.get("configuration") or {}).get("ingress")
    port = int(ingress["targetPort"]) if ingress else None
    grace = template.get("terminationGracePeriodSeconds")
    return Revision(
        name=app["latestRevisionName"],
        program=program_of(twin, app),
        port=port,
        probes=probes_of(template["containers"][0], port),
        grace_s=GRACE_S if grace is None else float(grace),
        scale=Scale.of(template),
        rules=rules_of(template, ingress),
    )


def program_of(twin: Twin, owner: Resource) -> Program:
    """The program of an app or a job. Refusal for an image that is gone."""
    container = owner["template"]["containers"][0]
    pushed = registry.image(twin.world, container["image"])
    if pushed is None:
        raise Refusal("InvalidParameterValueInContainerTemplate", f"Image {container['image']!r} not found: bring the stack up again.")
    environment = arm.find(twin.world, environment_id_of(owner.outputs))
    if environment is None:
        raise Refusal("ManagedEnvironmentNotFound", f"The environment of {owner.id} is gone: bring the stack up again.", 404)
    size, declared = size_of(container), _declared(owner, container)
    assert size is not None
    built = twin.images.find(pushed["digest"])
    said = declared.get("PORT") or (built.env.get("PORT") if built else None)
    return Program(
        owner=owner,
        environment_id=environment.id,
        domain=environment["defaultDomain"],
        image=pushed["digest"],
        command=tuple(container.get("command") or ()),
        args=tuple(container.get("args") or ()),
        environment=declared,
        memory_mb=int(size[1] * 1024),
        listens=int(said) if said and said.isdecimal() else None,
    )


def environment_id_of(properties: Properties) -> str:
    """The id of the environment, under either of its names."""
    return str(properties.get("environmentId") or properties.get("managedEnvironmentId"))


def short(owner: Resource) -> str:
    """The name of an app or a job."""
    return owner.id.rpartition("/")[2]


def _declared(owner: Resource, container: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a container; of those that are there twice the last one counts (documentation, "Manage environment variables")."""
    secrets = {one["name"]: str(one["value"]) for one in (owner.inputs.get("configuration") or {}).get("secrets") or []}
    return {
        one["name"]: secrets[one["secretRef"]] if one.get("secretRef") else one.get("value") or "" for one in container.get("env") or []
    }
