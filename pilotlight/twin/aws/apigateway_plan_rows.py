"""REST APIs: API keys, usage plans, and which key is on which plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.limits import GATEWAY_BURST, GATEWAY_RATE
from pilotlight.twin.aws.apigateway_common import bad_request, defaults, gateway_arn, keep, key_value, last_part, needs, short_id
from pilotlight.twin.aws.gateway import REST_STAGE
from pilotlight.twin.aws.gateway_plans import API_KEY, PLAN, PLAN_KEY
from pilotlight.twin.rows import Name, Properties, Refusal, Row
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin

_PERIODS = ("DAY", "WEEK", "MONTH")


def _key_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    moment = twin.clock.datetime().strftime("%Y-%m-%dT%H:%M:%SZ")
    made = {"arn": gateway_arn(inputs, f"/apikeys/{short_id(10)}"), "createdDate": moment, "lastUpdatedDate": moment}
    return made | defaults(inputs, {"value": key_value(), "description": "Managed by Pulumi", "enabled": True})


def _key_update(twin: Twin, old: Resource, new: Resource) -> dict[str, Any]:
    kept = keep("arn", "createdDate")(twin, old, new)
    return kept if new.inputs.get("value") else kept | {"value": old["value"]}


def _key_limits(inputs: Properties) -> list[str]:
    value = inputs.get("value")
    # The value is a secret: only its length may be told.
    if isinstance(value, str) and not 20 <= len(value) <= 128:
        return [f"value: has {len(value)} characters: use 20 to 128."]
    return []


def _plan_check(twin: Twin, inputs: Properties) -> None:
    for item in inputs.get("apiStages") or []:
        if not twin.world.one(REST_STAGE, restApi=item["apiId"], stageName=item["stage"]):
            raise Refusal("NotFoundException", f"API Stage not found: {item['apiId']}:{item['stage']}", 404)


def _plan_limits(inputs: Properties) -> list[str]:
    problems = []
    quota, throttle = inputs.get("quotaSettings"), inputs.get("throttleSettings")
    if isinstance(quota, dict):
        if isinstance(quota.get("period"), str) and quota["period"] not in _PERIODS:
            problems.append(f"quotaSettings.period: {quota['period']!r} is not allowed: use one of {', '.join(_PERIODS)}.")
        if isinstance(quota.get("limit"), int | float) and quota["limit"] < 1:
            problems.append(f"quotaSettings.limit: {quota['limit']:g}: use 1 or more.")
    for field, limit in (("rateLimit", GATEWAY_RATE), ("burstLimit", GATEWAY_BURST)):
        value = throttle.get(field) if isinstance(throttle, dict) else None
        if isinstance(value, int | float) and not 0 <= value <= limit.high:
            problems.append(f"throttleSettings.{field}: {value:g}: use 0 to {limit.high}.")
    return problems


def _plan_key_check(twin: Twin, inputs: Properties) -> None:
    needs(twin, PLAN, inputs["usagePlanId"], "Invalid Usage Plan ID specified")
    needs(twin, API_KEY, inputs["keyId"], "Invalid API Key identifier specified")
    if inputs["keyType"] != "API_KEY":
        raise bad_request(f"Invalid key type {inputs['keyType']!r}: use 'API_KEY'.")


def _plan_key_computed(twin: Twin, inputs: Properties) -> dict[str, Any]:
    key = twin.world.get(API_KEY, str(inputs["keyId"]))
    return {"name": key["name"], "value": key["value"]} if key else {}


ROWS: tuple[Row, ...] = (
    Row(
        token=API_KEY,
        id=last_part,
        name=Name(field="name", max_length=1024),
        replaces=frozenset({"value"}),
        secrets=frozenset({"value"}),
        computed=_key_computed,
        update=_key_update,
        limits=_key_limits,
        volatile=frozenset({"lastUpdatedDate"}),
        cfn="AWS::ApiGateway::ApiKey",
        rename={"value": ""},
    ),
    Row(
        token=PLAN,
        id=last_part,
        name=Name(field="name", max_length=1024),
        computed=lambda twin, inputs: {"arn": gateway_arn(inputs, f"/usageplans/{short_id(6)}")},
        check=_plan_check,
        update=keep("arn"),
        limits=_plan_limits,
        cfn="AWS::ApiGateway::UsagePlan",
        rename={"name": "UsagePlanName", "throttleSettings": "Throttle", "quotaSettings": "Quota", "apiStages.throttles": ""},
    ),
    Row(
        token=PLAN_KEY,
        id=lambda p: str(p["keyId"]),
        replaces=frozenset({"keyId", "keyType", "usagePlanId"}),
        secrets=frozenset({"value"}),
        computed=_plan_key_computed,
        check=_plan_key_check,
        cfn="AWS::ApiGateway::UsagePlanKey",
    ),
)
