"""Plans of the ready stacks on Google Cloud, and how to look things up in them."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from pilotlight.planned import Planned
from tests.planned.looked_up import Plan, plan_of

__all__ = ("Plan", "plan_of")
API = "gcp-cloud-run-api"
RUN, INVOKER = "gcp:cloudrunv2/service:Service", "gcp:cloudrunv2/serviceIamMember:ServiceIamMember"
ACCOUNT, CONFIG = "gcp:serviceaccount/account:Account", "gcp:apigateway/apiConfig:ApiConfig"
ENABLED = "gcp:projects/service:Service"
JWT: Mapping[str, Any] = {
    "auth.mode": "jwt",
    "auth.issuer": "https://issuer.example",
    "auth.audience": ["models", "others"],
    "auth.requestsPerSecond": None,
}


def container(service: Planned) -> dict[str, Any]:
    """The container of a Cloud Run service."""
    [found] = service.inputs["template"]["containers"]
    return dict(found)


def variables(service: Planned) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(service)["envs"]}


def document(plan: Plan) -> dict[str, Any]:
    """The OpenAPI document of the gateway."""
    [held] = plan.one(CONFIG).inputs["openapiDocuments"]
    return dict(json.loads(base64.b64decode(held["document"]["contents"])))
