"""The stack `gcp-cloud-run-gpu-api` by hand: gateway -> function -> endpoint with an L4, and topic -> worker for late answers."""

import math
from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from benchmarks.handwritten.google import account, bucket_of, functions, invoke, may, member, prefix, settings
from benchmarks.handwritten.google_gateway import ENDPOINT_S, FUNCTION_S, REQUESTS, calls, function_of, gateway_of
from benchmarks.handwritten.google_queues import (
    agent,
    database_of,
    expiring,
    letters_of,
    may_publish,
    may_use,
    pushed,
    subscription_alarm,
    topic,
)
from benchmarks.handwritten.google_run import counted, endpoint_alarms, endpoint_of, function_alarms, service

# Seconds: the worker waits for no gateway, but for a cold start on a GPU; its push is not repeated before it has answered.
WORKER_S, WORKER_ENDPOINT_S, ACK_S = 42, 41, 43
ATTEMPTS = 10
ANSWERS = "answers"
if settings.answers is None or settings.auth is None:
    raise pulumi.RunError("answers or auth: missing.")

endpoint = endpoint_of(ENDPOINT_S, {})

# What waits, and what became of it.
bucket = bucket_of("api-answers", ANSWERS, math.ceil(settings.answers.keep_hours / 24) + 1)
database = database_of(ANSWERS)
goes = expiring(database, ANSWERS)
work, dead = topic(ANSWERS), topic("answers-dead")
letters = letters_of("answers-dead", dead)
kept: dict[str, pulumi.Input[str]] = {
    "ANSWERS_DATABASE": database.name,
    "ANSWERS_COLLECTION": ANSWERS,
    "ANSWERS_BUCKET": bucket.name,
    "ANSWERS_KEEP_HOURS": str(settings.answers.keep_hours),
    "MAX_ATTEMPTS": str(ATTEMPTS),
}


def hands_over(who: gcp.serviceaccount.Account) -> Sequence[pulumi.Resource]:
    return [
        may_use("api-function-rows", database, who),
        may("api-function-writes-requests", bucket, "objectCreator", who, "requests"),
        may("api-function-writes-answers", bucket, "objectCreator", who, ANSWERS),
        may("api-function-reads-answers", bucket, "objectViewer", who, ANSWERS),
        may_publish("api-function-hands-over", work, member(who)),
        goes,
        letters,
    ]


function = function_of(endpoint, {**kept, "ANSWERS_TOPIC": work.id, "AUTH_MODE": settings.auth.mode}, hands_over)
counted(f"{prefix}-predict", "AnswersHandedOver", "Requests to be answered later")

# Worker.
answers = account("api-worker", "worker", "Answers later")
concurrency = settings.endpoint.max_concurrency or 10
instances = math.ceil(concurrency / REQUESTS)
requests = min(REQUESTS, concurrency // instances)
worker = service(
    "api-worker",
    f"{prefix}-worker",
    functions,
    answers,
    calls(endpoint, WORKER_ENDPOINT_S, WORKER_S, requests, kept),
    (1, settings.function.memory_mb, requests, instances),
    WORKER_S,
    [
        invoke("api-worker", endpoint, answers),
        may_use("api-worker-rows", database, answers),
        may("api-worker-reads-requests", bucket, "objectViewer", answers, "requests"),
        may("api-worker-writes-answers", bucket, "objectCreator", answers, ANSWERS),
        may("api-worker-reads-answers", bucket, "objectViewer", answers, ANSWERS),
        goes,
    ],
    internal=True,
    args=["worker"],
)
for what, text in (
    ("AnswersDone", "Answers that were made later"),
    ("AnswersFailed", "Answers that could not be made"),
    ("AnswerAttemptsFailed", "Attempts at answers that failed"),
):
    counted(f"{prefix}-worker", what, text)
counted(f"{prefix}-worker", "ColdStart", "Cold starts by stage", staged=True)
brings = account("api-worker-push", ANSWERS, "Brings the worker what was handed over")
pubsub, ready = agent("pubsub")
buried = gcp.pubsub.SubscriptionDeadLetterPolicyArgs(dead_letter_topic=dead.id, max_delivery_attempts=ATTEMPTS)
lets_in = invoke("api-worker-push", worker, brings)
tells = pushed("api-worker-subscription", ANSWERS, work, worker, brings, ACK_S, [lets_in, letters, ready], buried)
may_publish("api-worker-agent-buries", dead, pubsub)
gcp.pubsub.SubscriptionIAMMember("api-worker-agent-takes", subscription=tells.name, role="roles/pubsub.subscriber", member=pubsub)

gateway_of(function, endpoint, [tells])

# Alert policies.
endpoint_alarms(endpoint)
function_alarms(function, FUNCTION_S)
told = "Answers could not be made: see why, then replay them."
subscription_alarm("answers-dead-letters", told, "num_undelivered_messages", letters.name, 0)
subscription_alarm("answers-age", "Answers wait for long to be made.", "oldest_unacked_message_age", tells.name, 3600)

pulumi.export("answersDatabase", database.name)
pulumi.export("answersTable", ANSWERS)
pulumi.export("deadLetterQueueUrl", letters.id)
pulumi.export("replayTopic", work.id)
