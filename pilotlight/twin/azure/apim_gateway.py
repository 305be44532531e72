"""A request at the gateway of an API Management service: its API and operation, its key, its policies, its answer."""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import replace

from components.limits_azure import API_MANAGEMENT_QUERY_BYTES, API_MANAGEMENT_REQUEST_BYTES, API_MANAGEMENT_URL_BYTES, CONSUMPTION
from pilotlight.twin.asgi import Request
from pilotlight.twin.azure import apim_routes, apim_subscriptions, apim_traces
from pilotlight.twin.azure.apim_call import (
    ApiRequest,
    ApiResponse,
    Call,
    Deployment,
    Entity,
    Finished,
    Headers,
    LastError,
    PolicyFailure,
    Url,
)
from pilotlight.twin.azure.apim_policies import INTERNAL, Run, steps
from pilotlight.twin.azure.apim_policy_cors import cors, is_preflight, requested_method
from pilotlight.twin.azure.apim_policy_handlers import HANDLERS
from pilotlight.twin.azure.apim_routes import Route
from pilotlight.twin.azure.apim_service import ServiceMeans, Services
from pilotlight.twin.azure.types import API, API_OPERATION
from pilotlight.twin.world import Resource

_LOG = logging.getLogger(__name__)
_ORIGIN = "access-control-allow-origin"


class Gateway:
    """One call of one service."""

    def __init__(self, services: Services, service: Resource, request: Request, host: str, path: str) -> None:
        self._service, self._request, self._twin, self._world = service, request, services.twin, services.twin.world
        self._means = ServiceMeans(services, service)
        url = Url(host=host, path=path, raw_query=request.raw_query)
        self.call = Call(
            request_id=str(uuid.uuid4()),
            request=ApiRequest(
                method=request.method,
                ip_address=request.source_ip,
                headers=Headers(request.header_pairs),
                url=replace(url),
                original_url=url,
                body=request.chunks() if request.declared_length or "transfer-encoding" in request.headers else b"",
            ),
            deployment=Deployment(service_name=str(service["name"]), region=str(service["location"])),
        )
        self._documents = self._means.documents(None, None, None)

    async def answer(self) -> ApiResponse:
        """The answer, of which `call` tells the rest."""
        call = self.call
        try:
            await self._through()
        except Finished:
            pass
        except PolicyFailure as failure:
            await self._failed(failure)
        response = call.response or ApiResponse(status_code=200)
        for name, value in call.extra:
            response.headers.replace(name, value)
        return response

    def told(self, status: int) -> None:
        """The caller has that status: whoever traces the API hears of it."""
        if self._means.traced is not None:
            self._means.traced.answered(status)

    async def _through(self) -> None:
        call = self.call
        _check_size(self._service, self._request, call)
        method = requested_method(call.request) if is_preflight(call.request) else call.request.method
        route = self._route(call.request.method) or self._route(method)
        if route is None:
            raise _not_found()
        self._enter(route)
        self._documents = self._means.documents(route.api, route.operation, None)
        self._means.traced = apim_traces.traced(self._twin, self._service, route.api, call)
        if str(route.operation["method"]).upper() != call.request.method:
            await self._preflight()
            return
        await self._admit(route)
        run = Run(call, self._documents, self._means, HANDLERS)
        for section in ("inbound", "backend", "outbound"):
            await run.section(section)

    def _route(self, method: str) -> Route | None:
        apis = [one for one in self._world.find(API) if one.id.startswith(f"{self._service.id}/")]
        return apim_routes.find(apis, self._world.find(API_OPERATION), method, self.call.request.original_url.path)

    def _enter(self, route: Route) -> None:
        call, api, operation = self.call, route.api, route.operation
        call.api = Entity(id=str(api["name"]), name=str(api.get("displayName") or api["name"]), path=str(api["path"]))
        call.operation = Entity(
            id=str(operation["name"]),
            name=str(operation["displayName"]),
            method=str(operation["method"]),
            url_template=str(operation["urlTemplate"]),
        )
        call.request.url.path = route.path
        call.request.matched_parameters = route.parameters
        call.base_url = api.get("serviceUrl")

    async def _admit(self, route: Route) -> None:
        """Ask for the key, and let the product that it belongs to count. PolicyFailure (401)."""
        call, own = self.call, str(route.api["path"]).strip("/")
        realm = f"https://{call.request.original_url.host}{f'/{own}' if own else ''}"
        key = apim_subscriptions.sent_key(route.api, call.request.headers.pairs, call.request.url.query)
        access = apim_subscriptions.access(self._world, self._service, route.api, key, realm)
        call.subscription = access.subscription
        if access.product is not None:
            call.product = Entity(id=str(access.product["name"]), name=str(access.product["displayName"]))
        self._documents = self._means.documents(route.api, route.operation, access.product)

    async def _preflight(self) -> None:
        """Of all policies only cors answers a preflight, and no key is asked for. PolicyFailure (404) without such a policy."""
        run = Run(self.call, self._documents, self._means, HANDLERS)
        for step in steps("inbound", self._documents):
            if step.element.name == "cors":
                try:
                    await cors(run, step.element)
                except Finished:
                    if self.call.response is not None and self.call.response.headers.get(_ORIGIN) is not None:
                        return
        if self.call.response is None:
            raise _not_found()

    async def _failed(self, failure: PolicyFailure) -> None:
        """What the caller is told of a failure, by the section on-error of the scopes that were reached."""
        call = self.call
        if call.error is None:
            source = "configuration" if failure.status == 404 else "authorization"
            call.error = LastError(source=source, reason=failure.reason, message=failure.message, section="inbound")
        if failure.status >= 500:
            _LOG.warning("API Management %s, request %s: %s: %s", self._service["name"], call.request_id, failure.reason, failure.message)
        if call.response is not None and call.response.close is not None:
            await call.response.close()
        call.response = told(failure, call.request_id)
        try:
            await Run(call, self._documents, self._means, HANDLERS).section("on-error")
        except Finished:
            pass
        except PolicyFailure as again:
            call.response = told(again, call.request_id)


def _not_found() -> PolicyFailure:
    return PolicyFailure(404, "OperationNotFound", "Unable to match incoming request to an operation.", told="Resource not found")


def told(failure: PolicyFailure, request_id: str) -> ApiResponse:
    """An error as API Management writes it; one of its own side with the id of the request in its log."""
    content: dict[str, object] = {"statusCode": failure.status, "message": failure.told}
    if failure.told == INTERNAL:
        content["activityId"] = request_id
    body = f"{{ {json.dumps(content, ensure_ascii=False)[1:-1]} }}".encode()
    headers = Headers([("Content-Length", str(len(body))), ("Content-Type", "application/json"), *failure.headers])
    return ApiResponse(status_code=failure.status, headers=headers, body=body)


def _check_size(service: Resource, request: Request, call: Call) -> None:
    """The limits of the tier Consumption. PolicyFailure (413, 414)."""
    if service["sku"]["name"] != CONSUMPTION:
        return
    whole = len(call.request.original_url.path) + len(request.raw_query)
    if whole > API_MANAGEMENT_URL_BYTES.high or len(request.raw_query) > API_MANAGEMENT_QUERY_BYTES.high:
        text = f"The request URL may have {API_MANAGEMENT_URL_BYTES.high} bytes, {API_MANAGEMENT_QUERY_BYTES.high} of them in its query."
        raise PolicyFailure(414, "UriTooLong", text)
    if (request.declared_length or 0) > API_MANAGEMENT_REQUEST_BYTES.high:
        raise PolicyFailure(413, "PayloadTooLarge", f"The request body may have {API_MANAGEMENT_REQUEST_BYTES.high} bytes.")
