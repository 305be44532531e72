"""HTTP APIs: the resource types of `aws:apigatewayv2/*`, with what the service refuses at creation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from components.limits import GATEWAY_BURST, GATEWAY_RATE, HTTP_TIMEOUT_MS
from pilotlight.twin.aws import apigatewayv2_snapshot as snapshot
from pilotlight.twin.aws.apigateway_common import bad_request, defaults, execution_arn, gateway_arn, keep, last_part, needs, short_id
from pilotlight.twin.aws.gateway import invoke_url
from pilotlight.twin.aws.gateway_lambda import target_of
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_NO_API = "Invalid API identifier specified"
_ISSUER = re.compile(r"https://\S+|http://(127\.0\.0\.1|localhost)(:\d+)?(/\S*)?")
_ROUTE_KEY = re.compile(r"\$default|(ANY|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) /\S*")


def _api_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    id_ = short_id(10)
    filled = {
        "apiKeySelectionExpression": "$request.header.x-api-key",
        "ipAddressType": "ipv4",
        "routeSelectionExpression": "$request.method $request.path",
        "disableExecuteApiEndpoint": False,
    }
    made = {
        "apiEndpoint": invoke_url(twin.front_url, id_),
        "arn": gateway_arn(inputs, f"/apis/{id_}"),
        "executionArn": execution_arn(twin, inputs, id_),
    }
    return defaults(inputs, filled) | made


def _api_check(twin: Twin, inputs: Properties) -> None:
    if inputs["protocolType"] != "HTTP":
        raise Refusal("NotImplemented", f"protocolType {inputs['protocolType']!r}: the twin serves HTTP.", 501)
    quick = [name for name in ("body", "target", "routeKey", "credentialsArn") if inputs.get(name)]
    if quick:
        raise Refusal("NotImplemented", f"{', '.join(quick)}: the twin reads no quick-create API: declare Integration and Route.", 501)


def _in_api(twin: Twin, inputs: Properties) -> None:
    needs(twin, snapshot.API, inputs["apiId"], f"{_NO_API} {twin.account}:{inputs['apiId']}")


def _integration_check(twin: Twin, inputs: Properties) -> None:
    _in_api(twin, inputs)
    if inputs["integrationType"] != "AWS_PROXY" or inputs.get("integrationSubtype"):
        raise Refusal("NotImplemented", f"integrationType {inputs['integrationType']!r}: the twin serves AWS_PROXY to a function.", 501)
    if target_of(str(inputs.get("integrationUri") or "")) is None:
        raise bad_request("Unable to complete operation due to invalid integration URI: use the function's ARN or its invoke ARN.")
    if inputs.get("payloadFormatVersion", "1.0") not in ("1.0", "2.0"):
        raise bad_request("PayloadFormatVersion must be 1.0 or 2.0")


def _integration_limits(inputs: Properties) -> list[str]:
    timeout = inputs.get("timeoutMilliseconds")
    problem = HTTP_TIMEOUT_MS.problem(timeout) if isinstance(timeout, int | float) else None
    return [f"timeoutMilliseconds: {timeout:.0f}: {problem}."] if problem else []


def _integration_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    values = {"connectionType": "INTERNET", "payloadFormatVersion": "1.0", "timeoutMilliseconds": HTTP_TIMEOUT_MS.high}
    return defaults(inputs, values) | {"integrationResponseSelectionExpression": ""}


def _integration_delete(twin: Twin, resource: Resource) -> None:
    if twin.world.find(snapshot.ROUTE, apiId=resource["apiId"], target=f"integrations/{resource.id}"):
        raise Refusal("ConflictException", "Cannot delete integration: it is in use by a route.", 409)


def _authorizer_check(twin: Twin, inputs: Properties) -> None:
    _in_api(twin, inputs)
    if inputs["authorizerType"] != "JWT":
        raise Refusal("NotImplemented", f"authorizerType {inputs['authorizerType']!r}: the twin serves JWT.", 501)
    configuration = inputs.get("jwtConfiguration") or {}
    if not configuration.get("issuer") or not configuration.get("audiences"):
        raise bad_request("Issuer and Audience are required for a JWT authorizer")
    if not _ISSUER.fullmatch(configuration["issuer"]):
        raise bad_request(
            f"Invalid issuer: {configuration['issuer']}. Issuer must be an https URL with a discovery endpoint ending in "
            "'/.well-known/openid-configuration' (the local twin takes http from 127.0.0.1 and localhost as well)"
        )
    for source in inputs.get("identitySources") or []:
        if not source.startswith(("$request.header.", "$request.querystring.")):
            raise bad_request(f"Invalid identity source {source!r}: use $request.header.NAME or $request.querystring.NAME")


def _authorizer_delete(twin: Twin, resource: Resource) -> None:
    if twin.world.find(snapshot.ROUTE, apiId=resource["apiId"], authorizerId=resource.id):
        raise Refusal("ConflictException", "Cannot delete authorizer: it is in use by a route.", 409)


def _route_check(twin: Twin, inputs: Properties) -> None:
    _in_api(twin, inputs)
    if inputs.get("target"):
        _, _, id_ = str(inputs["target"]).partition("/")
        needs(twin, snapshot.INTEGRATION, id_, f"Invalid integration identifier specified: {inputs['target']}", apiId=inputs["apiId"])
    kind = inputs.get("authorizationType", "NONE")
    if kind == "CUSTOM":
        raise Refusal("NotImplemented", "authorizationType 'CUSTOM': the twin serves NONE, JWT and AWS_IAM.", 501)
    if kind == "JWT":
        needs(twin, snapshot.AUTHORIZER, inputs.get("authorizerId"), "Invalid authorizer identifier specified", apiId=inputs["apiId"])
    if inputs.get("authorizationScopes") and kind != "JWT":
        raise bad_request("Authorization scopes are only for JWT authorizers")


def _route_create(twin: Twin, resource: Resource) -> None:
    if twin.world.find(snapshot.ROUTE, apiId=resource["apiId"], routeKey=resource["routeKey"]):
        raise Refusal("ConflictException", f"Route with key {resource['routeKey']} already exists for this API", 409)


def _route_limits(inputs: Properties) -> list[str]:
    key = inputs.get("routeKey")
    if isinstance(key, str) and not _ROUTE_KEY.fullmatch(key):
        return [f"routeKey: {key!r} is not allowed: use 'METHOD /path' or '$default'."]
    return []


def _stage_check(twin: Twin, inputs: Properties) -> None:
    _in_api(twin, inputs)
    if inputs.get("deploymentId"):
        message = "Invalid deployment identifier specified"
        needs(twin, snapshot.DEPLOYMENT, inputs["deploymentId"], message, apiId=inputs["apiId"])
        if inputs.get("autoDeploy"):
            raise bad_request("Deployment ID cannot be set for a stage with auto deploy")
    settings = inputs.get("accessLogSettings")
    if settings and ":log-group:" not in str(settings.get("destinationArn")):
        raise bad_request("Invalid ARN specified in the request: the destination must be a CloudWatch Logs log group.")


def _stage_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    api, name = str(inputs["apiId"]), str(inputs["name"])
    return {
        "arn": gateway_arn(inputs, f"/apis/{api}/stages/{name}"),
        "executionArn": execution_arn(twin, inputs, api, name),
        "invokeUrl": f"{invoke_url(twin.front_url, api)}/" if name == "$default" else invoke_url(twin.front_url, api, name),
        # A stage that deploys by itself gets deployments of the service's making.
        **defaults(inputs, {"deploymentId": short_id(6) if inputs.get("autoDeploy") else ""}),
    }


def _stage_limits(inputs: Properties) -> list[str]:
    settings = inputs.get("defaultRouteSettings")
    problems = []
    for field, limit in (("throttlingRateLimit", GATEWAY_RATE), ("throttlingBurstLimit", GATEWAY_BURST)):
        value = settings.get(field) if isinstance(settings, dict) else None
        if isinstance(value, int | float) and not 0 <= value <= limit.high:
            problems.append(f"defaultRouteSettings.{field}: {value:g}: use 0 to {limit.high}.")
    return problems


def _deployment_create(twin: Twin, resource: Resource) -> None:
    routes = snapshot.capture_for_deployment(twin.world, resource["apiId"])
    id_ = f"{resource['apiId']}/{resource.id}"
    twin.world.put(Resource(token=snapshot.SNAPSHOT, id=id_, urn="", outputs={"routes": routes}))


def _deployment_delete(twin: Twin, resource: Resource) -> None:
    if twin.world.find(snapshot.STAGE, apiId=resource["apiId"], deploymentId=resource.id):
        raise bad_request("Active stages pointing to this deployment must be moved or deleted")
    twin.world.delete(snapshot.SNAPSHOT, f"{resource['apiId']}/{resource.id}")


ROWS: tuple[Row, ...] = (
    Row(
        token=snapshot.API,
        id=last_part,
        name=Name(field="name", max_length=128),
        replaces=frozenset({"protocolType"}),
        computed=_api_computed,
        check=_api_check,
        update=keep("apiEndpoint", "arn", "executionArn"),
        cfn="AWS::ApiGatewayV2::Api",
        rename={"corsConfiguration": ""},
    ),
    Row(
        token=snapshot.INTEGRATION,
        id=lambda properties: short_id(7),
        replaces=frozenset({"apiId", "integrationType", "integrationSubtype"}),
        computed=_integration_computed,
        check=_integration_check,
        limits=_integration_limits,
        delete=_integration_delete,
        cfn="AWS::ApiGatewayV2::Integration",
        rename={"timeoutMilliseconds": "TimeoutInMillis", "requestParameters": "", "responseParameters": ""},
    ),
    Row(
        token=snapshot.AUTHORIZER,
        id=lambda properties: short_id(6),
        name=Name(field="name", max_length=128),
        replaces=frozenset({"apiId"}),
        computed=lambda twin, inputs: defaults(inputs, {"authorizerResultTtlInSeconds": 0}),
        check=_authorizer_check,
        delete=_authorizer_delete,
        cfn="AWS::ApiGatewayV2::Authorizer",
    ),
    Row(
        token=snapshot.ROUTE,
        id=lambda properties: short_id(7),
        replaces=frozenset({"apiId"}),
        computed=lambda twin, inputs: defaults(inputs, {"authorizationType": "NONE", "apiKeyRequired": False}),
        check=_route_check,
        create=_route_create,
        limits=_route_limits,
        cfn="AWS::ApiGatewayV2::Route",
        rename={"requestModels": "", "requestParameters": ""},
    ),
    Row(
        token=snapshot.STAGE,
        # The provider's id is the bare stage name, which two APIs may share; the twin's world tells resources apart by id.
        id=lambda p: f"{p['apiId']}/{p['name']}",
        name=Name(field="name", max_length=128),
        replaces=frozenset({"apiId", "name"}),
        computed=_stage_computed,
        check=_stage_check,
        limits=_stage_limits,
        cfn="AWS::ApiGatewayV2::Stage",
        rename={"name": "StageName", "routeSettings": "", "stageVariables": ""},
    ),
    Row(
        token=snapshot.DEPLOYMENT,
        id=lambda properties: short_id(6),
        replaces=frozenset({"apiId", "triggers"}),
        computed=lambda twin, inputs: {"autoDeployed": False},
        check=_in_api,
        create=_deployment_create,
        delete=_deployment_delete,
        cfn="AWS::ApiGatewayV2::Deployment",
        rename={"triggers": ""},
    ),
)
