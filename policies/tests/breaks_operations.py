"""Breaks of the rules about what an operator needs."""

from ..rules import tokens as t
from .harness_breaks import GONE, Break, made

BREAKS = (
    Break(
        "alarm-dimensions-exist",
        "aws-rest",
        t.ALARM,
        {"dimensions.FunctionName": "renamed"},
        'FunctionName is "renamed", and the stack has',
        name="function-errors",
    ),
    Break("alarm-says-what-silence-means", "aws-rest", t.ALARM, {"treatMissingData": GONE}, 'set it to "notBreaching"'),
    Break("alarm-says-what-silence-means", "azure-api", t.METRIC_ALERT, {"enabled": False}, "enabled is false: set it to true"),
    Break(
        "dead-letters-are-watched", "aws-rest", t.ALARM, {}, "no alarm has the dimension QueueName", name="answers-dead-letters", gone=True
    ),
    Break("tagged", "aws-rest", t.QUEUE, {"tags.stack": GONE}, "tags lacks stack"),
    Break("tagged", "gcp-api", t.RUN, {"labels": GONE}, "labels lacks project, stack"),
    Break(
        "data-is-protected",
        "aws-events",
        t.TABLE,
        {},
        "deletionProtectionEnabled is false: set it to true",
        config={"data-is-protected": {"dataRetention": "keep"}},
        added=made(
            t.TABLE, deletionProtectionEnabled=False, billingMode="PAY_PER_REQUEST", tags={"project": "p", "stack": "s"}, name="added"
        ),
    ),
    Break(
        "data-can-be-restored",
        "aws-rest",
        t.TABLE,
        {},
        "pointInTimeRecovery.enabled is false: set it to true",
        config={"data-can-be-restored": {"dataRetention": "keep"}},
        added=made(
            t.TABLE,
            pointInTimeRecovery={"enabled": False},
            billingMode="PAY_PER_REQUEST",
            tags={"project": "p", "stack": "s"},
            name="added",
        ),
    ),
    Break("objects-have-versions", "aws-rest", t.BUCKET_VERSIONING, {"versioningConfiguration.status": "Suspended"}, 'set it to "Enabled"'),
    Break("objects-have-versions", "gcp-events", t.GCS, {"versioning.enabled": False}, "versioning.enabled is not true"),
    Break("runtime-is-supported", "aws-rest", t.LAMBDA, {"runtime": "python3.9"}, "set it to python3.11 or later"),
    Break("function-logs-where-it-is-kept", "aws-rest", t.LAMBDA, {"loggingConfig": GONE}, "set it to the name of a LogGroup"),
)
