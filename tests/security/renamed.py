"""What Pulumi's providers call otherwise than Terraform's, which they are built from. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """One cloud's names.

    `prefix`  of every type in Terraform
    `modules` part of Pulumi's SDK, or token → the middle of Terraform's type
    `kinds`   token → the end of Terraform's type, where it is not the kind's own name; the middle itself for a type that has no end
    `known`   every type that the translation was checked for: one more must be looked at first, for the names that Pulumi changed
    `names`   of an input, or of a block inside one; with a type in front only there
    `lists`   lists in Terraform that Pulumi shows as their only item
    `maps`    whose keys are values, not names of inputs
    """

    prefix: str
    modules: Mapping[str, str]
    kinds: Mapping[str, str]
    known: Mapping[str, str]
    names: Mapping[str, str]
    lists: frozenset[str] = frozenset()
    maps: frozenset[str]


_AWS = Renamed(
    prefix="aws",
    modules={"apigateway": "api_gateway"},
    kinds={
        "aws:apigateway/response:Response": "gateway_response",
        "aws:s3/bucketObjectv2:BucketObjectv2": "object",
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": "queue_redrive_allow_policy",
        "aws:sqs/redrivePolicy:RedrivePolicy": "queue_redrive_policy",
    },
    known={
        "appautoscaling": "scheduled_action target",
        "apigatewayv2": "api authorizer integration route stage",
        "api_gateway": "account api_key deployment gateway_response integration method method_settings model request_validator resource "
        "rest_api stage usage_plan usage_plan_key",
        "budgets": "budget",
        "cloudwatch": "dashboard log_group metric_alarm",
        "dynamodb": "table",
        "ecr": "lifecycle_policy repository",
        "iam": "role role_policy role_policy_attachment",
        "lambda": "alias event_source_mapping function function_event_invoke_config invocation permission provisioned_concurrency_config",
        "s3": "bucket bucket_lifecycle_configuration bucket_notification bucket_ownership_controls bucket_policy "
        "bucket_public_access_block bucket_server_side_encryption_configuration bucket_versioning object",
        "sagemaker": "endpoint endpoint_configuration model",
        "scheduler": "schedule schedule_group",
        "sns": "topic topic_policy topic_subscription",
        "sqs": "queue queue_policy",
    },
    names={
        "aws_apigatewayv2_authorizer.audiences": "audience",
        "aws_lambda_function.code": "filename",
        "aws_lambda_function.name": "function_name",
        "aws_lambda_permission.function": "function_name",
        "aws_s3_bucket_notification.queues": "queue",
        "aws_sns_topic_subscription.topic": "topic_arn",
        "attributes": "attribute",
        "cost_filters": "cost_filter",
        "deployment": "deployment_id",
        "encryption_configurations": "encryption_configuration",
        "notifications": "notification",
        "image_tag_mutability_exclusion_filters": "image_tag_mutability_exclusion_filter",
        "rest_api": "rest_api_id",
        "rules": "rule",
    },
    lists=frozenset({"aws_api_gateway_rest_api.types"}),
    maps=frozenset(
        (
            *("tags", "variables", "environment_variables", "dimensions", "triggers"),
            *("request_models", "response_templates", "response_parameters"),
        )
    ),
)
_GOOGLE = Renamed(
    prefix="google",
    modules={
        "apigateway": "api_gateway",
        "artifactregistry": "artifact_registry",
        "cloudrunv2": "cloud_run_v2",
        "cloudscheduler": "cloud_scheduler",
        "projects": "project",
        "gcp:projects/apiKey:ApiKey": "apikeys",
        "serviceaccount": "service_account",
    },
    kinds={
        "gcp:projects/apiKey:ApiKey": "key",
        "gcp:serviceaccount/account:Account": "service_account",
        **{
            f"gcp:{module}/{kind[0].lower()}{kind[1:]}:{kind}": name
            for module, kind, name in (
                ("projects", "IAMCustomRole", "iam_custom_role"),
                ("projects", "IAMMember", "iam_member"),
                ("pubsub", "SubscriptionIAMMember", "subscription_iam_member"),
                ("pubsub", "TopicIAMMember", "topic_iam_member"),
                ("serviceaccount", "IAMMember", "iam_member"),
                ("storage", "BucketIAMMember", "bucket_iam_member"),
            )
        },
    },
    known={
        "api_gateway": "api api_config gateway",
        "artifact_registry": "repository",
        "billing": "budget",
        "cloud_run_v2": "service service_iam_member",
        "cloud_scheduler": "job",
        "compute": "network subnetwork",
        "eventarc": "trigger",
        "firestore": "database field",
        "logging": "metric",
        "monitoring": "alert_policy dashboard notification_channel",
        "apikeys": "key",
        "project": "iam_custom_role iam_member service service_identity",
        "pubsub": "subscription subscription_iam_member topic topic_iam_member",
        "service_account": "service_account iam_member",
        "storage": "bucket bucket_iam_member bucket_object",
    },
    names={"envs": "env", "lifecycle_rules": "lifecycle_rule", "matching_criterias": "matching_criteria"},
    maps=frozenset(("headers", "label_extractors", "labels", "limits", "user_labels")),
)
# By the first word of Pulumi's tokens.
CLOUDS: Mapping[str, Renamed] = {"aws": _AWS, "gcp": _GOOGLE}
