"""Edges of delivery, cold starts, cost and operations."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from ..rules import tokens as t
from .harness_breaks import Spec, documents, linked, made
from .harness_edges import called, edges


def _run(container: Mapping[str, Any] | None = None, **more: Any) -> Spec:
    return made(t.RUN, template={"containers": [container or {}], **more})


def _run_limits(cpu: str, memory: str) -> dict[str, Any]:
    return {"resources": {"limits": {"cpu": cpu, "memory": memory}}}


def _app(container: Mapping[str, Any] | None = None, **more: Any) -> Spec:
    return made(t.APP, template={"containers": [container or {}]}, **more)


def _function(**more: Any) -> Spec:
    return made(t.LAMBDA, name="f", arn="arn:aws:lambda:r:1:function:f", **more)


def _queue(name: str, **more: Any) -> Spec:
    return called(name, made(t.QUEUE, name=name, arn=f"arn:aws:sqs:r:1:{name}", **more))


def _mapping(queue: str = "q", function: str = "f", **more: Any) -> Spec:
    return made(t.MAPPING, eventSourceArn=f"arn:aws:sqs:r:1:{queue}", functionName=function, **more)


def _redrive(count: object = 3, dead: str = "dead") -> str:
    return json.dumps({"deadLetterTargetArn": f"arn:aws:sqs:r:1:{dead}", "maxReceiveCount": count})


def _variant(**serverless: Any) -> Spec:
    return made(t.ENDPOINT_CONFIG, productionVariants=[{"serverlessConfig": serverless}])


def _calls(call: str, text: str, **more: Any) -> Spec:
    return made(t.SCHEDULE, target={"arn": f"arn:aws:scheduler:::aws-sdk:{call}", "input": text}, **more)


def _scaled(resource: str, most: int) -> Spec:
    return made(t.SCALED_ACTION, resourceId=resource, scalableTargetAction={"minCapacity": 0, "maxCapacity": most})


def _job(method: str, uri: str, body: Any = None, **more: Any) -> Spec:
    sent = {} if body is None else {"body": base64.b64encode(json.dumps(body).encode()).decode()}
    return made(t.CRON_JOB, httpTarget={"httpMethod": method, "uri": uri, **sent}, **more)


def _profiles(*profiles: Mapping[str, Any]) -> Spec:
    return made(t.APP_ENVIRONMENT, workloadProfiles=profiles)


def _config(body: str) -> Spec:
    return made(t.API_CONFIG, openapiDocuments=documents(body))


def _served_at(uri: str, timeout: str | None) -> Spec:
    return made(t.RUN, uri=uri, template={"timeout": timeout})


def _alert(text: str) -> Spec:
    return made(t.ALERT_POLICY, conditions=[{"conditionThreshold": {"denominatorFilter": text}}])


def _lines(query: str) -> Spec:
    return made(t.LOG_ALERT, criteria={"allOf": [{"query": query}]})


_INVOKED = "arn:aws:apigateway:r:lambda:path/arn:aws:lambda:r:1:function:f"
_HANDED = {"integration.request.header.X-Amz-Invocation-Type": "'Event'"}
_THIRD = (
    "{{x-google-api-management: {{backends: {{one: {{address: 'https://s.example', deadline: 9}}}}}}, "
    "paths: {{/x: {{get: {{x-google-backend: {}}}}}}}}}"
)
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
_MOST = {"messageRetentionSeconds": 1_209_600}
_FLOOR = made(t.LAMBDA_PROVISIONED, functionName="f", provisionedConcurrentExecutions=1)
_LIVE = made(t.LAMBDA_PROVISIONED, functionName="f", qualifier="live", provisionedConcurrentExecutions=1)
_PUT = "lambda:putProvisionedConcurrencyConfig"
_RUN_API = "https://run.googleapis.com/v2/projects/p/locations/l/services/"
_SERVED = made(t.RUN, name="s", scaling={"minInstanceCount": 1})
_BUCKET = made(t.S3, bucket="b")
_GOOD_LIFE = {"status": "Enabled", "expiration": {"days": 7}, "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}}
_KEEP = {"dataRetention": "keep"}
_WRITTEN_BY = "urn:pulumi:s::p::pilotlight:index:EventPipeline$pilotlight:index:AnswerStore$aws:dynamodb/table:Table::t"

COST = (
    *edges(
        "log-retention",
        ("", made(t.LOG_GROUP, retentionInDays=1)),
        ("", made(t.LOG_GROUP, retentionInDays=731)),
        ("is 732: set it to 1 to 731", made(t.LOG_GROUP, retentionInDays=732)),
    ),
    *edges(
        "instances-are-bounded",
        ("", _run(scaling={"maxInstanceCount": 200})),
        ("is 201: set it to 1 to 200", _run(scaling={"maxInstanceCount": 201})),
        ("", made(t.RUN, scaling={"maxInstanceCount": 200})),
        ("is 201: set it to 1 to 200", made(t.RUN, scaling={"maxInstanceCount": 201})),
    ),
    *edges(
        "floor-has-an-end",
        (
            "",
            [
                config := _variant(provisionedConcurrency=1),
                linked(made(t.ENDPOINT, name="ep"), endpointConfigName=config),
                _calls("sagemaker:updateEndpoint", "ep"),
            ],
        ),
        ("no schedule ends it", [config, made(t.ENDPOINT, name="ep", endpointConfigName="other")]),
        *(
            ("", [_FLOOR, _calls(each, "f")])
            for each in (
                "lambda:deleteProvisionedConcurrencyConfig",
                "lambda:putProvisionedConcurrencyConfig",
                "applicationautoscaling:registerScalableTarget",
            )
        ),
        *(
            ("", [{**config, "inputs": {**config["inputs"], "name": "c"}}, each])
            for each in (
                _calls("sagemaker:deleteEndpoint", "c"),
                _calls("sagemaker:updateEndpointWeightsAndCapacities", "c"),
                _calls("applicationautoscaling:registerScalableTarget", "c"),
                _scaled("endpoint/c/variant/v", 1),
            )
        ),
        ("no schedule ends it", [{**config, "inputs": {**config["inputs"], "name": "c"}}, _scaled("endpoint/c/variant/v", 2)]),
        ("", [_FLOOR, _scaled("function:f:live", 0)]),
        ("", [_LIVE, _scaled("function:f:live", 2), _scaled("function:f:live", 0)]),
        ("no schedule ends it", [_LIVE, _scaled("function:f:live", 2)]),
        ("no schedule ends it", [_LIVE, _scaled("function:f:other", 0)]),
        ("", [{**_FLOOR, "inputs": {**_FLOOR["inputs"], "functionName": "arn:aws:lambda:r:1:function:f"}}, _calls(_PUT, "f")]),
        # What says a number turns it down or leaves it, where that is not more.
        *(
            (says, [_FLOOR, _calls(call, json.dumps({"FunctionName": "f", key: number}))])
            for call, key in ((_PUT, "ProvisionedConcurrentExecutions"), ("applicationautoscaling:registerScalableTarget", "MaxCapacity"))
            for says, number in (("", 0), ("", 1), ("no schedule ends it", 2), ("no schedule ends it", 10))
        ),
        *(
            (says, [_SERVED, _job("PATCH", f"{_RUN_API}s", {"scaling": {"minInstanceCount": number}})])
            for says, number in (("", 0), ("", 1), ("no schedule ends it", 2))
        ),
        # Of two floors the higher one is the floor.
        (
            "",
            [
                made(t.RUN, name="s", scaling={"minInstanceCount": 1}, template={"scaling": {"minInstanceCount": 3}}),
                _job("PATCH", f"{_RUN_API}s", {"scaling": {"minInstanceCount": 2}}),
            ],
        ),
        # What only calls it keeps it warm; what is off, or is about another thing of that name, ends nothing.
        *(
            ("no schedule ends it", [_FLOOR, each])
            for each in (
                made(t.SCHEDULE, target={"arn": "arn:aws:lambda:r:1:function:f", "input": "f"}),
                _calls("lambda:invoke", "f"),
                _calls("sagemaker:updateEndpoint", "f"),
                _calls(_PUT, "f", state="DISABLED"),
                _scaled("endpoint/f/variant/v", 0),
                _job("PATCH", f"{_RUN_API}f"),
            )
        ),
        *(
            ("", [_SERVED, _job(method, f"{host}s?updateMask=scaling")])
            for method in ("PATCH", "PUT", "DELETE")
            for host in (_RUN_API, _RUN_API.replace("run.", "europe-west1-run."))
        ),
        *(
            ("no schedule ends it", [_SERVED, each])
            for each in (
                _job("POST", f"{_RUN_API}s"),
                _job("PATCH", "https://s-123.europe-west1.run.app/s"),
                _job("PATCH", f"{_RUN_API}s", paused=True),
                made(t.SCALED_ACTION, resourceId="s"),
                made(t.SCHEDULE, target={"arn": "s", "input": "s"}),
            )
        ),
    ),
    *edges(
        "nothing-by-the-hour",
        ("", _profiles({"workloadProfileType": "D4", "minimumCount": 0}, {"workloadProfileType": "Consumption", "minimumCount": 1})),
        (
            "workloadProfiles[1].minimumCount is 2: set it to 0, or name added",
            _profiles({"workloadProfileType": "Consumption"}, {"workloadProfileType": "D4", "minimumCount": 2}),
        ),
    ),
    *edges("nothing-by-the-hour", ("", _profiles({"workloadProfileType": "D4", "minimumCount": 1})), allowed=["added"]),
    *edges("uploads-are-tidied", ("", made(t.BUCKET_LIFECYCLE, rules=[_GOOD_LIFE, {"status": "Disabled"}]))),
)
DELIVERY = (
    *edges(
        "visibility-covers-function",
        ("", [_mapping("elsewhere"), _function(timeout=900)]),
        ("", [_mapping(function="elsewhere"), _queue("q", visibilityTimeoutSeconds=1)]),
        ("", [_mapping(), _function(), _queue("q", visibilityTimeoutSeconds=18)]),
        (
            "has visibilityTimeoutSeconds 30: set it to 31",
            [_mapping(maximumBatchingWindowInSeconds=1), _function(timeout=5), _queue("q")],
        ),
    ),
    *edges("queue-has-dead-letters", ("", _mapping("elsewhere"))),
    *edges(
        "receives-are-bounded",
        ("", _queue("q", redrivePolicy=_redrive(2))),
        ("", _queue("q", redrivePolicy=_redrive(100))),
        ("is 1: set it to 2 to 100", _queue("q", redrivePolicy=_redrive(1))),
        ("is missing", _queue("q", redrivePolicy=_redrive(None))),
    ),
    *edges("retries-are-bounded", ("", made(t.EVENT_INVOKE, maximumRetryAttempts=100))),
    *edges(
        "dead-letters-outlive-messages",
        ("", _queue("q", redrivePolicy=_redrive(dead="elsewhere"))),
        ("has messageRetentionSeconds missing", [_queue("q", redrivePolicy=_redrive()), _queue("dead")]),
        ("", [_queue("q", redrivePolicy=_redrive()), _queue("dead", messageRetentionSeconds=345_601)]),
        ("", [_queue("q", redrivePolicy=_redrive(), messageRetentionSeconds=60), _queue("dead", messageRetentionSeconds=61)]),
        (
            "has messageRetentionSeconds 60",
            [_queue("q", redrivePolicy=_redrive(), messageRetentionSeconds=60), _queue("dead", messageRetentionSeconds=60)],
        ),
        *(
            (f"{came}, not more than this one: {says}", [_queue("q", **queue, redrivePolicy=_redrive()), _queue("dead", **kept)])
            for came, says, queue, kept in (
                (1_209_600, "it can't be more, so set this one's to less", _MOST, _MOST),
                (1_209_599, "set it to 1209600", _MOST, {"messageRetentionSeconds": 1_209_599}),
                ("missing", "set it to 1209600", _MOST, {}),
            )
        ),
        (
            "the queue known-by-link of what failed",
            [linked(_queue("q", redrivePolicy=_redrive()), redrivePolicy=_queue("known-by-link")), _queue("known-by-link")],
        ),
    ),
    *edges("batches-fail-in-part", ("", made(t.MAPPING, eventSourceArn="arn:aws:kinesis:r:1:stream/s"))),
    *edges(
        "push-waits-for-service",
        ("", [made(t.SUBSCRIPTION, pushConfig={"pushEndpoint": "https://elsewhere.example"}), _run()]),
        ("", [linked(made(t.SUBSCRIPTION, pushConfig={"attributes": {"a": "b"}}), pushConfig=_run()), _run()]),
        (
            "is 299: set it to 300",
            [linked(made(t.SUBSCRIPTION, pushConfig={"pushEndpoint": "https://s"}, ackDeadlineSeconds=299), pushConfig=_run()), _run()],
        ),
        (
            "is 10: set it to 11",
            [linked(made(t.SUBSCRIPTION, pushConfig={"pushEndpoint": "https://s"}), pushConfig=_run()), _run(timeout="11s")],
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
                linked(made(t.EVENTARC, destination={"cloudRunService": {}}), destination=_run()),
                _run({"envs": [{"name": "FAILED", "value": "failed"}]}),
                made(t.SUBSCRIPTION, topic="failed", pushConfig={"pushEndpoint": "https://s"}, deadLetterPolicy={"deadLetterTopic": "t"}),
            ],
        ),
        # Who takes results takes no dead letters.
        *(
            (
                says,
                [
                    linked(made(t.EVENTARC, destination={"cloudRunService": {}}), destination=_run()),
                    _run({"envs": [{"name": name, "value": "topic"}]}),
                    made(t.SUBSCRIPTION, topic="topic"),
                ],
            )
            for says, name in (("a trigger keeps nothing", "RESULTS_TOPIC"), ("", "Dead_letters"), ("", "MY_DLQ"), ("", "FAILED"))
        ),
    ),
    *edges("event-grid-has-dead-letters", ("", made(t.EVENT_SUBSCRIPTION, deadLetterDestination={"endpointType": "StorageBlob"}))),
    *edges(
        "calls-nobody-waits-for-are-kept",
        (
            "added calls it and does not wait",
            [
                called("f", _function()),
                made(t.SCHEDULE, target={"arn": "arn:aws:lambda:r:1:function:f", "deadLetterConfig": {"arn": "a"}}),
            ],
        ),
        ("", made(t.TOPIC_SUBSCRIPTION, protocol="email")),
        *((("redrivePolicy is missing"), made(t.TOPIC_SUBSCRIPTION, protocol=each)) for each in ("lambda", "sqs", "https")),
    ),
)


def _model(name: str, mb: int) -> Spec:
    container = {"image": "i@sha256:" + "a" * 64, "environment": {"MODEL_BYTES": str(mb * 1024**2)}}
    return called(name or "model", made(t.MODEL, primaryContainer=container, **({"name": name} if name else {})))


def _variants(*served: tuple[str, int]) -> Spec:
    return made(
        t.ENDPOINT_CONFIG, productionVariants=[{"modelName": name, "serverlessConfig": {"memorySizeInMb": mb}} for name, mb in served]
    )


def _size(mb: int) -> dict[str, str]:
    return {"name": "MODEL_BYTES", "value": str(mb * 1024**2)}


COLD_START = (
    *edges(
        "function-ends-before-gateway",
        ("", made(t.REST_INTEGRATION, uri="https://elsewhere.example", timeoutMilliseconds=50)),
        (
            "",
            [
                made(t.REST_INTEGRATION, uri="arn:aws:apigateway:r:lambda:path/arn:aws:lambda:r:1:function:f", timeoutMilliseconds=3001),
                _function(),
            ],
        ),
        *(
            (says, [_config(body), _served_at("https://s.example", timeout)])
            for body, timeout, says in (
                ("{x-google-backend: {address: 'https://s.example/below', deadline: 301}, paths: {/x: {get: {}}}}", None, ""),
                (
                    "{x-google-backend: {address: 'https://s.example', deadline: 300}, paths: {/x: {get: {}}}}",
                    "",
                    "GET /x waits 300 s for added, whose template.timeout is 300 s",
                ),
                ("{x-google-backend: {address: 'https://s.example'}, paths: {/x: {get: {}}}}", "14s", ""),
                ("{x-google-backend: {address: 'https://s.example'}, paths: {/x: {get: {}}}}", "15s", "GET /x waits 15 s"),
                ("{x-google-backend: {address: 'https://s.example', deadline:}, paths: {/x: {get: {}}}}", "15s", "GET /x waits 15 s"),
                ("{x-google-backend: {address: 'https://t.example'}, paths: {/x: {get: {}}}}", "15s", ""),
                ("{x-google-backend: {}, paths: {/x: {get: {}}}}", "15s", ""),
                ("paths: {/x: {get: {}}}", "15s", ""),
                ("paths: {/x: {get: {x-google-backend: {address: 'https://s.example', deadline: 9}}}}", "15s", "GET /x waits 9 s"),
                # OpenAPI 3 names its backends.
                (_THIRD.format("one"), "15s", "GET /x waits 9 s"),
                (_THIRD.format("other"), "15s", ""),
                ("{x-google-backend: one, paths: {/x: {get: {}}}}", "15s", ""),
            )
        ),
        *(
            (
                says,
                [
                    _config("{x-google-backend: {address: 'https://s.example'}, paths: {/x: {get: {}}}}"),
                    made(t.OTHER_RUNS[0], serviceConfig={"uri": "https://s.example", **timeout}),
                ],
            )
            for timeout, says in (
                ({}, "waits 15 s for added, whose serviceConfig.timeoutSeconds is 60 s"),
                ({"timeoutSeconds": 15}, "waits 15 s"),
                ({"timeoutSeconds": 14}, ""),
            )
        ),
        ("", [made(t.REST_INTEGRATION, uri=_INVOKED, requestParameters=_HANDED), _function(timeout=900)]),
        ("it waits 29000 ms", [made(t.REST_INTEGRATION, uri=_INVOKED, requestParameters={"a": "b"}), _function(timeout=900)]),
    ),
    *edges(
        "gateway-timeout-exists",
        ("", made(t.REST_INTEGRATION, timeoutMilliseconds=50)),
        ("", made(t.REST_INTEGRATION)),
        ("", made(t.HTTP_INTEGRATION, timeoutMilliseconds=30_000)),
        ("", made(t.REST_INTEGRATION, responseTransferMode="STREAM", timeoutMilliseconds=900_000)),
        ("set it to 50 to 29000", made(t.REST_INTEGRATION, responseTransferMode="BUFFERED", timeoutMilliseconds=29_001)),
    ),
    *edges("gateway-timeout-exists", ("", made(t.REST_INTEGRATION, timeoutMilliseconds=60_000)), restMaximumMs=60_000),
    *edges("gateway-timeout-exists", ("set it to 50 to 9000", made(t.REST_INTEGRATION)), restMaximumMs=9000),
    *edges(
        "memory-holds-model",
        *((says, _app({"resources": {"memory": "4Gi"}, "env": [_size(mb)]})) for mb, says in ((4032, ""), (4033, "set it to 4097 MB"))),
        *((says, _run({**_run_limits("2", "4Gi"), "envs": [_size(mb)]})) for mb, says in ((4032, ""), (4033, "set it to 4097 MB"))),
        *(
            (says, _function(memorySize=1024, environment={"variables": {"MODEL_BYTES": str(mb * 1024**2)}}))
            for mb, says in ((960, ""), (961, "memorySize is 1024 MB for a model of"))
        ),
        *((says, _app({"env": [_size(mb)]})) for mb, says in ((448, ""), (449, "resources.memory is 512 MB"))),
        *((says, _run({"envs": [_size(mb)]})) for mb, says in ((448, ""), (449, "resources.limits.memory is 512 MB"))),
        *(
            (says, _function(environment={"variables": {"MODEL_BYTES": size}}))
            for size, says in ((str(64 * 1024**2), ""), (str(65 * 1024**2), "memorySize is 128 MB"), ("900MB", ""))
        ),
        *(
            (says, [linked(_variant(memorySizeInMb=1024), productionVariants=(large := _model("", mb))), large])
            for mb, says in ((960, ""), (961, "set it to 1025 MB"))
        ),
        ("memorySizeInMb is 0 MB", [linked(_variant(maxConcurrency=1), productionVariants=(small := _model("", 1))), small]),
        *(
            (says, [_variants(("one", 2048), ("other", memory)), _model("one", 1000), _model("other", 2000)])
            for memory, says in ((3072, ""), (2048, "productionVariants[1].serverlessConfig.memorySizeInMb is 2048 MB"))
        ),
        ("", [_variants(("one", 2048), ("gone", 2048)), _model("one", 1000)]),
        ("", [made(t.ENDPOINT_CONFIG, productionVariants=[{"instanceType": "ml.m5.large"}]), _model("one", 5000)]),
        ("", _variant(maxConcurrency=1)),
    ),
    *edges(
        "memory-of-platform",
        ("", _variant(memorySizeInMb=1024)),
        ("", _variant(memorySizeInMb=6144)),
        ("", _variant(maxConcurrency=1)),
        ("is 7168: set it to 1024 to 6144 in steps of 1024", _variant(memorySizeInMb=7168)),
        ("is 0: set it to 1024 to 6144", _variant(memorySizeInMb=0)),
        ("", _function(memorySize=128)),
        ("", _function(memorySize=10240)),
        ("", _run()),
        ("", _run(_run_limits("1", "4294M"))),
        ("", _run(_run_limits("1", "128Mi"))),
        ("", _run(_run_limits("1", "4096Mi"))),
        ("", _run(_run_limits("3", "1Gi"))),
        ('is "1Gi" for 4 vCPU: set it to 2048Mi', _run(_run_limits("4", "1Gi"))),
        ("", _app()),
        ('set it to "2Gi"', _app({"resources": {"cpu": 1, "memory": "1Gi"}})),
    ),
    *edges(
        "startup-is-probed",
        ("", _app()),
        ("asks no path", _run(_run_limits("1", "1024Mi"))),
        ("", _run({**_run_limits("1", "2Gi"), "startupProbe": {"grpc": {"port": 1}}})),
    ),
    *edges("startup-has-cpu", ("is 1: set it to true", _run({"resources": {"startupCpuBoost": 1}}))),
    *edges(
        "model-in-region",
        (
            "",
            [
                made(t.RUN, location="us", template={"containers": [{"envs": [{"name": "MODEL", "value": "gs://here/m"}]}]}),
                called("here", made(t.GCS, name="here", location="US")),
                called("there", made(t.GCS, name="there", location="EU")),
            ],
        ),
    ),
)
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
        ("", [made(t.ALARM, namespace="AWS/Lambda", dimensions={"FunctionName": "us-east-1.f"}), _function()]),
        ("", [made(t.ALARM, namespace="AWS/SQS", dimensions={"QueueName": "jobs.fifo"}), _queue("jobs.fifo")]),
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
        (
            "the stack has a, b: an alarm",
            [made(t.ALARM, namespace="AWS/SQS", dimensions={"QueueName": "c"}), _queue("b"), _queue("a")],
        ),
    ),
    *edges("alarm-says-what-silence-means", ("", made(t.ALARM, treatMissingData="breaching"))),
    *edges("dead-letters-are-watched", ("", [_mapping(), _queue("q")]), ("", _mapping("elsewhere"))),
    *edges(
        "data-is-protected",
        ("", made(t.DATABASE, deleteProtectionState="DELETE_PROTECTION_ENABLED")),
        ("", made(t.TABLE, deletionProtectionEnabled=True)),
        ("", {**made(t.TABLE), "protect": True}),
        ("", {**made(t.TABLE), "urn": _WRITTEN_BY}),
        *(("the option protect is false", made(each)) for each in (t.S3, t.GCS, t.STORAGE, t.COSMOS)),
        **_KEEP,
    ),
    *edges(
        "data-can-be-restored",
        ("", made(t.TABLE, pointInTimeRecovery={"enabled": True})),
        ("", made(t.DATABASE, pointInTimeRecoveryEnablement="POINT_IN_TIME_RECOVERY_ENABLED")),
        **_KEEP,
    ),
    *edges(
        "objects-have-versions",
        ("", made(t.S3, versioning={"enabled": True})),
        ("has no BucketVersioning", made(t.S3, versioning={"enabled": False})),
        ("", [_BUCKET, made(t.BUCKET_LIFECYCLE, bucket="b", rules=[_GOOD_LIFE, {"status": "Disabled"}])]),
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
    *edges("function-logs-where-it-is-kept", ("", _function(loggingConfig={"logGroup": "own"}))),
)
SERVICE = (*COST, *DELIVERY, *COLD_START, *OPERATIONS)
