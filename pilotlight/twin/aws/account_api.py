"""What clients ask of the account itself, not of a stack: quotas, the log role of API Gateway, cost-allocation tags.

Read-only, and as much as a look before a deployment asks for; `faults` (`account`) make it another account than the usual one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from components.tags import standard
from pilotlight.twin.account_faults import QUOTAS
from pilotlight.twin.aws import ecr_api
from pilotlight.twin.aws.iam_api import IamService
from pilotlight.twin.aws.json_service import Answer, JsonService
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal, Service
from pilotlight.twin.twin import Twin

GATEWAY_ACCOUNT = "aws:apigateway/account:Account"
# Quota code -> service code, name (Service Quotas console).
_NAMES = {
    "L-B99A9384": ("lambda", "Concurrent executions"),
    "L-96300102": ("sagemaker", "Maximum total concurrency that can be allocated across all serverless endpoints"),
}


def services(twin: Twin) -> list[Service]:
    """These, and those of IAM and ECR that a look before a deployment asks as well."""
    return [
        _quotas(twin),
        _cost_explorer(twin),
        GatewayAccount(twin),
        IamService(twin),
        ecr_api.service(twin),
    ]


def _quotas(twin: Twin) -> JsonService:
    def answer(values: Callable[[str], int]) -> Answer:
        def quota(request: AwsRequest, parameters: Mapping[str, Any]) -> dict[str, Any]:
            service, code = str(parameters.get("ServiceCode")), str(parameters.get("QuotaCode"))
            if code not in QUOTAS or _NAMES[code][0] != service:
                raise Refusal("NoSuchResourceException", f"The twin knows no quota {code} of {service}: it knows {', '.join(QUOTAS)}.")
            names = {"ServiceCode": service, "QuotaCode": code, "QuotaName": _NAMES[code][1], "Unit": "None"}
            return {"Quota": {**names, "Value": float(values(code)), "Adjustable": True, "GlobalQuota": False}}

        return quota

    return JsonService(
        "servicequotas",
        {
            "GetServiceQuota": ("servicequotas:GetServiceQuota", answer(twin.faults.quota)),
            "GetAWSDefaultServiceQuota": ("servicequotas:GetAWSDefaultServiceQuota", answer(QUOTAS.__getitem__)),
        },
    )


def _cost_explorer(twin: Twin) -> JsonService:
    def listed(request: AwsRequest, parameters: Mapping[str, Any]) -> dict[str, Any]:
        inactive = twin.faults.listed("inactive_tags")
        states = {key: "Inactive" if key in inactive else "Active" for key in standard("", "")}
        keys, status = parameters.get("TagKeys"), parameters.get("Status")
        tags = [
            {"TagKey": key, "Type": "UserDefined", "Status": state}
            for key, state in states.items()
            if (not keys or key in keys) and status in (None, state)
        ]
        return {"CostAllocationTags": tags}

    return JsonService("ce", {"ListCostAllocationTags": ("ce:ListCostAllocationTags", listed)})


class GatewayAccount:
    """The `apigateway` service: GET /account."""

    name = "apigateway"

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def actions(self, request: AwsRequest) -> list[tuple[str, str]]:
        if (request.method, request.path.rstrip("/")) != ("GET", "/account"):
            raise Refusal(
                "NotFoundException", f"The twin's API Gateway does not serve {request.method} {request.path}: it serves GET /account.", 404
            )
        return [("apigateway:GET", f"arn:aws:apigateway:{request.region}::/account")]

    async def handle(self, request: AwsRequest) -> AwsResponse:
        declared = next(
            (one for one in self._twin.world.find(GATEWAY_ACCOUNT) if one.get("region", request.region) == request.region), None
        )
        content: dict[str, Any] = {
            "throttleSettings": {"burstLimit": 5000, "rateLimit": 10000.0},
            "features": ["UsagePlans"],
            "apiKeyVersion": "4",
        }
        if declared and declared.get("cloudwatchRoleArn"):
            content["cloudwatchRoleArn"] = declared["cloudwatchRoleArn"]
        return AwsResponse(headers={"content-type": "application/json"}, body=json.dumps(content).encode())
