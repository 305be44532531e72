"""Cloud Resource Manager's and Cloud Billing's APIs, as far as a look before a deployment asks: a project, rights on it, who pays for it.

Every project whose id is well-formed is there, as for the provider; `faults` (`account`) make it another one than usual.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from pilotlight.twin.asgi import Send, respond
from pilotlight.twin.gcp.assigned import project_number
from pilotlight.twin.gcp.http_api import Asked, HttpApi, answered, json_of
from pilotlight.twin.gcp.iam import ANONYMOUS
from pilotlight.twin.gcp.places import project_problems
from pilotlight.twin.gcp.project_functions import BILLING_ACCOUNT
from pilotlight.twin.gcp.types import ENABLED
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import World

SEE = "resourcemanager.projects.get"
_BODY_BYTES = 64 * 1024
# Resource Manager API v3, projects.testIamPermissions: names without wildcards.
_PERMISSION = re.compile(r"[a-zA-Z0-9]+(\.[a-zA-Z0-9]+){2}")


def project_named(world: World, given: str) -> str:
    """The id of a project that is given by its id or its number. Refusal for one that there can't be, worded as for one out of sight."""
    if given.isdecimal():
        ids = {str(one["project"]) for one in world.find(ENABLED)}
        given = next((one for one in ids if project_number(one) == given), "")
    if project_problems(given):
        raise Refusal("PERMISSION_DENIED", "The caller does not have permission: there is no such project in the local twin.", 403)
    return given


def unserved(asked: Asked, served: str) -> Refusal:
    return Refusal("UNIMPLEMENTED", f"The local twin does not serve {asked.request.method} {asked.path}: {served}.", 501)


class ResourceManagerApi(HttpApi):
    name = "cloudresourcemanager"
    host = "cloudresourcemanager.googleapis.com"

    async def answer(self, asked: Asked, send: Send) -> None:
        match = re.fullmatch(r"/v3/projects/([^/]+?)(:testIamPermissions)?", unquote(asked.path))
        if match is None or asked.request.method != ("POST" if match[2] else "GET"):
            raise unserved(asked, "it reads a project (GET /v3/projects/PROJECT) and takes POST :testIamPermissions of one")
        project = project_named(self.twin.world, match[1])
        if match[2]:
            too_large = Refusal("INVALID_ARGUMENT", f"The request is larger than {_BODY_BYTES} bytes.", 413)
            granted = self._granted(asked, project, json_of(await asked.request.body(_BODY_BYTES, too_large)))
            await respond(send, answered({"permissions": granted} if granted else {}))
            return
        self.permit(asked, SEE, f"projects/{project}")
        state = self.twin.faults.said("project") or "ACTIVE"
        await respond(
            send, answered({"name": f"projects/{project_number(project)}", "projectId": project, "displayName": project, "state": state})
        )

    def _granted(self, asked: Asked, project: str, wanted: Mapping[str, object]) -> list[str]:
        permissions = wanted.get("permissions")
        if not isinstance(permissions, list) or not all(isinstance(one, str) and _PERMISSION.fullmatch(one) for one in permissions):
            text = f"permissions: {permissions!r} is not allowed: use names as resourcemanager.projects.get."
            raise Refusal("INVALID_ARGUMENT", text)
        if asked.caller == ANONYMOUS:
            raise Refusal("UNAUTHENTICATED", "Request is missing required authentication credential: send an access token.", 401)
        return [one for one in permissions if self.reason(asked, one, f"projects/{project}") is None]


class BillingApi(HttpApi):
    name = "cloudbilling"
    host = "cloudbilling.googleapis.com"

    async def answer(self, asked: Asked, send: Send) -> None:
        match = re.fullmatch(r"/v1/projects/([^/]+)/billingInfo", unquote(asked.path))
        if match is None or asked.request.method != "GET":
            raise unserved(asked, "it tells who pays (GET /v1/projects/PROJECT/billingInfo)")
        project = project_named(self.twin.world, match[1])
        self.permit(asked, SEE, f"projects/{project}")
        wrong = self.twin.faults.said("billing")
        account = "" if wrong == "unlinked" else f"billingAccounts/{BILLING_ACCOUNT}"
        told = {"name": f"projects/{project}/billingInfo", "projectId": project, "billingAccountName": account}
        await respond(send, answered({**told, "billingEnabled": not wrong}))
