"""Log lines from a log service (moto's) and times on the command line."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pilotlight.cli import watch as module
from pilotlight.cli.aws import logs as log_groups
from pilotlight.cli.aws.logs import read
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.session import Session
from pilotlight.cli.times import seconds_of
from pilotlight.cli.watch import logs, status

NOW = int(time.time() * 1000) - 60_000


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield boto3.client("logs", region_name="us-east-1")


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_ages_are_read(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-1m", "1w", "1.5h", "1m1s"])
def test_other_ages_are_refused(text: str) -> None:
    with pytest.raises(CommandError, match="such as 10m"):
        seconds_of(text)


def test_every_line_after_the_start_is_read_once(service: Any) -> None:
    service.create_log_group(logGroupName="/aws/lambda/demo")
    service.create_log_stream(logGroupName="/aws/lambda/demo", logStreamName="one")
    events = [{"timestamp": NOW + number, "message": f"line {number}\n"} for number in range(250)]
    service.put_log_events(logGroupName="/aws/lambda/demo", logStreamName="one", logEvents=events)
    lines = list(read(service, "/aws/lambda/demo", NOW + 50))
    assert [line.text for line in lines] == [f"line {number}" for number in range(50, 250)]
    assert {line.group for line in lines} == {"demo"}
    assert len({line.identity for line in lines}) == 200


def test_a_group_that_is_not_there_yet_is_empty(service: Any) -> None:
    assert list(read(service, "/aws/lambda/nothing", NOW)) == []


def test_a_service_that_is_not_there_is_told() -> None:
    import botocore.config

    settings = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    broken = boto3.client(
        "logs",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=settings,
    )
    with pytest.raises(CommandError, match="can't be read"):
        list(read(broken, "/aws/lambda/demo", NOW))


def test_an_age_before_all_logs_begins_with_the_first_line(
    service: Any, monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session], capsys: pytest.CaptureFixture[str]
) -> None:
    service.create_log_group(logGroupName="/aws/lambda/demo")
    service.create_log_stream(logGroupName="/aws/lambda/demo", logStreamName="one")
    service.put_log_events(logGroupName="/aws/lambda/demo", logStreamName="one", logEvents=[{"timestamp": NOW, "message": "hello"}])
    monkeypatch.setattr(module, "open_session", lambda *_: session_in("cloud"))
    monkeypatch.setattr(
        module, "outputs_of", lambda *_: {"platform": "aws-lambda", "logGroups": ["/aws/lambda/demo"], "region": "us-east-1"}
    )
    monkeypatch.setattr(log_groups, "client", lambda *_: service)
    assert logs("demo", Path(), None, since="999999d", tail=None, follow=False, as_json=False) is Exit.OK
    assert capsys.readouterr().out.endswith("demo  hello\n")


def test_a_stack_that_is_up_nowhere_is_told_in_json_too(
    monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session], capsys: pytest.CaptureFixture[str]
) -> None:
    session = session_in("local")
    monkeypatch.setenv("PILOTLIGHT_HOME", str(session.home.path))
    assert status("demo", session.project.root, None, as_json=True) is Exit.MISSING
    found = json.loads(capsys.readouterr().out)
    assert found == {"stack": "demo", "where": None, "up": False, "resources": 0, "types": {}, "outputs": {}}


@pytest.mark.parametrize(
    ("types", "up", "count"),
    [(["pulumi:pulumi:Stack"], False, 0), (["pulumi:pulumi:Stack", "pulumi:providers:aws", "aws:s3/bucket:Bucket"], True, 2)],
)
def test_resources_are_counted_as_the_engine_counts_them(
    monkeypatch: pytest.MonkeyPatch,
    session_in: Callable[[str], Session],
    capsys: pytest.CaptureFixture[str],
    types: list[str],
    up: bool,
    count: int,
) -> None:
    session = session_in("cloud")
    answers = {"resources": lambda *_: [{"type": each} for each in types], "outputs": lambda *_: {"platform": "aws-lambda", "url": "u"}}
    for name, answer in answers.items():
        monkeypatch.setattr(Session, name, answer)
    monkeypatch.setattr(module, "open_session", lambda *_: session)
    status("demo", session.project.root, "cloud", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["up"], found["resources"]) == (up, count)
