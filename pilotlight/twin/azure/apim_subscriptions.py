"""Subscriptions of API Management: their keys, and which of them opens an API."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pilotlight.twin.azure import arm
from pilotlight.twin.azure.apim_call import PolicyFailure, Subscription
from pilotlight.twin.azure.types import API, API_PRODUCT, API_PRODUCT_API, API_SUBSCRIPTION
from pilotlight.twin.world import Resource, World

# Keys lie beside their subscription: no output tells them, the function listSecrets does.
KEYS = "twin:azure/subscriptionKeys:SubscriptionKeys"
HEADER, QUERY = "Ocp-Apim-Subscription-Key", "subscription-key"
_MISSING = "Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API."
_INVALID = "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription."


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who calls an API: a subscription, and the product by which the API is called, where there are any."""

    subscription: Subscription | None
    product: Resource | None


def new_key() -> str:
    return secrets.token_hex(16)


def access(world: World, service: Resource, api: Resource, key: str | None, realm: str) -> Access:
    """What a key opens; PolicyFailure (401) where it does not open the API."""
    products = _products(world, service, api)
    if key is None:
        opened = next((product for product in products if not product.get("subscriptionRequired", True)), None)
        if opened is None and api.get("subscriptionRequired", True):
            raise _refused(api, realm, "SubscriptionKeyNotFound", _MISSING)
        return Access(subscription=None, product=opened)
    for subscription in _of(world, service, API_SUBSCRIPTION):
        keys = world.get(KEYS, subscription.id)
        if keys is None or key not in (keys["primaryKey"], keys["secondaryKey"]):
            continue
        product = next((one for one in products if _is_scope(service, subscription, one.id)), None)
        if subscription["state"] == "active" and (product is not None or _opens(service, subscription, api)):
            return Access(subscription=_told(subscription, keys, key), product=product)
    raise _refused(api, realm, "SubscriptionKeyInvalid", _INVALID)


def sent_key(api: Resource, headers: Iterable[tuple[str, str]], query: dict[str, str]) -> str | None:
    """The key of a request: the query is looked at only where the header is missing."""
    header, parameter = names(api)
    found = next((value for name, value in headers if name.lower() == header.lower()), None)
    return found if found is not None else query.get(parameter)


def names(api: Resource) -> tuple[str, str]:
    """The header and the query parameter of an API's keys."""
    given = api.get("subscriptionKeyParameterNames") or {}
    return str(given.get("header") or HEADER), str(given.get("query") or QUERY)


def scope_problem(world: World, service_id: str, scope: str) -> str | None:
    """What is wrong with a subscription's scope: `/apis`, or the id of an API or product, whole or below the service."""
    whole = whole_scope(service_id, scope)
    if whole in (f"{service_id}/apis", f"{service_id}/"):
        return None
    found = arm.find(world, whole)
    if found is None or found.token not in (API, API_PRODUCT) or not whole.startswith(f"{service_id}/"):
        return (
            f"Subscription scope should be one of '/apis', '/apis/{{apiId}}', '/products/{{productId}}': {scope!r} is none that is there."
        )
    return None


def whole_scope(service_id: str, scope: str) -> str:
    return scope if scope.lower().startswith("/subscriptions/") else f"{service_id}/{scope.strip('/')}"


def _products(world: World, service: Resource, api: Resource) -> list[Resource]:
    links = [one.id for one in _of(world, service, API_PRODUCT_API) if one["apiId"] == api["name"]]
    return [product for product in _of(world, service, API_PRODUCT) if any(one.startswith(f"{product.id}/") for one in links)]


def of_product(world: World, product: Resource) -> list[Resource]:
    """The subscriptions of a product, its own too."""
    service = product.id.rsplit("/", 2)[0]
    found = [one for one in world.find(API_SUBSCRIPTION) if one.id.startswith(f"{service}/")]
    return [one for one in found if arm.same(whole_scope(service, str(one["scope"])), product.id)]


def _of(world: World, service: Resource, token: str) -> list[Resource]:
    return [one for one in world.find(token) if one.id.startswith(f"{service.id}/")]


def _is_scope(service: Resource, subscription: Resource, id_: str) -> bool:
    return arm.same(whole_scope(service.id, str(subscription["scope"])), id_)


def _opens(service: Resource, subscription: Resource, api: Resource) -> bool:
    return any(_is_scope(service, subscription, id_) for id_ in (api.id, f"{service.id}/apis", service.id))


def _told(subscription: Resource, keys: Resource, key: str) -> Subscription:
    return Subscription(
        id=str(subscription["name"]),
        name=str(subscription["displayName"]),
        key=key,
        primary_key=str(keys["primaryKey"]),
        secondary_key=str(keys["secondaryKey"]),
        begins=datetime.fromisoformat(str(subscription["createdDate"])).timestamp(),
    )


def _refused(api: Resource, realm: str, reason: str, message: str) -> PolicyFailure:
    challenge = f'AzureApiManagementKey realm="{realm}",name="{names(api)[0]}",type="header"'
    return PolicyFailure(401, reason, message, [("WWW-Authenticate", challenge)])
