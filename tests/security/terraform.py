"""Planned resources as Terraform JSON, so that checkers which know only Terraform can judge them. Standard library only.

The AWS provider of Pulumi is built from Terraform's: `memorySize` is `memory_size` there, and the few names that Pulumi changed are
tables here. What was taken from another resource becomes a reference again (`${aws_s3_bucket.models.id}`), which is what checks over
several resources follow.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.security.plans import as_list, statements

# Types without a cloud resource behind them.
NOT_TERRAFORM = ("pilotlight:", "docker-build:")
_MODULES = {"apigateway": "api_gateway"}
_KINDS = {
    "aws:apigateway/response:Response": "gateway_response",
    "aws:s3/bucketObjectv2:BucketObjectv2": "object",
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": "queue_redrive_allow_policy",
    "aws:sqs/redrivePolicy:RedrivePolicy": "queue_redrive_policy",
}
# Every type that the translation was checked for: one more must be looked at first, for the names that Pulumi changed.
KNOWN = {
    "appautoscaling": "scheduled_action target",
    "apigatewayv2": "api authorizer integration route stage",
    "api_gateway": "account api_key deployment gateway_response integration method method_settings model request_validator resource "
    "rest_api stage usage_plan usage_plan_key",
    "budgets": "budget",
    "cloudwatch": "dashboard log_group metric_alarm",
    "dynamodb": "table",
    "ecr": "lifecycle_policy repository",
    "iam": "role role_policy role_policy_attachment",
    "lambda": "alias event_source_mapping function function_event_invoke_config permission provisioned_concurrency_config",
    "s3": "bucket bucket_lifecycle_configuration bucket_notification bucket_ownership_controls bucket_policy "
    "bucket_public_access_block bucket_server_side_encryption_configuration bucket_versioning object",
    "sagemaker": "endpoint endpoint_configuration model",
    "scheduler": "schedule schedule_group",
    "sns": "topic topic_policy topic_subscription",
    "sqs": "queue queue_policy",
}
# Pulumi's name → Terraform's, of an input or of a block inside one; with a type in front only there.
_NAMES = {
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
}
# A list in Terraform that Pulumi shows as its only item.
_LISTS = {"aws_api_gateway_rest_api.types"}
# Maps whose keys are values, not names of inputs.
_MAPS = {
    "tags",
    "variables",
    "environment_variables",
    "dimensions",
    "triggers",
    "request_models",
    "response_templates",
    "response_parameters",
}


def terraform(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole of a plan: `{"resource": {type: {label: arguments}}}`. KeyError names a type that the tables don't know.

    Each policy stands there twice, as the text that it is and as a document of Terraform's: most checks read only one of them.
    """
    known = {each["urn"]: each for each in resources}
    made: dict[str, dict[str, Any]] = {}
    documents: dict[str, Any] = {}
    for each in resources:
        if each["type"].startswith(NOT_TERRAFORM):
            continue
        type_ = terraform_type(each["type"])
        arguments = {}
        for key, value in each["inputs"].items():
            sources = [known[urn] for urn in each["taken_from"].get(key, ()) if urn in known]
            arguments[_name(type_, key)] = _value(type_, _snake(key), _referring(value, sources))
            if isinstance(value, str) and '"Statement"' in value:
                documents[f"{label(each['name'])}_{_snake(key)}"] = {
                    "statement": [_statement(one) for one in statements(json.loads(value))]
                }
        made.setdefault(type_, {})[label(each["name"])] = arguments | {"lifecycle": [{"create_before_destroy": not each["delete_first"]}]}
    return {"resource": made, "data": {"aws_iam_policy_document": documents}}


def terraform_type(type_: str) -> str:
    """`aws:lambda/function:Function` as `aws_lambda_function`."""
    module, _, name = type_.removeprefix("aws:").partition("/")
    service, kind = _MODULES.get(module, module), _KINDS.get(type_, _snake(name.partition(":")[0]))
    if kind not in KNOWN.get(service, "").split():
        raise KeyError(f"{type_} (aws_{service}_{kind}): look up how Pulumi renamed its arguments and add it to the tables here.")
    return f"aws_{service}_{kind}"


def _statement(statement: Mapping[str, Any]) -> dict[str, Any]:
    """One statement of a policy in the words of `aws_iam_policy_document`."""
    principal = statement.get("Principal", {})
    by_type = principal if isinstance(principal, Mapping) else {principal: principal}
    conditions = [(test, *pair) for test, keys in statement.get("Condition", {}).items() for pair in keys.items()]
    told = {
        "effect": statement["Effect"],
        "actions": as_list(statement["Action"]),
        "resources": as_list(statement.get("Resource", [])),
        "principals": [{"type": kind, "identifiers": as_list(who)} for kind, who in by_type.items()],
        "condition": [{"test": test, "variable": key, "values": as_list(value)} for test, key, value in conditions],
    }
    return {key: value for key, value in told.items() if value}


def label(name: str) -> str:
    return name.replace("-", "_")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _name(type_: str, key: str) -> str:
    snake = _snake(key)
    return _NAMES.get(f"{type_}.{snake}", _NAMES.get(snake, snake))


def _value(type_: str, key: str, value: Any) -> Any:
    """A value with the names inside it translated; blocks become lists, as Terraform has them."""
    if isinstance(value, Mapping):
        if key in _MAPS:
            return dict(value)
        return [{_name(type_, inner): _value(type_, _snake(inner), each) for inner, each in value.items()}]
    if isinstance(value, list):
        blocks = [_value(type_, key, each) for each in value]
        return [part for each in blocks for part in (each if isinstance(each, list) else [each])]
    return [value] if f"{type_}.{key}" in _LISTS else value


def _referring(value: Any, sources: list[dict[str, Any]]) -> Any:
    """The value with every text that another resource gave replaced by a reference to it."""
    if isinstance(value, Mapping):
        return {key: _referring(each, sources) for key, each in value.items()}
    if isinstance(value, list):
        return [_referring(each, sources) for each in value]
    for source in sources if isinstance(value, str) else ():
        for key in sorted(source["outputs"], key=lambda name: (name not in ("id", "arn", "name"), name)):
            if source["outputs"][key] == value and not source["type"].startswith(NOT_TERRAFORM):
                return f"${{{terraform_type(source['type'])}.{label(source['name'])}.{_snake(key)}}}"
    return value
