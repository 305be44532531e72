"""What the event pipeline registers: order, filters, dead letters, rights. Real components, mocked engine."""

import json
from typing import Any

import pytest

from tests.planned.conftest import Build
from tests.planned.recording import ACCOUNT, REGION, Graph, Registered
from tests.planned.test_blueprint_graph import documents, find

STACK_OF = {"aws-sagemaker": "aws-sagemaker-events", "aws-lambda": "aws-lambda-events"}
ZIP, LAMBDA = "aws-sagemaker-events", "aws-lambda-events"
FUNCTION = {ZIP: "function-function", LAMBDA: "endpoint-function"}
PREFIX = f"pilotlight-{ZIP}"

# (what waits, for what): what a first deploy fails without. `type*ending-of-name`
EDGES = [
    ("aws:s3/bucketNotification:BucketNotification", "aws:sqs/queuePolicy:QueuePolicy"),
    ("aws:s3/bucketNotification:BucketNotification", "aws:s3/bucketVersioning:BucketVersioning*objects-versioning"),
    ("aws:sqs/queue:Queue*objects-queue", "aws:sqs/queue:Queue*objects-dead"),
    ("aws:lambda/eventSourceMapping:EventSourceMapping", "aws:lambda/alias:Alias"),
    ("aws:lambda/eventSourceMapping:EventSourceMapping", "aws:iam/rolePolicy:RolePolicy*{role}-policy"),
    ("aws:lambda/function:Function*{function}", "aws:dynamodb/table:Table"),
    ("aws:lambda/function:Function*{function}", "aws:sqs/queue:Queue*objects-queue"),
    ("aws:lambda/function:Function*{function}", "aws:s3/bucketPolicy:BucketPolicy*results-tls"),
]


@pytest.mark.parametrize("stack", [ZIP, LAMBDA])
@pytest.mark.parametrize(("waits", "for_"), EDGES)
def test_a_first_deploy_makes_things_in_an_order_that_works(build: Build, stack: str, waits: str, for_: str) -> None:
    graph, names = build(stack), {"function": FUNCTION[stack], "role": FUNCTION[stack].removesuffix("-function")}
    assert graph.reaches(find(graph, waits.format(**names)), find(graph, for_.format(**names)))


@pytest.mark.parametrize("platform", STACK_OF)
@pytest.mark.parametrize("results", [["table"], ["queue"], ["table", "queue"]])
def test_every_platform_gives_the_outputs_of_the_contract(build: Build, platform: str, results: list[str]) -> None:
    outputs = build(STACK_OF[platform], events__results=results).result["outputs"]
    common = {"objectsBucket", "queueUrl", "deadLetterQueueUrl", "resultsTable", "resultsBucket", "functionName", "functionAlias"}
    own = {"endpointName"} if platform == "aws-sagemaker" else set()
    sent = {"resultsQueueUrl"} if "queue" in results else set()
    assert set(outputs) == common | own | sent | {"logGroups", "region"}
    assert all(outputs.values())


def sources(graph: Graph) -> list[Registered]:
    """Queues that something is taken from: all but dead letters."""
    return [each for each in graph.all("aws:sqs/queue:Queue") if not each.inputs["name"].endswith("-dead")]


@pytest.mark.parametrize("stack", [ZIP, LAMBDA, "aws-sagemaker-api"])
def test_every_queue_that_is_a_source_has_dead_letters_that_live_longer(build: Build, stack: str) -> None:
    changes: dict[str, Any] = {"events__results": ["table", "queue"]} if stack.endswith("events") else {}
    graph = build(stack, **changes)
    dead = {each.inputs["name"]: each for each in graph.all("aws:sqs/queue:Queue") if each.inputs["name"].endswith("-dead")}
    assert len(sources(graph)) == len(dead) == (2 if stack.endswith("events") else 1)
    for queue in sources(graph):
        redrive = json.loads(queue.inputs["redrivePolicy"])
        target = dead[redrive["deadLetterTargetArn"].rpartition(":")[2]]
        assert redrive["maxReceiveCount"] >= 1
        assert target.inputs["messageRetentionSeconds"] == 1_209_600 > queue.inputs["messageRetentionSeconds"]
        allowed = json.loads(target.inputs["redriveAllowPolicy"])
        assert allowed == {
            "redrivePermission": "byQueue",
            "sourceQueueArns": [f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue.inputs['name']}"],
        }
        assert graph.reaches(queue, target)
    assert all(each.inputs["sqsManagedSseEnabled"] for each in graph.all("aws:sqs/queue:Queue"))


@pytest.mark.parametrize("stack", [ZIP, LAMBDA, "aws-sagemaker-api"])
@pytest.mark.parametrize("predict", [1, 10])
def test_a_message_stays_unseen_six_timeouts_of_the_function_that_takes_it(build: Build, stack: str, predict: int) -> None:
    graph = build(stack, endpoint__predictSeconds=predict)
    mapping = graph.one("aws:lambda/eventSourceMapping:EventSourceMapping")
    queue = next(each for each in sources(graph) if graph.reaches(mapping, each) and each.inputs["name"].endswith(("-events", "-answers")))
    taker = next(
        each
        for each in graph.all("aws:lambda/function:Function")
        if graph.reaches(mapping, each) and each.inputs["name"] in alias_of(graph, mapping)
    )
    assert queue.inputs["visibilityTimeoutSeconds"] >= 6 * taker.inputs["timeout"]


def alias_of(graph: Graph, mapping: Registered) -> set[str]:
    """The function that a mapping's alias belongs to."""
    aliases = [each for each in graph.all("aws:lambda/alias:Alias") if each.urn in mapping.dependencies]
    return {each.inputs["functionName"] for each in aliases}


@pytest.mark.parametrize("stack", [ZIP, LAMBDA, "aws-sagemaker-api"])
def test_batches_are_answered_in_part_and_bounded(build: Build, stack: str) -> None:
    mapping = build(stack).one("aws:lambda/eventSourceMapping:EventSourceMapping").inputs
    assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["scalingConfig"]["maximumConcurrency"] >= 2


def test_settings_reach_queue_and_mapping(build: Build) -> None:
    graph = build(
        ZIP,
        events__batchSize=20,
        events__batchWindowSeconds=3,
        events__maxConcurrency=4,
        events__maxAttempts=3,
        events__visibilitySeconds=2000,
    )
    mapping = graph.one("aws:lambda/eventSourceMapping:EventSourceMapping").inputs
    assert (mapping["batchSize"], mapping["maximumBatchingWindowInSeconds"], mapping["scalingConfig"]) == (
        20,
        3,
        {"maximumConcurrency": 4},
    )
    queue = graph.one("aws:sqs/queue:Queue", "objects-queue").inputs
    assert (queue["visibilityTimeoutSeconds"], json.loads(queue["redrivePolicy"])["maxReceiveCount"]) == (2000, 3)


@pytest.mark.parametrize(("stack", "function", "cold_start_s"), [(ZIP, "function-function", 15), (LAMBDA, "endpoint-function", 12)])
def test_a_batch_of_more_requests_has_a_function_with_more_time(build: Build, stack: str, function: str, cold_start_s: int) -> None:
    for size, each in ((1, 1), (10, 1), (10, 3)):
        graph = build(stack, events__batchSize=size, events__requestsPerObject=each)
        timeout_s = graph.one("aws:lambda/function:Function", function).inputs["timeout"]
        assert timeout_s == cold_start_s + size * each * 11 + 3
        assert graph.one("aws:sqs/queue:Queue", "objects-queue").inputs["visibilityTimeoutSeconds"] == 6 * timeout_s


@pytest.mark.parametrize(
    ("prefix", "suffixes", "filters"),
    [
        (None, [], [(None, None)]),
        ("in/", [], [("in/", None)]),
        ("in/", [".txt", ".json"], [("in/", ".txt"), ("in/", ".json")]),
    ],
)
def test_one_notification_holds_every_filter(
    build: Build, prefix: str | None, suffixes: list[str], filters: list[tuple[str | None, str | None]]
) -> None:
    events = {"suffixes": suffixes, **({} if prefix is None else {"prefix": prefix})}
    queues = build(ZIP, events=events).one("aws:s3/bucketNotification:BucketNotification").inputs["queues"]
    assert [(each.get("filterPrefix"), each.get("filterSuffix")) for each in queues] == filters
    assert {tuple(each["events"]) for each in queues} == {("s3:ObjectCreated:*",)}
    assert len({each["id"] for each in queues}) == len(queues)


def test_only_this_bucket_of_this_account_may_send(build: Build) -> None:
    graph = build(ZIP)
    bucket = graph.one("aws:s3/bucket:Bucket", "objects-bucket").inputs["bucket"]
    statements = json.loads(graph.one("aws:sqs/queuePolicy:QueuePolicy").inputs["policy"])["Statement"]
    assert [(each["Principal"], each["Action"]) for each in statements] == [({"Service": "s3.amazonaws.com"}, "sqs:SendMessage")]
    assert statements[0]["Condition"] == {
        "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"},
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
    }


@pytest.mark.parametrize("stack", [ZIP, LAMBDA])
def test_every_bucket_is_private_encrypted_and_tidied(build: Build, stack: str) -> None:
    graph = build(stack)
    buckets = {each.inputs["bucket"] for each in graph.all("aws:s3/bucket:Bucket")}
    assert len(buckets) == 3
    for type_ in (
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
    ):
        assert {each.inputs["bucket"] for each in graph.all(type_)} == buckets


def test_the_table_holds_a_row_per_version_of_an_object(build: Build) -> None:
    table = build(ZIP).one("aws:dynamodb/table:Table").inputs
    assert (table["hashKey"], table["rangeKey"], table["billingMode"]) == ("object", "version", "PAY_PER_REQUEST")
    assert {each["name"]: each["type"] for each in table["attributes"]} == {"object": "S", "version": "S"}


@pytest.mark.parametrize("stack", [ZIP, LAMBDA])
@pytest.mark.parametrize("results", [["table"], ["queue"]])
def test_the_function_may_do_what_its_code_does_and_nothing_more(build: Build, stack: str, results: list[str]) -> None:
    graph = build(stack, events__results=results, events__prefix="in/")
    prefix = f"pilotlight-{stack}"
    names = {each.name: each.inputs["bucket"] for each in graph.all("aws:s3/bucket:Bucket")}
    objects, stored = names["events-objects-bucket"], names["events-results-bucket"]
    role = FUNCTION[stack].removesuffix("-function")
    granted = {
        (action, each["Resource"])
        for name, each in documents(graph)
        if name == f"events-{role}-policy"
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
        if not action.startswith("logs:")
    }
    queue, table = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{prefix}-events", f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{prefix}-results"
    wanted = {(f"sqs:{action}", queue) for action in ("ChangeMessageVisibility", "ReceiveMessage", "DeleteMessage", "GetQueueAttributes")}
    wanted |= {(f"s3:{action}", f"arn:aws:s3:::{objects}/in/*") for action in ("GetObject", "GetObjectVersion")}
    wanted |= {("s3:ListBucket", f"arn:aws:s3:::{objects}")}
    wanted |= {("s3:PutObject", f"arn:aws:s3:::{stored}/results/*")}
    wanted |= {(f"dynamodb:{action}", table) for action in ("BatchGetItem", "PutItem")}
    if "queue" in results:
        wanted |= {("dynamodb:UpdateItem", table), ("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{prefix}-results")}
    if stack == LAMBDA:
        models = names["events-models-bucket"]
        wanted |= {("s3:GetObject", f"arn:aws:s3:::{models}/models/*"), ("s3:ListBucket", f"arn:aws:s3:::{models}")}
    assert granted == wanted


def test_an_endpoint_reads_large_inputs_itself_and_only_below_the_prefix(build: Build) -> None:
    graph = build(ZIP, events__prefix="in/", events__maxObjectBytes=20_000_000)
    objects = graph.one("aws:s3/bucket:Bucket", "objects-bucket").inputs["bucket"]
    container = graph.one("aws:sagemaker/model:Model").inputs["primaryContainer"]
    assert container["environment"]["INPUTS_URI"] == f"s3://{objects}/in/"
    assert container["environment"]["MAX_OBJECT_BYTES"] == "20000000"
    read = [
        each["Resource"] for name, each in documents(graph) if name == "events-endpoint-policy" and "s3:GetObjectVersion" in each["Action"]
    ]
    assert read == [f"arn:aws:s3:::{objects}/in/*"]
    api = build("aws-sagemaker-api").one("aws:sagemaker/model:Model").inputs["primaryContainer"]
    assert "INPUTS_URI" not in api["environment"]


@pytest.mark.parametrize("stack", [ZIP, LAMBDA])
def test_the_function_is_told_what_it_takes_and_where_results_go(build: Build, stack: str) -> None:
    graph = build(stack, events={"minObjectBytes": 2, "maxObjectBytes": 1_000_000, "results": ["table", "queue"], "maxAttempts": 3})
    function = graph.one("aws:lambda/function:Function").inputs
    variables = function["environment"]["variables"]
    queue = graph.one("aws:sqs/queue:Queue", "results-queue")
    stored = graph.one("aws:s3/bucket:Bucket", "results-bucket").inputs["bucket"]
    taken = graph.one("aws:sqs/queue:Queue", "objects-queue").inputs
    assert variables["EVENTS_QUEUE_URL"] == graph.result["outputs"]["queueUrl"]
    assert int(variables["EVENTS_UNSEEN_S"]) == taken["visibilityTimeoutSeconds"]
    assert int(variables["MAX_ATTEMPTS"]) == json.loads(taken["redrivePolicy"])["maxReceiveCount"] == 3
    assert {key: variables.get(key) for key in ("MIN_OBJECT_BYTES", "MAX_OBJECT_BYTES", "RESULTS", "SERVICE")} == {
        "MIN_OBJECT_BYTES": "2",
        "MAX_OBJECT_BYTES": "1000000",
        "RESULTS": "table,queue",
        "SERVICE": f"pilotlight-{stack}",
    }
    assert (variables["RESULTS_TABLE"], variables["RESULTS_BUCKET"]) == (f"pilotlight-{stack}-results", stored)
    assert variables["RESULTS_QUEUE_URL"] == graph.result["outputs"]["resultsQueueUrl"]
    assert graph.reaches(graph.one("aws:lambda/function:Function"), queue)
    if stack == ZIP:
        assert function["handler"] == "handlers.functions.aws.events.handler"
        assert (variables["ENDPOINT_NAME"], variables["ENDPOINT_TIMEOUT_S"]) == (PREFIX, "26")


@pytest.mark.parametrize("stack", [ZIP, LAMBDA])
def test_alarms_watch_dimensions_that_the_stack_has(build: Build, stack: str) -> None:
    graph, prefix = build(stack, events__results=["table", "queue"]), f"pilotlight-{stack}"
    alarms = {each.name.removeprefix("events-watch-"): each.inputs for each in graph.all("aws:cloudwatch/metricAlarm:MetricAlarm")}
    name = graph.one("aws:lambda/function:Function").inputs["name"]
    function = {"FunctionName": name, "Resource": f"{name}:live"}
    wanted = {
        "events-dead-letters": {"QueueName": f"{prefix}-events-dead"},
        "events-age": {"QueueName": f"{prefix}-events"},
        "results-dead-letters": {"QueueName": f"{prefix}-results-dead"},
        "results-table-throttles": {"TableName": f"{prefix}-results"},
        "results-table-errors": {"TableName": f"{prefix}-results", "Operation": "TransactWriteItems"},
        "function-errors": function,
        "function-throttles": function,
        "function-duration": function,
    }
    if stack == ZIP:
        endpoint = {"EndpointName": prefix, "VariantName": "AllTraffic"}
        wanted |= {"endpoint-errors": endpoint, "endpoint-latency": {"Service": prefix}}
    else:
        # Pings call the model's function too: its own requests are watched, not the platform's durations.
        wanted["function-duration"] = {"Service": prefix}
    assert {role: inputs["dimensions"] for role, inputs in alarms.items()} == wanted
    dead = alarms["events-dead-letters"]
    assert (dead["threshold"], dead["statistic"], dead["treatMissingData"]) == (0, "Maximum", "ignore")
    assert alarms["function-errors"]["treatMissingData"] == "notBreaching"
