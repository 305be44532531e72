"""API keys, usage plans and throttles of REST APIs: who may call a stage, how fast, how often."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from pilotlight.twin.aws.gateway_call import Call
from pilotlight.twin.aws.gateway_limits import ACCOUNT_BURST, ACCOUNT_RATE, Quotas, Throttles
from pilotlight.twin.aws.gateway_responses import GatewayAnswer
from pilotlight.twin.world import Resource, World

SETTINGS = "aws:apigateway/methodSettings:MethodSettings"
PLAN = "aws:apigateway/usagePlan:UsagePlan"
PLAN_KEY = "aws:apigateway/usagePlanKey:UsagePlanKey"
API_KEY = "aws:apigateway/apiKey:ApiKey"
Wanted = list[tuple[tuple[str, ...], float, float]]


class Plans:
    """Reads the declared keys, plans and method settings on every call: an update counts at once."""

    def __init__(self, world: World, throttles: Throttles, quotas: Quotas) -> None:
        self._world = world
        self._throttles = throttles
        self._quotas = quotas

    def admit(self, call: Call, stage: Resource, route: Mapping[str, Any]) -> dict[str, str | None]:
        """Let the call pass, or raise GatewayAnswer; returns what the event's identity says of the key."""
        wanted = self._stage_limits(call, stage, route)
        if not route["apiKeyRequired"]:
            self._throttle(wanted)
            return {"apiKey": None}
        value = call.request.headers.get("x-api-key", "")
        key = self._key(value)
        plan = self._plan(key, call) if key else None
        if key is None or plan is None:
            raise GatewayAnswer("INVALID_API_KEY")
        call.context |= {"identity.apiKeyId": key.id, "identity.apiKey": value[:2] + "*" * 10}
        self._throttle(wanted + _plan_limits(plan, key, call, route))
        self._count(plan, key)
        return {"apiKey": value, "apiKeyId": key.id}

    def settings(self, api_id: str, stage: str, name: str) -> Mapping[str, Any]:
        """The method settings that count for a route (`predict/POST`): its own, else those of `*/*`."""
        declared = {item["methodPath"].lstrip("/"): item for item in self._world.find(SETTINGS, restApi=api_id, stageName=stage)}
        chosen = declared.get(name) or declared.get("*/*")
        return dict(chosen.get("settings", {})) if chosen else {}

    def _throttle(self, wanted: Wanted) -> None:
        if not self._throttles.admit(wanted):
            raise GatewayAnswer("THROTTLED")

    def _count(self, plan: Resource, key: Resource) -> None:
        quota = plan.get("quotaSettings")
        if quota and not self._quotas.admit((plan.id, key.id), int(quota["limit"]), quota["period"], int(quota.get("offset") or 0)):
            raise GatewayAnswer("QUOTA_EXCEEDED")

    def _key(self, value: str) -> Resource | None:
        keys = [key for key in self._world.find(API_KEY) if key.get("enabled", True)]
        return next((key for key in keys if hmac.compare_digest(str(key["value"]).encode(), value.encode("utf-8", "replace"))), None)

    def _plan(self, key: Resource, call: Call) -> Resource | None:
        plans = [self._world.get(PLAN, link["usagePlanId"]) for link in self._world.find(PLAN_KEY, keyId=key.id)]
        return next((plan for plan in plans if plan and _plan_stage(plan, call)), None)

    def _stage_limits(self, call: Call, stage: Resource, route: Mapping[str, Any]) -> Wanted:
        limits: Wanted = [(("account", call.region), ACCOUNT_RATE, ACCOUNT_BURST)]
        name = route_name(route)
        values = self.settings(call.api_id, call.stage, name)
        rate, burst = values.get("throttlingRateLimit"), values.get("throttlingBurstLimit")
        # A stage that sets no limit, or -1, is held by the account's alone.
        if rate is not None and burst is not None and float(rate) >= 0 and float(burst) >= 0:
            limits.append((("stage", stage.id, name), float(rate), float(burst)))
        return limits


def route_name(route: Mapping[str, Any]) -> str:
    """A route as method settings name it."""
    return f"{str(route['path']).lstrip('/')}/{route['method']}"


def _plan_stage(plan: Resource, call: Call) -> Mapping[str, Any] | None:
    return next((item for item in plan.get("apiStages", []) if item["apiId"] == call.api_id and item["stage"] == call.stage), None)


def _plan_limits(plan: Resource, key: Resource, call: Call, route: Mapping[str, Any]) -> Wanted:
    limits: Wanted = []
    general = plan.get("throttleSettings") or {}
    if general.get("rateLimit") is not None or general.get("burstLimit") is not None:
        rate, burst = float(general.get("rateLimit") or 0), float(general.get("burstLimit") or 0)
        limits.append((("plan", plan.id, key.id), rate, burst))
    for item in (_plan_stage(plan, call) or {}).get("throttles") or []:
        if item["path"] == f"{route['path']}/{route['method']}":
            limits.append((("plan", plan.id, key.id, item["path"]), float(item.get("rateLimit") or 0), float(item.get("burstLimit") or 0)))
    return limits
