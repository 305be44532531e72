"""What answers that come later add to an API: a route, a queue with dead letters, a worker, and rights for both functions."""

import json
from typing import Any

import pytest

from components.aws.answers import expiry_days
from tests.planned.conftest import Build
from tests.planned.recording import ACCOUNT, REGION, Graph
from tests.planned.test_blueprint_graph import documents
from tests.planned.test_contract_conformance import IAM, JWT

STACK = "aws-sagemaker-api"
PREFIX = f"pilotlight-{STACK}"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{PREFIX}-answers"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{PREFIX}-answers"


def granted(graph: Graph, policy: str) -> set[tuple[str, str]]:
    """(action, resource) of one identity, without its log."""
    return {
        (action, each["Resource"])
        for name, each in documents(graph)
        if name == policy
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
        if not action.startswith("logs:")
    }


def variables(graph: Graph, function: str) -> dict[str, Any]:
    return dict(graph.one("aws:lambda/function:Function", function).inputs["environment"]["variables"])


def test_without_the_setting_there_is_nothing_of_it(build: Build) -> None:
    graph = build(STACK, answers=None)
    assert not [each for each in graph.resources if "answer" in each.name.replace("gateway-answer", "") or "worker" in each.name]
    assert not {"answersTable", "answersQueueUrl", "deadLetterQueueUrl"} & set(graph.result["outputs"])
    assert build(STACK, answers={"async": False}).all("aws:sqs/queue:Queue") == []


def test_the_outputs_say_where_answers_wait(build: Build) -> None:
    outputs = build(STACK).result["outputs"]
    assert outputs["answersTable"] == f"{PREFIX}-answers"
    assert outputs["answersQueueUrl"].endswith(f"/{PREFIX}-answers")
    assert outputs["deadLetterQueueUrl"].endswith(f"/{PREFIX}-answers-dead")


def test_both_functions_know_where_answers_are_and_how_often_one_is_tried(build: Build) -> None:
    graph = build(STACK, answers={"async": True, "keepHours": 48})
    bucket = graph.one("aws:s3/bucket:Bucket", "answers-bucket").inputs["bucket"]
    common = {"ANSWERS_TABLE": f"{PREFIX}-answers", "ANSWERS_BUCKET": bucket, "ANSWERS_KEEP_HOURS": "48", "SERVICE": PREFIX}
    caller, worker = variables(graph, "function-function"), variables(graph, "worker-function")
    assert common.items() <= caller.items()
    assert common.items() <= worker.items()
    queue = graph.one("aws:sqs/queue:Queue", "answers-queue").inputs
    for told in (caller, worker):
        assert int(told["MAX_ATTEMPTS"]) == json.loads(queue["redrivePolicy"])["maxReceiveCount"]
        assert int(told["ANSWERS_UNSEEN_S"]) == queue["visibilityTimeoutSeconds"]
    assert caller["ANSWERS_QUEUE_URL"] == worker["ANSWERS_QUEUE_URL"] == graph.result["outputs"]["answersQueueUrl"]


def test_the_worker_may_wait_for_longer_than_the_gateway(build: Build) -> None:
    graph = build(STACK, endpoint__coldStartSeconds=100)
    caller, worker = (
        graph.one("aws:lambda/function:Function", "function-function"),
        graph.one("aws:lambda/function:Function", "worker-function"),
    )
    assert (caller.inputs["timeout"], variables(graph, "function-function")["ENDPOINT_TIMEOUT_S"]) == (28, "27")
    assert (worker.inputs["timeout"], variables(graph, "worker-function")["ENDPOINT_TIMEOUT_S"]) == (112, "111")
    assert worker.inputs["handler"] == "handlers.functions.aws.worker.handler"


def test_each_function_may_do_what_its_code_does_and_nothing_more(build: Build) -> None:
    graph = build(STACK)
    bucket = f"arn:aws:s3:::{graph.one('aws:s3/bucket:Bucket', 'answers-bucket').inputs['bucket']}"
    assert granted(graph, "api-function-policy") == set(), "so that nothing is taken from a function that still uses it"
    assert granted(graph, "api-function-answers") == {
        *(("s3:PutObject", f"{bucket}/{folder}/*") for folder in ("answers", "requests")),
        ("s3:GetObject", f"{bucket}/answers/*"),
        ("s3:ListBucket", bucket),
        *((f"dynamodb:{action}", TABLE) for action in ("DeleteItem", "GetItem", "PutItem", "UpdateItem")),
        *((f"sqs:{action}", QUEUE) for action in ("GetQueueAttributes", "SendMessage")),
    }
    assert granted(graph, "api-worker-policy") == {
        ("s3:GetObject", f"{bucket}/requests/*"),
        ("s3:PutObject", f"{bucket}/answers/*"),
        ("s3:ListBucket", bucket),
        *((f"dynamodb:{action}", TABLE) for action in ("GetItem", "UpdateItem")),
        *((f"sqs:{action}", QUEUE) for action in ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage")),
    }
    assert granted(graph, "api-worker-invoke") == granted(graph, "api-function-invoke") != set()
    assert granted(build(STACK, answers=None), "api-function-answers") == set()


def test_nothing_that_is_kept_for_a_client_outlives_its_time(build: Build) -> None:
    """Whatever `dataRetention` says: it would stand in the way of a destroy for what is gone tomorrow."""
    graph = build(STACK, dataRetention="keep")
    table, bucket = graph.one("aws:dynamodb/table:Table"), graph.one("aws:s3/bucket:Bucket", "answers-bucket")
    assert table.inputs["ttl"] == {"attributeName": "expires", "enabled": True}
    assert (table.inputs["hashKey"], table.inputs.get("rangeKey"), table.protect) == ("id", None, False)
    assert (bucket.inputs["forceDestroy"], bucket.protect) == (True, False)
    rule = graph.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "answers-lifecycle").inputs["rules"][0]
    assert (rule["status"], rule["expiration"]) == ("Enabled", {"days": 2})
    assert not [each for each in graph.all("aws:s3/bucketVersioning:BucketVersioning") if "answers" in each.name]


@pytest.mark.parametrize(("hours", "days"), [(24, 2), (25, 3), (48, 3), (168, 8)])
def test_the_bucket_forgets_later_than_the_row(hours: int, days: int) -> None:
    assert expiry_days(hours) == days
    assert days * 24 > hours


def test_answers_are_fetched_with_a_key_under_the_same_limits(build: Build) -> None:
    graph = build(STACK)
    method = graph.one("aws:apigateway/method:Method", "result-method").inputs
    assert (method["httpMethod"], method["apiKeyRequired"], method["requestParameters"]) == ("GET", True, {"method.request.path.id": True})
    paths = {each.inputs["pathPart"]: each.inputs["parentId"] for each in graph.all("aws:apigateway/resource:Resource")}
    assert paths == {"predict": "root", "results": "root", "{id}": "api-gateway-results-id"}
    integration = graph.one("aws:apigateway/integration:Integration", "result-integration").inputs
    assert (integration["type"], integration["integrationHttpMethod"], integration["timeoutMilliseconds"]) == ("AWS_PROXY", "POST", 29_000)
    deployment = graph.one("aws:apigateway/deployment:Deployment")
    for part in ("aws:apigateway/method:Method", "aws:apigateway/integration:Integration", "aws:lambda/permission:Permission"):
        assert all(graph.reaches(deployment, each) for each in graph.all(part))
    assert len(graph.all("aws:lambda/permission:Permission")) == 2


def test_a_missing_route_is_told_both_that_there_are(build: Build) -> None:
    def told(**changes: Any) -> str:
        answer = build(STACK, **changes).one("aws:apigateway/response:Response", "answer-missing-authentication-token")
        return str(json.loads(answer.inputs["responseTemplates"]["application/json"])["detail"])

    assert told() == "There are only POST /predict and GET /results/{id} here."
    assert told(answers=None) == "There is only POST /predict here."


@pytest.mark.parametrize("mode", [JWT, IAM], ids=["jwt", "iam"])
def test_http_apis_put_both_routes_behind_the_same_door(build: Build, mode: dict[str, Any]) -> None:
    graph = build(STACK, **mode)
    routes = {each.inputs["routeKey"]: each.inputs for each in graph.all("aws:apigatewayv2/route:Route")}
    assert set(routes) == {"POST /predict", "GET /results/{id}"}
    first, second = routes.values()
    assert {key: first.get(key) for key in ("authorizationType", "authorizerId", "target")} == {
        key: second.get(key) for key in ("authorizationType", "authorizerId", "target")
    }
    permissions = {each.inputs["sourceArn"].partition(":abc/")[2] for each in graph.all("aws:lambda/permission:Permission")}
    assert permissions == {"*/POST/predict", "*/GET/results/*"}
    assert set(URN_OF_ROUTE) <= {each.name for each in graph.all("aws:apigatewayv2/route:Route")}


# The name that the route had before there was a second one: another would replace it.
URN_OF_ROUTE = ("api-gateway-route",)


def test_browsers_may_fetch_answers_and_read_where_they_are(build: Build) -> None:
    opened = {"cors": {"allowOrigins": ["https://app.example"]}}
    cors = build(STACK, **JWT, **opened).one("aws:apigatewayv2/api:Api").inputs["corsConfiguration"]
    assert (cors["allowMethods"], cors["exposeHeaders"]) == (["GET", "POST"], ["location", "retry-after", "idempotent-replayed"])
    assert {"idempotency-key", "prefer"} <= set(cors["allowHeaders"])
    without = build(STACK, **JWT, **opened, answers=None).one("aws:apigatewayv2/api:Api").inputs["corsConfiguration"]
    assert without["allowMethods"] == ["POST"]


def test_the_worker_makes_as_many_answers_at_a_time_as_the_endpoint_takes(build: Build) -> None:
    for most, at_a_time in ((10, 10), (2, 2)):
        mapping = build(STACK, endpoint__maxConcurrency=most).one("aws:lambda/eventSourceMapping:EventSourceMapping").inputs
        assert (mapping["scalingConfig"], mapping["batchSize"]) == ({"maximumConcurrency": at_a_time}, 1)


def test_alarms_watch_the_worker_and_what_it_takes(build: Build) -> None:
    graph = build(STACK)
    alarms = {
        each.name.removeprefix("api-watch-"): each.inputs["dimensions"] for each in graph.all("aws:cloudwatch/metricAlarm:MetricAlarm")
    }
    worker = {"FunctionName": f"{PREFIX}-answers", "Resource": f"{PREFIX}-answers:live"}
    assert {
        "answers-dead-letters": {"QueueName": f"{PREFIX}-answers-dead"},
        "answers-age": {"QueueName": f"{PREFIX}-answers"},
        "answers-table-throttles": {"TableName": f"{PREFIX}-answers"},
        "answers-table-errors": {"TableName": f"{PREFIX}-answers", "Operation": "PutItem"},
        "worker-errors": worker,
        "worker-throttles": worker,
        "worker-duration": worker,
    }.items() <= alarms.items()
