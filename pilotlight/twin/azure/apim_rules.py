"""What API Management refuses of its resources, as far as their inputs alone tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from components.limits_azure import CONSUMPTION
from pilotlight.twin.azure.apim_routes import template_parameters
from pilotlight.twin.rows import Properties

# Microsoft.ApiManagement API 2024-05-01: lengths and patterns of its definitions.
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LENGTHS: Mapping[str, tuple[int, int]] = {"publisherEmail": (1, 100), "publisherName": (1, 100)}
_NAMED_VALUE = re.compile(r"[A-Za-z0-9._-]{1,256}")
_KEY_HIGH = 256
# "Only for Developer and Premium", or for tiers with a network: not for Consumption (the same API's texts, and the page "features").
_NOT_IN_CONSUMPTION = (
    "additionalLocations",
    "certificates",
    "publicIpAddressId",
    "virtualNetworkConfiguration",
    "zones",
)
# The same, of those that have a value which asks for nothing; azure-native 3.29 sends `natGatewayState: Disabled` by itself.
_OFF_IN_CONSUMPTION: Mapping[str, str] = {"virtualNetworkType": "None", "natGatewayState": "Disabled"}
_METHOD = re.compile(r"[A-Z]+")
_IMPORTED = ("format", "value", "wsdlSelector", "sourceApiId", "apiVersionSet", "apiVersionSetId", "apiVersion")


def service(inputs: Properties) -> list[str]:
    found = []
    for name, (low, high) in _LENGTHS.items():
        value = inputs.get(name)
        if isinstance(value, str) and not low <= len(value) <= high:
            found.append(f"{name}: has {len(value)} characters: use {low} to {high}.")
    email = inputs.get("publisherEmail")
    if isinstance(email, str) and email and not _EMAIL.fullmatch(email):
        found.append(f"publisherEmail: {email!r} is no e-mail address: use one like api@example.com, where Azure writes to.")
    sku = inputs.get("sku")
    return [*found, *(_sku_problems(sku, inputs) if isinstance(sku, Mapping) else [])]


def _sku_problems(sku: Mapping[str, Any], inputs: Properties) -> list[str]:
    name, capacity = sku.get("name"), sku.get("capacity")
    if name != CONSUMPTION:
        few = isinstance(capacity, int | float) and capacity < 1
        found = [f"sku.capacity: {capacity:g} units of the tier {name}: use 1 or more."] if few else []
        if family(str(name)) == "classic" and inputs.get("enableClientCertificate") is False:
            found.append(f"enableClientCertificate: false is not supported for the SKU {name}: set it to true.")
        return found
    found = [f"{one}: is not for the tier {CONSUMPTION}: leave it out." for one in _NOT_IN_CONSUMPTION if inputs.get(one)]
    for setting, off in _OFF_IN_CONSUMPTION.items():
        if inputs.get(setting) not in (None, off):
            found.append(f"{setting}: the tier {CONSUMPTION} joins no network: leave it out.")
    if isinstance(capacity, int | float) and capacity != 0:
        found.append(f"sku.capacity: {capacity:g}: For Consumption SKU Type capacity must be specified as 0.")
    return found


def family(sku: str) -> str:
    """Tiers that a service can be moved among (API Management documentation, "Upgrade and scale": not from or to Consumption; v2 overview:
    not between the classic ones and v2)."""
    return CONSUMPTION if sku == CONSUMPTION else "v2" if sku.endswith("V2") else "classic"


def api(inputs: Properties) -> list[str]:
    text = "is not served by the local twin, which imports no APIs: leave it out, and declare operations."
    found = [f"{name}: {text}" for name in _IMPORTED if inputs.get(name)]
    path = inputs.get("path")
    if isinstance(path, str) and (path.startswith("/") or path.endswith("/") or "//" in path or len(path) > 400):
        found.append(f"path: {path!r} is not allowed: use up to 400 characters without a slash at an end ('' is the root).")
    for protocol in inputs.get("protocols") or []:
        if protocol in ("ws", "wss"):
            found.append(f"protocols: {protocol!r} is not served by the local twin: use https.")
    url = inputs.get("serviceUrl")
    return [*found, *(_url_problems("serviceUrl", url) if isinstance(url, str) else [])]


def _url_problems(field: str, url: str) -> list[str]:
    try:
        split = urlsplit(url)
    except ValueError:
        split = urlsplit("")
    if split.scheme in ("http", "https") and split.hostname and len(url) <= 2000:
        return []
    return [f"{field}: {url!r} is no absolute URL: use http or https, a host, and no more than 2000 characters."]


def operation(inputs: Properties) -> list[str]:
    found, method, template = [], inputs.get("method"), inputs.get("urlTemplate")
    if isinstance(method, str) and not _METHOD.fullmatch(method):
        found.append(f"method: {method!r} is no HTTP method: use GET, POST, …")
    if isinstance(template, str):
        if not template.startswith("/") or len(template) > 1000:
            found.append(f"urlTemplate: {template!r} is not allowed: begin it with a slash, with no more than 1000 characters.")
        found += _parameter_problems(
            template, [one.get("name") for one in inputs.get("templateParameters") or [] if isinstance(one, Mapping)]
        )
    return found


def _parameter_problems(template: str, declared: list[Any]) -> list[str]:
    used = template_parameters(template)
    missing = [name for name in used if name not in declared]
    extra = [str(name) for name in declared if isinstance(name, str) and name not in used]
    found = []
    if missing:
        text = "All template parameters used in the UriTemplate must be defined in the Operation, please ensure to include"
        found.append(f"templateParameters: {text} {', '.join(missing)}.")
    if extra:
        found.append(f"templateParameters: {', '.join(extra)}: is not in the urlTemplate {template!r}.")
    return found


def product(inputs: Properties) -> list[str]:
    """`approvalRequired` and `subscriptionsLimit` are of products that need a subscription."""
    if inputs.get("subscriptionRequired", True) is not False:
        return []
    held = [name for name in ("approvalRequired", "subscriptionsLimit") if inputs.get(name) is not None]
    return [f"{name}: can be given only where subscriptionRequired is true." for name in held]


def subscription(inputs: Properties) -> list[str]:
    found = []
    for name in ("primaryKey", "secondaryKey"):
        key = inputs.get(name)
        if isinstance(key, str) and not 1 <= len(key) <= _KEY_HIGH:
            found.append(f"{name}: has {len(key)} characters: use 1 to {_KEY_HIGH}.")
    if inputs.get("primaryKey") and inputs.get("primaryKey") == inputs.get("secondaryKey"):
        found.append("secondaryKey: is the same as primaryKey: use another, or leave both to Azure.")
    return found


def policy(inputs: Properties) -> list[str]:
    found = []
    if inputs.get("policyId") not in (None, "policy"):
        found.append(f"policyId: {inputs.get('policyId')!r} is not allowed: use 'policy', which is the name of every policy.")
    content_format = inputs.get("format")
    if content_format in ("xml-link", "rawxml-link"):
        found.append(f"format: {content_format!r} is not served by the local twin: use rawxml, or xml, with the document itself.")
    return found


def named_value(inputs: Properties) -> list[str]:
    found, name, value = [], inputs.get("displayName"), inputs.get("value")
    if isinstance(name, str) and not _NAMED_VALUE.fullmatch(name):
        found.append(f"displayName: {name!r} is not allowed: use 1 to 256 letters, digits, periods, hyphens and underscores.")
    if inputs.get("keyVault"):
        found.append("keyVault: is not served by the local twin: use value.")
    elif "value" in inputs and isinstance(value, str | None) and not (value or "").strip():
        found.append("value: is missing or empty: a named value is a text.")
    return found


def logger(inputs: Properties) -> list[str]:
    """LoggerContract: what Application Insights is found by, and whoever tells it something."""
    kind, held = inputs.get("loggerType"), inputs.get("credentials")
    if kind not in (None, "applicationInsights"):
        return [f"loggerType: {kind!r} is not served by the local twin: use applicationInsights."]
    if isinstance(held, Mapping) and not ({"connectionString", "instrumentationKey"} & {*held}):
        return ["credentials: has no connectionString and no instrumentationKey: use one of them."]
    if isinstance(held, Mapping) and "identityClientId" in held and "connectionString" not in held:
        return ["credentials.identityClientId: goes with connectionString alone: name the component by that."]
    return []


def diagnostic(inputs: Properties) -> list[str]:
    found, name = [], inputs.get("diagnosticId")
    if isinstance(name, str) and name != "applicationinsights":
        found.append(f"diagnosticId: {name!r} is not served by the local twin: use 'applicationinsights'.")
    share = (inputs.get("sampling") or {}).get("percentage")
    if isinstance(share, int | float) and not 0 <= share <= 100:
        found.append(f"sampling.percentage: {share:g} is out of range: use 0 to 100.")
    return found


def backend(inputs: Properties) -> list[str]:
    found = [
        f"{name}: is not served by the local twin: leave it out." for name in ("pool", "circuitBreaker", "credentials") if inputs.get(name)
    ]
    if inputs.get("type") in (None, "Single"):
        found += [f"{name}: is missing: a single backend has one." for name in ("url", "protocol") if name not in inputs]
    url = inputs.get("url")
    return [*found, *(_url_problems("url", url) if isinstance(url, str) else [])]
