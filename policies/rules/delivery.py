"""Rules about messages: each asynchronous edge tries again, not for ever, and keeps what it gave up."""

import json
from collections.abc import Iterator

from . import limits
from . import tokens as t
from .model import Check, Context, Rule, between, one_of, wanted
from .reading import Resource, shown


def _visible_too_early(mapping: Resource, context: Context) -> Iterator[str]:
    queue, function = context.graph.behind(mapping, "eventSourceArn", t.QUEUE), context.graph.behind(mapping, "functionName", t.LAMBDA)
    if queue is None or function is None:
        return
    least = context.config["factor"] * function.at("timeout", 3) + mapping.at("maximumBatchingWindowInSeconds", 0)
    least = min(least, limits.SQS_VISIBILITY_MOST_S)
    came = queue.at("visibilityTimeoutSeconds", 30)
    if came < least:
        yield f"the queue {queue.name} has visibilityTimeoutSeconds {shown(came)}: set it to {shown(least)} or more."


def _redrive(queue: Resource) -> dict[str, object]:
    given = queue.at("redrivePolicy") or {}
    return dict(json.loads(given) if isinstance(given, str) else given)


def _no_dead_letters(mapping: Resource, context: Context) -> Iterator[str]:
    queue = context.graph.behind(mapping, "eventSourceArn", t.QUEUE)
    if queue is not None and "deadLetterTargetArn" not in _redrive(queue):
        yield f"the queue {queue.name} has no redrivePolicy: set it to a queue for what failed, with maxReceiveCount."


def _receives(queue: Resource, context: Context) -> Iterator[str]:
    redrive = _redrive(queue)
    count = redrive.get("maxReceiveCount")
    if redrive and not (isinstance(count, int | float | str) and 2 <= int(count) <= context.config["maximum"]):
        yield f"redrivePolicy.maxReceiveCount is {shown(count)}: set it to 2 to {shown(context.config['maximum'])}."


def _attempts(resource: Resource, context: Context) -> Iterator[str]:
    path = _ATTEMPTS[resource.type]
    if (parent := path.rpartition(".")[0]) and resource.at(parent) is None and resource.type in _OPTIONAL:
        return
    came = resource.at(path)
    if came is None or came > context.config["maximum"]:
        yield f"{path} is {shown(came)}: set it to {shown(context.config['maximum'])} or less."


_ATTEMPTS = {
    t.EVENT_SUBSCRIPTION: "retryPolicy.maxDeliveryAttempts",
    t.SUBSCRIPTION: "deadLetterPolicy.maxDeliveryAttempts",
    t.CRON_JOB: "retryConfig.retryCount",
    t.SCHEDULE: "target.retryPolicy.maximumRetryAttempts",
    t.EVENT_INVOKE: "maximumRetryAttempts",
    t.JOB: "configuration.replicaRetryLimit",
}
_OPTIONAL = (t.SUBSCRIPTION,)


def _kept_shorter(queue: Resource, context: Context) -> Iterator[str]:
    if "deadLetterTargetArn" not in _redrive(queue):
        return
    dead = context.graph.behind(queue, "redrivePolicy", t.QUEUE)
    if dead is None or dead is queue:
        dead = next(
            (each for each in context.graph.all(t.QUEUE) if str(_redrive(queue)["deadLetterTargetArn"]).endswith(f":{each.at('name')}")),
            None,
        )
    if dead is not None and dead.at("messageRetentionSeconds", 345_600) <= queue.at("messageRetentionSeconds", 345_600):
        came = shown(dead.at("messageRetentionSeconds"))
        yield f"the queue {dead.name} of what failed has messageRetentionSeconds {came}, not more than this one: set it to 1209600."


def _partial(resource: Resource, _: Context) -> Iterator[str]:
    if "ReportBatchItemFailures" not in resource.at("functionResponseTypes", []) and ":sqs:" in str(resource.at("eventSourceArn")):
        yield 'functionResponseTypes lacks "ReportBatchItemFailures": add it, else one message that fails brings back its whole batch.'


def _push_deadline(subscription: Resource, context: Context) -> Iterator[str]:
    service = context.graph.behind(subscription, "pushConfig", t.RUN)
    if service is None or subscription.at("pushConfig.pushEndpoint") is None:
        return
    timeout, deadline = float(str(service.at("template.timeout", "300s")).rstrip("s")), subscription.at("ackDeadlineSeconds", 10)
    least = min(timeout, limits.PUBSUB_ACK_MOST_S)
    if deadline < least:
        yield f"ackDeadlineSeconds is {shown(deadline)}: set it to {shown(least)}, the timeout of {service.name}, or more."


def _push_dead_letters(pushed: Resource, context: Context) -> Iterator[str]:
    """What pushes keeps what it gives up, or the service does: one of its variables then names a topic that a subscription keeps."""
    place = {t.SUBSCRIPTION: "pushConfig", t.EVENTARC: "destination"}[pushed.type]
    if not pushed.at(place) or pushed.at("deadLetterPolicy.deadLetterTopic"):
        return
    kept = {each.at("topic") for each in context.graph.all(t.SUBSCRIPTION) if not each.at("pushConfig")}
    service = context.graph.behind(pushed, place, t.RUN)
    named = {value.at("value") for part in service.each("template.containers") for value in part.each("envs")} if service else set()
    if kept & named:
        return
    what = "deadLetterPolicy.deadLetterTopic is missing" if pushed.type == t.SUBSCRIPTION else "a trigger keeps nothing"
    whom = "it" if pushed.type == t.SUBSCRIPTION else "the service, in a variable,"
    yield f"{what}: give {whom} a topic for what failed, which a subscription keeps."


def _event_dead_letters(resource: Resource, _: Context) -> Iterator[str]:
    if not resource.at("deadLetterWithResourceIdentity.deadLetterDestination") and not resource.at("deadLetterDestination"):
        yield "deadLetterWithResourceIdentity is missing: set it to a container of blobs; 400, 403 and 413 are never tried again."


def _failure_destination(resource: Resource, _: Context) -> Iterator[str]:
    path = {t.EVENT_INVOKE: "destinationConfig.onFailure.destination", t.SCHEDULE: "target.deadLetterConfig.arn"}[resource.type]
    if not resource.at(path):
        yield f"{path} is missing: set it to the ARN of a queue for what failed."


def _topic_redrive(resource: Resource, _: Context) -> Iterator[str]:
    if resource.at("protocol") in ("lambda", "sqs", "https") and not resource.at("redrivePolicy"):
        yield "redrivePolicy is missing: set it to a queue for what could not be delivered."


RULES = (
    Rule(
        id="visibility-covers-function",
        group="delivery",
        severity="high",
        idea="A message stays hidden while a function works on it, with its retries.",
        fix="Raise the queue's visibility timeout: what comes back while it is still worked on is done twice.",
        checks=(Check((t.MAPPING,), _visible_too_early),),
        parameters={"factor": {"type": "number", "minimum": 1, "default": 6, "description": "How often the function's timeout."}},
        stack=True,
    ),
    Rule(
        id="queue-has-dead-letters",
        group="delivery",
        severity="high",
        idea="A queue that a function reads has another for what failed.",
        fix="Add the queue: without one a message that always fails comes back until it expires, and is lost.",
        checks=(Check((t.MAPPING,), _no_dead_letters),),
        stack=True,
    ),
    Rule(
        id="dead-letters-outlive-messages",
        group="delivery",
        severity="medium",
        idea="What failed is kept longer than what waits.",
        fix="Raise the retention of the queue of what failed: a message keeps its age when it moves there.",
        checks=(Check((t.QUEUE,), _kept_shorter),),
        stack=True,
    ),
    Rule(
        id="receives-are-bounded",
        group="delivery",
        severity="medium",
        idea="A message is tried again, and not for ever.",
        fix="Set maxReceiveCount: with one a passing fault is a loss, with very many a poisoned message costs for days.",
        checks=(Check((t.QUEUE,), _receives),),
        parameters={"maximum": {"type": "number", "minimum": 2, "default": 100, "description": "The most receives."}},
    ),
    Rule(
        id="retries-are-bounded",
        group="delivery",
        severity="medium",
        idea="Retries have an end that is written down.",
        fix="State the number of attempts.",
        checks=(Check(tuple(_ATTEMPTS), _attempts),),
        parameters={"maximum": {"type": "number", "minimum": 1, "default": 100, "description": "The most attempts."}},
    ),
    Rule(
        id="batches-fail-in-part",
        group="delivery",
        severity="high",
        idea="Of a batch only what failed comes back.",
        fix="Let the function report the messages that failed.",
        checks=(Check((t.MAPPING,), _partial),),
    ),
    Rule(
        id="readers-are-bounded",
        group="delivery",
        severity="medium",
        idea="A queue wakes no more functions than what is behind them takes.",
        fix="Set the mapping's maximum concurrency.",
        checks=wanted(t.MAPPING, between("scalingConfig.maximumConcurrency", *limits.MAPPING_CONCURRENCY)),
    ),
    Rule(
        id="push-waits-for-service",
        group="delivery",
        severity="high",
        idea="A push is not repeated while the service still works on it.",
        fix="Raise the subscription's deadline to the service's timeout.",
        checks=(Check((t.SUBSCRIPTION,), _push_deadline),),
        stack=True,
    ),
    Rule(
        id="push-has-dead-letters",
        group="delivery",
        severity="high",
        idea="A push that is given up is kept.",
        fix="Give the subscription a topic for what failed.",
        checks=(Check((t.SUBSCRIPTION, t.EVENTARC), _push_dead_letters),),
        stack=True,
    ),
    Rule(
        id="subscription-does-not-expire",
        group="delivery",
        severity="high",
        idea="A subscription that nobody uses for a month is still there.",
        fix='Set expirationPolicy.ttl to "": scaling to zero is no reason to lose messages.',
        checks=wanted(t.SUBSCRIPTION, one_of("expirationPolicy.ttl", ("",))),
    ),
    Rule(
        id="event-grid-has-dead-letters",
        group="delivery",
        severity="high",
        idea="An event that Event Grid gives up is kept.",
        fix="Name a container of blobs.",
        checks=(Check((t.EVENT_SUBSCRIPTION,), _event_dead_letters),),
    ),
    Rule(
        id="calls-nobody-waits-for-are-kept",
        group="delivery",
        severity="high",
        idea="A call that nobody waits for is kept when it fails.",
        fix="Name a queue for it.",
        checks=(Check((t.EVENT_INVOKE, t.SCHEDULE), _failure_destination), Check((t.TOPIC_SUBSCRIPTION,), _topic_redrive)),
        answers=("CKV_AWS_116", "P:awslambda_function_no_dead_letter_queue"),
    ),
)
