"""Every handler of the zip starts with what is in the zip, and none waits for what it does not use."""

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.artifact import function_sources
from tests.parts.handlers.test_api_function import PLAIN

ROOT = Path(__file__).resolve().parents[3]
ANSWERS = {
    "ANSWERS_TABLE": "mine-answers",
    "ANSWERS_BUCKET": "mine-answers-1",
    "ANSWERS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/mine-answers",
    "ANSWERS_KEEP_HOURS": "24",
    "ANSWERS_UNSEEN_S": "168",
    "ENDPOINT_TIMEOUT_S": "27",
}


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    """The sources of the zip, as Lambda unpacks them."""
    folder = tmp_path_factory.mktemp("zip")
    for file in function_sources(ROOT):
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return folder


def imported(folder, module, **variables):
    """The modules that are there after the init phase of a handler; equal calls share one process."""
    return _imported(folder, module, frozenset(variables.items()))


@functools.cache
def _imported(folder, module, variables):
    code = f"import sys, {module} as module; module.handler; print(*sys.modules)"
    needed = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=needed | dict(variables), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return frozenset(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "variables"),
    [
        ("handlers.functions.aws.api", PLAIN),
        ("handlers.functions.aws.api", PLAIN | ANSWERS),
        ("handlers.functions.aws.worker", PLAIN | ANSWERS),
        ("handlers.functions.aws.warmer", {"ENDPOINT_NAME": "mine"}),
        ("handlers.functions.aws.warmer", {"MODEL_FUNCTION": "arn:aws:lambda:us-east-1:123456789012:function:mine:live"}),
        ("handlers.functions.aws.floor", {"SCHEDULE_GROUP": "mine"}),
    ],
)
def test_a_handler_starts_with_the_zip_alone(zipped, module, variables):
    found = imported(zipped, module, **variables)
    assert {name.split(".")[1] for name in found if name.startswith("handlers.")} == {"functions"}
    assert not {"pulumi", "components", "pilotlight"} & {name.partition(".")[0] for name in found}


def test_only_a_function_with_answers_waits_for_what_answers_need(zipped):
    plain = imported(zipped, "handlers.functions.aws.api", **PLAIN)
    answering = imported(zipped, "handlers.functions.aws.api", **PLAIN | ANSWERS)
    assert "aws_lambda_powertools" not in plain
    assert not {"handlers.functions.aws.answers", "handlers.functions.aws.deferral"} & plain
    assert {"aws_lambda_powertools", "handlers.functions.aws.answers"} <= answering


def test_the_worker_and_the_warmer_wait_for_no_keys(zipped):
    for module, variables in (
        ("handlers.functions.aws.worker", PLAIN | ANSWERS),
        ("handlers.functions.aws.warmer", {"ENDPOINT_NAME": "mine"}),
    ):
        assert "aws_lambda_powertools" not in imported(zipped, module, **variables)
