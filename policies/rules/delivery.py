"""Rules about messages: each asynchronous edge tries again, not for ever, and keeps what it gave up."""

import re
from collections.abc import Iterator

from . import limits
from . import tokens as t
from .model import Check, Context, Rule, between, one_of, wanted
from .reading import Moot, Resource, shown

# Services that hand an event to a function and don't wait for it.
_HANDS_OVER = re.compile(r"(events|s3|ses|sns|scheduler|iot|logs|codecommit|config|cloudformation)\.amazonaws\.com")


def _visible_too_early(mapping: Resource, context: Context) -> Iterator[str]:
    queue, function = context.graph.behind(mapping, "eventSourceArn", t.QUEUE), context.graph.behind(mapping, "functionName", t.LAMBDA)
    if queue is None or function is None:
        return
    least = context.config["factor"] * function.at("timeout", 3) + mapping.at("maximumBatchingWindowInSeconds", 0)
    least = min(least, limits.SQS_VISIBILITY_MOST_S)
    came = queue.at("visibilityTimeoutSeconds", 30)
    if came < least:
        yield f"the queue {queue.name} has visibilityTimeoutSeconds {shown(came)}: set it to {shown(least)} or more."


def _redrive(holder: Resource) -> dict[str, object]:
    return dict(holder.document("redrivePolicy") or {})


def redrive_of(queue: Resource, context: Context) -> tuple[Resource, dict[str, object]]:
    """(what says it, where a queue's messages go that failed): the queue, or a resource of its own for that."""
    apart = (each for each in context.graph.all(t.REDRIVE) if context.graph.behind(each, "queueUrl", t.QUEUE) is queue)
    holder = next(apart, queue)
    return holder, _redrive(holder)


def _no_dead_letters(mapping: Resource, context: Context) -> Iterator[str]:
    queue = context.graph.behind(mapping, "eventSourceArn", t.QUEUE)
    if queue is not None and "deadLetterTargetArn" not in redrive_of(queue, context)[1]:
        yield f"the queue {queue.name} has no redrivePolicy: set it to a queue for what failed, with maxReceiveCount."


def _receives(holder: Resource, context: Context) -> Iterator[str]:
    redrive = _redrive(holder)
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
    t.EVENT_SUBSCRIPTION_ELSEWHERE: "retryPolicy.maxDeliveryAttempts",
    t.SUBSCRIPTION: "deadLetterPolicy.maxDeliveryAttempts",
    t.CRON_JOB: "retryConfig.retryCount",
    t.SCHEDULE: "target.retryPolicy.maximumRetryAttempts",
    t.EVENT_INVOKE: "maximumRetryAttempts",
    t.JOB: "configuration.replicaRetryLimit",
}
_OPTIONAL = (t.SUBSCRIPTION,)


def _kept_shorter(queue: Resource, context: Context) -> Iterator[str]:
    holder, redrive = redrive_of(queue, context)
    if "deadLetterTargetArn" not in redrive:
        return
    dead = context.graph.behind(holder, "redrivePolicy", t.QUEUE)
    if dead is None:
        arn = str(redrive["deadLetterTargetArn"])
        dead = next((each for each in context.graph.all(t.QUEUE) if arn.endswith(f":{each.at('name')}")), None)
    if dead is not None and dead.at("messageRetentionSeconds", 345_600) <= queue.at("messageRetentionSeconds", 345_600):
        came = dead.at("messageRetentionSeconds")
        advice = "set it to 1209600" if came is None or came < 1_209_600 else "it can't be more, so set this one's to less, 345600 say"
        yield f"the queue {dead.name} of what failed has messageRetentionSeconds {shown(came)}, not more than this one: {advice}."


def _of_queue(mapping: Resource) -> bool:
    return ":sqs:" in str(mapping.at("eventSourceArn"))


def _partial(resource: Resource, _: Context) -> Iterator[str]:
    if "ReportBatchItemFailures" not in resource.at("functionResponseTypes", []) and _of_queue(resource):
        yield 'functionResponseTypes lacks "ReportBatchItemFailures": add it, else one message that fails brings back its whole batch.'


_CONCURRENCY = between("scalingConfig.maximumConcurrency", *limits.MAPPING_CONCURRENCY)


def _readers(mapping: Resource, _: Context) -> Iterator[str]:
    told = _CONCURRENCY(mapping)
    if told and not _of_queue(mapping):
        raise Moot("a stream has as many readers as shards; maximumConcurrency is of queues")
    if told:
        yield told


def _push_deadline(subscription: Resource, context: Context) -> Iterator[str]:
    service = context.graph.behind(subscription, "pushConfig", t.RUN)
    if service is None or subscription.at("pushConfig.pushEndpoint") is None:
        return
    timeout, deadline = float(str(service.at("template.timeout", "300s")).rstrip("s")), subscription.at("ackDeadlineSeconds", 10)
    least = min(timeout, limits.PUBSUB_ACK_MOST_S)
    if deadline < least:
        yield f"ackDeadlineSeconds is {shown(deadline)}: set it to {shown(least)}, the timeout of {service.name}, or more."


def _push_dead_letters(pushed: Resource, context: Context) -> Iterator[str]:
    """What pushes keeps what it gives up, or the service does: a variable of its for what failed then names a topic that a subscription
    keeps. Another variable may name such a topic too, of its results say."""
    place = {t.SUBSCRIPTION: "pushConfig", t.EVENTARC: "destination"}[pushed.type]
    if not pushed.at(place) or pushed.at("deadLetterPolicy.deadLetterTopic"):
        return
    kept = {each.at("topic") for each in context.graph.all(t.SUBSCRIPTION) if not each.at("pushConfig")}
    service = context.graph.behind(pushed, place, t.RUN)
    wanted_name = re.compile(context.config["variables"], re.IGNORECASE)
    given = [value for part in service.each("template.containers") for value in part.each("envs")] if service else []
    named = {value.at("value") for value in given if wanted_name.search(str(value.at("name")))}
    if kept & named:
        return
    what = "deadLetterPolicy.deadLetterTopic is missing" if pushed.type == t.SUBSCRIPTION else "a trigger keeps nothing"
    whom = "it" if pushed.type == t.SUBSCRIPTION else "the service, in a variable that says so by its name,"
    yield f"{what}: give {whom} a topic for what failed, which a subscription keeps."


def _event_dead_letters(resource: Resource, _: Context) -> Iterator[str]:
    if not resource.at("deadLetterWithResourceIdentity.deadLetterDestination") and not resource.at("deadLetterDestination"):
        yield "deadLetterWithResourceIdentity is missing: set it to a container of blobs; 400, 403 and 413 are never tried again."


def _schedule_keeps(caller: Resource, _: Context) -> Iterator[str]:
    path = {t.SCHEDULE: "target.deadLetterConfig.arn", t.EVENT_TARGET: "deadLetterConfig.arn"}[caller.type]
    if not caller.at(path):
        yield f"{path} is missing: set it to the ARN of a queue for what failed."


def _stream_keeps(mapping: Resource, _: Context) -> Iterator[str]:
    """What a queue gives up it keeps itself; a stream goes on, and what failed is gone with its age."""
    path = "destinationConfig.onFailure.destinationArn"
    if not _of_queue(mapping) and not mapping.at(path):
        yield f"{path} is missing: set it to the ARN of a queue for what failed."


def _function_keeps(function: Resource, context: Context) -> Iterator[str]:
    """A function that is handed events by what does not wait for it, or that says how often such a call is tried again."""
    graph, kept = context.graph, "destinationConfig.onFailure.destination"
    settings = [each for each in graph.all(t.EVENT_INVOKE) if graph.behind(each, "functionName", t.LAMBDA) is function]
    if function.at("deadLetterConfig.targetArn") or any(each.at(kept) for each in settings):
        return
    if settings:
        yield f"{kept} of {settings[0].name} is missing: set it to the ARN of a queue for what failed."
    elif caller := next(_not_waiting(function, context), None):
        yield (
            f"{caller.name} calls it and does not wait: add a FunctionEventInvokeConfig with {kept}, the ARN of a queue for what failed."
        )


def _not_waiting(function: Resource, context: Context) -> Iterator[Resource]:
    graph = context.graph
    for each in graph.all(t.LAMBDA_PERMISSION):
        if _HANDS_OVER.fullmatch(str(each.at("principal"))) and graph.behind(each, "function", t.LAMBDA) is function:
            yield each
    for each in graph.all(t.SCHEDULE):
        if graph.behind(each, "target.arn", t.LAMBDA) is function:
            yield each


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
        checks=(Check((t.QUEUE, t.REDRIVE), _receives),),
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
        checks=(Check((t.MAPPING,), _readers),),
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
        parameters={
            "variables": {
                "type": "string",
                "format": "regex",
                "default": "dead|dlq|fail",
                "description": "What the name of a variable has in it that names a topic for what failed, in any case.",
            }
        },
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
        checks=(Check((t.EVENT_SUBSCRIPTION, t.EVENT_SUBSCRIPTION_ELSEWHERE), _event_dead_letters),),
    ),
    Rule(
        id="calls-nobody-waits-for-are-kept",
        group="delivery",
        severity="high",
        idea="A call that nobody waits for is kept when it fails.",
        fix="Name a queue for it.",
        checks=(
            Check((t.LAMBDA,), _function_keeps),
            Check((t.SCHEDULE, t.EVENT_TARGET), _schedule_keeps),
            Check((t.MAPPING,), _stream_keeps),
            Check((t.TOPIC_SUBSCRIPTION,), _topic_redrive),
        ),
        answers=("CKV_AWS_116", "P:awslambda_function_no_dead_letter_queue"),
        stack=True,
    ),
)
