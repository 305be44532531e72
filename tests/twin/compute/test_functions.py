"""Functions on the twin, called by an unchanged client."""

import base64
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from pilotlight.twin import sandbox
from pilotlight.twin.rows import Refusal
from pilotlight.twin.settings import Settings
from tests.support.load import over_and_over
from tests.support.size import only_all
from tests.support.waiting import until
from tests.twin.compute.harness import Harness, archive

FUNCTION = "aws:lambda/function:Function"
INVOCATION = "aws:lambda/invocation:Invocation"
CODE = """
import os, sys, time, json
print("module loaded")
def handler(event, context):
    print("got", json.dumps(event))
    time.sleep(event.get("sleep", 0))
    if event.get("raise"):
        raise ValueError(event["raise"])
    if event.get("exit"):
        os._exit(7)
    if event.get("mb"):
        hoard = b"x" * (event["mb"] * 1024 * 1024); time.sleep(3)
    if event.get("bytes"):
        return "x" * event["bytes"]
    if event.get("import"):
        __import__(event["import"])
    if event.get("write"):
        already = os.path.exists("/tmp/mark"); open("/tmp/mark", "w").close(); return already
    return {"pid": os.getpid(), "env": dict(os.environ), "arn": context.invoked_function_arn, "version": context.function_version,
            "left": context.get_remaining_time_in_millis(), "path": sys.path, "uid": os.getuid(), "text": "VERSION"}
"""


@pytest.fixture
def make(harness: Harness, function_role: str, tmp_path: Path):
    made = []

    def one(name: str, code: str = CODE, **inputs):
        inputs = {"handler": "app.handler", "runtime": "python3.11", "role": function_role, "timeout": 10, **inputs}
        made.append(harness.create(FUNCTION, name=name, code=archive(tmp_path / name, app=code), **inputs))
        return made[-1]

    yield one
    for function in made:
        harness.delete(function)


def call(harness: Harness, name: str, event=None, **options):
    answer = harness.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event or {}), **options)
    return answer, json.loads(answer["Payload"].read() or b"null")


def test_a_function_gets_exactly_the_variables_that_aws_gives_it(harness, make):
    make("variables", memorySize=256, environment={"variables": {"MINE": "1", "AWS_REGION": "ignored"}})
    _, answer = call(harness, "variables")
    env = answer["env"]
    assert env["MINE"] == "1"
    assert env["AWS_REGION"] == "us-east-1"
    assert env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert env["AWS_ENDPOINT_URL"] == harness.twin.front_url
    assert env["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert not {"HOME", "USER", "PULUMI_HOME", "VIRTUAL_ENV", "PYTHONPATH"} & set(env)
    if os.geteuid() == 0:
        assert (answer["uid"], env["LAMBDA_TASK_ROOT"]) == (993, "/var/task")
        assert not any(str(harness.home) in value for value in env.values())
    assert 9000 < answer["left"] <= 10000


def test_a_function_imports_its_own_packages_and_the_runtimes_only(harness, make):
    make("packages")
    answer, error = call(harness, "packages", {"import": "pulumi"})
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == "ModuleNotFoundError"
    assert "FunctionError" not in call(harness, "packages", {"import": "boto3"})[0]


def test_without_root_a_function_runs_from_mapped_paths(harness, make, monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: False)
    make("mapped")
    _, answer = call(harness, "mapped")
    assert answer["env"]["LAMBDA_TASK_ROOT"].startswith(str(harness.home))
    assert answer["env"]["TMPDIR"].startswith(str(harness.home))
    assert answer["uid"] == os.geteuid()
    assert "FunctionError" not in call(harness, "mapped", {"import": "boto3"})[0]
    assert call(harness, "mapped", {"import": "pulumi"})[1]["errorType"] == "ModuleNotFoundError"


def test_a_warm_call_reuses_the_process_and_its_tmp(harness, make):
    make("warm")
    first, second = call(harness, "warm", {"write": True})[1], call(harness, "warm", {"write": True})[1]
    assert (first, second) == (False, True)
    assert call(harness, "warm")[1]["pid"] == call(harness, "warm")[1]["pid"]


def test_the_log_of_a_call_tells_start_end_and_figures(harness, make):
    make("logged")
    answer, _ = call(harness, "logged", {"write": True}, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert tail.index("module loaded") < tail.index("START RequestId") < tail.index("got ") < tail.index("END RequestId")
    assert "Max Memory Used" in tail
    assert "Init Duration" in tail
    answer, _ = call(harness, "logged", {"write": True}, LogType="Tail")
    assert "Init Duration" not in base64.b64decode(answer["LogResult"]).decode().rsplit("REPORT", 1)[1]
    time.sleep(0.2)
    assert any("REPORT" in event.message for event in harness.twin.logs.events("/aws/lambda/logged"))


def test_json_logging_writes_platform_events(harness, make):
    make("jsonlog", loggingConfig={"logFormat": "JSON", "logGroup": "/own/group"})
    call(harness, "jsonlog")
    time.sleep(0.2)
    kinds = [json.loads(event.message).get("type") for event in harness.twin.logs.events("/own/group") if event.message[0] == "{"]
    assert "platform.start" in kinds
    assert "platform.report" in kinds


def test_an_exception_comes_back_as_aws_reports_it(harness, make):
    make("raising")
    answer, error = call(harness, "raising", {"raise": "no"})
    assert answer["FunctionError"] == "Unhandled"
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no")


def test_a_function_that_lacks_a_package_fails_with_an_import_error(harness, make):
    make("lacking", "import no_such_package\ndef handler(e, c): pass")
    answer, error = call(harness, "lacking")
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "no_such_package" in error["errorMessage"]


def test_a_missing_handler_fails_as_on_aws(harness, make):
    make("handlerless", "x = 1")
    assert call(harness, "handlerless")[1]["errorType"] == "Runtime.HandlerNotFound"


def test_a_call_that_outlasts_its_timeout_is_ended_and_the_next_one_works(harness, make):
    make("slow", timeout=1)
    began = time.monotonic()
    answer, error = call(harness, "slow", {"sleep": 30})
    assert 0.9 < time.monotonic() - began < 6
    assert answer["FunctionError"] == "Unhandled"
    assert "Task timed out after 1.00 seconds" in error["errorMessage"]
    assert call(harness, "slow")[1]["text"] == "VERSION"


def test_a_process_that_exits_is_reported_and_replaced(harness, make):
    make("exiting")
    _, error = call(harness, "exiting", {"exit": True})
    assert error["errorType"] == "Runtime.ExitError"
    assert "exit status 7" in error["errorMessage"]
    assert call(harness, "exiting")[1]["text"] == "VERSION"


def test_more_memory_than_declared_ends_the_call(harness, make):
    make("hungry", memorySize=128)
    answer, error = call(harness, "hungry", {"mb": 200}, LogType="Tail")
    assert error["errorType"] == "Runtime.ExitError"
    assert "signal: killed" in error["errorMessage"]
    assert "Runtime.OutOfMemory" in base64.b64decode(answer["LogResult"]).decode()


def test_eight_calls_at_once_with_a_concurrency_of_two_are_throttled_as_on_aws(harness, make):
    make("reserved", reservedConcurrentExecutions=2)

    def one(_):
        try:
            call(harness, "reserved", {"sleep": 1.5})
        except ClientError as error:
            return error.response
        return None

    with ThreadPoolExecutor(8) as pool:
        refused = [answer for answer in pool.map(one, range(8)) if answer]
    assert len(refused) == 6
    assert {answer["Error"]["Code"] for answer in refused} == {"TooManyRequestsException"}
    assert {answer["ResponseMetadata"]["HTTPStatusCode"] for answer in refused} == {429}
    assert {answer["Reason"] for answer in refused} == {"ReservedFunctionConcurrentInvocationLimitExceeded"}


def test_parallel_calls_run_side_by_side(harness, make):
    make("parallel")
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        pids = {answer["pid"] for _, answer in pool.map(lambda _: call(harness, "parallel", {"sleep": 2}), range(4))}
    assert len(pids) == 4
    assert time.monotonic() - began < 7


def test_a_reservation_that_starves_the_account_is_refused(make):
    with pytest.raises(Refusal, match=r"minimum value of \[100\]"):
        make("greedy", reservedConcurrentExecutions=901)


def test_a_payload_at_the_limit_passes_and_one_byte_more_does_not(harness, make):
    make("sizes")
    limit = 6 * 1024 * 1024
    client = harness.client("lambda")
    assert "FunctionError" not in client.invoke(FunctionName="sizes", Payload=b'{"x":"' + b"y" * (limit - 8) + b'"}')
    with pytest.raises(ClientError, match="must be smaller than 6291456"):
        client.invoke(FunctionName="sizes", Payload=b'{"x":"' + b"y" * (limit - 7) + b'"}')
    assert call(harness, "sizes", {"bytes": limit + 200})[1]["errorType"] == "Function.ResponseSizeTooLarge"


@pytest.mark.parametrize("payload", [b"{", b"nonsense", b"\xff\xfe"])
def test_an_event_that_is_no_json_is_refused(harness, make, payload):
    make(f"nojson{payload[0]}")
    with pytest.raises(ClientError) as caught:
        harness.client("lambda").invoke(FunctionName=f"nojson{payload[0]}", Payload=payload)
    assert caught.value.response["Error"]["Code"] == "InvalidRequestContentException"


def test_an_unknown_function_or_qualifier_is_not_found(harness, make):
    make("known")
    for name in ("unknown", "known:7", "known:nobody"):
        with pytest.raises(ClientError) as caught:
            call(harness, name)
        assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_published_versions_stay_while_the_alias_moves_on_without_a_failed_call(harness, make, tmp_path):
    function = make("rolled", publish=True)
    assert function["version"] == "1"
    alias = harness.create("aws:lambda/alias:Alias", name="live", functionName="rolled", functionVersion="1")
    with over_and_over(lambda: call(harness, "rolled:live")[1]["text"]) as calls:
        until(lambda: calls.results)
        function = harness.update(function, code=archive(tmp_path / "second", app=CODE.replace("VERSION", "second")))
        assert function["version"] == "2"
        alias = harness.update(alias, functionVersion="2")
        until(lambda: calls.results[-1] == "second")
    assert not calls.errors
    assert set(calls.results) == {"VERSION", "second"}
    assert call(harness, "rolled:1")[1]["text"] == "VERSION"
    assert call(harness, "rolled:live")[1]["arn"].endswith(":rolled:live")
    assert harness.update(function)["version"] == "2"
    client = harness.client("lambda")
    assert [one["Version"] for one in client.list_versions_by_function(FunctionName="rolled")["Versions"]] == ["$LATEST", "1", "2"]
    assert client.get_alias(FunctionName="rolled", Name="live")["FunctionVersion"] == "2"
    harness.delete(alias)


def test_a_call_as_a_resource_is_made_with_it_and_again_only_where_it_changes(harness, make):
    function = make("called", publish=True, environment={"variables": {"GREETING": "first"}})
    given = {"functionName": "called", "input": '{"sleep": 0}'}
    called = harness.create(INVOCATION, qualifier=function["version"], **given)
    first = json.loads(called["result"])
    assert (first["version"], called.id) == ("1", "called,1,02f7c3c2bac35c59aaced4bcf7f6fe9a")
    assert harness.lifecycle.read(INVOCATION, called.id, called.urn, called.inputs)[0]["result"] == called["result"]
    settings = Settings(region="us-east-1")
    for changes, replaced in (({}, []), ({"qualifier": "2"}, ["qualifier"]), ({"input": "{}"}, ["input"])):
        news = {**called.inputs, **changes}
        difference = harness.lifecycle.diff(INVOCATION, called.id, called.outputs, called.inputs, news, settings)
        assert sorted(difference.replaces) == replaced, changes
    assert json.loads(harness.create(INVOCATION, **given)["result"])["version"] == "$LATEST"
    harness.delete(called)


def test_a_call_as_a_resource_fails_with_what_the_function_says(harness, make):
    make("failing", publish=True)
    given = {"functionName": "failing", "qualifier": "1"}
    with pytest.raises(Refusal, match=r"^invoking Lambda Function \(failing\): .*\"errorMessage\": \"no model\""):
        harness.create(INVOCATION, input='{"raise": "no model"}', **given)
    with pytest.raises(Refusal, match=r"^invoking Lambda Function \(failing\): ResourceNotFoundException: Function not found"):
        harness.create(INVOCATION, input="{}", **{**given, "qualifier": "2"})
    assert harness.twin.world.find(INVOCATION, functionName="failing") == []
    assert "input" in harness.problems(INVOCATION, input="no json", **given)[0]
    assert "CREATE_ONLY" in harness.problems(INVOCATION, input="{}", lifecycleScope="CRUD", **given)[0]


def test_a_call_as_a_resource_waits_for_a_free_place(harness, make):
    make("taken", publish=True, reservedConcurrentExecutions=1)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(call, harness, "taken", {"sleep": 2})
        time.sleep(0.5)
        called = harness.create(INVOCATION, functionName="taken", qualifier="1", input='{"sleep": 0}')
        assert other.done()
    assert json.loads(called["result"])["version"] == "1"


def test_a_service_may_call_only_with_a_permission_for_its_source(harness, make):
    make("guarded", publish=True)
    harness.create("aws:lambda/alias:Alias", name="open", functionName="guarded", functionVersion="1")
    permission = harness.create(
        "aws:lambda/permission:Permission",
        statementId="let-the-api",
        action="lambda:InvokeFunction",
        function="guarded",
        qualifier="open",
        principal="apigateway.amazonaws.com",
        sourceArn="arn:aws:execute-api:us-east-1:123456789012:api1/*/POST/predict",
    )
    invoke = harness.twin.lambda_.invoke
    gateway, arn = "apigateway.amazonaws.com", "arn:aws:execute-api:us-east-1:123456789012:api1/live/POST/predict"
    assert harness.wait(invoke("guarded", "open", b"{}", source=gateway, source_arn=arn)).status == 200
    for qualifier, source, source_arn in [
        (None, gateway, arn),
        ("open", gateway, arn.replace("api1", "api2")),
        ("open", gateway, arn.replace("POST", "GET")),
        ("open", gateway, None),
        ("open", "s3.amazonaws.com", arn),
    ]:
        with pytest.raises(Refusal, match="AccessDeniedException"):
            harness.wait(invoke("guarded", qualifier, b"{}", source=source, source_arn=source_arn))
    harness.delete(permission)


def test_provisioned_workers_are_ready_before_the_first_call(harness, make):
    make("ready", publish=True)
    token = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
    config = harness.create(token, functionName="ready", qualifier="1", provisionedConcurrentExecutions=1)
    answer, body = call(harness, "ready:1", LogType="Tail")
    assert body["env"]["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"
    assert "Init Duration" not in base64.b64decode(answer["LogResult"]).decode()
    harness.delete(config)
    with pytest.raises(Refusal, match="unpublished"):
        harness.create(token, functionName="ready", qualifier="$LATEST", provisionedConcurrentExecutions=1)


def test_idle_workers_stop_and_the_next_call_is_cold(harness, make):
    make("idle")
    harness.twin.lambda_.keep_warm_s = 0.2
    try:
        first = call(harness, "idle")[1]["pid"]
        time.sleep(1)
        assert first not in [process.pid for process in harness.twin.processes.running()]
        assert call(harness, "idle")[1]["pid"] != first
    finally:
        harness.twin.lambda_.keep_warm_s = 300


def test_a_function_may_use_only_what_its_role_grants(harness, make):
    code = "import boto3\ndef handler(e, c):\n    return boto3.client('lambda').list_functions()['Functions'][0]['FunctionName']"
    make("curious", code)
    _, error = call(harness, "curious")
    assert "AccessDenied" in error["errorMessage"]
    role = harness.role("curious-role", "lambda.amazonaws.com", {"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"})
    make("curious-and-allowed", code, role=role["arn"])
    assert isinstance(call(harness, "curious-and-allowed")[1], str)


def test_a_role_that_lambda_cannot_assume_is_refused(harness, make):
    wrong = harness.role("for-ec2", "ec2.amazonaws.com")
    with pytest.raises(Refusal, match="cannot be assumed by Lambda"):
        make("wrong-role", role=wrong["arn"])


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({"memorySize": 64}, "memorySize"),
        ({"timeout": 901}, "timeout"),
        ({"layers": ["arn:x"]}, "layers"),
        ({"runtime": None}, "runtime"),
        ({"packageType": "Image"}, "imageUri"),
    ],
)
def test_wrong_settings_are_named(harness, function_role, inputs, named):
    given = {"name": "wrong", "role": function_role, "handler": "a.b", "runtime": "python3.11", **inputs}
    problems = harness.problems(FUNCTION, **{key: value for key, value in given.items() if value is not None})
    assert any(named in problem for problem in problems)


def test_a_zip_that_is_none_is_refused(harness, function_role, tmp_path):
    code = archive(tmp_path, app="")
    Path(code["path"]).write_bytes(b"not a zip")
    with pytest.raises(Refusal, match="Could not unzip"):
        harness.create(FUNCTION, name="broken-zip", code=code, handler="a.b", runtime="python3.11", role=function_role)


def test_an_image_is_a_function_too_and_its_digest_decides_the_version(harness, function_role):
    uri = harness.image("image-function")
    inputs = {"packageType": "Image", "imageUri": uri, "role": function_role, "memorySize": 512, "publish": True}
    function = harness.create(FUNCTION, "from-image", **inputs, imageConfig={"commands": ["other"]})
    _, answer = call(harness, "from-image:1", {"a": 1})
    assert answer["event"] == {"a": 1}
    assert answer["argv"] == ["other"]
    assert answer["env"]["AWS_LAMBDA_FUNCTION_VERSION"] == "1"
    assert "LAMBDA_TASK_ROOT" not in answer["env"]
    if os.geteuid() == 0:
        assert (answer["uid"], answer["cwd"]) == (10001, "/app")
    broken = harness.update(function, environment={"variables": {"BROKEN": "1"}})
    assert broken["version"] == "2"
    assert call(harness, "from-image")[1]["errorType"] == "Runtime.ExitError"
    assert call(harness, "from-image:1")[1]["event"] == {}
    harness.delete(broken)
    with pytest.raises(Refusal, match="does not exist"):
        harness.create(FUNCTION, "from-nothing", **{**inputs, "imageUri": uri[:-64] + "0" * 64})


@only_all
def test_an_initialisation_that_takes_too_long_is_tried_again_within_the_timeout(harness, make):
    make("late", "import time\ntime.sleep(60)\ndef handler(e, c): pass", timeout=1)
    began = time.monotonic()
    assert "timed out after 1.00 seconds" in call(harness, "late")[1]["errorMessage"]
    assert 10.5 < time.monotonic() - began < 15


def test_an_asynchronous_call_is_accepted_and_run(harness, make):
    make("later")
    answer = harness.client("lambda").invoke(FunctionName="later", InvocationType="Event", Payload=b'{"write": true}')
    assert answer["StatusCode"] == 202
    deadline = time.monotonic() + 10
    while not harness.twin.logs.exists("/aws/lambda/later") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert any("got" in event.message for event in harness.twin.logs.events("/aws/lambda/later"))


def test_an_operation_that_the_twin_does_not_serve_is_refused_by_name(harness):
    with pytest.raises(ClientError, match="it serves Invoke") as caught:
        harness.client("lambda").list_layers()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize("sleep_s", [3, 0], ids=["in the middle", "before its answer is heard"])
def test_a_killed_worker_fails_its_event_and_the_next_one_gets_a_new_process(harness, make, sleep_s):
    make("killed")
    before = call(harness, "killed")[1]["pid"]
    harness.twin.faults.set({"executions": {"lambda": {"kill": 1}}})
    try:
        answer, error = call(harness, "killed", {"sleep": sleep_s})
    finally:
        harness.twin.faults.clear()
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Runtime.ExitError"
    assert call(harness, "killed")[1]["pid"] != before


def test_an_event_that_meets_an_error_or_no_answer_never_comes_to_the_process(harness, make):
    make("wrong", timeout=5)
    before = call(harness, "wrong")[1]["pid"]
    try:
        harness.twin.faults.set({"executions": {"lambda": {"error": 1}}})
        answer, error = call(harness, "wrong")
        assert (answer["FunctionError"], error["errorType"]) == ("Unhandled", "RuntimeError")
        harness.twin.faults.clear()
        assert call(harness, "wrong")[1]["pid"] == before
        for hold_s, least, most in ((0.5, 0.4, 4), (60, 4.9, 20)):
            harness.twin.faults.set({"executions": {"lambda": {"timeout": 1}, "hold_s": hold_s}})
            began = time.monotonic()
            answer, error = call(harness, "wrong")
            assert least < time.monotonic() - began < most
            assert (answer["FunctionError"], error["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    finally:
        harness.twin.faults.clear()
    assert call(harness, "wrong")[1]["pid"] != before
