"""REST APIs: the resource types of `aws:apigateway/*`, with what the service refuses at creation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError

from components.limits import REST_TIMEOUT_MS
from pilotlight.twin.aws import apigateway_snapshot as snapshot
from pilotlight.twin.aws.apigateway_common import bad_request, defaults, execution_arn, gateway_arn, keep, last_part, needs, short_id
from pilotlight.twin.aws.apigateway_plan_rows import ROWS as PLAN_ROWS
from pilotlight.twin.aws.apigateway_stage_rows import ROWS as STAGE_ROWS
from pilotlight.twin.aws.gateway_lambda import GATEWAY, target_of
from pilotlight.twin.aws.gateway_responses import TYPES, parameter_known
from pilotlight.twin.rows import Name, Properties, Refusal, Row

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_NO_API = "Invalid API identifier specified"
_NO_RESOURCE = "Invalid Resource identifier specified"
_HTTP_METHODS = ("ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
# Models that every new REST API holds without declaring them.
_BUILT_IN_MODELS = ("Empty", "Error")


def _api_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    arn = gateway_arn(inputs, f"/restapis/{short_id(10)}")
    filled = {
        "apiKeySource": "HEADER",
        "binaryMediaTypes": [],
        "description": "",
        "disableExecuteApiEndpoint": False,
        "endpointConfiguration": {"types": "EDGE", "ipAddressType": "ipv4"},
        "minimumCompressionSize": "",
        "policy": "",
        "securityPolicy": "TLS_1_0",
    }
    made = {
        "arn": arn,
        "createdDate": twin.clock.datetime().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "executionArn": execution_arn(twin, inputs, arn.rpartition("/")[2]),
        "rootResourceId": short_id(10),
    }
    return defaults(inputs, filled) | made


def _api_check(twin: Twin, inputs: Properties) -> None:
    if inputs.get("body"):
        raise Refusal("NotImplemented", "The twin does not read OpenAPI bodies: declare Resource, Method and Integration.", 501)
    if inputs.get("apiKeySource", "HEADER") != "HEADER":
        raise Refusal("NotImplemented", f"The twin takes API keys from the header only, not from {inputs['apiKeySource']!r}.", 501)


def _resource_check(twin: Twin, inputs: Properties) -> None:
    needs(twin, snapshot.REST_API, inputs["restApi"], _NO_API)
    if snapshot.path_of(twin.world, inputs["restApi"], inputs["parentId"]) is None:
        raise Refusal("NotFoundException", _NO_RESOURCE, 404)
    same = twin.world.find(snapshot.RESOURCE, restApi=inputs["restApi"], parentId=inputs["parentId"], pathPart=inputs["pathPart"])
    if same:
        raise Refusal("ConflictException", f"Another resource with the same parent already has this name: {inputs['pathPart']}", 409)


def _resource_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    parent = snapshot.path_of(twin.world, inputs["restApi"], inputs["parentId"]) or "/"
    return {"path": f"{parent.rstrip('/')}/{inputs['pathPart']}"}


def _in_api(twin: Twin, inputs: Properties) -> None:
    needs(twin, snapshot.REST_API, inputs["restApi"], _NO_API)


def _method_check(twin: Twin, inputs: Properties) -> None:
    _in_api(twin, inputs)
    if snapshot.path_of(twin.world, inputs["restApi"], inputs["resourceId"]) is None:
        raise Refusal("NotFoundException", _NO_RESOURCE, 404)
    if inputs["authorization"] not in ("NONE", "AWS_IAM"):
        raise Refusal("NotImplemented", f"authorization {inputs['authorization']!r}: the twin serves NONE and AWS_IAM on REST APIs.", 501)
    if inputs.get("requestValidatorId"):
        message = "Invalid Request Validator identifier specified"
        needs(twin, snapshot.VALIDATOR, inputs["requestValidatorId"], message, restApi=inputs["restApi"])
    for name in (inputs.get("requestModels") or {}).values():
        if name not in _BUILT_IN_MODELS and not twin.world.one(snapshot.MODEL, restApi=inputs["restApi"], name=name):
            raise bad_request(f"Invalid model identifier specified: {name}")


def _method_limits(inputs: Properties) -> list[str]:
    method = inputs.get("httpMethod")
    if isinstance(method, str) and method not in _HTTP_METHODS:
        return [f"httpMethod: {method!r} is not allowed: use one of {', '.join(_HTTP_METHODS)}."]
    return []


def _integration_check(twin: Twin, inputs: Properties) -> None:
    _in_api(twin, inputs)
    where = {"restApi": inputs["restApi"], "resourceId": inputs["resourceId"], "httpMethod": inputs["httpMethod"]}
    if not twin.world.one(snapshot.METHOD, **where):
        raise Refusal("NotFoundException", "Invalid Method identifier specified", 404)
    if inputs["type"] != "AWS_PROXY":
        raise Refusal("NotImplemented", f"type {inputs['type']!r}: the twin serves AWS_PROXY integrations on REST APIs.", 501)
    if inputs.get("integrationHttpMethod") != "POST":
        raise bad_request("Integrations of type 'AWS_PROXY' on a function currently only supports Lambda function and 'POST' method.")
    if target_of(str(inputs.get("uri") or "")) is None:
        raise bad_request("Invalid ARN specified in the request")
    if inputs.get("credentials") and not twin.iam.assumable(inputs["credentials"], GATEWAY):
        raise bad_request("Invalid ARN specified in the request: API Gateway can't assume the integration's role")


def _integration_limits(inputs: Properties) -> list[str]:
    timeout = inputs.get("timeoutMilliseconds")
    problem = REST_TIMEOUT_MS.problem(timeout) if isinstance(timeout, int | float) else None
    return [f"timeoutMilliseconds: {timeout:.0f}: {problem}."] if problem else []


def _integration_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    values = {
        "cacheNamespace": inputs["resourceId"],
        "connectionType": "INTERNET",
        "passthroughBehavior": "WHEN_NO_MATCH",
        "responseTransferMode": "BUFFERED",
        "timeoutMilliseconds": REST_TIMEOUT_MS.high,
    }
    return defaults(inputs, values)


def _model_check(twin: Twin, inputs: Properties) -> None:
    _in_api(twin, inputs)
    try:
        Draft4Validator.check_schema(json.loads(inputs.get("schema") or "{}"))
    except (ValueError, SchemaError) as error:
        raise bad_request(f"Invalid model specified: Validation Result: warnings : [], errors : [{str(error).splitlines()[0]}]") from None


def _response_check(twin: Twin, inputs: Properties) -> None:
    needs(twin, snapshot.REST_API, inputs["restApiId"], _NO_API)
    if inputs["responseType"] not in TYPES:
        raise bad_request(f"Invalid gateway response type {inputs['responseType']!r}: use one of {', '.join(sorted(TYPES))}.")
    for target, source in (inputs.get("responseParameters") or {}).items():
        if not target.startswith("gatewayresponse.header.") or not parameter_known(source):
            raise bad_request(f"Invalid mapping expression specified: {target}: {source}")
    for kind, template in (inputs.get("responseTemplates") or {}).items():
        if any(word in template for word in ("#set", "#if", "#foreach")):
            raise Refusal(
                "NotImplemented", f"responseTemplates {kind!r}: the twin fills in $context variables, no #set, #if, #foreach.", 501
            )


ROWS: tuple[Row, ...] = (
    Row(
        token=snapshot.REST_API,
        id=last_part,
        name=Name(field="name", max_length=1024),
        computed=_api_computed,
        check=_api_check,
        update=keep("arn", "createdDate", "executionArn", "rootResourceId"),
        cfn="AWS::ApiGateway::RestApi",
        rename={"endpointConfiguration.types": "", "apiKeySource": "ApiKeySourceType", "policy": "", "minimumCompressionSize": ""},
    ),
    Row(
        token=snapshot.RESOURCE,
        id=lambda properties: short_id(6),
        replaces=frozenset({"restApi", "parentId", "pathPart"}),
        computed=_resource_computed,
        check=_resource_check,
        cfn="AWS::ApiGateway::Resource",
        rename={"restApi": "RestApiId"},
    ),
    Row(
        token=snapshot.METHOD,
        id=lambda p: f"agm-{p['restApi']}-{p['resourceId']}-{p['httpMethod']}",
        replaces=frozenset({"restApi", "resourceId", "httpMethod"}),
        check=_method_check,
        limits=_method_limits,
        cfn="AWS::ApiGateway::Method",
        rename={"restApi": "RestApiId", "authorization": "AuthorizationType", "requestModels": "", "requestParameters": ""},
    ),
    Row(
        token=snapshot.INTEGRATION,
        id=lambda p: f"agi-{p['restApi']}-{p['resourceId']}-{p['httpMethod']}",
        replaces=frozenset({"restApi", "resourceId", "httpMethod", "type"}),
        computed=_integration_computed,
        check=_integration_check,
        limits=_integration_limits,
    ),
    Row(
        token=snapshot.MODEL,
        id=lambda properties: short_id(6),
        name=Name(field="name", max_length=128, pattern="^[a-zA-Z0-9]+$"),
        replaces=frozenset({"restApi", "name", "contentType"}),
        check=_model_check,
        cfn="AWS::ApiGateway::Model",
        rename={"restApi": "RestApiId", "schema": ""},
    ),
    Row(
        token=snapshot.VALIDATOR,
        id=lambda properties: short_id(6),
        name=Name(field="name", max_length=128),
        replaces=frozenset({"restApi"}),
        computed=lambda twin, inputs: defaults(inputs, {"validateRequestBody": False, "validateRequestParameters": False}),
        check=_in_api,
        cfn="AWS::ApiGateway::RequestValidator",
        rename={"restApi": "RestApiId"},
    ),
    Row(
        token=snapshot.RESPONSE,
        id=lambda p: f"aggr-{p['restApiId']}-{p['responseType']}",
        replaces=frozenset({"restApiId", "responseType"}),
        check=_response_check,
        upsert=True,
        cfn="AWS::ApiGateway::GatewayResponse",
        rename={"responseParameters": "", "responseTemplates": ""},
    ),
    Row(
        token=snapshot.API_POLICY,
        id=lambda p: str(p["restApiId"]),
        replaces=frozenset({"restApiId"}),
        check=lambda twin, inputs: _in_api(twin, {"restApi": inputs["restApiId"]}),
        upsert=True,
    ),
    *STAGE_ROWS,
    *PLAN_ROWS,
)
