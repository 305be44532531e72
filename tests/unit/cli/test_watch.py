"""Log lines from a log service (moto's) and times on the command line."""

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pilotlight.cli.exits import CommandError
from pilotlight.cli.watch import read, seconds_of

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
