"""Rules about what is billed: nothing at rest unasked, nothing without a bound."""

import base64
import math
import re
from collections.abc import Iterator

from . import limits
from . import tokens as t
from .model import Check, Context, Rule, equal, one_of, wanted
from .reading import Moot, Resource, View, every, shown


def _log_retention(resource: Resource, context: Context) -> Iterator[str]:
    days, low, high = resource.at("retentionInDays"), context.config["minimumDays"], context.config["maximumDays"]
    if not days or not low <= days <= high:
        yield f"retentionInDays is {shown(days)}: set it to {shown(low)} to {shown(high)}."


def _bounded(resource: Resource, context: Context) -> Iterator[str]:
    most, path = context.config["maximum"], _BOUNDS[resource.type]

    def judge(place: View) -> Iterator[str]:
        if resource.type == t.ENDPOINT_CONFIG and place.at("serverlessConfig") is None:
            return
        # Cloud Run takes it for all revisions together as well.
        came = place.at(path) or (place.at("scaling.maxInstanceCount") if resource.type == t.RUN else None)
        if not came or came > most:
            yield f"{place.named(path)} is {shown(came)}: set it to 1 to {shown(most)}."

    return every(_variants(resource), judge)


def _variants(resource: Resource) -> list[View]:
    """What has numbers of its own: each variant of an endpoint, else the resource."""
    return resource.each("productionVariants") if resource.type == t.ENDPOINT_CONFIG else [resource]


_BOUNDS = {
    t.RUN: "template.scaling.maxInstanceCount",
    t.APP: "template.scale.maxReplicas",
    t.ENDPOINT_CONFIG: "serverlessConfig.maxConcurrency",
}


def _windowed(resource: Resource, context: Context) -> bool:
    """Whether a schedule moves its floor, so that something turns it down again. Raises Unread where none does and one may, as far as is
    known."""
    named = [resource]
    if resource.type == t.ENDPOINT_CONFIG:
        # Schedules give an endpoint another configuration, or turn the number of one of its variants.
        named += _endpoints(resource, context)
    own = [name for each in named for key in ("name", "functionName", "resourceId") if isinstance(name := each.values.get(key), str)]

    def judge(schedule: Resource) -> Iterator[bool]:
        moved = _moved(schedule, resource)
        # A function's name may be given as its ARN.
        its = moved is not None and any(re.search(rf"(?<![\w-]){re.escape(name.split(':')[-1])}(?![\w-])", moved) for name in own)
        yield its and not _raises(schedule, resource)

    return any(every(context.graph.all(t.CRON_JOB, t.SCHEDULE, t.SCALED_ACTION), judge))


def _moved(schedule: Resource, floor: Resource) -> str | None:
    """The text in which a schedule names whose floor it moves, where floors of the type are moved by such: not that of one that is off, or
    that only calls what is kept warm."""
    if schedule.type == t.SCALED_ACTION:
        return _ended(schedule, floor)
    if schedule.type == t.CRON_JOB:
        if floor.type != t.RUN or schedule.at("paused") or schedule.at("httpTarget.httpMethod") not in ("PATCH", "PUT", "DELETE"):
            return None
        address = str(schedule.at("httpTarget.uri"))
        return address if _RUN_API.match(address) else None
    if floor.type not in _CALLS or schedule.at("state") == "DISABLED":
        return None
    call = str(schedule.at("target.arn")).rpartition(":aws-sdk:")[2]
    return str(schedule.at("target.input")) if call in _CALLS[floor.type] else None


def _raises(schedule: Resource, floor: Resource) -> bool:
    """Whether a schedule says a number and that is more than the floor: what only turns it up ends nothing."""
    text = _sent(str(schedule.at("httpTarget.body"))) if schedule.type == t.CRON_JOB else str(schedule.at("target.input"))
    least = max(came for part in _variants(floor) for path in _FLOORS[floor.type] if (came := part.at(path)))
    return any(int(number) > least for number in _NUMBERS.findall(text))


def _sent(body: str) -> str:
    """A job's body, which is in base64; what is none Google refuses."""
    try:
        return base64.b64decode(body).decode("latin-1")
    except ValueError:
        return body


# Where the calls of schedules have the number that they set.
_NUMBERS = re.compile(r'"(?:provisionedConcurrentExecutions|maxCapacity|minInstanceCount)"\s*:\s*(\d+)', re.IGNORECASE)


def _ended(action: Resource, floor: Resource) -> str | None:
    """What an action of application auto scaling turns down to the least that there is. Of a function each alias by itself; a qualifier
    that is not known may be any of them."""
    scaled = str(action.at("resourceId"))
    if floor.type == t.SCALED_TARGET:
        least = _least(floor)
        return scaled if scaled == floor.at("resourceId") and action.at("scalableTargetAction.maxCapacity") == least else None
    if floor.type not in _SCALED:
        return None
    prefix, least = _SCALED[floor.type]
    if not scaled.startswith(prefix):
        return None
    qualifier = floor.values.get("qualifier")
    if isinstance(qualifier, str) and not scaled.endswith(f":{qualifier}"):
        return None
    return scaled if action.at("scalableTargetAction.maxCapacity") == least else None


# How application auto scaling names what it scales, and the least that it goes down to: a variant of an endpoint is never below 1 there.
_SCALED = {t.ENDPOINT_CONFIG: ("endpoint/", 1), t.LAMBDA_PROVISIONED: ("function:", 0)}
# A service's own address is one of run.app: to call that is a ping.
_RUN_API = re.compile(r"https://([a-z0-9-]+-)?run\.googleapis\.com/")
# Calls of EventBridge Scheduler's universal target.
_CALLS = {
    t.ENDPOINT_CONFIG: (
        "sagemaker:deleteEndpoint",
        "sagemaker:updateEndpoint",
        "sagemaker:updateEndpointWeightsAndCapacities",
        "applicationautoscaling:registerScalableTarget",
    ),
    t.LAMBDA_PROVISIONED: (
        "lambda:deleteProvisionedConcurrencyConfig",
        "lambda:putProvisionedConcurrencyConfig",
        "applicationautoscaling:registerScalableTarget",
    ),
    t.SCALED_TARGET: ("applicationautoscaling:deregisterScalableTarget", "applicationautoscaling:registerScalableTarget"),
}


def _least(floor: Resource) -> float:
    """The most of a floor that is none: what application auto scaling can't go below, and whatever else it scales than models."""
    if floor.type != t.SCALED_TARGET:
        return 0
    scaled = str(floor.at("resourceId"))
    return next((least for prefix, least in _SCALED.values() if scaled.startswith(prefix)), math.inf)


def _endpoints(config: Resource, context: Context) -> Iterator[Resource]:
    """The endpoints that have a configuration, or have had or may get it: those of the same model."""
    for each in context.graph.all(t.ENDPOINT):
        its = context.graph.behind(each, "endpointConfigName", t.ENDPOINT_CONFIG)
        if its is config or (its is not None and _models(its) & _models(config)):
            yield each


def _models(config: Resource) -> set[str]:
    return {name for each in _variants(config) if isinstance(name := each.values.get("modelName"), str)}


def _floor(resource: Resource, context: Context) -> Iterator[str]:
    if resource.name in context.config["allowed"]:
        return iter(())
    places = [(part, path) for part in _variants(resource) for path in _FLOORS[resource.type]]

    def judge(place: tuple[View, str]) -> Iterator[str]:
        part, path = place
        came = part.at(path)
        # What is set by hand counts only in the mode for it.
        if path == _BY_HAND and came and part.at("scaling.scalingMode") != "MANUAL":
            return
        if came and came > _least(resource) and not _windowed(resource, context):
            yield (
                f"{part.named(path)} is {shown(came)} and no schedule ends it: set it to {_least(resource)}, add a window (a warming rule "
                f"with cron and until), or name {resource.name} in the parameter allowed."
            )

    return every(places, judge)


_BY_HAND = "scaling.manualInstanceCount"
_FLOORS = {
    t.RUN: ("scaling.minInstanceCount", "template.scaling.minInstanceCount", _BY_HAND),
    t.APP: ("template.scale.minReplicas",),
    t.ENDPOINT_CONFIG: ("serverlessConfig.provisionedConcurrency",),
    t.LAMBDA_PROVISIONED: ("provisionedConcurrentExecutions",),
    t.SCALED_TARGET: ("minCapacity",),
}


def _by_the_hour(resource: Resource, context: Context) -> Iterator[str]:
    if resource.name in context.config["allowed"]:
        return
    if resource.type == _VPC_ENDPOINT and resource.at("vpcEndpointType", "Gateway") == "Gateway":
        raise Moot("a gateway endpoint costs nothing")
    yield f"is billed by the hour, whether anybody calls or not: do without it, or name {resource.name} in the parameter allowed."


_VPC_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
_HOURLY = (
    "aws:ec2/natGateway:NatGateway",
    _VPC_ENDPOINT,
    "aws:ec2/instance:Instance",
    "aws:elasticache/replicationGroup:ReplicationGroup",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:rds/instance:Instance",
    "aws:wafv2/webAcl:WebAcl",
    "azure-native:network:ApplicationGateway",
    "azure-native:network:NatGateway",
    "azure-native:network:PrivateEndpoint",
    "gcp:compute/instance:Instance",
    "gcp:compute/routerNat:RouterNat",
    "gcp:redis/instance:Instance",
    "gcp:sql/databaseInstance:DatabaseInstance",
    "gcp:vpcaccess/connector:Connector",
)


def _dedicated(resource: Resource, _: Context) -> Iterator[str]:
    def judge(variant: View) -> Iterator[str]:
        if variant.at("initialInstanceCount") or variant.at("instanceType"):
            yield f"{variant.path} has instances: set serverlessConfig in their place, which is billed by the call."

    return every(resource.each("productionVariants"), judge)


def _kept_nodes(environment: Resource, context: Context) -> Iterator[str]:
    if environment.name in context.config["allowed"]:
        return

    def judge(profile: View) -> Iterator[str]:
        # Those of the consumption plan have none of their own.
        if profile.at("minimumCount") and not str(profile.at("workloadProfileType")).startswith("Consumption"):
            yield (
                f"{profile.named('minimumCount')} is {shown(profile.at('minimumCount'))}: set it to 0, or name {environment.name} in the "
                "parameter allowed."
            )

    yield from every(environment.each("workloadProfiles"), judge)


def _registry_forgets(repository: Resource, context: Context) -> Iterator[str]:
    if not any(context.graph.behind(each, "repository", t.ECR) is repository for each in context.graph.all(t.ECR_LIFECYCLE)):
        yield "no LifecyclePolicy names it: add one that keeps the last ten images."


def _cleaned(resource: Resource, _: Context) -> Iterator[str]:
    if not resource.each("cleanupPolicies"):
        yield "cleanupPolicies is missing: add one that keeps the last ten images, and one that deletes others."


def for_all_objects(rule: View) -> bool:
    """Whether a rule of a bucket's lifecycle is on, and leaves no object out."""
    return bool(rule.at("status") == "Enabled" and not any((rule.at("filter") or {}).values()) and not rule.at("prefix"))


def _uploads_end(resource: Resource, _: Context) -> Iterator[str]:
    if resource.type == t.BUCKET_LIFECYCLE:
        ended = any(
            for_all_objects(each) and each.at("abortIncompleteMultipartUpload.daysAfterInitiation") for each in resource.each("rules")
        )
        how = "rules has no abortIncompleteMultipartUpload for all objects: add one with daysAfterInitiation 7."
    else:
        ended = any(each.at("action.type") == "AbortIncompleteMultipartUpload" for each in resource.each("lifecycleRules"))
        how = "lifecycleRules has no AbortIncompleteMultipartUpload: add one with the condition age 7."
    if not ended:
        yield how


def _bucket_lifecycle(bucket: Resource, context: Context) -> Iterator[str]:
    # An old input of the bucket's own says it as well.
    if bucket.each("lifecycleRules"):
        return
    if not any(context.graph.behind(each, "bucket", t.S3) is bucket for each in context.graph.all(t.BUCKET_LIFECYCLE)):
        yield "has no BucketLifecycleConfiguration: add one, else old versions and broken uploads are billed for ever."


def _budget(stack: Resource, context: Context) -> Iterator[str]:
    if next(context.graph.all(t.AWS_BUDGET, t.GCP_BUDGET, t.AZURE_BUDGET), None) is None:
        yield "the stack has no budget: add one (`budget: {monthlyUsd: 100, email: ...}`)."


def _by_request(account: Resource, _: Context) -> Iterator[str]:
    # Azure says it in two ways.
    if account.at("capacityMode") == "Serverless":
        return
    if "EnableServerless" not in [each.at("name") for each in account.each("capabilities")]:
        yield 'capabilities has no "EnableServerless": add it, else each table is billed by the hour.'


def _tier(resource: Resource, path: str, allowed: list[str]) -> Iterator[str]:
    if resource.at(path) not in allowed:
        yield f"{path} is {shown(resource.at(path))}: set it to {' or '.join(shown(each) for each in allowed)}."


_NAMES = {"type": "array", "items": {"type": "string"}, "default": []}

RULES = (
    Rule(
        id="log-retention",
        group="cost",
        severity="medium",
        idea="Logs are kept for a stated time.",
        fix="Set the retention: without one logs are kept, and billed, for ever.",
        checks=(Check((t.LOG_GROUP, t.WORKSPACE), _log_retention),),
        answers=("CKV_AWS_66", "CKV_AWS_338", "nag:W86"),
        parameters={
            "minimumDays": {"type": "number", "minimum": 1, "default": 1, "description": "What an audit wants: 365, say."},
            "maximumDays": {"type": "number", "minimum": 1, "default": 731, "description": "The longest that is paid for."},
        },
    ),
    Rule(
        id="instances-are-bounded",
        group="cost",
        severity="high",
        idea="A service has a most that it scales to.",
        fix="Set the maximum: it is the most that a flood of calls can cost.",
        checks=(Check(tuple(_BOUNDS), _bounded),),
        parameters={
            "maximum": {
                "type": "number",
                "minimum": 1,
                "default": limits.SAGEMAKER_CONCURRENCY_MOST,
                "description": "The most that may be set.",
            }
        },
    ),
    Rule(
        id="floor-has-an-end",
        group="cost",
        severity="high",
        idea="What is kept warm is kept for a window.",
        fix="Give the floor a window or a lease, or allow it by name.",
        checks=(Check(tuple(_FLOORS), _floor),),
        moot={
            "AZR-000413": "It wants replicas at rest; nothing at rest is what these stacks are for.",
            "FSBP:SageMaker.4": "A serverless variant has no instances to count.",
            "P:sagemaker_endpoint_config_prod_variant_instances": "The same.",
        },
        parameters={"allowed": {**_NAMES, "description": "Resources that may be kept warm always."}},
        stack=True,
    ),
    Rule(
        id="nothing-by-the-hour",
        group="cost",
        severity="medium",
        idea="Nothing is billed by the hour unasked.",
        fix="Use what is billed by the call, or allow the resource by name.",
        checks=(Check(_HOURLY, _by_the_hour), Check((t.ENDPOINT_CONFIG,), _dedicated), Check((t.APP_ENVIRONMENT,), _kept_nodes)),
        moot={
            "CKV_AWS_117": "A function in a network needs endpoints or a NAT gateway, by the hour; it calls AWS alone, by signed requests.",
            "CKV2_AWS_29": "A web ACL is billed by the month; callers have keys and are throttled.",
        },
        parameters={"allowed": {**_NAMES, "description": "Resources that may be billed by the hour."}},
    ),
    Rule(
        id="smallest-tier",
        group="cost",
        severity="medium",
        idea="Tiers of Azure's and caches of AWS's that cost at rest are asked for.",
        fix="Take the tier without a price at rest, or configure the tiers that may be.",
        checks=(
            Check((t.ACR,), lambda resource, context: _tier(resource, "sku.name", context.config["registries"])),
            Check((t.APIM,), lambda resource, context: _tier(resource, "sku.name", context.config["gateways"])),
            *wanted(t.REST_STAGE, one_of("cacheClusterEnabled", (False, None))),
        ),
        moot={
            "CKV_AWS_120": "A cache of the gateway's is billed by the hour, and predictions come by POST.",
            "CKV_AWS_225": "The same.",
            "CKV_AWS_308": "There is no cache to encrypt.",
        },
        parameters={
            "registries": {"type": "array", "items": {"type": "string"}, "default": ["Basic"], "description": "Tiers of registries."},
            "gateways": {
                "type": "array",
                "items": {"type": "string"},
                "default": ["Consumption"],
                "description": "Tiers of API Management.",
            },
        },
    ),
    Rule(
        id="table-on-demand",
        group="cost",
        severity="medium",
        idea="A table is billed by the request.",
        fix="Provisioned capacity is billed while nobody calls.",
        checks=(*wanted(t.TABLE, equal("billingMode", "PAY_PER_REQUEST")), Check((t.COSMOS,), _by_request)),
        answers=("CKV2_AWS_16", "FSBP:DynamoDB.1", "nag:W73"),
        framework=("AWS Foundational Security Best Practices", "DynamoDB.1"),
    ),
    Rule(
        id="registry-forgets",
        group="cost",
        severity="low",
        idea="A registry deletes old images.",
        fix="Keep the last few: each is a gigabyte by the month.",
        checks=(Check((t.ECR,), _registry_forgets), Check((t.REGISTRY,), _cleaned)),
        answers=("FSBP:ECR.3",),
        framework=("AWS Foundational Security Best Practices", "ECR.3"),
        moot={"CKV_AZURE_167": "Retention is of the Premium tier, which costs at rest."},
        stack=True,
    ),
    Rule(
        id="uploads-are-tidied",
        group="cost",
        severity="low",
        idea="What was uploaded in part is deleted.",
        fix="Add the rule: parts are billed, and no listing shows them.",
        checks=(Check((t.BUCKET_LIFECYCLE, t.GCS), _uploads_end),),
        answers=("CKV_AWS_300", "FSBP:S3.13", "P:cloudstorage_bucket_lifecycle_management_enabled"),
        framework=("AWS Foundational Security Best Practices", "S3.13"),
    ),
    Rule(
        id="bucket-has-lifecycle",
        group="cost",
        severity="low",
        idea="Each bucket of S3 says how long what it holds is kept.",
        fix="Add a lifecycle.",
        checks=(Check((t.S3,), _bucket_lifecycle),),
        answers=("CKV2_AWS_61",),
        stack=True,
    ),
    Rule(
        id="stack-has-budget",
        group="cost",
        severity="low",
        idea="A stack has a budget that tells somebody.",
        fix="Add a budget with an address.",
        checks=(Check(("pulumi:pulumi:Stack",), _budget),),
        stack=True,
        level="disabled",
    ),
)
