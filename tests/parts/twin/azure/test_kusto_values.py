"""What queries make of log lines: columns, groups, percentiles; and what of that is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.azure import log_queries
from components.azure.log_queries import TABLE
from pilotlight.cli.azure.logs import COLUMNS
from pilotlight.twin.azure import kusto
from pilotlight.twin.azure.times import iso
from pilotlight.twin.rows import Refusal

NOW = 1_800_000_000.0
TABLES = {"Lines": {"TimeGenerated": "datetime", "App": "string", "Log": "string"}}
MADE = [(400, {"event": "request", "ms": ms, "status": 200 if ms < 95 else 503}) for ms in range(1, 101)]
OTHERS: list[tuple[float, Any]] = [
    (60, {"event": "metrics", "Stage": "load", "ColdStart": 900.5}),
    (30, {"event": "metrics", "Stage": "boot", "ColdStart": "120"}),
    (10, {"event": "request", "ms": None, "more": {"deep": [1, 2]}}),
    (0, "Traceback (most recent call last):"),
]
RECORDS = [
    {"TimeGenerated": iso(NOW - ago), "App": "one", "Log": line if isinstance(line, str) else json.dumps(line)}
    for ago, line in [*MADE, *OTHERS]
]
LINE = "Lines | extend line = parse_json(Log)"
REQUESTS = f'{LINE} | where tostring(line.event) == "request" | extend ms = todouble(line.ms), status = tolong(line.status)'


def answer(text: str) -> list[list[Any]]:
    query = kusto.read(text, TABLES, NOW)
    return [query.told(row) for row in query.run(RECORDS)]


def test_what_is_in_a_line_of_json_is_a_column() -> None:
    metrics = f'{LINE} | where tostring(line.event) == "metrics" | project stage = tostring(line.Stage), ms = todouble(line.ColdStart)'
    assert answer(metrics) == [["load", 900.5], ["boot", 120.0]]
    assert kusto.read(metrics, TABLES, NOW).columns == {"stage": "string", "ms": "real"}


def test_a_line_that_is_no_json_has_nothing_in_it() -> None:
    query = f'{LINE} | where Log startswith "Traceback" | project line, line.event, none = tostring(line.event)'
    assert answer(query) == [[RECORDS[-1]["Log"], "", ""]]
    assert list(kusto.read(query, TABLES, NOW).columns) == ["line", "line_event", "none"]
    assert answer(f"{LINE} | where isnull(line.event) | project App, n = todouble(line.event)") == [["one", None]]


def test_what_a_line_holds_is_told_as_json() -> None:
    [[more, deep]] = answer(f"{LINE} | where isnotnull(line.more) | project more = line.more, deep = tostring(line.more.deep)")
    assert (json.loads(more), deep) == ({"deep": [1, 2]}, "[1,2]")


def test_percentiles_are_the_nearest_ranks_and_nulls_do_not_count() -> None:
    summary = "summarize p50 = percentile(ms, 50), p99 = percentile(ms, 99), most = max(ms), least = min(ms), mean = avg(ms), n = count()"
    assert answer(f"{REQUESTS} | {summary}") == [[50.0, 99.0, 100.0, 1.0, 50.5, 101]]


def test_groups_are_counted_by_time_and_by_values() -> None:
    summary = "summarize n = count(), bad = countif(status >= 500) by bin(TimeGenerated, 5m), App"
    early, late = (iso((NOW - ago) // 300 * 300) for ago in (400, 10))
    assert answer(f"{REQUESTS} | {summary} | order by TimeGenerated asc") == [[early, "one", 100, 6], [late, "one", 1, 0]]
    assert answer(f"{LINE} | summarize sum = sum(tolong(line.ms)) by kind = tostring(line.event) | order by sum desc | take 1") == [
        ["request", 5050]
    ]


def test_of_no_records_there_is_one_row_without_keys_and_none_with() -> None:
    assert answer('Lines | where App == "none" | summarize n = count()') == [[0]]
    assert answer('Lines | where App == "none" | summarize n = count() by App') == []


def test_a_column_that_may_be_missing_is_asked_for_with_what_stands_for_it() -> None:
    asked = 'Lines | take 1 | project job = column_ifexists("Job", "none"), app = column_ifexists("App", "")'
    assert answer(asked) == [["none", "one"]]
    assert kusto.read(asked, TABLES, NOW).columns == {"job": "string", "app": "string"}
    with pytest.raises(Refusal, match="takes a column's name and another value, not datetime and string"):
        answer('Lines | project job = column_ifexists(TimeGenerated, "")')


@pytest.mark.parametrize("query", [f"{TABLE} | project {COLUMNS}", log_queries.troubles()], ids=["pilotlight logs", "the workbook"])
def test_lines_are_read_where_no_job_ever_wrote_one(query: str) -> None:
    """A workspace has a column once a line had it; one that a query names and that is not there is refused."""
    known = {"TimeGenerated": "datetime", **dict.fromkeys(("ContainerAppName", "ContainerGroupName", "Log"), "string")}
    line = json.dumps({"level": "ERROR", "event": "function_fault"})
    row = {"TimeGenerated": iso(NOW), "ContainerAppName": "one", "ContainerGroupName": "one--1", "Log": line}
    [found] = kusto.read(query, {TABLE: known}, NOW).run([row])
    assert (found["ContainerAppName"], found["Job"]) == ("one", "")


def test_null_is_neither_more_nor_less_nor_equal() -> None:
    null = f"{LINE} | where isnull(line.event) | extend n = todouble(line.event)"
    assert [len(answer(f"{null} | where n {sign} 1")) for sign in ("==", "!=", ">", "<=")] == [0, 1, 0, 0]


def test_steps_are_taken_one_after_the_other() -> None:
    assert answer('Lines | take 1 | where Log has "Traceback"') == []
    assert answer("Lines | order by TimeGenerated desc | take 1 | project Log") == [[RECORDS[-1]["Log"]]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Lines | where Log.event == 'x'", "Log is a string and has nothing in it: use parse_json()"),
        (f"{LINE} | where line.event == 'x'", "dynamic == string is not compared: use tostring()"),
        (f"{LINE} | where line.ms > 5", "dynamic > long is not compared"),
        ("Lines | where TimeGenerated > 5", "datetime > long is not compared"),
        (f"{LINE} | summarize n = count() by line", "of a 'dynamic' type"),
        (f"{LINE} | summarize n = sum(line.ms)", "sum() takes one long or real, not dynamic"),
        ("Lines | summarize count()", "wants a name for 'count'"),
        ("Lines | summarize n = dcount(App)", "not 'dcount'"),
        (f"{REQUESTS} | summarize n = percentile(ms, 101)", "101 is out of range"),
        (f"{LINE} | extend tostring(line.event)", "wants a name for each column"),
        (f"{LINE} | summarize n = count() by tostring(line.event)", "wants a name for what groups"),
        ("Lines | extend n = strlen(Log)", "not 'strlen'"),
        ("Lines | extend n = parse_json(TimeGenerated)", "parse_json() takes one string, not datetime"),
        ("Lines | extend n = bin(App, 5)", "bin() takes a datetime and a timespan"),
        ("Lines | project App | where Log has 'x'", "named 'Log': the table has App"),
        ("Lines | summarize n = count() by App | where TimeGenerated > ago(1m)", "the table has App, n"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_way_out(text: str, said: str) -> None:
    with pytest.raises(Refusal) as refused:
        kusto.read(text, TABLES, NOW)
    assert said in refused.value.message
