"""Changing a running endpoint by the API: another configuration, other provisioned concurrency. The engine sees what is live."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pilotlight.twin.aws.sagemaker_api import arn_of, body_of
from pilotlight.twin.aws.sagemaker_deployment import CONFIG, ENDPOINT, Deployment, planned, saved
from pilotlight.twin.rows import AwsRequest, AwsResponse, Refusal
from pilotlight.twin.world import Resource

if TYPE_CHECKING:
    from pilotlight.twin.aws.sagemaker import SageMakerService

LOG = logging.getLogger(__name__)
_OPERATIONS = ("UpdateEndpoint", "UpdateEndpointWeightsAndCapacities")


def _operation(request: AwsRequest) -> str:
    return request.headers.get("x-amz-target", "").removeprefix("SageMaker.")


def actions(service: SageMakerService, request: AwsRequest) -> list[tuple[str, str]]:
    """Empty for operations of others. UpdateEndpoint needs the right on both, the endpoint and the configuration."""
    operation = _operation(request)
    if operation not in _OPERATIONS:
        return []
    body = body_of(request)
    needed = [(f"sagemaker:{operation}", arn_of(service, request, "endpoint", str(body.get("EndpointName", ""))))]
    if operation == "UpdateEndpoint":
        needed.append(("sagemaker:UpdateEndpoint", arn_of(service, request, "endpoint-config", str(body.get("EndpointConfigName", "")))))
    return needed


def handle(service: SageMakerService, request: AwsRequest) -> AwsResponse | None:
    """The answer comes at once, the endpoint is Updating until it is done. None for operations of others."""
    operation = _operation(request)
    if operation not in _OPERATIONS:
        return None
    body, world = body_of(request), service.twin.world
    name = str(body.get("EndpointName", ""))
    endpoint, served = world.one(ENDPOINT, name=name), saved(world, name)
    if endpoint is None or served is None:
        raise Refusal("ValidationException", f'Could not find endpoint "{arn_of(service, request, "endpoint", name)}".')
    if operation == "UpdateEndpoint":
        _update(service, request, served, str(body.get("EndpointConfigName", "")), bool(body.get("RetainAllVariantProperties")))
    else:
        _resize(service, served, body.get("DesiredWeightsAndCapacities"))
    answer = json.dumps({"EndpointArn": endpoint["arn"]}).encode()
    return AwsResponse(headers={"content-type": "application/x-amz-json-1.1"}, body=answer)


def _update(service: SageMakerService, request: AwsRequest, served: Deployment, config: str, retain: bool) -> None:
    """A configuration that is deployed already is not deployed again: nothing would change but the provisioned concurrency."""
    twin = service.twin
    wanted, _ = planned(twin, served.endpoint, served.region, config)
    if twin.world.one(CONFIG, name=served.config) is None:
        # SageMaker looks at both, the old and the new one (hashicorp/terraform-provider-aws issue 40048).
        arn = arn_of(service, request, "endpoint-config", served.config)
        raise Refusal("ValidationException", f'Could not find endpoint configuration "{arn}".')
    provisioned = served.provisioned if retain else wanted.provisioned
    if served.config == config:
        if provisioned != served.provisioned:
            service.begin(served.endpoint, served.region)
            twin.timers.spawn(service.resize(served.endpoint, provisioned, wanted.max_concurrency))
        return
    service.begin(served.endpoint, served.region)
    twin.timers.spawn(_deployed(service, served, config, provisioned))


async def _deployed(service: SageMakerService, served: Deployment, config: str, provisioned: int) -> None:
    world = service.twin.world
    try:
        await service.finish(served.endpoint, served.region, config, provisioned)
    except Refusal as refusal:
        service.failures[served.endpoint] = refusal.message
        LOG.warning("The endpoint %s stays with %s: %s", served.endpoint, served.config, refusal)
        return
    endpoint = world.one(ENDPOINT, name=served.endpoint)
    if endpoint is None:
        await service.forget(served.endpoint)
    else:
        world.put(live(endpoint, config))


def live(endpoint: Resource, config: str) -> Resource:
    """The endpoint with the configuration that it serves, so that a refresh sees it."""
    return replace(endpoint, outputs={**endpoint.outputs, "endpointConfigName": config})


def _resize(service: SageMakerService, served: Deployment, wanted: Any) -> None:
    if not isinstance(wanted, list) or len(wanted) != 1 or wanted[0].get("VariantName") != served.variant:
        raise Refusal("ValidationException", f"DesiredWeightsAndCapacities must name the endpoint's one variant, {served.variant!r}.")
    serverless = wanted[0].get("ServerlessUpdateConfig") or {}
    most = int(serverless.get("MaxConcurrency") or served.max_concurrency)
    provisioned = int(serverless.get("ProvisionedConcurrency", served.provisioned))
    judge_provisioned(provisioned, most)
    service.begin(served.endpoint, served.region)
    service.twin.timers.spawn(service.resize(served.endpoint, provisioned, most))


def judge_provisioned(provisioned: int, most: int) -> None:
    """SageMaker API reference, ProductionVariantServerlessUpdateConfig: 1 or more, and at most the maximum concurrency."""
    if not 1 <= provisioned <= most:
        text = f"ProvisionedConcurrency {provisioned} of a serverless variant must be 1 or more and at most its MaxConcurrency, {most}."
        raise Refusal("ValidationException", text)
