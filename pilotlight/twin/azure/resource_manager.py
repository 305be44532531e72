"""Azure Resource Manager, as far as a look before a deployment asks, and what drops a warming floor: `/_azure/arm/…`, at the front that
speaks TLS `/arm/…`.

Subscriptions, resource providers, rights, quotas and regions are read, and budgets; apps and jobs are read and changed in part. Resources
are made through the provider alone.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pilotlight.twin.asgi import Request, Send, respond
from pilotlight.twin.aws.gateway_call import json_response
from pilotlight.twin.azure import account, alerts_management, apps_changes, arm, budgets, network_reads, subscriptions
from pilotlight.twin.azure.types import BUDGET
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

NAME = "arm"
# For whom a token must be ("Azure REST API reference": the resource of Resource Manager, with and without its slash, and the older one).
_AUDIENCES = [f"https://management.{domain}{end}" for domain in ("azure.com", "core.windows.net") for end in ("", "/")]
_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview)?")
_SUBSCRIPTION = r"/subscriptions/([^/]+)"
# What is asked after the subscription's id -> the action that it takes, and what answers it.
_Answer = Callable[["Twin", str, str, tuple[str, ...]], Any]
_ROUTES: Mapping[str, tuple[str, _Answer]] = {
    "": ("Microsoft.Resources/subscriptions/read", subscriptions.told),
    r"/providers/Microsoft\.Authorization/permissions": ("Microsoft.Authorization/permissions/read", subscriptions.permissions),
    r"/providers/Microsoft\.ApiManagement/skus": ("Microsoft.ApiManagement/skus/read", subscriptions.tiers),
    r"/providers/Microsoft\.ApiManagement/deletedservices": (
        "Microsoft.ApiManagement/deletedservices/read",
        subscriptions.deleted_services,
    ),
    r"/providers/Microsoft\.App/locations/([^/]+)/usages": ("Microsoft.App/locations/usages/read", subscriptions.usages),
    r"/providers/Microsoft\.App/locations/([^/]+)/availableManagedEnvironmentsWorkloadProfileTypes": (
        "Microsoft.App/locations/availableManagedEnvironmentsWorkloadProfileTypes/read",
        subscriptions.profiles,
    ),
    r"/providers/([^/]+)": ("Microsoft.Resources/subscriptions/providers/read", subscriptions.provider),
    r"(/resourceGroups/[^/]+/providers/Microsoft\.App/managedEnvironments/[^/]+)": (
        "Microsoft.App/managedEnvironments/read",
        subscriptions.environment,
    ),
    r"(/resourceGroups/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+)": (
        "Microsoft.Network/virtualNetworks/read",
        network_reads.told,
    ),
    r"(/resourceGroups/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+/subnets/[^/]+)": (
        "Microsoft.Network/virtualNetworks/subnets/read",
        network_reads.told,
    ),
}

_ALERTS = re.compile(_SUBSCRIPTION + r"/providers/Microsoft\.AlertsManagement/alerts", re.IGNORECASE)
_BUDGET = re.compile(r"/subscriptions/[^/]+(?:/resourceGroups/[^/]+)?/providers/Microsoft\.Consumption/budgets/[^/]+", re.IGNORECASE)
_BODY_BYTES = 1024 * 1024


class ResourceManager:
    """Who asks is known by the token; each request takes an action on the subscription, which the developer may be denied by a test."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    async def handle(self, request: Request, send: Send) -> None:
        try:
            if self._twin.faults.is_out("arm"):
                raise Refusal("ServiceUnavailable", "arm is out: a test asked for it.", 503)
            answer = json_response(200, await self._answer(request))
        except Refusal as refusal:
            answer = json_response(refusal.status, {"error": {"code": refusal.code, "message": refusal.message}})
        await respond(send, answer)

    async def _answer(self, request: Request) -> Any:
        caller, path = self._caller(request), unquote(request.raw_path.partition(f"/{NAME}")[2]).rstrip("/")
        version = dict(request.query).get("api-version", "")
        if not _VERSION.fullmatch(version):
            text = "The api-version query parameter (?api-version=) is required for all requests."
            raise (
                Refusal("MissingApiVersionParameter", text)
                if not version
                else Refusal(
                    "InvalidApiVersionParameter", f"The api-version '{version}' is invalid. It must be as 2021-04-01 or 2021-04-01-preview."
                )
            )
        if (found := _ALERTS.fullmatch(path)) and request.method == "GET":
            subscriptions.known(found[1])
            self._permit(caller, alerts_management.READ, f"/subscriptions/{found[1]}")
            return alerts_management.listed(self._twin, found[1], dict(request.query))
        if (found := apps_changes.ID.fullmatch(path)) and request.method in ("GET", "PATCH"):
            self._permit(caller, f"{found[1]}/{'read' if request.method == 'GET' else 'write'}", path)
            return await self._app(request, path)
        if _BUDGET.fullmatch(path) and request.method == "GET":
            self._permit(caller, budgets.READ, path)
            return self._budget(path)
        for pattern, (action, answer) in _ROUTES.items():
            found = re.fullmatch(_SUBSCRIPTION + pattern, path, re.IGNORECASE)
            if found and request.method == "GET":
                subscription, *rest = found.groups()
                subscriptions.known(subscription)
                self._permit(caller, action, f"/subscriptions/{subscription}")
                return answer(self._twin, subscription, caller, tuple(rest))
        raise Refusal(
            "NotImplemented",
            f"The local twin does not serve {request.method} {path}: it reads subscriptions, their resource providers, permissions, "
            "usages and workload profiles of Container Apps, tiers and deleted services of API Management, managed environments, networks "
            "and subnets, alerts, budgets, and apps and jobs, which it changes (PATCH), too.",
            501,
        )

    async def _app(self, request: Request, path: str) -> Any:
        resource = apps_changes.found(self._twin, path)
        if request.method == "PATCH":
            text = await request.body(_BODY_BYTES, Refusal("RequestContentTooLarge", "The request content is too large.", 413))
            try:
                body = json.loads(text)
            except ValueError:
                raise Refusal("InvalidRequestContent", "The request content was invalid: send JSON.") from None
            # In a thread: a new revision is waited for.
            resource = await asyncio.to_thread(apps_changes.changed, self._twin, resource, body)
        return apps_changes.described(resource)

    def _budget(self, path: str) -> Any:
        found, plane = arm.find(self._twin.world, path), self._twin.azure.planes.made(budgets.PLACE)
        if found is None or found.token != BUDGET or not isinstance(plane, budgets.Budgets):
            raise Refusal("404", f"The budget {path} was not found.", 404)
        return budgets.described(found, plane.month(found))

    def _caller(self, request: Request) -> str:
        """The principal's object id (Resource Manager's own words for who has none)."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if not token:
            raise Refusal("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.", 401)
        claims = self._twin.azure.tokens(self._twin).verify(token.strip(), _AUDIENCES) if kind.lower() == "bearer" else None
        if claims is None:
            text = f"The access token is invalid: use one of this twin for {_AUDIENCES[0]} that has not ended."
            raise Refusal("InvalidAuthenticationToken", text, 401)
        return str(claims["oid"])

    def _permit(self, caller: str, action: str, scope: str) -> None:
        reason = self._twin.azure.iam.allowed(caller, action, scope)
        if caller == account.PRINCIPAL and self._twin.faults.denies(action):
            reason = "a test asked for it."
        if reason is not None:
            raise Refusal(
                "AuthorizationFailed",
                f"The client '{caller}' with object id '{caller}' does not have authorization to perform action '{action}' over scope "
                f"'{scope}' or the scope is invalid: {reason}",
                403,
            )
