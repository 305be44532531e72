"""Queries of log lines: what they find, and what is refused."""

from __future__ import annotations

import pytest

from pilotlight.twin.azure import kusto
from pilotlight.twin.azure.times import iso
from pilotlight.twin.rows import Refusal

NOW = 1_800_000_000.0
TABLES = {"Lines": {"TimeGenerated": "datetime", "ContainerAppName": "string", "Log": "string"}}
RECORDS = [
    {"TimeGenerated": iso(NOW - 600), "ContainerAppName": "one", "Log": 'the first "line"'},
    {"TimeGenerated": iso(NOW - 60), "ContainerAppName": "two", "Log": "second-line of two"},
    {"TimeGenerated": iso(NOW), "ContainerAppName": "One", "Log": "outlines"},
]


def found(text: str) -> list[int]:
    """The places of the records that a query finds, in its order."""
    return [RECORDS.index(dict(row)) for row in kusto.read(text, TABLES, NOW).run(RECORDS)]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("Lines", [0, 1, 2]),
        ('Lines | where ContainerAppName == "one"', [0]),
        ("Lines | where ContainerAppName =~ 'ONE'", [0, 2]),
        ("Lines | where ContainerAppName != 'one'", [1, 2]),
        ('Lines|where ContainerAppName in ("one","two") | take 1', [0]),
        ('Lines | where Log contains "LINE" and ContainerAppName startswith "o"', [0, 2]),
        ('Lines | where Log has "line"', [0, 1]),
        (r'Lines | where Log contains "\"line\""', [0]),
        ("Lines | where TimeGenerated > ago(5m)", [1, 2]),
        (f"Lines | where TimeGenerated >= datetime({iso(NOW - 60)[:-2]}Z) | where TimeGenerated < now()", [1]),
        ("Lines\n| order by TimeGenerated\n| limit 2", [2, 1]),
        ("Lines | sort by TimeGenerated asc", [0, 1, 2]),
    ],
)
def test_a_query_finds_what_its_conditions_say(text: str, places: list[int]) -> None:
    assert found(text) == places


def test_a_query_says_which_columns_it_wants() -> None:
    assert list(kusto.read("Lines | project Log, TimeGenerated", TABLES, NOW).columns) == ["Log", "TimeGenerated"]
    assert kusto.read("Lines", TABLES, NOW).columns == TABLES["Lines"]
    assert kusto.read("Lines | project app = ContainerAppName | take 1", TABLES, NOW).run(RECORDS) == [{"app": "one"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "ends too soon"),
        ("Others", "'Others': there is Lines"),
        ("Lines | join Lines", "not 'join'"),
        ("Lines | where Nope == 'x'", "'Nope': the table has TimeGenerated"),
        ("Lines | where Log matches regex 'x'", "'matches' is not understood"),
        ("Lines | where Log == x", "named 'x': the table has TimeGenerated"),
        ("Lines | where Log == 'x' or Log == 'y'", "'|' was expected, not 'or'"),
        ("Lines | where TimeGenerated > ago(5y)", "'5y"),
        ("Lines | where TimeGenerated > datetime(yesterday)", "'yesterday'"),
        ("Lines | take many", "a number was expected, not 'many'"),
        ("Lines where", "'|' was expected"),
        ("Lines | where Log == 'open", "is not understood"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(Refusal, match="had some invalid properties") as refused:
        kusto.read(text, TABLES, NOW)
    assert said in refused.value.message
