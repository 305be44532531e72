"""API Management: services, their APIs, operations, products, subscriptions, policies, and what these name."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable
from typing import Any

from components.limits_azure import API_MANAGEMENT_POLICY_BYTES, CONSUMPTION
from pilotlight.twin.azure import apim_deleted, apim_rules, apim_subscriptions, arm, identities
from pilotlight.twin.azure.apim_policy_check import Surroundings, UnservedError, problems
from pilotlight.twin.azure.apim_policy_xml import PolicyError
from pilotlight.twin.azure.apim_service import POLICY_SCOPES, backend, named_value, parsed
from pilotlight.twin.azure.base import azure
from pilotlight.twin.azure.times import iso
from pilotlight.twin.azure.types import (
    API,
    API_BACKEND,
    API_DIAGNOSTIC,
    API_LOGGER,
    API_MANAGEMENT,
    API_NAMED_VALUE,
    API_OPERATION,
    API_PRODUCT,
    API_PRODUCT_API,
    API_SUBSCRIPTION,
)
from pilotlight.twin.rows import Invoke, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource, World

_DOMAIN = "azure-api.net"
# What the SDK says is always there, and a service of the tier Consumption does not have.
_CLASSIC_ONLY = frozenset(
    {
        *("developerPortalUrl", "gatewayRegionalUrl", "managementApiUrl", "outboundPublicIPAddresses", "portalUrl", "privateIPAddresses"),
        *("publicIPAddresses", "scmUrl"),
    }
)
_WRONG = "One or more fields contain incorrect values:"


def _service(twin: Twin, inputs: Properties) -> dict[str, Any]:
    """The addresses that a service has; those of a tier with portals too."""
    name, consumption = str(inputs["serviceName"]).lower(), inputs["sku"]["name"] == CONSUMPTION
    found: dict[str, Any] = {"gatewayUrl": f"https://{name}.{_DOMAIN}", "platformVersion": "mtv1" if consumption else "stv2"}
    if not consumption:
        region = str(inputs["location"]).lower().replace(" ", "")
        found |= {
            "gatewayRegionalUrl": f"https://{name}-{region}-01.regional.{_DOMAIN}",
            "developerPortalUrl": f"https://{name}.developer.{_DOMAIN}",
            "portalUrl": f"https://{name}.portal.{_DOMAIN}",
            "managementApiUrl": f"https://{name}.management.{_DOMAIN}",
            "scmUrl": f"https://{name}.scm.{_DOMAIN}",
        }
    return {**found, "targetProvisioningState": "", "sku": {**inputs["sku"], "capacity": int(inputs["sku"]["capacity"])}}


def _new_service(twin: Twin, inputs: Properties) -> dict[str, Any]:
    etag = base64.b64encode(secrets.token_bytes(8)).decode()
    return {"createdAtUtc": iso(twin.clock.now()), "etag": etag}


def _require_family(twin: Twin, old: Resource, new: Resource) -> None:
    before, after = (str(one["sku"]["name"]) for one in (old, new))
    if apim_rules.family(before) != apim_rules.family(after):
        text = f"Changing the tier from {before} to {after} is not supported: make another service, with another name."
        raise Refusal("OperationNotSupported", text)


def _api(twin: Twin, inputs: Properties) -> dict[str, Any]:
    """What an API has where the program says nothing."""
    header, query = apim_subscriptions.HEADER, apim_subscriptions.QUERY
    return {
        "isOnline": True,
        "isCurrent": inputs.get("isCurrent", True),
        "apiRevision": inputs.get("apiRevision") or "1",
        "displayName": inputs.get("displayName") or inputs["apiId"],
        "protocols": inputs.get("protocols") or ["https"],
        "subscriptionRequired": inputs.get("subscriptionRequired", True),
        "subscriptionKeyParameterNames": inputs.get("subscriptionKeyParameterNames") or {"header": header, "query": query},
    }


def _check_api(twin: Twin, inputs: Properties) -> None:
    """Two APIs of a service differ in their paths, since requests tell them apart by nothing else."""
    own, path = arm.id_of(API)(inputs), str(inputs["path"]).lower()
    for other in _siblings(twin.world, API, own):
        if str(other["path"]).lower() == path:
            text = f"Cannot create API '{inputs['apiId']}' with the same Path '{inputs['path']}' as the API '{other['name']}'."
            raise Refusal("ValidationError", f"{_WRONG} {text}")


def _check_operation(twin: Twin, inputs: Properties) -> None:
    own, wanted = arm.id_of(API_OPERATION)(inputs), (inputs["method"], inputs["urlTemplate"])
    for other in _siblings(twin.world, API_OPERATION, own):
        if (other["method"], other["urlTemplate"]) == wanted:
            text = f"Operation with the same method and URL template already exists: {other['name']} ({wanted[0]} {wanted[1]})."
            raise Refusal("ValidationError", f"{_WRONG} {text}")


def _siblings(world: World, token: str, id_: str) -> list[Resource]:
    """The other resources of a type that have the same parent."""
    parent = id_.rsplit("/", 1)[0]
    return [one for one in world.find(token) if one.id.rsplit("/", 1)[0] == parent and not arm.same(one.id, id_)]


def _service_id(properties: Properties) -> str:
    return arm.id_of(API_MANAGEMENT)(properties)


def _check_product_api(twin: Twin, inputs: Properties) -> None:
    if twin.world.get(API, arm.id_of(API)(inputs)) is None:
        raise Refusal("ResourceNotFound", f"API not found: {inputs['apiId']!r} is no API of {inputs['serviceName']}.", 404)


def _product_api(twin: Twin, inputs: Properties) -> dict[str, Any]:
    """A product's API is told as the API is."""
    found = twin.world.get(API, arm.id_of(API)(inputs))
    return {"path": found["path"], "isOnline": True} if found is not None else {}


def _new_subscription(twin: Twin, inputs: Properties) -> dict[str, Any]:
    now = iso(twin.clock.now())
    return {"createdDate": now, "startDate": now}


def _check_subscription(twin: Twin, inputs: Properties) -> None:
    if text := apim_subscriptions.scope_problem(twin.world, _service_id(inputs), str(inputs["scope"])):
        raise Refusal("ValidationError", f"{_WRONG} {text}")


def _put_keys(twin: Twin, subscription: Resource) -> None:
    """The keys that the program gives, else those of before, else new ones; they are no outputs."""
    before = twin.world.get(apim_subscriptions.KEYS, subscription.id)
    held = {
        name: subscription.inputs.get(name) or (before[name] if before else apim_subscriptions.new_key())
        for name in ("primaryKey", "secondaryKey")
    }
    twin.world.put(Resource(token=apim_subscriptions.KEYS, id=subscription.id, urn="", outputs=held))


def _list_secrets(twin: Twin, args: Properties) -> dict[str, Any]:
    """The provider marks no answer of a function secret: the program must do it."""
    id_ = arm.id_of(API_SUBSCRIPTION)(args)
    found = arm.find(twin.world, id_)
    keys = twin.world.get(apim_subscriptions.KEYS, found.id) if found is not None else None
    if keys is None:
        raise Refusal("ResourceNotFound", f"Subscription not found: {id_}. Make it first, or mend the names.", 404)
    return {name: keys[name] for name in ("primaryKey", "secondaryKey")}


def _check_policy(token: str, twin: Twin, inputs: Properties) -> None:
    """What API Management judges of a document when it is stored."""
    service = arm.find(twin.world, _service_id(inputs))
    if service is None:
        raise Refusal("ResourceNotFound", f"There is no API Management service {inputs['serviceName']}.", 404)
    size = len(str(inputs["value"]).encode())
    if service["sku"]["name"] == CONSUMPTION and size > API_MANAGEMENT_POLICY_BYTES.high:
        text = f"Policy size exceeds allowed limit of {API_MANAGEMENT_POLICY_BYTES.high // 1024} KB: it has {size} bytes."
        raise Refusal("ValidationError", f"{_WRONG} {text}")
    around = Surroundings(
        scope=POLICY_SCOPES[token],
        tier=str(service["sku"]["name"]),
        named_value=lambda name: named_value(twin.world, service.id, name) is not None,
        backend=lambda name: backend(twin.world, service.id, name) is not None,
    )
    try:
        found = problems(parsed(str(inputs["value"]), str(inputs.get("format") or "xml")), around)
    except PolicyError as error:
        found = [error]
    if found:
        code = "NotImplemented" if all(isinstance(one, UnservedError) for one in found) else "ValidationError"
        raise Refusal(code, f"{_WRONG} {' '.join(map(str, found))}")


def _require_unused(kind: str, mention: Callable[[Resource], str]) -> Callable[[Twin, Resource], None]:
    """A deletion that is refused while a policy of the service names the resource."""

    def delete(twin: Twin, resource: Resource) -> None:
        service, text = resource.id.rsplit("/", 2)[0], mention(resource)
        users = [
            one.id
            for token in POLICY_SCOPES
            for one in twin.world.find(token)
            if one.id.startswith(f"{service}/") and re.search(text, str(one["value"]))
        ]
        # The service itself goes with all that is in it.
        if users and twin.world.get(API_MANAGEMENT, service) is not None:
            raise Refusal("ValidationError", f"The {kind} {resource['name']} is in use: change {', '.join(users)} first.")

    return delete


def _check_logger(twin: Twin, inputs: Properties) -> None:
    """The identity that it tells as must be the service's own."""
    service, client_id = arm.find(twin.world, _service_id(inputs)), (inputs.get("credentials") or {}).get("identityClientId")
    if service is None or client_id is None:
        return
    own = {one.client_id for one in identities.declared(twin.world, service)}
    if client_id not in own and not (client_id == "SystemAssigned" and identities.system_assigned(service)):
        raise Refusal("ValidationError", f"{_WRONG} credentials.identityClientId: {client_id!r} is no identity of {service['name']}.")


def _check_diagnostic(twin: Twin, inputs: Properties) -> None:
    logger = arm.find(twin.world, apim_subscriptions.whole_scope(_service_id(inputs), str(inputs["loggerId"])))
    if logger is None or logger.token != API_LOGGER:
        raise Refusal("ValidationError", f"{_WRONG} Logger not found: {inputs['loggerId']!r}. Use a Logger's output `id`.")


def _check_named_value(twin: Twin, inputs: Properties) -> None:
    own = arm.id_of(API_NAMED_VALUE)(inputs)
    if any(one["displayName"] == inputs["displayName"] for one in _siblings(twin.world, API_NAMED_VALUE, own)):
        raise Refusal("ValidationError", f"{_WRONG} A named value with the displayName {inputs['displayName']!r} exists already.")


def _check_product(twin: Twin, inputs: Properties) -> None:
    own = arm.id_of(API_PRODUCT)(inputs)
    if any(one["displayName"] == inputs["displayName"] for one in _siblings(twin.world, API_PRODUCT, own)):
        raise Refusal("ValidationError", f"{_WRONG} Product with the same name already exists: {inputs['displayName']!r}.")


def _new_product(twin: Twin, product: Resource) -> None:
    """API Management gives a product that asks for subscriptions one of its own (Azure/apiops issues 94 and 707, read 2026-11)."""
    if product.get("subscriptionRequired", True):
        service, sid = product.id.rsplit("/", 2)[0], secrets.token_hex(12)
        told = {"name": sid, "displayName": "", "scope": product.id, "state": "active", "createdDate": iso(twin.clock.now())}
        own = Resource(token=API_SUBSCRIPTION, id=f"{service}/subscriptions/{sid}", urn="", outputs=told)
        twin.world.put(own)
        _put_keys(twin, own)


def _delete_product(twin: Twin, product: Resource) -> None:
    """Refused while it has subscriptions, its own too: the provider asks to delete none with it (pulumi-azure-native issue 846)."""
    service = product.id.rsplit("/", 2)[0]
    if twin.world.get(API_MANAGEMENT, service) is not None and apim_subscriptions.of_product(twin.world, product):
        text = f"Product cannot be deleted since it has existing subscriptions. Product: {product['name']}."
        raise Refusal("ValidationError", f"{_WRONG} {text}")


def _policy(token: str) -> Row:
    return azure(
        Row(
            token=token,
            id=arm.id_of(token),
            limits=apim_rules.policy,
            computed=lambda twin, inputs: {"format": inputs.get("format") or "xml"},
            check=lambda twin, inputs: _check_policy(token, twin, inputs),
        )
    )


ROWS: tuple[Row, ...] = (
    azure(
        Row(
            token=API_MANAGEMENT,
            id=arm.id_of(API_MANAGEMENT),
            limits=apim_rules.service,
            computed=_service,
            assigned=_new_service,
            check=apim_deleted.check,
            create=apim_deleted.restored,
            update=_require_family,
            delete=apim_deleted.keep,
        ),
        absent=_CLASSIC_ONLY,
    ),
    azure(Row(token=API, id=arm.id_of(API), limits=apim_rules.api, computed=_api, check=_check_api)),
    azure(Row(token=API_OPERATION, id=arm.id_of(API_OPERATION), limits=apim_rules.operation, check=_check_operation)),
    azure(
        Row(
            token=API_PRODUCT,
            id=arm.id_of(API_PRODUCT),
            limits=apim_rules.product,
            computed=lambda twin, inputs: {
                "state": inputs.get("state") or "notPublished",
                "subscriptionRequired": inputs.get("subscriptionRequired", True),
            },
            check=_check_product,
            create=_new_product,
            delete=_delete_product,
        )
    ),
    azure(Row(token=API_PRODUCT_API, id=arm.id_of(API_PRODUCT_API), computed=_product_api, check=_check_product_api)),
    azure(
        Row(
            token=API_SUBSCRIPTION,
            id=arm.id_of(API_SUBSCRIPTION),
            limits=apim_rules.subscription,
            # Microsoft.ApiManagement API, Subscription: a subscription without a state is only submitted, and its keys open nothing.
            computed=lambda twin, inputs: {"state": inputs.get("state") or "submitted"},
            assigned=_new_subscription,
            secrets=frozenset({"primaryKey", "secondaryKey"}),
            check=_check_subscription,
            create=_put_keys,
            update=lambda twin, old, new: _put_keys(twin, new),
            delete=lambda twin, resource: twin.world.delete(apim_subscriptions.KEYS, resource.id),
        )
    ),
    azure(
        Row(
            token=API_NAMED_VALUE,
            id=arm.id_of(API_NAMED_VALUE),
            limits=apim_rules.named_value,
            check=_check_named_value,
            delete=_require_unused("named value", lambda one: r"\{\{" + re.escape(str(one["displayName"])) + r"\}\}"),
        )
    ),
    azure(
        Row(
            token=API_BACKEND,
            id=arm.id_of(API_BACKEND),
            limits=apim_rules.backend,
            computed=lambda twin, inputs: {"properties": inputs.get("properties") or {}},
            delete=_require_unused("backend", lambda one: rf"backend-id\s*=\s*[\"']{re.escape(str(one['name']))}[\"']"),
        )
    ),
    azure(Row(token=API_LOGGER, id=arm.id_of(API_LOGGER), limits=apim_rules.logger, check=_check_logger)),
    azure(Row(token=API_DIAGNOSTIC, id=arm.id_of(API_DIAGNOSTIC), limits=apim_rules.diagnostic, check=_check_diagnostic)),
    *map(_policy, POLICY_SCOPES),
)
INVOKES: tuple[Invoke, ...] = (
    Invoke(token="azure-native:apimanagement:listSubscriptionSecrets", answer=_list_secrets),  # noqa: S106 (a type)
)
