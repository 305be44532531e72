"""Breaks of the rules about what an operator needs."""

from ..rules import tokens as t
from .harness_breaks import GONE, Break, made

_TIDY = {"status": "Enabled", "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}}
_SUM = {"id": "sum", "expression": "errors * 2"}
_COSMOS = made(
    t.COSMOS,
    minimalTlsVersion="Tls12",
    disableLocalAuth=True,
    disableKeyBasedMetadataWriteAccess=True,
    capabilities=[{"name": "EnableServerless"}],
    tags={"project": "p", "stack": "s"},
)

BREAKS = (
    Break(
        "alarm-dimensions-exist",
        "aws-rest",
        t.ALARM,
        {"dimensions.FunctionName": "renamed"},
        'FunctionName is "renamed", and the stack has',
        name="function-errors",
    ),
    Break(
        "alarm-dimensions-exist",
        "aws-rest",
        t.ALARM,
        {"dimensions": {"Function_name": "f"}},
        "dimensions has Function_name: AWS calls it FunctionName",
        name="function-errors",
    ),
    Break(
        "alarm-dimensions-exist",
        "aws-rest",
        t.ALARM,
        {"metricQueries": [_SUM, {"id": "errors", "metric": {"namespace": "AWS/Lambda", "dimensions": {"FunctionName": "renamed"}}}]},
        'metricQueries[1].metric.dimensions.FunctionName is "renamed", and the stack has',
        name="function-errors",
    ),
    Break(
        "alarm-dimensions-exist",
        "aws-rest",
        t.ALARM,
        {"metricQueries": [{"id": "errors", "metric": {"namespace": "AWS/SQS", "dimensions": {"queueName": "q"}}}]},
        "metricQueries[0].metric.dimensions has queueName: AWS calls it QueueName",
        name="function-errors",
    ),
    *(
        Break(
            "alarm-dimensions-exist",
            graph,
            t.ALERT_POLICY,
            {f"conditions.0.{path}": f'resource.type="{type_}" AND resource.labels.{label}="renamed"'},
            f'{path}: {label} is "renamed", and the stack has pilotlight-',
            name=name,
        )
        for graph, name, path, type_, label in (
            ("gcp-api", "endpoint-errors", "conditionThreshold.filter", "cloud_run_revision", "service_name"),
            ("gcp-api", "endpoint-latency", "conditionMatchedLog.filter", "cloud_run_revision", "service_name"),
            ("gcp-api", "gateway-errors", "conditionThreshold.filter", "apigateway.googleapis.com/Gateway", "gateway_id"),
        )
    ),
    Break(
        "alarm-dimensions-exist",
        "gcp-events",
        t.ALERT_POLICY,
        {"conditions.0.conditionThreshold.filter": 'resource.type="pubsub_subscription" AND resource.labels.subscription_id="renamed"'},
        'subscription_id is "renamed", and the stack has eventarc-',
        name="dead-letters",
    ),
    Break(
        "alarm-dimensions-exist",
        "gcp-events",
        t.ALERT_POLICY,
        {"conditions.0.conditionAbsent": {"filter": 'resource.type = cloud_run_revision AND resource.labels.service_name = "renamed"'}},
        'conditions[0].conditionAbsent.filter: service_name is "renamed"',
    ),
    Break(
        "alarm-dimensions-exist",
        "azure-api",
        t.LOG_ALERT,
        {"criteria.allOf.0.query": 'ContainerAppConsoleLogs\n| where ContainerAppName == "renamed"'},
        'criteria.allOf[0].query: ContainerAppName is "renamed", and the stack has endpoint-',
    ),
    Break(
        "alarm-dimensions-exist",
        "azure-api",
        t.LOG_ALERT,
        {"criteria.allOf.0.query": "ContainerAppConsoleLogs_CL | where ContainerAppName_s =~ 'renamed'"},
        'ContainerAppName is "renamed"',
    ),
    Break(
        "alarm-dimensions-exist",
        "azure-api",
        "",
        {},
        'scopes is "/subscriptions/s/gone", and the stack has',
        added=made(t.METRIC_ALERT, scopes=["/subscriptions/s/gone"], enabled=True),
    ),
    Break("alarm-says-what-silence-means", "aws-rest", t.ALARM, {"treatMissingData": GONE}, 'set it to "notBreaching"'),
    Break("alarm-says-what-silence-means", "azure-api", t.METRIC_ALERT, {"enabled": False}, "enabled is false: set it to true"),
    Break(
        "dead-letters-are-watched",
        "aws-rest",
        t.ALARM,
        {
            "metricQueries": [{"metric": {"namespace": "AWS/SQS", "dimensions": {"QueueName": "elsewhere"}}, "accountId": "2"}],
            "dimensions": GONE,
        },
        "no alarm has the dimension QueueName",
        name="answers-dead-letters",
    ),
    Break(
        "dead-letters-are-watched", "aws-rest", t.ALARM, {}, "no alarm has the dimension QueueName", name="answers-dead-letters", gone=True
    ),
    Break("tagged", "aws-rest", t.QUEUE, {"tags.stack": GONE}, "tags lacks stack"),
    Break("tagged", "gcp-api", t.RUN, {"labels": GONE}, "labels lacks project, stack, deployment: add"),
    Break("tagged", "azure-api", t.APP, {"tags": GONE}, "tags lacks project, stack: add"),
    Break("tagged", "aws-rest", t.QUEUE, {"tags.deployment": GONE}, "tags lacks deployment"),
    *(
        Break("tagged", "gcp-api", t.RUN, {path: value}, "template.labels lacks deployment as labels has it: the budget counts by that")
        for path, value in (("template.labels", GONE), ("template.labels.deployment", GONE), ("template.labels.deployment", "other"))
    ),
    Break(
        "tagged",
        "aws-events",
        t.TABLE,
        {"tags.deployment": "o"},
        'is "o", and a budget counts by deployment "pilotlight-aws-lambda-events"',
    ),
    Break("tagged", "gcp-api", t.GCS, {"labels.deployment": "other"}, 'labels.deployment is "other", and a budget counts by deployment "'),
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
    # A name like that of the stacks' own answers says nothing of what lies there.
    *(
        Break(
            "data-is-protected",
            "azure-events",
            "",
            {},
            "the option protect is false",
            config={"data-is-protected": {"dataRetention": "keep"}},
            added={**_COSMOS, "name": each},
        )
        for each in ("added", "my-answers-account")
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
    Break("objects-have-versions", "aws-rest", t.BUCKET_VERSIONING, {}, "has no BucketVersioning", gone=True),
    *(
        # The bucket of answers has no versions: all in it ends.
        Break("objects-have-versions", "aws-rest", t.BUCKET_LIFECYCLE, {path: value}, "has no BucketVersioning", name="answers-lifecycle")
        for path, value in (
            ("rules.0.expiration", {"date": "2030-01-01"}),
            ("rules", [_TIDY, {"status": "Enabled", "expiration": {"days": 2}, "filter": {"prefix": "old/"}}]),
            ("rules", [_TIDY, {"status": "Enabled", "expiration": {"days": 2}, "prefix": "old/"}]),
            ("rules", [_TIDY, {"status": "Disabled", "expiration": {"days": 2}}]),
        )
    ),
    Break("objects-have-versions", "gcp-events", t.GCS, {"versioning.enabled": False}, "versioning.enabled is not true"),
    Break("runtime-is-supported", "aws-rest", t.LAMBDA, {"runtime": "python3.9"}, "set it to python3.11 or later"),
    Break(
        "function-logs-where-it-is-kept",
        "aws-rest",
        "",
        {},
        "set it to the name of a LogGroup with a retention, or make the LogGroup /aws/lambda/f",
        added=made(t.LAMBDA, name="f", memorySize=128, tags={"project": "p", "stack": "s"}),
    ),
)
