"""Cloud Run: services. What runs them is the data plane of the type; this is what the engine must know of them."""

from __future__ import annotations

import secrets
from typing import Any

from pilotlight.twin.forms import short
from pilotlight.twin.gcp import agents, assigned, identities, registry
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.rows_compute import LONGEST_PREFIX, attached, left, subnetworks_of, too_small
from pilotlight.twin.gcp.run_limits import run_problems
from pilotlight.twin.gcp.types import NETWORK, RUN_SERVICE, SUBNETWORK
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

API = "run.googleapis.com"
INGRESS = "INGRESS_TRAFFIC_ALL"
_LATEST = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}
_LETTERS = "bcdfghjklmnpqrstvwxz"


def service_name(properties: Properties) -> str:
    """The full name of a service, which is its id."""
    return f"projects/{properties['project']}/locations/{properties['location']}/services/{short(properties['name'])}"


def account_of(properties: Properties) -> str:
    """The e-mail address that a service runs as: its template's account, or Compute Engine's default one."""
    return str(properties["template"].get("serviceAccount") or agents.compute_account(properties["project"]))


def _check(twin: Twin, inputs: Properties) -> None:
    identities.require(twin.world, account_of(inputs))
    for container in inputs["template"]["containers"]:
        if registry.image(twin.world, container["image"]) is None:
            raise Refusal(
                "FAILED_PRECONDITION",
                f"Image '{container['image']}' not found: the local twin runs images that a program pushed to its Artifact Registry "
                "(LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE@DIGEST).",
            )
    access = inputs["template"].get("vpcAccess") or {}
    for one in access.get("networkInterfaces") or []:
        _check_network(twin, inputs, one)


def _check_network(twin: Twin, inputs: Properties, interface: Properties) -> None:
    network, project, region = interface.get("network"), inputs["project"], inputs["location"]
    if network and twin.world.get(NETWORK, f"projects/{project}/global/networks/{short(network)}") is None:
        raise Refusal("NOT_FOUND", f"Network {short(network)} was not found in project {project}.", 404)
    subnetwork = attached(inputs, interface)
    found = twin.world.get(SUBNETWORK, subnetwork)
    if found is None:
        raise Refusal("NOT_FOUND", f"Subnetwork {short(subnetwork)} was not found in {region} of project {project}.", 404)
    if too_small(found):
        raise Refusal(
            "FAILED_PRECONDITION",
            f"{subnetwork} has the range {found['ipCidrRange']}: Direct VPC egress needs /{LONGEST_PREFIX} or larger.",
        )


def _computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    host = f"{short(inputs['name'])}-{assigned.project_number(inputs['project'])}.{inputs['location']}.run.app"
    return {
        "uri": f"https://{host}",
        "urls": [f"https://{host}"],
        "ingress": inputs.get("ingress") or INGRESS,
        "launchStage": inputs.get("launchStage") or "GA",
        "functionalType": inputs.get("functionalType") or "",
        "scaling": inputs.get("scaling") or {"minInstanceCount": 0},
        "traffics": inputs.get("traffics") or [_LATEST],
        "effectiveAnnotations": inputs.get("annotations") or {},
        "deletionProtection": inputs.get("deletionProtection", True),
    }


def _assigned(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {
        "uid": assigned.new_uuid(),
        "createTime": assigned.now(twin),
        "creator": "developer",
        "deleteTime": "",
        "expireTime": "",
        "reconciling": False,
    }


def _settled(twin: Twin, service: Resource, revision: str, generation: int) -> dict[str, Any]:
    """What Cloud Run tells of a service that has come to rest with a revision, given by its full name."""
    return {
        "generation": str(generation),
        "observedGeneration": str(generation),
        "latestCreatedRevision": revision,
        "latestReadyRevision": revision,
        "updateTime": assigned.now(twin),
        "lastModifier": "developer",
        "etag": assigned.etag(),
        "conditions": [{"type": name, "state": "CONDITION_SUCCEEDED"} for name in ("RoutesReady", "ConfigurationsReady")],
        "terminalConditions": [{"type": "Ready", "state": "CONDITION_SUCCEEDED"}],
        "trafficStatuses": [{**one, "uri": service["uri"]} for one in service["traffics"]],
    }


def _revision(service: Resource, generation: int) -> str:
    """The name of a new revision: the program's, or the service's with its number and three letters."""
    given = service["template"].get("revision")
    name = given or f"{short(service['name'])}-{generation:05}-{''.join(secrets.choice(_LETTERS) for _ in range(3))}"
    return f"{service.id}/revisions/{name}"


def _create(twin: Twin, service: Resource) -> dict[str, Any]:
    return _settled(twin, service, _revision(service, 1), 1)


def _update(twin: Twin, old: Resource, new: Resource) -> dict[str, Any]:
    """A changed template makes a revision; anything else is the service's alone."""
    for subnetwork in set(subnetworks_of(old)) - set(subnetworks_of(new)):
        left(twin, subnetwork)
    generation = int(old["generation"]) + 1
    same = old["template"] == new["template"]
    revision = old["latestReadyRevision"] if same else _revision(new, generation)
    if not same and revision == old["latestReadyRevision"]:
        raise Refusal("ALREADY_EXISTS", f"Revision {short(revision)} with different configuration already exists.", 409)
    return _settled(twin, new, revision, generation)


def _delete(twin: Twin, service: Resource) -> None:
    if service.get("deletionProtection", True):
        raise Refusal(
            "DeletionProtection",
            f"cannot destroy service {service.id} without setting deletionProtection=false and running `pulumi up`: it is true by default.",
        )
    for subnetwork in subnetworks_of(service):
        left(twin, subnetwork)


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=RUN_SERVICE,
            id=service_name,
            # pulumi-gcp 10.2: generated names have at most 50 characters, one more than Google allows.
            name=Name(field="name", max_length=49, lower=True),
            replaces=frozenset({"name", "tags"}),
            assigned=_assigned,
            computed=_computed,
            discovery="run.v2:GoogleCloudRunV2Service",
            rename={
                "template.containers.ports": "template.containers.ports",
                "template.containers.envs": "template.containers.env",
                "traffics": "traffic",
            },
            limits=run_problems,
            check=_check,
            create=_create,
            update=_update,
            delete=_delete,
        ),
        api=API,
        place="location",
        labelled=True,
    ),
)
