"""Serverless endpoints on the twin, called by an unchanged client."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from pilotlight.twin import sandbox
from pilotlight.twin.aws.sagemaker import SageMakerService
from pilotlight.twin.rows import Refusal
from tests.support.load import over_and_over
from tests.support.waiting import until
from tests.twin.compute.harness import Harness, tarball

MODEL = "aws:sagemaker/model:Model"
CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
BUCKET = "models-of-a-test"
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
PULL = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:GetAuthorizationToken"]
MAY_PULL = {"Effect": "Allow", "Action": PULL, "Resource": "*"}
MAY_READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def image(harness: Harness) -> str:
    return harness.image("models")


@pytest.fixture(scope="module")
def artifact(harness: Harness) -> str:
    harness.twin.s3.create_bucket(BUCKET, "us-east-1")
    harness.twin.s3.put(BUCKET, "one/model.tar.gz", tarball(weights="three kilos"))
    return f"s3://{BUCKET}/one/model.tar.gz"


@pytest.fixture(scope="module")
def role(harness: Harness) -> str:
    return str(harness.role("endpoint-role", "sagemaker.amazonaws.com", MAY_PULL, MAY_READ)["arn"])


class Stack:
    """Model, configuration and endpoint of one test, taken down in reverse order."""

    def __init__(self, harness: Harness, image: str, artifact: str, role: str) -> None:
        self.harness, self.image, self.artifact, self.role = harness, image, artifact, role
        self.made = []
        self.count = 0

    def add(self, token, name="", **inputs):
        self.made.append(self.harness.create(token, name, **inputs))
        return self.made[-1]

    def config(self, name, environment=None, **serverless):
        self.count += 1
        container = {"image": self.image, "modelDataUrl": self.artifact, "environment": environment or {}}
        model = self.add(MODEL, f"{name}-{self.count}", executionRoleArn=self.role, primaryContainer=container)
        variant = {"modelName": model["name"], "serverlessConfig": {"memorySizeInMb": 1024, "maxConcurrency": 4, **serverless}}
        return self.add(CONFIG, f"{name}-{self.count}", productionVariants=[{"variantName": "AllTraffic", **variant}])

    def endpoint(self, name, environment=None, **serverless):
        return self.add(ENDPOINT, name, endpointConfigName=self.config(name, environment, **serverless)["name"])

    def update(self, endpoint, **inputs):
        self.made.remove(endpoint)
        self.made.append(endpoint)
        self.made[-1] = self.harness.update(endpoint, **inputs)
        return self.made[-1]


@pytest.fixture
def stack(harness, image, artifact, role):
    made = Stack(harness, image, artifact, role)
    yield made
    for resource in reversed(made.made):
        harness.delete(resource)


def ask(harness, name, body=None, **options):
    options = {"ContentType": "application/json", **options}
    answer = harness.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=json.dumps(body or {}), **options)
    return answer, json.loads(answer["Body"].read())


def refused(harness, name, body=None):
    with pytest.raises(ClientError) as caught:
        ask(harness, name, body)
    return caught.value.response


def instances(harness, name):
    return [process for process in harness.twin.processes.running() if process.name == f"endpoint {name}"]


def test_a_container_runs_from_its_image_as_its_user_with_its_model_and_nothing_of_the_host(harness, stack):
    stack.endpoint("plain", {"MINE": "1"})
    assert not instances(harness, "plain")
    secret = str(Path(__file__))
    answer, seen = ask(harness, "plain", {"look_for": secret}, CustomAttributes="trace=1", Accept="application/json")
    assert seen["model"] == "three kilos"
    assert seen["env"]["MINE"] == "1"
    assert seen["type"] == "application/json"
    assert seen["argv"] == ["serve"]
    assert answer["CustomAttributes"] == "trace=1-seen"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert not {"HOME", "USER", "VIRTUAL_ENV", "PYTHONPATH"} & set(seen["env"])
    if os.geteuid() == 0:
        assert (seen["uid"], seen["cwd"], seen["home"]) == (10001, "/app", False)
        assert seen["env"]["MODEL_DIR"] == "/opt/ml/model"


def test_without_root_a_container_runs_from_mapped_paths(harness, stack, monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: False)
    stack.endpoint("mapped")
    _, seen = ask(harness, "mapped")
    assert seen["model"] == "three kilos"
    assert seen["uid"] == os.geteuid()
    assert seen["env"]["MODEL_DIR"] != "/opt/ml/model"
    assert seen["env"]["PATH"].startswith(str(harness.cache))
    assert seen["env"]["TMPDIR"].startswith(str(harness.home))
    assert not {"HOME", "USER", "VIRTUAL_ENV", "PYTHONPATH"} & set(seen["env"])


def test_a_warm_call_meets_the_same_instance_until_it_is_idle_too_long(harness, stack):
    stack.endpoint("idle")
    pids = {ask(harness, "idle")[1]["pid"] for _ in range(3)}
    assert len(pids) == 1
    harness.twin.sagemaker.keep_warm_s = 0.2
    try:
        ask(harness, "idle")
        deadline = time.monotonic() + 5
        while instances(harness, "idle") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not instances(harness, "idle")
    finally:
        harness.twin.sagemaker.keep_warm_s = 300
    assert ask(harness, "idle")[1]["pid"] not in pids


def test_more_calls_than_the_concurrency_are_throttled(harness, stack):
    stack.endpoint("narrow", maxConcurrency=2)

    def one(_):
        try:
            return ask(harness, "narrow", {"sleep": 1.5})[1]["pid"]
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(one, range(5)))
    assert answers.count(("ThrottlingException", 429)) == 3
    assert len({answer for answer in answers if isinstance(answer, int)}) == 2


def test_an_error_of_the_container_is_a_model_error_with_what_it_said(harness, stack):
    stack.endpoint("erring")
    response = refused(harness, "erring", {"status": 422})
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 422
    assert "three kilos" in response["OriginalMessage"]
    assert refused(harness, "erring", {"status": 500})["OriginalStatusCode"] == 500


def test_a_container_that_dies_is_a_model_error_and_is_replaced(harness, stack):
    stack.endpoint("dying")
    assert refused(harness, "dying", {"exit": True})["Error"]["Code"] == "ModelError"
    assert ask(harness, "dying")[1]["model"] == "three kilos"


def test_a_container_that_needs_more_memory_than_declared_is_killed(harness, stack):
    stack.endpoint("fat")
    assert "1024 MB" in refused(harness, "fat", {"allocate_mb": 1200})["OriginalMessage"]
    assert ask(harness, "fat")[1]["model"] == "three kilos"


def test_a_body_at_the_limit_passes_and_one_byte_more_does_not(harness, stack):
    stack.endpoint("sizes")
    client, limit = harness.client("sagemaker-runtime"), 4 * 1024 * 1024
    body = b'{"x":"' + b"y" * (limit - 8) + b'"}'
    assert client.invoke_endpoint(EndpointName="sizes", Body=body)["ResponseMetadata"]["HTTPStatusCode"] == 200
    with pytest.raises(ClientError) as caught:
        client.invoke_endpoint(EndpointName="sizes", Body=body + b" ")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    answer = client.invoke_endpoint(EndpointName="sizes", Body=json.dumps({"bytes": limit}))
    assert len(answer["Body"].read()) == limit
    assert refused(harness, "sizes", {"bytes": limit + 1})["Error"]["Code"] == "ModelError"


def test_a_new_configuration_takes_over_without_a_failed_request(harness, stack):
    endpoint = stack.endpoint("rolled", {"GENERATION": "one"})
    old = stack.made[:2]
    with over_and_over(lambda: ask(harness, "rolled", {"sleep": 0.05})[1]["env"]["GENERATION"], threads=2) as calls:
        until(lambda: calls.results and len(instances(harness, "rolled")) >= 2)
        before = {process.pid for process in instances(harness, "rolled")}
        stack.update(endpoint, endpointConfigName=stack.config("rolled", {"GENERATION": "two"})["name"])
        for resource in reversed(old):
            harness.delete(resource)
            stack.made.remove(resource)
        until(lambda: calls.results[-1] == "two")
    assert not calls.errors
    assert set(calls.results) == {"one", "two"}
    # Not the last one seen: a slow answer of the old configuration may have come after the first of the new one.
    assert ask(harness, "rolled")[1]["env"]["GENERATION"] == "two"
    deadline = time.monotonic() + 10
    while (left := {process.pid for process in instances(harness, "rolled")}) & before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left & before
    assert len(left) <= 2, "one for each caller"


@pytest.mark.parametrize("environment", [{"BROKEN": "1"}, {"BROKEN": "", "MODEL_DIR": "/opt/ml/model", "PORTLESS": "1", "SICK": ""}])
def test_the_environment_decides_whether_an_endpoint_comes_up(harness, stack, environment):
    if environment["BROKEN"]:
        with pytest.raises(Refusal, match=r"production variant AllTraffic exited.*no model here"):
            stack.endpoint("comes-up", environment)
        assert not instances(harness, "comes-up")
        assert refused(harness, "comes-up")["Error"]["Code"] == "ValidationError"
        assert any("no model here" in event.message for event in harness.twin.logs.events("/aws/sagemaker/Endpoints/comes-up"))
    else:
        stack.endpoint("comes-up", environment)


def test_a_configuration_that_does_not_come_up_leaves_the_old_one_serving(harness, stack):
    endpoint = stack.endpoint("kept", {"GENERATION": "one"})
    broken = stack.config("kept", {"BROKEN": "1"})
    with pytest.raises(Refusal, match="FailedEndpoint"):
        harness.update(endpoint, endpointConfigName=broken["name"])
    assert ask(harness, "kept")[1]["env"]["GENERATION"] == "one"
    described = harness.client("sagemaker").describe_endpoint(EndpointName="kept")
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] != broken["name"]


def test_provisioned_concurrency_keeps_an_instance_before_any_call(harness, stack):
    stack.endpoint("provisioned", maxConcurrency=2, provisionedConcurrency=1)
    (running,) = instances(harness, "provisioned")
    assert ask(harness, "provisioned")[1]["pid"] == running.pid
    os.kill(running.pid, 9)
    deadline = time.monotonic() + 10
    while (running in instances(harness, "provisioned") or not harness.twin.sagemaker.ready("provisioned")) and time.monotonic() < deadline:
        time.sleep(0.05)
    (replaced,) = instances(harness, "provisioned")
    assert ask(harness, "provisioned")[1]["pid"] == replaced.pid != running.pid


def test_a_restarted_service_serves_what_was_deployed_before(harness, stack):
    stack.endpoint("lasting", {"GENERATION": "one"})

    async def ask_a_new_service():
        service = SageMakerService()
        service.attach(harness.twin)
        try:
            return await service.invoke_endpoint("lasting", b"{}", {"content-type": "application/json"})
        finally:
            await service.close()

    answer = harness.wait(ask_a_new_service())
    assert json.loads(answer.body)["env"]["GENERATION"] == "one"
    assert not instances(harness, "lasting")


@pytest.mark.parametrize(
    ("service", "statements", "said"),
    [
        ("lambda.amazonaws.com", [MAY_PULL, MAY_READ], "Could not assume role"),
        ("sagemaker.amazonaws.com", [MAY_READ], "may not pull"),
        ("sagemaker.amazonaws.com", [MAY_PULL], "may not s3:GetObject it"),
    ],
)
def test_a_role_without_the_rights_is_refused(harness, stack, service, statements, said):
    stack.role = harness.role(f"lacking-{abs(hash(said))}", service, *statements)["arn"]
    with pytest.raises(Refusal, match=said):
        stack.config("refused")


def test_a_missing_artifact_and_a_missing_image_are_refused(stack):
    stack.artifact = f"s3://{BUCKET}/nothing/model.tar.gz"
    with pytest.raises(Refusal, match="there is no such object"):
        stack.config("artifactless")
    stack.image = stack.image[:-64] + "0" * 64
    with pytest.raises(Refusal, match="never pushed"):
        stack.config("imageless")


def test_an_image_with_the_media_types_of_oci_is_refused(harness, stack):
    """As CreateModel does: "Unsupported manifest media type"."""
    stack.image = harness.image("oci", oci=True)
    with pytest.raises(Refusal, match=r"Unsupported manifest media type application/vnd\.oci\.image\.manifest\.v1\+json"):
        stack.config("oci")


def test_an_artifact_that_leads_outside_its_folder_is_refused(harness, stack):
    harness.twin.s3.put(BUCKET, "evil.tar.gz", tarball(**{"../../evil": "x"}))
    stack.artifact = f"s3://{BUCKET}/evil.tar.gz"
    with pytest.raises(Refusal, match="Failed to extract model data"):
        stack.endpoint("evil")


@pytest.mark.parametrize(
    ("token", "inputs", "named"),
    [
        (MODEL, {"executionRoleArn": "arn:aws:iam::123456789012:role/x"}, "primaryContainer"),
        (CONFIG, {"productionVariants": [{"modelName": "m", "serverlessConfig": {"memorySizeInMb": 3000, "maxConcurrency": 1}}]}, "3000"),
        (CONFIG, {"productionVariants": [{"modelName": "m", "serverlessConfig": {"memorySizeInMb": 2048, "maxConcurrency": 201}}]}, "201"),
        (
            CONFIG,
            {"productionVariants": [{"modelName": "m", "instanceType": "ml.m5.large", "initialInstanceCount": 1}]},
            "serverlessConfig",
        ),
    ],
)
def test_wrong_settings_are_named(harness, token, inputs, named):
    assert any(named in problem for problem in harness.problems(token, name="x", **inputs))


def test_the_control_api_tells_what_is_deployed_and_refuses_the_rest_by_name(harness, stack):
    endpoint = stack.endpoint("described")
    client = harness.client("sagemaker")
    described = client.describe_endpoint(EndpointName="described")
    assert described["EndpointArn"] == endpoint["arn"]
    config = client.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
    model = client.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    assert model["PrimaryContainer"]["Image"] == stack.image
    assert "described" in [one["EndpointName"] for one in client.list_endpoints()["Endpoints"]]
    with pytest.raises(ClientError, match="Could not find"):
        client.describe_model(ModelName="nobody")
    with pytest.raises(ClientError, match="does not serve ListTrainingJobs"):
        client.list_training_jobs()


def test_a_role_may_call_an_endpoint_only_with_the_right_to(harness, stack):
    endpoint = stack.endpoint("guarded")
    allow = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": endpoint["arn"]}
    for name, statements, allowed in (("may", [allow], True), ("may-not", [], False)):
        role = harness.role(f"caller-{name}", "lambda.amazonaws.com", *statements)
        issued = harness.twin.iam.credentials(role["arn"])
        client = harness.client(
            "sagemaker-runtime",
            aws_access_key_id=issued.access_key_id,
            aws_secret_access_key=issued.secret_access_key,
            aws_session_token=issued.session_token,
        )
        if allowed:
            assert client.invoke_endpoint(EndpointName="guarded", Body=b"{}")["ResponseMetadata"]["HTTPStatusCode"] == 200
        else:
            with pytest.raises(ClientError, match="AccessDenied"):
                client.invoke_endpoint(EndpointName="guarded", Body=b"{}")


def test_an_endpoint_errs_and_times_out_as_often_as_a_test_asks(harness, stack):
    stack.endpoint("moody")
    assert ask(harness, "moody")[0]["ResponseMetadata"]["HTTPStatusCode"] == 200
    try:
        harness.twin.faults.set({"executions": {"sagemaker": {"error": 1}}})
        assert refused(harness, "moody")["OriginalStatusCode"] == 500
        harness.twin.faults.set({"executions": {"sagemaker": {"timeout": 1}, "hold_s": 0.5}})
        began = time.monotonic()
        assert refused(harness, "moody")["OriginalStatusCode"] == 0
        assert time.monotonic() - began >= 0.5
    finally:
        harness.twin.faults.clear()
    assert ask(harness, "moody")[0]["ResponseMetadata"]["HTTPStatusCode"] == 200
