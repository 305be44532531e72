"""Container Apps: apps, their authentication, jobs. What runs them is the data plane; this is what the engine must know of them."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator, Mapping
from typing import Any

from components.limits_azure import CONSUMPTION
from pilotlight.twin.azure import arm, attached, locations, registry
from pilotlight.twin.azure.apps_door import NAME
from pilotlight.twin.azure.apps_limits import app_problems, job_problems
from pilotlight.twin.azure.apps_revision import environment_id_of
from pilotlight.twin.azure.auth_limits import auth_problems
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.container_limits import consumption_problems, gpu_problems
from pilotlight.twin.azure.types import APP, APP_AUTH, ENVIRONMENT, JOB
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

_LETTERS = string.ascii_lowercase + string.digits
_SECRETS = ("configuration", "secrets", "[]", "value")
_SYSTEM = "system"
_OF_A_REVISION = frozenset({"latestReadyRevisionName", "latestRevisionFqdn", "latestRevisionName"})


def _environment(twin: Twin, inputs: Properties) -> Resource:
    """The environment of an app or a job. Raises Refusal where it is not there, or elsewhere."""
    id_ = environment_id_of(inputs)
    found = next((one for one in twin.world.find(ENVIRONMENT) if arm.same(one.id, id_)), None)
    if found is None:
        raise Refusal("ManagedEnvironmentNotFound", f"The environment {id_!r} was not found: make it first (its output `id`).", 404)
    if locations.plain(found["location"]) != locations.plain(inputs["location"]):
        raise Refusal(
            "ContainerAppLocationMismatch",
            f"location: {inputs['location']!r} is not where the environment {found['name']} is: use {found['location']!r}.",
        )
    return found


def _check(twin: Twin, inputs: Properties) -> None:
    environment, container = _environment(twin, inputs), inputs["template"]["containers"][0]
    kind = _profile_type(environment, inputs.get("workloadProfileName"))
    wrong = [*(consumption_problems(container) if kind == CONSUMPTION else gpu_problems(container, kind))]
    if wrong:
        raise Refusal("ContainerAppInvalidResourceTotal", f"template.containers[0].resources: {' '.join(wrong)}")
    for path, id_ in _used(inputs):
        _require_assigned(inputs, path, id_)
    _require_pull(twin, inputs, container)


def _profile_type(environment: Resource, name: object) -> str:
    """The type of a workload profile, by its name. Raises Refusal where the environment has none of that name."""
    profiles = {one["name"]: one["workloadProfileType"] for one in environment.get("workloadProfiles") or []}
    wanted = str(name or CONSUMPTION)
    if not profiles and name is None:
        return CONSUMPTION
    if wanted not in profiles:
        known = ", ".join(map(repr, profiles)) or "none: leave it out"
        raise Refusal("InvalidWorkloadProfileName", f"workloadProfileName: {wanted!r} is not in {environment['name']}: it has {known}.")
    return str(profiles[wanted])


def _used(inputs: Properties) -> Iterator[tuple[str, str]]:
    """Where an identity is named, and which."""
    for index, one in enumerate((inputs.get("configuration") or {}).get("registries") or []):
        yield f"configuration.registries[{index}].identity", one["identity"]
    for index, rule in enumerate(((inputs["template"].get("scale") or {}).get("rules")) or []):
        for kind in ("azureQueue", "custom", "http"):
            if (rule.get(kind) or {}).get("identity"):
                yield f"template.scale.rules[{index}].{kind}.identity", rule[kind]["identity"]


def _require_assigned(inputs: Properties, path: str, id_: str) -> None:
    identity = inputs.get("identity") or {}
    if id_.lower() == _SYSTEM:
        assigned = "SystemAssigned" in attached.kinds(identity)
    else:
        assigned = any(arm.same(id_, str(one)) for one in identity.get("userAssignedIdentities") or ())
    if not assigned:
        raise Refusal("ManagedIdentityNotAssigned", f"{path}: {id_!r} is not assigned to the resource: name it in `identity` too.")


def _require_pull(twin: Twin, inputs: Properties, container: Mapping[str, Any]) -> None:
    """The image is looked for when an app is made or changed (microsoft/azure-container-apps issue 238, 2022-05)."""
    uri = container["image"]
    at, code = f"template.containers.{container['name']}.image", "InvalidParameterValueInContainerTemplate"
    where = registry.registry_of(twin.world, uri)
    if where is None:
        raise Refusal(code, f"Field '{at}' is invalid: {uri!r}: the local twin runs images that a program pushed to its registries.")
    credentials = [one for one in (inputs.get("configuration") or {}).get("registries") or [] if one["server"] == where["loginServer"]]
    if credentials or not where.get("anonymousPullEnabled"):
        reason = _no_pull(twin, inputs, where, credentials)
        if reason is not None:
            raise Refusal(code, f"Field '{at}' is invalid: {uri!r}: UNAUTHORIZED: authentication required. {reason}")
    if registry.image(twin.world, uri) is None:
        raise Refusal(code, f"Field '{at}' is invalid: {uri!r}: MANIFEST_UNKNOWN: manifest is not found: push it first.")


def _no_pull(twin: Twin, inputs: Properties, where: Resource, credentials: list[Any]) -> str | None:
    """Why the image can't be pulled; None where it can."""
    if not credentials:
        return f"No entry of configuration.registries has the server {where['loginServer']}."
    id_ = credentials[0]["identity"]
    if id_.lower() == _SYSTEM:
        held = twin.world.get(APP, arm.id_of(APP)(inputs)) if "containerAppName" in inputs else twin.world.get(JOB, arm.id_of(JOB)(inputs))
        principal = ((held.get("identity") or {}) if held else {}).get("principalId")
        if principal is None:
            return "The resource's own identity is made with it, so that it has no role yet: use an identity of its own kind."
    else:
        identity = arm.find(twin.world, id_)
        assert identity is not None
        principal = identity["principalId"]
    return twin.azure.iam.allowed(str(principal), registry.PULL, where.id)


def _app_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    environment = _environment(twin, inputs)
    configuration = {"activeRevisionsMode": "Single", **(inputs.get("configuration") or {})}
    if ingress := configuration.get("ingress"):
        configuration["ingress"] = {**_INGRESS, **ingress, "fqdn": _address(twin, _host(inputs, environment, ingress))}
    return {
        **_common(twin, inputs, environment),
        "configuration": configuration,
        "customDomainVerificationId": _domain_id(inputs["subscriptionId"]),
        "managedEnvironmentId": environment.id,
        "runningStatus": "Running",
    }


# Container Apps documentation, "ARM template API specification": what an ingress has that does not say.
_INGRESS: Mapping[str, Any] = {
    "allowInsecure": False,
    "external": False,
    "traffic": [{"latestRevision": True, "weight": 100}],
    "transport": "Auto",
}


def _common(twin: Twin, inputs: Properties, environment: Resource) -> dict[str, Any]:
    """What apps and jobs both tell."""
    return {
        "environmentId": environment.id,
        "eventStreamEndpoint": f"{str(environment['eventStreamEndpoint']).removesuffix('/eventstream')}/eventstream",
        "outboundIpAddresses": [environment["staticIp"]],
        "workloadProfileName": inputs.get("workloadProfileName") or (CONSUMPTION if environment.get("workloadProfiles") else None),
    }


def _host(inputs: Properties, environment: Resource, ingress: Mapping[str, Any]) -> str:
    between = "" if ingress.get("external") else "internal."
    return f"{inputs['containerAppName']}.{between}{environment['defaultDomain']}"


def _address(twin: Twin, host: str) -> str:
    """An app's address without its scheme: the twin's front with the host as a path, so that apps of one name don't meet."""
    return twin.azure.url(twin, NAME, host).removeprefix("https://")


def _domain_id(subscription: str) -> str:
    """What proves the ownership of a domain: the same for all apps of a subscription."""
    return subscription.replace("-", "").upper() * 2


def _revised(twin: Twin, app: Resource) -> dict[str, Any]:
    """A new revision: called by the program, or at random."""
    suffix = app["template"].get("revisionSuffix") or "".join(secrets.choice(_LETTERS) for _ in range(7))
    name = f"{app['name']}--{suffix}"
    environment = _environment(twin, app.outputs)
    told = {"latestRevisionName": name, "latestReadyRevisionName": name, "latestRevisionFqdn": ""}
    if (app.get("configuration") or {}).get("ingress"):
        told["latestRevisionFqdn"] = f"{name}.{environment['defaultDomain']}"
    return told


def _updated(twin: Twin, old: Resource, new: Resource) -> dict[str, Any]:
    """A changed template makes a revision; anything else is the app's alone (documentation, "Revisions", change types)."""
    if all(old.inputs.get(name) == new.inputs.get(name) for name in ("template", "workloadProfileName")):
        return {name: old[name] for name in _OF_A_REVISION}
    revised = _revised(twin, new)
    if revised["latestRevisionName"] == old["latestRevisionName"]:
        text = f"template.revisionSuffix: {old['latestRevisionName']} is there with another template: use another suffix, or none."
        raise Refusal("ContainerAppRevisionAlreadyExists", text, 409)
    return revised


def _job_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    return {**_common(twin, inputs, _environment(twin, inputs)), "runningState": "Ready"}


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=APP,
            id=arm.id_of(APP),
            limits=app_problems,
            check=_check,
            computed=_app_computed,
            create=_revised,
            update=_updated,
            volatile=_OF_A_REVISION,
        ),
        write_only=(_SECRETS,),
    ),
    azure(Row(token=APP_AUTH, id=arm.id_of(APP_AUTH), limits=auth_problems)),
    azure(
        Row(token=JOB, id=arm.id_of(JOB), limits=job_problems, check=_check, computed=_job_computed),
        write_only=(_SECRETS,),
    ),
)
