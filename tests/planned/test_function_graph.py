"""What Lambda's functions are made of, and which of their versions callers get. Real components, mocked engine."""

import json
from typing import Any

import pytest
from pulumi import RunError

from components.aws.versions import DEPLOYED
from handlers.functions import pings
from tests.planned.conftest import AWS_STACKS, Build
from tests.planned.recording import Answers, without_stamp

SAGEMAKER, LAMBDA = "aws-sagemaker-api", "aws-lambda-api"
FUNCTION = "aws:lambda/function:Function"


def test_settings_reach_the_lambda_hosted_model(build: Build) -> None:
    function = build(LAMBDA, endpoint__memoryMb=3008, endpoint__maxConcurrency=7).one("aws:lambda/function:Function").inputs
    assert (function["memorySize"], function["reservedConcurrentExecutions"], function["packageType"]) == (3008, 7, "Image")
    assert without_stamp(function) == {
        "MAX_BODY_BYTES": "4194304",
        "REQUEST_TIMEOUT_S": "10",
        "MODEL_BYTES": "90000000",
        "MODEL_URI": f"s3://pilotlight-aws-lambda-api-models-2dc9855a/models/{'a' * 64}/model.tar.gz",
        "MODEL_CACHE": "/tmp/model",
        "SERVICE": "pilotlight-aws-lambda-api",
    }


@pytest.mark.parametrize("change", [{"endpoint__memoryMb": 3008}, {"endpoint__maxConcurrency": 7}])
def test_whatever_a_version_is_made_of_and_what_is_reserved_publish_one(build: Build, change: dict[str, Any]) -> None:
    def stamp(**changes: Any) -> str:
        return str(build(LAMBDA, **changes).one(FUNCTION).inputs["environment"]["variables"][DEPLOYED])

    assert stamp(**change) != stamp()


@pytest.mark.parametrize("stack", AWS_STACKS)
def test_callers_get_the_version_that_is_known_to_be_of_the_change(build: Build, stack: str) -> None:
    graph = build(stack)
    functions = {each.inputs["name"]: each for each in graph.all(FUNCTION)}
    assert functions
    for alias in graph.all("aws:lambda/alias:Alias"):
        assert functions[alias.inputs["functionName"]].urn in alias.property_dependencies["functionVersion"]


@pytest.mark.parametrize("stack", AWS_STACKS)
def test_a_version_of_another_change_gets_no_alias(build: Build, monkeypatch: pytest.MonkeyPatch, stack: str) -> None:
    """As after an `up` whose reserved concurrency was refused: the state has the change, and the last version has not."""
    monkeypatch.setattr(Answers, "version", {"variables": {DEPLOYED: "of another"}})
    said = r"The version '1' of the function '.*' is not what the program declares.*up --refresh.*publish-version --function-name"
    with pytest.raises(RunError, match=said):
        build(stack, again=True)
    monkeypatch.setattr(Answers, "version", {})
    with pytest.raises(RunError, match=said):
        build(stack, again=True)
    # The provider writes an image after the settings, so one may have come without the other.
    monkeypatch.setattr(Answers, "version", None)
    monkeypatch.setattr(Answers, "image", "111122223333.dkr.ecr.eu-central-1.amazonaws.com/of@sha256:another")
    if stack in (LAMBDA, "aws-lambda-events"):
        with pytest.raises(RunError, match=said):
            build(stack, again=True)


@pytest.mark.parametrize("stack", [LAMBDA, "aws-lambda-events"])
def test_a_new_version_is_pinged_before_the_alias_moves_to_it(build: Build, stack: str) -> None:
    graph = build(stack)
    alias, started = graph.one("aws:lambda/alias:Alias"), graph.one("aws:lambda/invocation:Invocation")
    assert started.urn in alias.property_dependencies["functionVersion"]
    assert (started.inputs["qualifier"], started.inputs["functionName"]) == ("1", f"pilotlight-{stack}-model")
    assert pings.of_event(json.loads(started.inputs["input"]), "").request_id == "start"


def test_a_version_that_answers_no_ping_gets_no_alias(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that fails is the provider's error; one that answers with a problem is the program's."""
    problem = json.dumps({"status": 500, "title": "Prediction failed"})
    monkeypatch.setattr("tests.planned.recording.PONG", problem)
    said = r"Version 1 of the function '.*-lambda-api-model' .*Prediction failed.*`pulumi up --replace urn:.*api-endpoint-start`"
    with pytest.raises(RunError, match=said):
        build(LAMBDA, again=True)


def test_the_function_is_told_its_endpoint_and_its_deadlines(build: Build) -> None:
    function = build(SAGEMAKER, answers=None).one("aws:lambda/function:Function").inputs
    assert without_stamp(function) == {
        "ENDPOINT_NAME": "pilotlight-aws-sagemaker-api",
        "ENDPOINT_TIMEOUT_S": "27",
        "MAX_BODY_BYTES": "4194304",
        "MODEL_TASK": "feature-extraction",
        "SERVICE": "pilotlight-aws-sagemaker-api",
    }
    assert (function["timeout"], function["runtime"], function["handler"]) == (28, "python3.11", "handlers.functions.aws.api.handler")
