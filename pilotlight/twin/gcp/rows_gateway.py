"""API Gateway: APIs, their configs, gateways. What answers requests is the data plane of the gateways."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from typing import Any

import yaml

from components.limits import API_GATEWAY_REGIONS, GATEWAY_ID
from pilotlight.twin.forms import Form, only_one, short
from pilotlight.twin.gcp import assigned, gateway_document, identities
from pilotlight.twin.gcp.base import google
from pilotlight.twin.gcp.types import API, API_CONFIG, GATEWAY
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

SERVICE = "apigateway.googleapis.com"
_ID = Form(
    rf"(?=.{{{GATEWAY_ID.low},{GATEWAY_ID.high}}}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    f"{GATEWAY_ID.allowed()}: lower-case letters, digits and hyphens, none of these at an end",
)


def api_id(project: str, api: str) -> str:
    """The full name of an API, which may be given by its id alone."""
    return f"projects/{project}/locations/global/apis/{short(api)}"


def config_id(properties: Properties) -> str:
    return f"{api_id(properties['project'], properties['api'])}/configs/{properties['apiConfigId']}"


def api_of(config: Resource) -> str:
    """The full name of a config's API."""
    return config.id.rsplit("/configs/", 1)[0]


def _api(twin: Twin, inputs: Properties) -> dict[str, Any]:
    project, name = inputs["project"], inputs["apiId"]
    managed = f"{name}-{assigned.short_hash(project, name, digits=13)}.apigateway.{project}.cloud.goog"
    return {
        "name": api_id(project, name),
        "managedService": inputs.get("managedService") or managed,
        "displayName": inputs.get("displayName") or name,
    }


def document(contents: str) -> Mapping[str, Any]:
    """The OpenAPI document in a base64 text. ValueError says what is wrong with it."""
    try:
        parsed = yaml.safe_load(base64.b64decode(contents, validate=True))
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("is no base64 text: encode the document.") from None
    except yaml.YAMLError as error:
        raise ValueError(f"is neither YAML nor JSON: {' '.join(str(error).split())}.") from None
    if not isinstance(parsed, Mapping) or not ({"swagger", "openapi"} & set(parsed)):
        raise ValueError("is no OpenAPI document: it has neither `swagger` nor `openapi`.")
    return parsed


def _config_limits(inputs: Properties) -> list[str]:
    found = [*_ID.problems("apiConfigId", inputs), *only_one(inputs, "openapiDocuments", "grpcServices")]
    for index, one in enumerate(inputs.get("openapiDocuments") or []):
        contents = (one.get("document") or {}).get("contents")
        if isinstance(contents, str):
            at = f"openapiDocuments[{index}].document.contents"
            try:
                found += [f"{at}: {text}" for text in _document_problems(document(contents))]
            except ValueError as error:
                found.append(f"{at}: {error}")
    return found


def _document_problems(parsed: Mapping[str, Any]) -> list[str]:
    """What API Gateway refuses of a document: its own converter asks for these (documentation, "OpenAPI overview")."""
    paths = parsed.get("paths")
    if not isinstance(paths, Mapping) or not paths:
        return ["has no paths: an API has at least one operation."]
    operations = [(f"{method} {path}", operation) for path, method, operation in gateway_document.declared_operations(parsed)]
    without = [name for name, operation in operations if not operation.get("operationId")]
    backed = gateway_document.BACKEND in parsed
    unbacked = [name for name, operation in operations if not backed and gateway_document.BACKEND not in operation]
    found = [
        *(f"{name} has no operationId, which API Gateway needs." for name in without),
        *(f"{name} has no x-google-backend, so it leads nowhere: set it there or for the document." for name in unbacked),
    ]
    return found or gateway_document.problems(parsed)


def _check_config(twin: Twin, inputs: Properties) -> None:
    api = api_id(inputs["project"], inputs["api"])
    if twin.world.get(API, api) is None:
        raise Refusal("NOT_FOUND", f"Resource '{api}' was not found.", 404)
    backend = (inputs.get("gatewayConfig") or {}).get("backendConfig") or {}
    if email := backend.get("googleServiceAccount"):
        identities.require(twin.world, short(email))


def _new_config(twin: Twin, inputs: Properties) -> dict[str, Any]:
    name = inputs.get("apiConfigId") or f"{inputs.get('apiConfigIdPrefix') or 'config-'}{secrets.token_hex(6)}"
    return {
        "apiConfigId": name,
        "apiConfigIdPrefix": inputs.get("apiConfigIdPrefix") or "",
        "name": config_id({**inputs, "apiConfigId": name}),
        "serviceConfigId": f"{name}-{secrets.token_hex(6)}",
        "displayName": inputs.get("displayName") or name,
    }


def _delete_config(twin: Twin, config: Resource) -> None:
    users = [one.id for one in twin.world.find(GATEWAY) if one["apiConfig"] == config.id]
    if users:
        raise Refusal(
            "FAILED_PRECONDITION", f"The config {config.id} is in use by {', '.join(users)}: move the gateway to another one first."
        )


def _delete_api(twin: Twin, api: Resource) -> None:
    held = [one.id for one in twin.world.find(API_CONFIG) if one.id.startswith(f"{api.id}/")]
    if held:
        raise Refusal("FAILED_PRECONDITION", f"The API {api.id} has configs: delete them first ({', '.join(held)}).")


def _gateway_limits(inputs: Properties) -> list[str]:
    found, region = _ID.problems("gatewayId", inputs), inputs.get("region")
    if isinstance(region, str) and (text := API_GATEWAY_REGIONS.problem(region)):
        found.append(f"region: {region!r} has no API Gateway: {text} ({API_GATEWAY_REGIONS.source}).")
    return found


def _gateway_id(properties: Properties) -> str:
    return f"projects/{properties['project']}/locations/{properties['region']}/gateways/{properties['gatewayId']}"


def _gateway(twin: Twin, inputs: Properties) -> dict[str, Any]:
    continent, _, place = inputs["region"].partition("-")
    host = f"{inputs['gatewayId']}-{assigned.short_hash(_gateway_id(inputs), digits=8)}.{continent[0]}{place[0]}.gateway.dev"
    return {"name": _gateway_id(inputs), "defaultHostname": host, "displayName": inputs.get("displayName") or inputs["gatewayId"]}


def _check_gateway(twin: Twin, inputs: Properties) -> None:
    if twin.world.get(API_CONFIG, inputs["apiConfig"]) is None:
        raise Refusal("NOT_FOUND", f"Resource '{inputs['apiConfig']}' was not found: use an ApiConfig's `id`.", 404)


ROWS: tuple[Row, ...] = (
    google(
        Row(
            token=API,
            id=lambda p: api_id(p["project"], p["apiId"]),
            replaces=frozenset({"apiId", "managedService"}),
            assigned=lambda twin, inputs: {"createTime": assigned.now(twin)},
            computed=_api,
            discovery="apigateway.v1:ApigatewayApi",
            limits=lambda inputs: _ID.problems("apiId", inputs),
            delete=_delete_api,
        ),
        api=SERVICE,
        labelled=True,
    ),
    google(
        Row(
            token=API_CONFIG,
            id=config_id,
            replaces=frozenset(
                {"api", "apiConfigId", "apiConfigIdPrefix", "gatewayConfig", "grpcServices", "managedServiceConfigs", "openapiDocuments"}
            ),
            assigned=_new_config,
            discovery="apigateway.v1:ApigatewayApiConfig",
            rename={"gatewayConfig": ""},
            limits=_config_limits,
            check=_check_config,
            delete=_delete_config,
        ),
        api=SERVICE,
        labelled=True,
    ),
    google(
        Row(
            token=GATEWAY,
            id=_gateway_id,
            replaces=frozenset({"gatewayId"}),
            computed=_gateway,
            discovery="apigateway.v1:ApigatewayGateway",
            limits=_gateway_limits,
            check=_check_gateway,
        ),
        api=SERVICE,
        place="region",
        labelled=True,
    ),
)
