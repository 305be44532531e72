"""Cloud Run's own API, as far as it sets floors: a service is read, and the minimum of its instances changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pilotlight.twin.asgi import Send, respond
from pilotlight.twin.gcp import assigned
from pilotlight.twin.gcp.http_api import Asked, HttpApi, answered, json_of
from pilotlight.twin.gcp.rows_run import account_of
from pilotlight.twin.gcp.run_limits import scaling_problems
from pilotlight.twin.gcp.types import RUN_SERVICE
from pilotlight.twin.rows import Properties, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.gcp.cloud_run import CloudRun

VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"
MASK = "scaling.minInstanceCount"
_SERVICE = re.compile(r"/v2/(projects/[^/]+/locations/[^/]+/services/[^/:]+)")
_TYPE = "type.googleapis.com/google.cloud.run.v2.Service"
_BODY_BYTES = 1024 * 1024
# Of every method of Google's APIs ("Standard query parameters"): they change the form of an answer alone.
_ANY_METHOD = frozenset({"alt", "prettyPrint", "key", "quotaUser"})
# Named otherwise by the provider than by the API (`rows_run`): of a service, and of a container.
_SAME = (
    *("uid", "generation", "labels", "annotations", "createTime", "updateTime", "creator", "lastModifier", "ingress", "launchStage"),
    *("scaling", "observedGeneration", "conditions", "latestReadyRevision", "latestCreatedRevision", "uri", "urls", "reconciling", "etag"),
)
_CONTAINER = {"commands": "command", "envs": "env"}


class RunApi(HttpApi):
    """What `floor` of the functions and jobs of Cloud Scheduler ask for; anything else of the API is refused by name."""

    name = "run-admin"
    host = "run.googleapis.com"

    def __init__(self, plane: CloudRun) -> None:
        super().__init__(plane.twin)
        self._plane = plane

    async def answer(self, asked: Asked, send: Send) -> None:
        match = _SERVICE.fullmatch(unquote(asked.path))
        if match is None or asked.request.method not in ("GET", "PATCH"):
            text = (
                f"{asked.request.method} {asked.path}: the local twin reads services (GET) and sets their floor (PATCH ?updateMask={MASK})."
            )
            raise Refusal("UNIMPLEMENTED", text, 501)
        name = match[1]
        if asked.request.method == "GET":
            self.permit(asked, "run.services.get", name)
            await respond(send, answered(described(self._plane.live(self._service(name)))))
            return
        self.permit(asked, "run.services.update", name)
        service = self._service(name)
        self._permit_acting(asked, service)
        body = json_of(await asked.request.body(_BODY_BYTES, Refusal("INVALID_ARGUMENT", "The request is too large.", 413)))
        self._plane.set_floor(service, floor_asked(dict(asked.request.query), body, service))
        await respond(send, answered(_operation(self._plane.live(service))))

    def _service(self, name: str) -> Resource:
        service = self.twin.world.get(RUN_SERVICE, name)
        if service is None:
            raise Refusal("NOT_FOUND", f"Resource '{name.rsplit('/', 1)[-1]}' of kind 'SERVICE' in {name} does not exist.", 404)
        return service

    def _permit_acting(self, asked: Asked, service: Resource) -> None:
        """Whoever changes a service deploys as its identity (Cloud Run documentation, "Service identity")."""
        email = account_of(service.outputs)
        self.permit(asked, "iam.serviceAccounts.actAs", f"projects/{service['project']}/serviceAccounts/{email}")


def floor_asked(query: Mapping[str, str], body: Mapping[str, Any], service: Resource) -> int:
    """The minimum that a PATCH asks for. Refusal for every other change, and for a number that is none."""
    if unknown := sorted(set(query) - _ANY_METHOD - {"updateMask"}):
        raise Refusal("UNIMPLEMENTED", f"{', '.join(unknown)}: the local twin knows no such parameter: use updateMask={MASK} alone.", 501)
    mask = query.get("updateMask", "")
    if mask not in (MASK, "scaling.min_instance_count"):
        raise Refusal("UNIMPLEMENTED", f"updateMask {mask!r}: the local twin changes {MASK} alone; the rest is a program's to write.", 501)
    scaling = body.get("scaling") or {}
    given = str(scaling.get("minInstanceCount", 0)) if isinstance(scaling, Mapping) else ""
    if not given.isdecimal():
        raise Refusal("INVALID_ARGUMENT", f"scaling: {scaling!r} is not allowed: use minInstanceCount, a whole number of 0 or more.")
    floor = int(given)
    if problems := list(scaling_problems("scaling", {**(service.get("scaling") or {}), "minInstanceCount": floor})):
        raise Refusal("INVALID_ARGUMENT", " ".join(problems))
    return floor


def described(service: Resource) -> dict[str, Any]:
    """A service in the API's form."""
    template = service["template"]
    return {
        "name": service.id,
        **{field: service[field] for field in _SAME if service.get(field) is not None},
        "template": {**template, "containers": [_container(one) for one in template["containers"]]},
        "traffic": service["traffics"],
        "trafficStatuses": service["trafficStatuses"],
        "terminalCondition": service["terminalConditions"][0],
    }


def _container(given: Properties) -> dict[str, Any]:
    named = {_CONTAINER.get(field, field): value for field, value in given.items()}
    return {**named, "ports": [named["ports"]]} if isinstance(named.get("ports"), Mapping) else named


def _operation(service: Resource) -> dict[str, Any]:
    """Done at once: no revision is made, and instances come and go without the service being less ready for it."""
    told = {"@type": _TYPE, **described(service)}
    name = f"projects/{service['project']}/locations/{service['location']}/operations/{assigned.new_uuid()}"
    return {"name": name, "metadata": told, "done": True, "response": told}
