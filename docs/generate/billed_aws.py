"""What resources on AWS cost while nobody calls.

Prices are examples for us-east-1 of what AWS charged when the source was written, not today's: follow the link for your region's.
"""

import re
from collections.abc import Callable, Mapping

from components.aws.image import KEPT_IMAGES
from docs.generate.idle import MONTH_DAYS, Idle, Inputs, by_size, dollars, due

# Lambda keeps five pollers on an idle queue, and none fewer where a maximum concurrency is set (Lambda developer guide, scaling
# behavior of SQS event source mappings); each asks again after SQS's longest wait, 20 s (SQS API reference, ReceiveMessage).
POLLS_A_MONTH = 5 * MONTH_DAYS * 86_400 // 20


def firings(inputs: Inputs) -> float:
    """How often a schedule fires in a month of 30 days: `rate(5 minutes)`, `cron(0,30 8-17 ? * MON-FRI *)`."""
    expression = inputs["scheduleExpression"]
    if rate := re.fullmatch(r"rate\((\d+) minutes?\)", expression):
        return MONTH_DAYS * 24 * 60 / int(rate[1])
    minutes, hours, _, _, days, _ = expression.removeprefix("cron(").removesuffix(")").split()
    return due(minutes, hours, days)


def _recovered(inputs: Inputs) -> float | None:
    return None if inputs["pointInTimeRecovery"]["enabled"] else 0


def _pings(inputs: Inputs) -> float | None:
    return firings(inputs) * int(re.sub(r"\D", "", inputs["target"]["input"]))


def _provisioned(inputs: Inputs) -> float | None:
    return float(sum(each["serverlessConfig"].get("provisionedConcurrency", 0) for each in inputs["productionVariants"]))


_PRICING = "https://aws.amazon.com/{}/pricing/"
_GOLDEN = "Infracost's golden file {}_test, read 2026-11"
_BUCKET, _LOGS, _REGISTRY = "aws:s3/bucket:Bucket", "aws:cloudwatch/logGroup:LogGroup", "aws:ecr/repository:Repository"
_TABLE, _SCHEDULE = "aws:dynamodb/table:Table", "aws:scheduler/schedule:Schedule"
# Of what is stored: the words, dollars a GB and month, whose golden file, whose price list.
_STORES: Mapping[str, tuple[str, float, str, str]] = {
    _BUCKET: ("bucket|buckets", 0.023, "s3_bucket", "s3"),
    _LOGS: ("log group|log groups", 0.03, "cloudwatch_log_group", "cloudwatch"),
    _REGISTRY: ("registry|registries", 0.10, "ecr_repository", "ecr"),
    _TABLE: ("table|tables", 0.25, "dynamodb_table", "dynamodb"),
}


def _stored(
    type_: str, ending: str, what: str, off: str, usd: float | None = None, units: Callable[[Inputs], float | None] = by_size
) -> Idle:
    of, price, golden, service = _STORES[type_]
    return Idle(
        type=type_,
        ending=ending,
        what=what,
        of=of,
        kind="storage",
        unit="GB and month",
        usd=price if usd is None else usd,
        source=_GOLDEN.format(golden),
        link=_PRICING.format(service),
        units=units,
        off=off,
    )


def _called(ending: str, what: str, of: str, units: Callable[[Inputs], float | None], off: str) -> Idle:
    """What schedules with that ending of their name call."""
    return Idle(
        type=_SCHEDULE,
        ending=ending,
        what=what,
        of=of,
        kind="calls",
        unit="million calls",
        usd=0.20,
        also=((0.0000166667, "GB of their memory and second"),),
        source=_GOLDEN.format("lambda_function"),
        link=_PRICING.format("lambda"),
        units=units,
        off=off,
    )


def _kept_warm(
    type_: str,
    whose: str,
    service: str,
    units: Callable[[Inputs], float | None],
    *,
    most: bool = False,
    usd: float | None = None,
    source: str = "",
) -> Idle:
    """Instances of an endpoint or a function."""
    return Idle(
        type=type_,
        what=f"instances of the {whose} that the plan keeps warm, while it does",
        of="instance|instances",
        kind="capacity",
        unit="GB of their memory and second",
        usd=usd,
        source=source,
        link=_PRICING.format(service),
        units=units,
        most=most,
        off="`warming` without `scheduled` and `provisioned` rules",
    )


AWS: tuple[Idle, ...] = (
    _stored(
        _REGISTRY, "", f"image in ECR: its compressed size, the last {KEPT_IMAGES} builds", "`image.uri` of an image that is stored anyway"
    ),
    _stored(
        _BUCKET,
        "-models-bucket",
        "model in S3: its packed size",
        "`model.source` decides its size; it goes with the stack under `dataRetention: delete`",
    ),
    _stored(
        _BUCKET,
        "-objects-bucket",
        "uploaded objects, until somebody deletes them; replaced and deleted versions for 30 days more",
        "deleting objects; they go with the stack under `dataRetention: delete`",
    ),
    _stored(
        _BUCKET,
        "-results-bucket",
        "results that are too large for a row; replaced ones for 30 days more",
        "deleting results; they go with the stack under `dataRetention: delete`",
    ),
    _stored(_BUCKET, "-answers-bucket", "requests and answers that came later, until they expire", "`answers.keepHours`, or no `answers`"),
    _stored(
        _TABLE,
        "-results-table",
        "rows of results, one an object version",
        "deleting rows; they go with the stack under `dataRetention: delete`",
    ),
    _stored(_TABLE, "-answers-table", "rows of answers, until they expire", "`answers.keepHours`, or no `answers`"),
    _stored(
        _TABLE,
        "-table",
        "backups of a table, to restore any second of 35 days",
        "`dataRetention: delete`",
        usd=0.20,
        units=_recovered,
    ),
    _stored(_LOGS, "", "log lines that calls wrote", "`logs.retentionDays`"),
    Idle(
        type="aws:cloudwatch/metricAlarm:MetricAlarm",
        what="alarms",
        of="alarm|alarms",
        kind="alarms",
        unit="alarm and month",
        usd=0.10,
        source=_GOLDEN.format("cloudwatch_metric_alarm"),
        link=_PRICING.format("cloudwatch"),
        free=10,
        off="`alarms.enabled: false`",
    ),
    Idle(
        type="aws:lambda/eventSourceMapping:EventSourceMapping",
        what="Lambda asks the queue, which costs requests while it is empty too: five pollers, 20 s a poll (our sum from AWS's documents)",
        of="request a month|requests a month",
        kind="requests",
        unit="million requests",
        usd=0.40,
        source=_GOLDEN.format("sqs_queue"),
        link=_PRICING.format("sqs"),
        units=lambda inputs: POLLS_A_MONTH,
        free=1_000_000,
        off="`pattern: api` without `answers`",
    ),
    Idle(
        type="aws:cloudwatch/dashboard:Dashboard",
        what="dashboard",
        of="dashboard|dashboards",
        kind="view",
        unit="dashboard and month",
        usd=3,
        source=_GOLDEN.format("cloudwatch_dashboard"),
        link=_PRICING.format("cloudwatch"),
        free=3,
        off="`dashboard: false`",
    ),
    Idle(
        type="aws:budgets/budget:Budget",
        what="budget",
        of="budget|budgets",
        kind="view",
        unit="budget and day, beyond those that an account has free",
        link="https://aws.amazon.com/aws-cost-management/aws-budgets/pricing/",
        off="no `budget`",
    ),
    _called(
        "-warming-ping-",
        "pings: calls of the warmer, and of the model for 0.1 s each or longer",
        "ping a month|pings a month",
        _pings,
        "`warming` without a `ping` rule",
    ),
    _called(
        "-warming-check-",
        "checks that the floor is the plan's: calls of a function with 256 MB",
        "check a month|checks a month",
        firings,
        "`warming` without a `scheduled` rule, or with a `provisioned` one beside it",
    ),
    _kept_warm("aws:sagemaker/endpointConfiguration:EndpointConfiguration", "endpoint", "sagemaker/ai", _provisioned, most=True),
    _kept_warm(
        "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig",
        "function",
        "lambda",
        lambda inputs: float(inputs["provisionedConcurrentExecutions"]),
        usd=0.0000041667,
        source="AWS's list for us-east-1 (x86), as public calculators quote it, read 2026-11",
    ),
)
AWS_USED: Mapping[str, str] = {
    _LOGS: "While it is called, the metrics that its lines hold (cold starts by stage, counts, calls that were refused, the latency of "
    f"requests) are billed for the hours in which they come, beyond ten that an account has free: {dollars(0.3)} by the metric and month "
    f"(as public calculators quote it, read 2026-11); today's: [AWS]({_PRICING.format('cloudwatch')}).",
}
# Nothing by the hour, nothing for being there: billed by the call, or not at all.
AWS_FREE: Mapping[str, str] = {
    "apigateway": "Account ApiKey Deployment Integration Method MethodSettings Model RequestValidator Resource Response RestApi Stage "
    "UsagePlan UsagePlanKey",
    "apigatewayv2": "Api Authorizer Integration Route Stage",
    # What they move is billed, not they.
    "appautoscaling": "ScheduledAction Target",
    "ecr": "LifecyclePolicy",
    "iam": "Role RolePolicy RolePolicyAttachment",
    "lambda": "Alias Function FunctionEventInvokeConfig Invocation Permission",
    "s3": "BucketLifecycleConfiguration BucketNotification BucketObjectv2 BucketOwnershipControls BucketPolicy BucketPublicAccessBlock "
    "BucketServerSideEncryptionConfiguration BucketVersioning",
    "sagemaker": "Endpoint Model",
    "scheduler": "ScheduleGroup",
    "sns": "Topic TopicPolicy TopicSubscription",
    "sqs": "Queue QueuePolicy",
}
