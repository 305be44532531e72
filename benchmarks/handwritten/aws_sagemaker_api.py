"""The stack `aws-sagemaker-api` by hand: gateway -> function -> endpoint, and queue -> worker -> endpoint for late answers."""

import pulumi
import pulumi_aws as aws

from benchmarks.handwritten.gateway import access, alarms, gateway_of
from benchmarks.handwritten.model import endpoint, function, function_alarms, mapping
from benchmarks.handwritten.site import allow, arn, bucket, bucket_name, prefix, queue_alarms, queues, settings, table_alarms, tags

# Seconds: what the gateway waits for is 29, and each hop has one less; the worker waits for no gateway.
FUNCTION_S, ENDPOINT_S = 28, 27
WORKER_S, WORKER_ENDPOINT_S = 27, 26
if settings.answers is None or settings.auth is None:
    raise pulumi.RunError("answers or auth: missing.")

running = endpoint("api")
answers = bucket_name("answers")
bucket("api-answers", answers, settings.answers.keep_hours // 24 + 1)
table = aws.dynamodb.Table(
    "api-answers-table",
    name=f"{prefix}-answers",
    billing_mode="PAY_PER_REQUEST",
    hash_key="id",
    attributes=[aws.dynamodb.TableAttributeArgs(name="id", type="S")],
    ttl=aws.dynamodb.TableTtlArgs(attribute_name="expires", enabled=True),
    point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=False),
    deletion_protection_enabled=False,
    tags=tags,
)
queue, dead = queues("api-answers", f"{prefix}-answers", 6 * WORKER_S)
variables: dict[str, pulumi.Input[str]] = {
    "ANSWERS_TABLE": table.name,
    "ANSWERS_BUCKET": answers,
    "ANSWERS_QUEUE_URL": queue.url,
    "ANSWERS_KEEP_HOURS": str(settings.answers.keep_hours),
    "ANSWERS_UNSEEN_S": str(6 * WORKER_S),
    "MAX_ATTEMPTS": "5",
}
rows, messages = arn("dynamodb", f"table/{prefix}-answers"), arn("sqs", f"{prefix}-answers")
of_answers, requests = f"arn:aws:s3:::{answers}/answers/*", f"arn:aws:s3:::{answers}/requests/*"

caller = function(
    "api-function",
    f"{prefix}-predict",
    "handlers.functions.aws.api.handler",
    "Calls the endpoint",
    FUNCTION_S,
    running,
    {"ENDPOINT_TIMEOUT_S": str(ENDPOINT_S), **variables},
    [],
    [table, queue],
    # Apart, so that answers that are turned off take their rights along only after the function has changed.
    answers=[
        allow("s3:PutObject", requests),
        allow("s3:PutObject", of_answers),
        allow("s3:GetObject", of_answers),
        allow("s3:ListBucket", f"arn:aws:s3:::{answers}"),
        allow(["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], rows),
        allow(["sqs:GetQueueAttributes", "sqs:SendMessage"], messages),
    ],
)
worker = function(
    "api-worker",
    f"{prefix}-answers",
    "handlers.functions.aws.worker.handler",
    "Answers later",
    WORKER_S,
    running,
    {"ENDPOINT_TIMEOUT_S": str(WORKER_ENDPOINT_S), **variables},
    [
        allow(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], messages),
        allow("sqs:ChangeMessageVisibility", messages),
        allow("s3:GetObject", requests),
        allow("s3:PutObject", of_answers),
        allow("s3:ListBucket", f"arn:aws:s3:::{answers}"),
        allow(["dynamodb:GetItem", "dynamodb:UpdateItem"], rows),
    ],
    [table, queue],
)
mapping("api-worker-mapping", queue, worker, 1, settings.endpoint.max_concurrency or 2)
function_alarms("api-watch-function", caller, FUNCTION_S, "function")
function_alarms("api-watch-worker", worker, WORKER_S, "worker")
queue_alarms("api-watch-answers", queue, dead, 3 * 6 * WORKER_S)
table_alarms("api-watch-answers-table", table, "PutItem")
api, stage = gateway_of(caller)
key = access(api, stage, settings.auth)
alarms(api, stage)

pulumi.export("url", pulumi.Output.format("{0}/predict", stage.invoke_url))
pulumi.export("apiKey", pulumi.Output.secret(key.value))
pulumi.export("endpointName", running.name)
pulumi.export("functionName", caller.function_name)
pulumi.export("answersTable", table.name)
pulumi.export("answersQueueUrl", queue.url)
pulumi.export("deadLetterQueueUrl", dead.url)
