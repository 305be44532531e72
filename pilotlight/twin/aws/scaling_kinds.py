"""What application auto scaling can move here: provisioned concurrency of Lambda aliases and of serverless SageMaker variants."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pilotlight.twin.aws import lambda_provisioned
from pilotlight.twin.aws.lambda_version import resolve
from pilotlight.twin.aws.sagemaker_deployment import saved
from pilotlight.twin.aws.sagemaker_updates import judge_provisioned
from pilotlight.twin.rows import Refusal

if TYPE_CHECKING:
    from pilotlight.twin.twin import Twin


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One scalable dimension. `current` and `set` raise Refusal; `source` says where `minimum` comes from.

    `passes` tells whether a refusal is one of this moment alone.
    """

    dimension: str
    namespace: str
    resource: re.Pattern[str]
    form: str
    minimum: int
    source: str
    linked_role: str
    current: Callable[[Twin, str], int]
    set: Callable[[Twin, str, int], Awaitable[None]]
    passes: Callable[[Refusal], bool] = lambda refusal: False


_ALIAS = re.compile(r"function:(?P<name>[\w-]+):(?P<qualifier>[\w-]+)")
_VARIANT = re.compile(r"endpoint/(?P<name>[\w-]+)/variant/(?P<variant>[\w-]+)")


def _alias(resource_id: str) -> tuple[str, str]:
    match = _ALIAS.fullmatch(resource_id)
    assert match is not None
    return match["name"], match["qualifier"]


def _lambda_current(twin: Twin, resource_id: str) -> int:
    name, qualifier = _alias(resource_id)
    resolve(twin.world, name, qualifier)
    return lambda_provisioned.asked(twin.world, name, qualifier)


async def _lambda_set(twin: Twin, resource_id: str, count: int) -> None:
    name, qualifier = _alias(resource_id)
    if count:
        lambda_provisioned.judge(twin.world, name, qualifier, count)
    await twin.lambda_.provision(name, qualifier, count)


def _endpoint(twin: Twin, resource_id: str) -> str:
    match = _VARIANT.fullmatch(resource_id)
    assert match is not None
    served = saved(twin.world, match["name"])
    if served is None or served.variant != match["variant"]:
        raise Refusal("ValidationException", f"SageMaker variant does not exist: {resource_id}")
    return str(match["name"])


def _sagemaker_current(twin: Twin, resource_id: str) -> int:
    return twin.sagemaker.provisioned(_endpoint(twin, resource_id))


async def _sagemaker_set(twin: Twin, resource_id: str, count: int) -> None:
    name = _endpoint(twin, resource_id)
    served = saved(twin.world, name)
    assert served is not None
    judge_provisioned(count, served.max_concurrency)
    twin.sagemaker.begin(name, served.region)
    await twin.sagemaker.resize(name, count, None)


LAMBDA = Kind(
    dimension="lambda:function:ProvisionedConcurrency",
    namespace="lambda",
    resource=_ALIAS,
    form="function:NAME:QUALIFIER",
    minimum=0,
    source="Application Auto Scaling API reference, RegisterScalableTarget",
    linked_role="lambda.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency",
    current=_lambda_current,
    set=_lambda_set,
)
# RegisterScalableTarget's page names 0 for serverless endpoints too; the SageMaker API, which has to carry it out, begins at 1.
SAGEMAKER = Kind(
    dimension="sagemaker:variant:DesiredProvisionedConcurrency",
    namespace="sagemaker",
    resource=_VARIANT,
    form="endpoint/NAME/variant/VARIANT",
    minimum=1,
    source="SageMaker API reference, ProductionVariantServerlessUpdateConfig; aws/aws-cdk issue 29065",
    linked_role="sagemaker.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
    current=_sagemaker_current,
    set=_sagemaker_set,
    passes=lambda refusal: "in-progress" in refusal.message,
)
KINDS = {kind.dimension: kind for kind in (LAMBDA, SAGEMAKER)}


def kind_of(dimension: str) -> Kind:
    """Refusal for a dimension that the local twin does not scale."""
    if dimension not in KINDS:
        raise Refusal("ValidationException", f"scalableDimension {dimension!r}: the local twin scales {', '.join(KINDS)}.")
    return KINDS[dimension]
