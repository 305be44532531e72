import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.twin.aws import logs as module
from pilotlight.twin.aws.logs import LOG_GROUP, Logs
from pilotlight.twin.aws.logs_api import LogsService
from pilotlight.twin.aws.logs_filter import matcher
from pilotlight.twin.rows import AwsRequest, Caller, Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.front.declared import Declared

WRITE = [{"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/api:*"}]


@pytest.fixture
def logs(account: Declared, tmp_path: Path) -> Logs:
    return Logs(tmp_path, account.world, account.iam, account="123456789012", region="us-east-1")


def declare(account: Declared, name: str) -> None:
    account.world.put(Resource(token=LOG_GROUP, id=name, urn=name, outputs={"name": name, "retentionInDays": 7}))


def messages(logs: Logs, group: str) -> list[str]:
    return [event.message for event in logs.events(group)]


def test_a_role_writes_to_a_declared_group_where_it_may(account: Declared, logs: Logs) -> None:
    declare(account, "/aws/lambda/api")
    may, may_not = account.role("may", policy=WRITE), account.role("may-not")
    logs.write("/aws/lambda/api", "a", ["one", "two"], may)
    logs.write("/aws/lambda/api", "a", ["lost"], may_not)
    logs.write("/aws/lambda/api", "b", ["by the twin"], None)
    assert messages(logs, "/aws/lambda/api") == ["one", "two", "by the twin"]


def test_lines_for_a_missing_group_are_lost_unless_the_role_may_create_it(account: Declared, logs: Logs) -> None:
    logs.write("/aws/lambda/api", "a", ["lost"], account.role("may", policy=WRITE))
    logs.write("/aws/lambda/api", "a", ["lost"], None)
    assert logs.groups() == []
    create = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    logs.write("/aws/lambda/api", "a", ["kept"], account.role("creates", policy=[create]))
    assert messages(logs, "/aws/lambda/api") == ["kept"]


def test_a_deleted_group_takes_its_lines_with_it(account: Declared, logs: Logs) -> None:
    logs.create_group("g")
    logs.write("g", "s", ["x"], None)
    logs.delete_group("g")
    logs.delete_group("g")
    with pytest.raises(Refusal, match="does not exist"):
        logs.events("g")
    logs.create_group("g")
    assert messages(logs, "g") == []


def test_lines_survive_a_restart_and_half_a_line_costs_only_itself(account: Declared, logs: Logs, tmp_path: Path) -> None:
    logs.create_group("a/b c")
    logs.write("a/b c", "s", ["first ü"], None)
    (file,) = (tmp_path / "logs").glob("*.jsonl")
    with file.open("a") as broken:
        broken.write('[7, 12345, "cut of')
    again = Logs(tmp_path, account.world, account.iam, account="123456789012", region="us-east-1")
    again.write("a/b c", "s", ["second"], None)
    assert messages(again, "a/b c") == ["first ü", "second"]
    assert again.groups() == ["a/b c"]


def test_a_group_keeps_its_newer_half(account: Declared, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP_BYTES", 2000)
    logs.create_group("g")
    for number in range(100):
        logs.write("g", "s", [f"line {number} {'x' * 40}"], None)
    kept = messages(logs, "g")
    assert kept[-1].startswith("line 99 ")
    assert logs.size("g") <= 4200
    assert len(kept) < 60


def call(service: LogsService, name: str, **parameters: Any) -> dict[str, Any]:
    request = AwsRequest(
        service="logs",
        region="us-east-1",
        caller=Caller(arn="a", account="123456789012"),
        method="POST",
        path="/",
        query={},
        headers={"x-amz-target": f"Logs_20140328.{name}"},
        body=json.dumps(parameters).encode(),
    )
    service.actions(request)
    return dict(json.loads(asyncio.run(service.handle(request)).body))


@pytest.fixture
def service(logs: Logs, account: Declared) -> LogsService:
    return LogsService(logs, account.world)


def test_filtering_pages_through_all_events_by_time(service: LogsService, logs: Logs) -> None:
    logs.create_group("g")
    logs.append("g", "s", [(1000 + n, f"m{n}") for n in range(25)])
    found, token = [], {}
    while True:
        page = call(service, "FilterLogEvents", logGroupName="g", limit=10, startTime=1003, endTime=1020, **token)
        found += [event["message"] for event in page["events"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert found == [f"m{n}" for n in range(3, 21)]


def test_a_follower_that_starts_from_the_last_time_sees_later_events(service: LogsService, logs: Logs) -> None:
    logs.create_group("g")
    logs.append("g", "s", [(1000, "old")])
    logs.append("g", "s", [(1000, "same moment"), (1001, "new")])
    assert [e["message"] for e in call(service, "FilterLogEvents", logGroupName="g", startTime=1001)["events"]] == ["new"]
    ids = [e["eventId"] for e in call(service, "FilterLogEvents", logGroupName="g")["events"]]
    assert len(set(ids)) == 3


def test_getting_events_goes_both_ways_and_ends_where_the_token_stays(service: LogsService, logs: Logs) -> None:
    logs.create_group("g")
    logs.append("g", "s", [(n + 1, str(n)) for n in range(10)])
    where = {"logGroupName": "g", "logStreamName": "s", "limit": 4}
    last = call(service, "GetLogEvents", **where)
    assert [e["message"] for e in last["events"]] == ["6", "7", "8", "9"]
    before = call(service, "GetLogEvents", **where, nextToken=last["nextBackwardToken"])
    assert [e["message"] for e in before["events"]] == ["2", "3", "4", "5"]
    end = call(service, "GetLogEvents", **where, nextToken=last["nextForwardToken"])
    assert end["events"] == []
    assert end["nextForwardToken"] == last["nextForwardToken"]
    assert [e["message"] for e in call(service, "GetLogEvents", **where, startFromHead=True)["events"]] == ["0", "1", "2", "3"]


def test_streams_are_created_described_and_written(service: LogsService, logs: Logs, account: Declared) -> None:
    declare(account, "g")
    call(service, "CreateLogStream", logGroupName="g", logStreamName="s")
    call(service, "PutLogEvents", logGroupName="g", logStreamName="s", logEvents=[{"timestamp": 5, "message": "hi"}])
    (stream,) = call(service, "DescribeLogStreams", logGroupName="g")["logStreams"]
    assert (stream["logStreamName"], stream["lastEventTimestamp"]) == ("s", 5)
    (group,) = call(service, "DescribeLogGroups", logGroupNamePrefix="g")["logGroups"]
    assert group["retentionInDays"] == 7
    assert group["arn"].endswith(":log-group:g:*")


def test_groups_are_paged(service: LogsService, logs: Logs) -> None:
    for number in range(5):
        logs.create_group(f"g{number}")
    first = call(service, "DescribeLogGroups", limit=3)
    rest = call(service, "DescribeLogGroups", limit=3, nextToken=first["nextToken"])
    assert [g["logGroupName"] for g in first["logGroups"] + rest["logGroups"]] == [f"g{n}" for n in range(5)]
    assert "nextToken" not in rest


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("FilterLogEvents", {}, "logGroupName is missing"),
        ("FilterLogEvents", {"logGroupName": "none"}, "log group does not exist"),
        ("FilterLogEvents", {"logGroupName": "g", "nextToken": "x"}, "nextToken is invalid"),
        ("GetLogEvents", {"logGroupName": "g", "logStreamName": "none"}, "log stream does not exist"),
        ("GetLogEvents", {"logGroupName": "g", "logStreamName": "s", "nextToken": "up/1"}, "nextToken is invalid"),
        ("PutLogEvents", {"logGroupName": "g", "logStreamName": "s", "logEvents": [{}]}, "needs a timestamp"),
        ("PutLogEvents", {"logGroupName": "g", "logStreamName": "s", "logEvents": []}, "at least one"),
        ("CreateLogStream", {"logGroupName": "g", "logStreamName": "s"}, "already exists"),
        ("CreateLogGroup", {"logGroupName": "g"}, "already exists"),
        ("DescribeLogGroups", {"nextToken": "x"}, "nextToken is invalid"),
        ("StartQuery", {}, "does not serve logs:StartQuery"),
    ],
)
def test_wrong_requests_are_refused_in_words(service: LogsService, logs: Logs, name: str, parameters: dict[str, Any], message: str) -> None:
    logs.create_group("g")
    logs.append("g", "s", [])
    with pytest.raises(Refusal, match=message):
        call(service, name, **parameters)


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "x", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR -Timeout", "ERROR Timeout", False),
        ("?a ?b", "only b", True),
        ('"two words"', "these two words", True),
        ('{ $.event = "cold_start" }', '{"event": "cold_start"}', True),
        ("{ $.event = cold* }", '{"event": "cold_start"}', True),
        ("{ $.a.b >= 3 }", '{"a": {"b": 3}}', True),
        ("{ $.a.b < 3 }", '{"a": {"b": 3}}', False),
        ("{ $.ok = true }", '{"ok": true}', True),
        ("{ $.ok = true }", "no JSON", False),
        ("{ $.ok != 1 }", '{"ok": 2}', True),
    ],
)
def test_filter_patterns(pattern: str, message: str, expected: bool) -> None:
    assert matcher(pattern)(message) is expected


@pytest.mark.parametrize("pattern", ["[a, b]", "{ $.a = 1 && $.b = 2 }", "{ a }"])
def test_patterns_that_the_twin_does_not_know_are_refused(pattern: str) -> None:
    with pytest.raises(Refusal, match="The twin knows"):
        matcher(pattern)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_pattern_makes_the_filter_fail(pattern: str, message: str) -> None:
    with contextlib.suppress(Refusal):
        assert matcher(pattern)(message) in (True, False)
