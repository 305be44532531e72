"""Edges of what becomes of an event."""

import json

from ..rules import tokens as t
from .harness_breaks import linked, made
from .harness_edges import called, edges
from .harness_services import event_mapping, lambda_function, run_service, sqs_queue


def _redrive(count: object = 3, dead: str = "dead") -> str:
    return json.dumps({"deadLetterTargetArn": f"arn:aws:sqs:r:1:{dead}", "maxReceiveCount": count})


_STREAM = "arn:aws:kinesis:r:1:stream/s"
_MOST = {"messageRetentionSeconds": 1_209_600}

DELIVERY = (
    *edges(
        "visibility-covers-function",
        ("", [event_mapping("elsewhere"), lambda_function(timeout=900)]),
        ("", [event_mapping(function="elsewhere"), sqs_queue("q", visibilityTimeoutSeconds=1)]),
        ("", [event_mapping(), lambda_function(), sqs_queue("q", visibilityTimeoutSeconds=18)]),
        (
            "has visibilityTimeoutSeconds 30: set it to 31",
            [event_mapping(maximumBatchingWindowInSeconds=1), lambda_function(timeout=5), sqs_queue("q")],
        ),
    ),
    *edges("queue-has-dead-letters", ("", event_mapping("elsewhere"))),
    *edges(
        "receives-are-bounded",
        ("", sqs_queue("q", redrivePolicy=_redrive(2))),
        ("", sqs_queue("q", redrivePolicy=_redrive(100))),
        ("is 1: set it to 2 to 100", sqs_queue("q", redrivePolicy=_redrive(1))),
        ("is missing", sqs_queue("q", redrivePolicy=_redrive(None))),
    ),
    *edges("retries-are-bounded", ("", made(t.EVENT_INVOKE, maximumRetryAttempts=100))),
    *edges(
        "dead-letters-outlive-messages",
        ("", sqs_queue("q", redrivePolicy=_redrive(dead="elsewhere"))),
        ("has messageRetentionSeconds missing", [sqs_queue("q", redrivePolicy=_redrive()), sqs_queue("dead")]),
        ("", [sqs_queue("q", redrivePolicy=_redrive()), sqs_queue("dead", messageRetentionSeconds=345_601)]),
        ("", [sqs_queue("q", redrivePolicy=_redrive(), messageRetentionSeconds=60), sqs_queue("dead", messageRetentionSeconds=61)]),
        (
            "has messageRetentionSeconds 60",
            [sqs_queue("q", redrivePolicy=_redrive(), messageRetentionSeconds=60), sqs_queue("dead", messageRetentionSeconds=60)],
        ),
        *(
            (f"{came}, not more than this one: {says}", [sqs_queue("q", **queue, redrivePolicy=_redrive()), sqs_queue("dead", **kept)])
            for came, says, queue, kept in (
                (1_209_600, "it can't be more, so set this one's to less", _MOST, _MOST),
                (1_209_599, "set it to 1209600", _MOST, {"messageRetentionSeconds": 1_209_599}),
                ("missing", "set it to 1209600", _MOST, {}),
            )
        ),
        (
            "the queue known-by-link of what failed",
            [linked(sqs_queue("q", redrivePolicy=_redrive()), redrivePolicy=sqs_queue("known-by-link")), sqs_queue("known-by-link")],
        ),
    ),
    *edges("batches-fail-in-part", ("", made(t.MAPPING, eventSourceArn=_STREAM))),
    *edges(
        "push-waits-for-service",
        ("", [made(t.SUBSCRIPTION, pushConfig={"pushEndpoint": "https://elsewhere.example"}), run_service()]),
        ("", [linked(made(t.SUBSCRIPTION, pushConfig={"attributes": {"a": "b"}}), pushConfig=run_service()), run_service()]),
        (
            "is 299: set it to 300",
            [
                linked(made(t.SUBSCRIPTION, pushConfig={"pushEndpoint": "https://s"}, ackDeadlineSeconds=299), pushConfig=run_service()),
                run_service(),
            ],
        ),
        (
            "is 10: set it to 11",
            [linked(made(t.SUBSCRIPTION, pushConfig={"pushEndpoint": "https://s"}), pushConfig=run_service()), run_service(timeout="11s")],
        ),
    ),
    *edges(
        "push-has-dead-letters",
        (
            "deadLetterPolicy.deadLetterTopic is missing: give it a topic",
            made(t.SUBSCRIPTION, pushConfig={"pushEndpoint": "https://s"}),
        ),
        (
            "a trigger keeps nothing: give the service, in a variable that says so by its name, a topic",
            made(t.EVENTARC, destination={"cloudRunService": {}}),
        ),
        # What reads the topic of the variable pushes as well, to somebody who keeps nothing.
        (
            "a trigger keeps nothing",
            [
                linked(made(t.EVENTARC, destination={"cloudRunService": {}}), destination=run_service()),
                run_service({"envs": [{"name": "FAILED", "value": "failed"}]}),
                made(t.SUBSCRIPTION, topic="failed", pushConfig={"pushEndpoint": "https://s"}, deadLetterPolicy={"deadLetterTopic": "t"}),
            ],
        ),
        # Who takes results takes no dead letters.
        *(
            (
                says,
                [
                    linked(made(t.EVENTARC, destination={"cloudRunService": {}}), destination=run_service()),
                    run_service({"envs": [{"name": name, "value": "topic"}]}),
                    made(t.SUBSCRIPTION, topic="topic"),
                ],
            )
            for says, name in (("a trigger keeps nothing", "RESULTS_TOPIC"), ("", "Dead_letters"), ("", "MY_DLQ"), ("", "FAILED"))
        ),
    ),
    *edges(
        "calls-nobody-waits-for-are-kept",
        *(
            (f"{path}.arn is missing", made(type_))
            for type_, path in ((t.EVENT_TARGET, "deadLetterConfig"), (t.SCHEDULE, "target.deadLetterConfig"))
        ),
        ("", made(t.EVENT_TARGET, deadLetterConfig={"arn": "arn:aws:sqs:r:1:dead"})),
        ("", event_mapping()),
        ("destinationConfig.onFailure.destinationArn is missing", made(t.MAPPING, eventSourceArn=_STREAM)),
        ("", made(t.MAPPING, eventSourceArn=_STREAM, destinationConfig={"onFailure": {"destinationArn": "arn:aws:sqs:r:1:dead"}})),
    ),
    *edges("event-grid-has-dead-letters", ("", made(t.EVENT_SUBSCRIPTION, deadLetterDestination={"endpointType": "StorageBlob"}))),
    *edges(
        "calls-nobody-waits-for-are-kept",
        (
            "added calls it and does not wait",
            [
                called("f", lambda_function()),
                made(t.SCHEDULE, target={"arn": "arn:aws:lambda:r:1:function:f", "deadLetterConfig": {"arn": "a"}}),
            ],
        ),
        ("", made(t.TOPIC_SUBSCRIPTION, protocol="email")),
        *((("redrivePolicy is missing"), made(t.TOPIC_SUBSCRIPTION, protocol=each)) for each in ("lambda", "sqs", "https")),
    ),
)
