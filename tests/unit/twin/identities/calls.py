"""What each identity of the ready stacks calls, and where: the code, or the service that calls in its name.

A role that stands in no table here fails the tests, and so does a right that no call needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

REGION, ACCOUNT = "us-east-1", "111122223333"
SHA = "a" * 64


@dataclass(frozen=True, kw_only=True)
class Call:
    """One action on one resource; `by` is the file and text that makes it, or the service and the page that says so."""

    action: str
    resource: str
    by: str
    context: Mapping[str, str] = field(default_factory=dict)


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def logging(group: str, *more: Call) -> list[Call]:
    """The log of a function: the runtime writes it as the function's role."""
    stream = arn("logs", f"log-group:{group}:log-stream:2026/11/02/[1]abc")
    by = "Lambda developer guide, sending function logs to CloudWatch Logs"
    return [Call(action=action, resource=stream, by=by) for action in ("logs:CreateLogStream", "logs:PutLogEvents")] + list(more)


def reading_models(bucket: str) -> list[Call]:
    """The artifact: the object, and what tells a missing one from a forbidden one."""
    get = "handlers/engines/fetching.py: get_object"
    listed = "S3 API reference, GetObject: without it a missing object is answered 403"
    return [
        Call(action="s3:GetObject", resource=f"arn:aws:s3:::{bucket}/models/{SHA}/model.tar.gz", by=get),
        Call(action="s3:ListBucket", resource=f"arn:aws:s3:::{bucket}", by=listed, context={"s3:prefix": f"models/{SHA}/model.tar.gz"}),
    ]


def pulling(repository: str) -> list[Call]:
    """The image, which SageMaker pulls as the model's role."""
    by = "SageMaker developer guide, execution role permissions of CreateModel"
    actions = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    pulls = [Call(action=action, resource=arn("ecr", f"repository/{repository}"), by=by) for action in actions]
    return [Call(action="ecr:GetAuthorizationToken", resource="*", by=by), *pulls]


def invoking(endpoint: str) -> Call:
    return Call(
        action="sagemaker:InvokeEndpoint",
        resource=arn("sagemaker", f"endpoint/{endpoint}"),
        by="handlers/functions/endpoint.py: invoke_endpoint",
    )


def describing_streams(group: str) -> Call:
    by = "SageMaker developer guide, execution role permissions of CreateModel"
    return Call(action="logs:DescribeLogStreams", resource=arn("logs", f"log-group:{group}:*"), by=by)


def gateway_log() -> list[Call]:
    """What API Gateway tests the account's log role for."""
    names = (
        "CreateLogGroup",
        "CreateLogStream",
        "DescribeLogGroups",
        "DescribeLogStreams",
        "PutLogEvents",
        "GetLogEvents",
        "FilterLogEvents",
    )
    by = "API Gateway developer guide, set up CloudWatch logging for REST APIs"
    return [Call(action=f"logs:{name}", resource=arn("logs", "log-group:API-Gateway-Execution-Logs_abc/v1:*"), by=by) for name in names]


def calls(stack: str, models_bucket: str) -> Mapping[str, list[Call]]:
    """Role (logical name) → all that it calls, in the stack with its default names."""
    prefix = f"pilotlight-{stack}"
    if stack == "aws-sagemaker-api":
        group = f"/aws/sagemaker/Endpoints/{prefix}"
        return {
            "api-function-role": [invoking(prefix), *logging(f"/aws/lambda/{prefix}-predict")],
            "api-endpoint-role": [
                *reading_models(models_bucket),
                *pulling(prefix),
                *logging(group, describing_streams(group)),
            ],
            "api-gateway-log-role": gateway_log(),
        }
    return {
        "api-endpoint-role": [*reading_models(models_bucket), *logging(f"/aws/lambda/{prefix}-model")],
        "api-gateway-log-role": gateway_log(),
    }


# What the code could call with the same clients and must not be able to, per service.
NEVER: Mapping[str, tuple[str, ...]] = {
    "dynamodb": ("dynamodb:DeleteTable", "dynamodb:Scan", "dynamodb:UpdateTable"),
    "ecr": ("ecr:PutImage", "ecr:DeleteRepository", "ecr:SetRepositoryPolicy"),
    "lambda": ("lambda:UpdateFunctionCode", "lambda:DeleteFunction", "lambda:AddPermission"),
    "logs": ("logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogStream"),
    "s3": ("s3:DeleteObject", "s3:PutBucketPolicy", "s3:DeleteBucket"),
    "sagemaker": ("sagemaker:DeleteEndpoint", "sagemaker:CreateModel", "sagemaker:DescribeEndpoint"),
    "scheduler": ("scheduler:CreateSchedule",),
    "sqs": ("sqs:PurgeQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes"),
}
# The action of each SDK method that the handlers call: a new method must be added here and to the calls of a role.
METHODS: Mapping[str, tuple[str, ...]] = {
    "batch_get_item": ("dynamodb:BatchGetItem",),
    "get_item": ("dynamodb:GetItem",),
    "get_object": ("s3:GetObject",),
    "invoke_endpoint": ("sagemaker:InvokeEndpoint",),
    "put_item": ("dynamodb:PutItem",),
    "put_object": ("s3:PutObject",),
    "send_message": ("sqs:SendMessage",),
    "send_message_batch": ("sqs:SendMessage",),
    # A transaction needs the rights of what is in it (DynamoDB developer guide, transactions, IAM).
    "transact_write_items": ("dynamodb:PutItem", "dynamodb:UpdateItem"),
    "update_item": ("dynamodb:UpdateItem",),
}
