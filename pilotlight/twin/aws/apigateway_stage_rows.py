"""REST APIs: deployments, stages, method settings and the account's log role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.limits import GATEWAY_BURST, GATEWAY_RATE
from pilotlight.twin.aws import apigateway_snapshot as snapshot
from pilotlight.twin.aws.apigateway_common import bad_request, defaults, execution_arn, gateway_arn, keep, needs, short_id
from pilotlight.twin.aws.gateway import REST_ACCOUNT, REST_STAGE, invoke_url
from pilotlight.twin.aws.gateway_lambda import GATEWAY
from pilotlight.twin.aws.gateway_plans import SETTINGS
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_NO_API = "Invalid API identifier specified"
_NO_LOG_ROLE = "CloudWatch Logs role ARN must be set in account settings to enable logging"
_LOG_ACTIONS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")


def _deployment_check(twin: Twin, inputs: Properties) -> None:
    needs(twin, snapshot.REST_API, inputs["restApi"], _NO_API)


def _deployment_create(twin: Twin, resource: Resource) -> None:
    outputs = snapshot.capture(twin.world, resource["restApi"])
    id_ = snapshot.snapshot_id(resource["restApi"], resource.id)
    twin.world.put(Resource(token=snapshot.SNAPSHOT, id=id_, urn="", outputs=outputs))


def _deployment_delete(twin: Twin, resource: Resource) -> None:
    if twin.world.find(REST_STAGE, restApi=resource["restApi"], deployment=resource.id):
        raise bad_request("Active stages pointing to this deployment must be moved or deleted")
    twin.world.delete(snapshot.SNAPSHOT, snapshot.snapshot_id(resource["restApi"], resource.id))


def _created(twin: Twin) -> str:
    return twin.clock.datetime().strftime("%Y-%m-%dT%H:%M:%SZ")


def _stage_check(twin: Twin, inputs: Properties) -> None:
    needs(twin, snapshot.REST_API, inputs["restApi"], _NO_API)
    needs(twin, snapshot.DEPLOYMENT, inputs["deployment"], "Invalid Deployment identifier specified", restApi=inputs["restApi"])
    if inputs.get("accessLogSettings"):
        _log_role(twin)
        if ":log-group:" not in inputs["accessLogSettings"]["destinationArn"]:
            raise bad_request("Invalid ARN specified in the request. ARN must be a CloudWatch Logs log group or a Firehose stream.")


def _log_role(twin: Twin) -> None:
    account = next(iter(twin.world.find(REST_ACCOUNT)), None)
    if account is None or not account.get("cloudwatchRoleArn"):
        raise bad_request(_NO_LOG_ROLE)


def _stage_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    api, name = str(inputs["restApi"]), str(inputs["stageName"])
    return {
        "arn": gateway_arn(inputs, f"/restapis/{api}/stages/{name}"),
        "executionArn": execution_arn(twin, inputs, api, name),
        "invokeUrl": invoke_url(twin.front_url, api, name),
        "webAclArn": "",
    }


def _settings_check(twin: Twin, inputs: Properties) -> None:
    if not twin.world.one(REST_STAGE, restApi=inputs["restApi"], stageName=inputs["stageName"]):
        raise Refusal("NotFoundException", "Invalid stage identifier specified", 404)
    if (inputs.get("settings") or {}).get("loggingLevel", "OFF") != "OFF":
        _log_role(twin)


def _settings_limits(inputs: Properties) -> list[str]:
    settings = inputs.get("settings")
    problems = []
    for field, limit in (("throttlingRateLimit", GATEWAY_RATE), ("throttlingBurstLimit", GATEWAY_BURST)):
        value = settings.get(field) if isinstance(settings, dict) else None
        # -1 is the provider's word for "no limit of its own"; 0 shuts the stage.
        if isinstance(value, int | float) and value not in (-1, 0) and value > limit.high:
            problems.append(f"settings.{field}: {value:g}: use {limit.allowed()}.")
    return problems


def _account_check(twin: Twin, inputs: Properties) -> None:
    role = inputs.get("cloudwatchRoleArn")
    if not role:
        return
    if not twin.iam.assumable(role, GATEWAY):
        raise bad_request("The role ARN does not have required permissions set to API Gateway: it must trust apigateway.amazonaws.com")
    if not all(twin.iam.allowed(role, action, "*") for action in _LOG_ACTIONS):
        raise bad_request(
            "The role ARN does not have required permissions configured. Please grant trust permission and write to CloudWatch Logs."
        )


def _account_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    limits = [{"burstLimit": GATEWAY_BURST.high, "rateLimit": GATEWAY_RATE.high}]
    return {"apiKeyVersion": "4", "features": ["UsagePlans"], "throttleSettings": limits} | defaults(inputs, {"cloudwatchRoleArn": ""})


ROWS: tuple[Row, ...] = (
    Row(
        token=snapshot.DEPLOYMENT,
        id=lambda properties: short_id(6),
        replaces=frozenset({"restApi", "triggers", "variables"}),
        computed=lambda twin, inputs: {"createdDate": _created(twin)},
        check=_deployment_check,
        create=_deployment_create,
        update=keep("createdDate"),
        delete=_deployment_delete,
        cfn="AWS::ApiGateway::Deployment",
        rename={"restApi": "RestApiId", "triggers": "", "variables": ""},
    ),
    Row(
        token=REST_STAGE,
        id=lambda p: f"ags-{p['restApi']}-{p['stageName']}",
        replaces=frozenset({"restApi", "stageName"}),
        computed=_stage_computed,
        check=_stage_check,
        cfn="AWS::ApiGateway::Stage",
        rename={
            "restApi": "RestApiId",
            "deployment": "DeploymentId",
            "accessLogSettings": "AccessLogSetting",
            "canarySettings": "CanarySetting",
            "xrayTracingEnabled": "TracingEnabled",
        },
    ),
    Row(
        token=SETTINGS,
        id=lambda p: f"{p['restApi']}-{p['stageName']}-{p['methodPath']}",
        replaces=frozenset({"restApi", "stageName", "methodPath"}),
        check=_settings_check,
        limits=_settings_limits,
        upsert=True,
    ),
    Row(
        token=REST_ACCOUNT,
        # One per account and region: the provider gives every declaration of it this id.
        id=lambda properties: "api-gateway-account",
        computed=_account_computed,
        check=_account_check,
        upsert=True,
        cfn="AWS::ApiGateway::Account",
    ),
)
