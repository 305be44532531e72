"""What each identity of the ready stacks calls, and where: the code, or the service that calls in its name.

A role that stands in no table here fails the tests, and so does a right that no call needs. Warming and budget: `calls_warming.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

REGION, ACCOUNT = "us-east-1", "111122223333"
SHA = "a" * 64


@dataclass(frozen=True, kw_only=True)
class Call:
    """One action on one resource; `by` is the file and text that makes it, or the page that says which service does.

    anywhere  every object of the bucket is meant, not those of one folder
    """

    action: str
    resource: str
    by: str
    context: Mapping[str, str] = field(default_factory=dict)
    anywhere: bool = False


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def stored(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}"


def log(group: str, *more: str) -> list[Call]:
    """The log of a function: the runtime writes it as the function's role."""
    stream = arn("logs", f"log-group:{group}:log-stream:2026/11/02/[1]abc")
    by = "Lambda developer guide, sending function logs to CloudWatch Logs"
    return [Call(action=f"logs:{name}", resource=stream, by=by) for name in ("CreateLogStream", "PutLogEvents", *more)]


def listing(bucket: str) -> Call:
    """What tells a missing object from a forbidden one."""
    by = "S3 API reference, GetObject: without it a missing object is answered 403"
    return Call(action="s3:ListBucket", resource=f"arn:aws:s3:::{bucket}", by=by)


def read_models(bucket: str) -> list[Call]:
    key = f"models/{SHA}/model.tar.gz"
    get = Call(action="s3:GetObject", resource=stored(bucket, key), by="handlers/engines/fetching.py: get_object")
    return [get, listing(bucket)]


def pull(repository: str) -> list[Call]:
    """The image, which SageMaker pulls as the model's role."""
    by = "SageMaker developer guide, execution role permissions of CreateModel"
    names = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
    layers = [Call(action=f"ecr:{name}", resource=arn("ecr", f"repository/{repository}"), by=by) for name in names]
    return [Call(action="ecr:GetAuthorizationToken", resource="*", by=by), *layers]


def serve(prefix: str, models: str) -> list[Call]:
    """The model on SageMaker."""
    group = f"/aws/sagemaker/Endpoints/{prefix}"
    return [*read_models(models), *pull(prefix), *log(group, "DescribeLogStreams")]


def invoke(endpoint: str) -> Call:
    by = "handlers/functions/aws/endpoint.py: invoke_endpoint"
    return Call(action="sagemaker:InvokeEndpoint", resource=arn("sagemaker", f"endpoint/{endpoint}"), by=by)


def poll(queue: str) -> list[Call]:
    """Lambda takes messages as the function's role."""
    by = "Lambda developer guide, configuring an SQS queue: execution role permissions"
    return [
        Call(action=f"sqs:{name}", resource=arn("sqs", queue), by=by) for name in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    ]


def pause(queue: str) -> Call:
    """A failed message is seen again sooner; the right to do so in batches is that for one (SQS API reference)."""
    by = "handlers/functions/aws/pauses.py: change_message_visibility_batch"
    return Call(action="sqs:ChangeMessageVisibility", resource=arn("sqs", queue), by=by)


def rows(table: str, where: Mapping[str, str]) -> list[Call]:
    return [Call(action=f"dynamodb:{name}", resource=arn("dynamodb", f"table/{table}"), by=by) for name, by in where.items()]


def hand_over(prefix: str, bucket: str) -> list[Call]:
    """Answers that come later, as the function that is asked sees them; idempotency keys are rows of the same table."""
    code, library = "handlers/functions/aws/answers.py: ", "handlers/functions/aws/idempotency.py: DynamoDBPersistenceLayer"
    names = {"GetItem": code + "get_item", "PutItem": code + "put_item", "UpdateItem": library, "DeleteItem": library}
    return [
        *rows(f"{prefix}-answers", names),
        Call(action="s3:PutObject", resource=stored(bucket, "requests/abc"), by=code + "put_object"),
        Call(action="s3:PutObject", resource=stored(bucket, "answers/abc"), by="handlers/functions/deferral.py: put_answer"),
        Call(action="s3:GetObject", resource=stored(bucket, "answers/abc"), by=code + "get_object"),
        listing(bucket),
        Call(action="sqs:SendMessage", resource=arn("sqs", f"{prefix}-answers"), by=code + "send_message"),
        Call(action="sqs:GetQueueAttributes", resource=arn("sqs", f"{prefix}-answers"), by=code + "get_queue_attributes"),
    ]


def answer_later(prefix: str, bucket: str) -> list[Call]:
    """The same as their worker sees them."""
    code = "handlers/functions/aws/answers.py: "
    return [
        *poll(f"{prefix}-answers"),
        pause(f"{prefix}-answers"),
        *rows(f"{prefix}-answers", {"GetItem": code + "get_item", "UpdateItem": code + "update_item"}),
        Call(action="s3:GetObject", resource=stored(bucket, "requests/abc"), by=code + "get_object"),
        Call(action="s3:PutObject", resource=stored(bucket, "answers/abc"), by=code + "put_object"),
        listing(bucket),
    ]


def read_objects(bucket: str, by: str, prefix: bool) -> list[Call]:
    """By version; what was written before there were any has none."""
    gets = [
        Call(action=f"s3:{action}", resource=stored(bucket, "in/a.txt"), by=by, anywhere=not prefix)
        for action in ("GetObjectVersion", "GetObject")
    ]
    return [*gets, listing(bucket)]


def record(prefix: str, results: str, queue: bool) -> list[Call]:
    """Results: a row each, large ones beside it, messages where they are wanted."""
    names = {
        "BatchGetItem": "handlers/functions/aws/rows.py: batch_get_item",
        "PutItem": "handlers/functions/aws/transactions.py: transact_write_items",
    }
    outbox = "handlers/functions/aws/outbox.py: "
    more = [Call(action="sqs:SendMessage", resource=arn("sqs", f"{prefix}-results"), by=outbox + "send_message_batch")] if queue else []
    if queue:
        names["UpdateItem"] = outbox + "transact"
    put = Call(action="s3:PutObject", resource=stored(results, "results/abc.json"), by="handlers/functions/aws/results.py: put_object")
    return [*rows(f"{prefix}-results", names), put, *more]


def take_events(prefix: str, buckets: Mapping[str, str], narrowed: bool) -> list[Call]:
    """Messages of new objects, the objects, the results."""
    reading = read_objects(buckets["objects"], "handlers/functions/aws/objects.py: get_object", narrowed)
    return [*poll(f"{prefix}-events"), pause(f"{prefix}-events"), *reading, *record(prefix, buckets["results"], narrowed)]


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


def calls(stack: str, buckets: Mapping[str, str], narrowed: bool) -> Mapping[str, list[Call]]:
    """Role (logical name) → all that it calls, in a ready stack; `buckets` by what they hold.

    narrowed  events: only objects below `in/`, and results as messages too
    """
    prefix = f"pilotlight-{stack}"
    function = log(f"/aws/lambda/{prefix}-predict")
    model = log(f"/aws/lambda/{prefix}-model")
    match stack:
        case "aws-sagemaker-api":
            return {
                "api-function-role": [invoke(prefix), *function, *hand_over(prefix, buckets["answers"])],
                "api-worker-role": [invoke(prefix), *log(f"/aws/lambda/{prefix}-answers"), *answer_later(prefix, buckets["answers"])],
                "api-endpoint-role": serve(prefix, buckets["models"]),
                "api-gateway-log-role": gateway_log(),
            }
        case "aws-lambda-api":
            return {"api-endpoint-role": [*read_models(buckets["models"]), *model], "api-gateway-log-role": gateway_log()}
        case "aws-sagemaker-events":
            by_reference = read_objects(buckets["objects"], "handlers/server/references.py: self._store.get(", narrowed)
            return {
                "events-function-role": [invoke(prefix), *log(f"/aws/lambda/{prefix}-events"), *take_events(prefix, buckets, narrowed)],
                "events-endpoint-role": [*serve(prefix, buckets["models"]), *by_reference],
            }
        case "aws-lambda-events":
            return {"events-endpoint-role": [*read_models(buckets["models"]), *model, *take_events(prefix, buckets, narrowed)]}
    raise KeyError(f"{stack}: say in {__name__} what its roles call.")


# What the code could call with the same clients and must not be able to, per service.
NEVER: Mapping[str, tuple[str, ...]] = {
    "cloudwatch": ("cloudwatch:DisableAlarmActions", "cloudwatch:PutDashboard", "cloudwatch:SetAlarmState"),
    "dynamodb": ("dynamodb:DeleteTable", "dynamodb:Scan", "dynamodb:UpdateTable"),
    "ecr": ("ecr:PutImage", "ecr:DeleteRepository", "ecr:SetRepositoryPolicy"),
    "application-autoscaling": ("application-autoscaling:DeregisterScalableTarget", "application-autoscaling:PutScalingPolicy"),
    "iam": ("iam:CreateRole", "iam:AttachRolePolicy", "iam:PutRolePolicy"),
    "lambda": ("lambda:UpdateFunctionCode", "lambda:DeleteFunction", "lambda:AddPermission"),
    "logs": ("logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogStream"),
    "s3": ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutBucketPolicy", "s3:DeleteBucket"),
    "sagemaker": ("sagemaker:DeleteEndpoint", "sagemaker:CreateModel", "sagemaker:CreateEndpointConfig"),
    "scheduler": ("scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:DeleteScheduleGroup"),
    "sqs": ("sqs:PurgeQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes"),
}
# The actions of each SDK method that the handlers call: a new method must be added here and to the calls of a role.
METHODS: Mapping[str, tuple[str, ...]] = {
    "batch_get_item": ("dynamodb:BatchGetItem",),
    "change_message_visibility_batch": ("sqs:ChangeMessageVisibility",),
    "delete_provisioned_concurrency_config": ("lambda:DeleteProvisionedConcurrencyConfig",),
    "describe_endpoint": ("sagemaker:DescribeEndpoint",),
    "get_item": ("dynamodb:GetItem",),
    "get_object": ("s3:GetObject", "s3:GetObjectVersion"),
    "get_queue_attributes": ("sqs:GetQueueAttributes",),
    "get_schedule": ("scheduler:GetSchedule",),
    "invoke": ("lambda:InvokeFunction",),
    "invoke_endpoint": ("sagemaker:InvokeEndpoint",),
    "list_schedules": ("scheduler:ListSchedules",),
    "put_item": ("dynamodb:PutItem",),
    "put_object": ("s3:PutObject",),
    "register_scalable_target": ("application-autoscaling:RegisterScalableTarget",),
    "send_message": ("sqs:SendMessage",),
    "send_message_batch": ("sqs:SendMessage",),
    # A transaction needs the rights of what is in it (DynamoDB developer guide, transactions, IAM).
    "transact_write_items": ("dynamodb:PutItem", "dynamodb:UpdateItem"),
    "update_endpoint": ("sagemaker:UpdateEndpoint",),
    "update_item": ("dynamodb:UpdateItem",),
    "update_schedule": ("scheduler:UpdateSchedule",),
}
