"""Edges of who is told, what is kept and what is named."""

from ..rules import tokens as t
from .harness import UNKNOWN
from .harness_breaks import Spec, linked, made
from .harness_edges import edges
from .harness_services import GOOD_LIFE, event_mapping, lambda_function, sqs_queue


def _alert(text: str) -> Spec:
    return made(t.ALERT_POLICY, conditions=[{"conditionThreshold": {"denominatorFilter": text}}])


def _lines(query: str) -> Spec:
    return made(t.LOG_ALERT, criteria={"allOf": [{"query": query}]})


_GROUP = "/subscriptions/s/resourceGroups/g/providers/p"
_REVISION = 'resource.type = "cloud_run_revision"'
_WATCHED = (
    ("AWS/Lambda", "FunctionName", t.LAMBDA),
    ("AWS/SQS", "QueueName", t.QUEUE),
    ("AWS/SageMaker", "EndpointName", t.ENDPOINT),
    ("/aws/sagemaker/Endpoints", "EndpointName", t.ENDPOINT),
    ("AWS/DynamoDB", "TableName", t.TABLE),
    ("AWS/ApiGateway", "ApiName", t.REST_API),
    ("AWS/SNS", "TopicName", t.TOPIC),
)

_BUCKET = made(t.S3, bucket="b")
_KEEP = {"dataRetention": "keep"}
_WRITTEN_BY = "urn:pulumi:s::p::pilotlight:index:EventPipeline$pilotlight:index:AnswerStore$aws:dynamodb/table:Table::t"

OPERATIONS = (
    *edges(
        "alarm-dimensions-exist",
        *(
            ("", [_alert(f'resource.type="{type_}" AND resource.labels.{label} = "x"'), each])
            for type_, label, each in (
                *(("cloud_run_revision", "service_name", made(each, name="x")) for each in (t.RUN, t.OTHER_RUNS[1])),
                ("cloud_run_revision", "service_name", made(t.OTHER_RUNS[0], serviceConfig={"service": "projects/p/services/x"})),
                ("pubsub_subscription", "subscription_id", made(t.SUBSCRIPTION, name="x")),
                (
                    "pubsub_subscription",
                    "subscription_id",
                    made(t.EVENTARC, name="y", transport={"pubsub": {"subscription": "projects/p/subscriptions/x"}}),
                ),
                ("apigateway.googleapis.com/Gateway", "gateway_id", made(t.GATEWAY, gatewayId="x")),
            )
        ),
        *(
            (f"{label} is", [_alert(f'resource.type="{type_}" AND resource.labels.{label} = "x"'), each])
            for type_, label, each in (
                *(("cloud_run_revision", "service_name", made(each, name="y")) for each in (t.RUN, t.OTHER_RUNS[1])),
                ("cloud_run_revision", "service_name", made(t.OTHER_RUNS[0], name="x", serviceConfig={"service": "projects/p/services/y"})),
                ("pubsub_subscription", "subscription_id", made(t.SUBSCRIPTION, name="y")),
                ("pubsub_subscription", "subscription_id", made(t.EVENTARC, name="x", transport={"pubsub": {"subscription": "a/y"}})),
                ("apigateway.googleapis.com/Gateway", "gateway_id", made(t.GATEWAY, gatewayId="y")),
            )
        ),
        *(
            (says, [_alert(f"{_REVISION} AND {text}"), made(t.RUN, name="x")])
            for text, says in (
                ("resource.labels.service_name=old", 'service_name is "old"'),
                ('"resource.labels.service_name"="old"', 'service_name is "old"'),
                ('resource.label.service_name = one_of("x", "old")', 'service_name is "old", and the stack has x'),
                ('resource.labels.service_name = one_of("x")', ""),
                ('resource.labels.service_name="x"', ""),
                ('NOT resource.labels.service_name="old"', ""),
                ('-resource.labels.service_name="old"', ""),
                ('resource.labels.project_id="other" AND resource.labels.service_name="old"', ""),
                ('resource.labels.service_name=monitoring.regex.full_match("o.*")', ""),
                ('resource.labels.service_name="x"\n  # resource.labels.service_name="old"', ""),
                ('resource.labels.service_name="x"\n-- resource.labels.service_name="old"', ""),
            )
        ),
        ("", _alert('resource.type="k8s_service" AND resource.labels.service_name="old"')),
        ("", _alert('resource.labels.service_name="old"')),
        ("", made(t.ALERT_POLICY, conditions=[{"conditionThreshold": {"comparison": "COMPARISON_GT"}}])),
        *(
            (says, [_lines(query), made(t.APP, **names)])
            for query, names, says in (
                ("where ContainerAppName == 'x'", {"containerAppName": "x"}, ""),
                ("where ContainerAppName == 'x'", {"name": "x"}, ""),
                ("where ContainerAppName == 'x'", {"containerAppName": "y", "name": "x"}, 'ContainerAppName is "x", and the stack has y'),
                ("where ContainerAppName == 'X'", {"name": "x"}, 'ContainerAppName is "X"'),
                ("where ContainerAppName =~ 'X'", {"name": "x"}, ""),
                ("where ContainerAppName =~ 'z'", {"name": "x"}, 'ContainerAppName is "z"'),
                ("where ContainerAppName == @'z'", {"name": "x"}, 'ContainerAppName is "z"'),
                ("where not(ContainerAppName == 'z')", {"name": "x"}, ""),
                ("// ContainerAppName == 'z'", {"name": "x"}, ""),
            )
        ),
        ("", made(t.LOG_ALERT, criteria={"allOf": [{"threshold": 1}]})),
        *(
            (says, [made(t.ALARM, namespace=space, dimensions={name: "x"}), made(type_, arn="x", name=called)])
            for space, name, type_ in _WATCHED
            for called, says in (("x", ""), ("y", f"{name} is"))
        ),
        ("and the stack has none: an alarm", made(t.ALARM, namespace="AWS/SNS", dimensions={"TopicName": "x"})),
        ("", [made(t.ALARM, namespace="AWS/Lambda", dimensions={"FunctionName": "us-east-1.f"}), lambda_function()]),
        ("", [made(t.ALARM, namespace="AWS/SQS", dimensions={"QueueName": "jobs.fifo"}), sqs_queue("jobs.fifo")]),
        ('is "jobs.fifo", and', made(t.ALARM, namespace="AWS/SQS", dimensions={"QueueName": "jobs.fifo"})),
        *(
            ("", made(t.ALARM, namespace=space, dimensions=dimensions))
            for space, dimensions in (
                ("Mine", {"FunctionName": "x", "function_name": "x"}),
                ("AWS/Connect", {"QueueName": "x"}),
                ("AWS/States", {"APIName": "StartExecution"}),
                ("AWS/Lambda", {"Resource": "f:live"}),
                ("AWS/Lambda", None),
            )
        ),
        *((f"AWS calls it {name}", made(t.ALARM, namespace=space, dimensions={name.lower(): "x"})) for space, name, _ in _WATCHED),
        (
            "",
            made(
                t.ALARM, metricQueries=[{"accountId": "222222222222", "metric": {"namespace": "AWS/SQS", "dimensions": {"QueueName": "x"}}}]
            ),
        ),
    ),
    *edges(
        "alarm-dimensions-exist",
        ("", made(t.ALARM, namespace="AWS/SQS", dimensions={"QueueName": "theirs-1"})),
        ("QueueName is", made(t.ALARM, namespace="AWS/SQS", dimensions={"QueueName": "ours"})),
        elsewhere=["theirs-*"],
    ),
    *edges(
        "alarm-dimensions-exist",
        *(
            (says, [made(t.ALARM, namespace="AWS/ApiGateway", dimensions={"ApiId": "abc"}), made(t.HTTP_API, name="abc", id=its)])
            for its, says in (("abc", ""), ("xyz", 'dimensions.ApiId is "abc", and the stack has xyz'))
        ),
        *(
            (says, [_alert(f'metric.type = "logging.googleapis.com/user/{named}" AND x'), made(t.LOG_METRIC, name="cold.starts/all")])
            for named, says in (
                ("cold.starts/all", ""),
                ("cold-starts", 'logging.googleapis.com/user is "cold-starts", and the stack has cold.starts/all'),
            )
        ),
        *(
            (says, [{**made(t.METRIC_ALERT, scopes=[f"{_GROUP}/x", scope]), **more}, made(t.APP, id=f"{_GROUP}/x"), made(t.S3, id=UNKNOWN)])
            for scope, more, says in (
                (f"{_GROUP}/x", {}, ""),
                (f"{_GROUP}/X", {}, ""),
                # Of all that is in a group.
                (_GROUP, {}, ""),
                (f"{_GROUP}/y", {}, f'scopes is "{_GROUP}/y", and the stack has'),
                # What it was taken from is there.
                (UNKNOWN, linked({}, scopes=made(t.APP)), ""),
            )
        ),
        (
            "the stack has a, b: an alarm",
            [made(t.ALARM, namespace="AWS/SQS", dimensions={"QueueName": "c"}), sqs_queue("b"), sqs_queue("a")],
        ),
    ),
    *edges("alarm-says-what-silence-means", ("", made(t.ALARM, treatMissingData="breaching"))),
    *edges("dead-letters-are-watched", ("", [event_mapping(), sqs_queue("q")]), ("", event_mapping("elsewhere"))),
    *edges(
        "data-is-protected",
        ("", made(t.DATABASE, deleteProtectionState="DELETE_PROTECTION_ENABLED")),
        ("", made(t.TABLE, deletionProtectionEnabled=True)),
        ("", {**made(t.TABLE), "protect": True}),
        ("", {**made(t.TABLE), "urn": _WRITTEN_BY}),
        *(("the option protect is false", made(each)) for each in (t.S3, t.GCS, t.STORAGE, t.COSMOS)),
        ('deleteProtectionState is missing: set it to "DELETE_PROTECTION_ENABLED"', made(t.DATABASE)),
        **_KEEP,
    ),
    *edges(
        "data-can-be-restored",
        ("", made(t.TABLE, pointInTimeRecovery={"enabled": True})),
        ("", made(t.DATABASE, pointInTimeRecoveryEnablement="POINT_IN_TIME_RECOVERY_ENABLED")),
        ("pointInTimeRecoveryEnablement is missing", made(t.DATABASE)),
        **_KEEP,
    ),
    *edges(
        "objects-have-versions",
        ("", made(t.S3, versioning={"enabled": True})),
        ("has no BucketVersioning", made(t.S3, versioning={"enabled": False})),
        ("", [_BUCKET, made(t.BUCKET_LIFECYCLE, bucket="b", rules=[GOOD_LIFE, {"status": "Disabled"}])]),
    ),
    *edges(
        "runtime-is-supported",
        *(("", made(t.LAMBDA, runtime=each)) for each in ("python3.11", "nodejs22.x", "java17", "dotnet10", "ruby3.3", "provided.al2023")),
        *(
            (f"is no longer mended: set it to {later}.", made(t.LAMBDA, runtime=each))
            for each, later in (
                ("go1.x", "provided.al2023"),
                ("provided", "provided.al2023"),
                ("provided.al2", "provided.al2023"),
                ("nodejs", "nodejs22.x"),
                ("nodejs4.3-edge", "nodejs22.x"),
            )
        ),
        *(
            (f"set it to {least} or later", made(t.LAMBDA, runtime=each))
            for each, least in (
                ("python3.10", "python3.11"),
                ("nodejs20.x", "nodejs22"),
                ("java11", "java17"),
                ("java8.al2", "java17"),
                ("dotnet8", "dotnet10"),
                ("dotnetcore3.1", "dotnet10"),
                ("ruby3.2", "ruby3.3"),
            )
        ),
    ),
    *edges("function-logs-where-it-is-kept", ("", lambda_function(loggingConfig={"logGroup": "own"}))),
)
