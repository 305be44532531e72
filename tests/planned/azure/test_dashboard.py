"""The workbook by setting asks for tables, columns and metrics that there are; what it asks is in the lines of the functions."""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from components.azure.dashboard import AGGREGATIONS, address
from docs.generate.options import judged
from handlers.functions import logs, metrics
from handlers.functions.api import ApiFunction
from handlers.functions.azure.consuming import Consumer, Ended
from handlers.functions.azure.held import Held
from handlers.functions.azure.messages import Noted
from handlers.functions.azure.queues import Message
from handlers.functions.problems import NotReady
from handlers.functions.warming import Warmer, WarmingFailed
from pilotlight.planned import Planned, plan, ready_stacks
from pilotlight.twin.azure import kusto, workbook_items
from pilotlight.twin.azure.log_analytics import TABLES
from tests.planned.azure.conftest import ALERT, EVENTS, LATER, LOG_ALERT, STACK, WORKSPACE, N, plan_of
from tests.planned.azure.lines import NOON, Lines

WORKBOOK = f"{N}applicationinsights:Workbook"
SHOWN: dict[str, Any] = {"dashboard": True}
PINGED: dict[str, Any] = {**SHOWN, "warming": [{"kind": "ping", "everyMinutes": 5}]}
VARIANTS = [(stack, words) for stack in ready_stacks() if stack.startswith("azure-") for words in judged(stack)]


def workbook(stack: str = STACK, changes: Mapping[str, Any] = SHOWN) -> Planned:
    return plan_of(changes, stack).one(WORKBOOK)


def items(made: Planned, type_: int) -> dict[str, dict[str, Any]]:
    """The items of a kind by their names."""
    return {each["name"]: each["content"] for each in json.loads(made.inputs["serializedData"])["items"] if each["type"] == type_}


@pytest.mark.parametrize(("stack", "words"), VARIANTS, ids=[f"{stack} {words}" for stack, words in VARIANTS])
def test_every_query_and_every_chart_asks_for_what_there_is(stack: str, words: str) -> None:
    made = workbook(stack, {**judged(stack)[words], **SHOWN})
    assert list(workbook_items.problems(made.inputs["serializedData"])) == []
    assert len(items(made, 3)) >= 6


BREAKS: Mapping[str, Callable[[str], str]] = {
    "named 'ContainerAppConsoleLogs_CL': there is": lambda text: text.replace("ContainerAppConsoleLogs", "ContainerAppConsoleLogs_CL"),
    "named 'AppName'": lambda text: text.replace("ContainerAppName", "AppName"),
    "dynamic == string is not compared": lambda text: text.replace("tostring(line.event)", "line.event"),
    "containerapps has microsoft.app": lambda text: text.replace("containerapps--Requests", "containerapps--Request"),
    "no dimension 'statusCodes'": lambda text: text.replace("statusCodeCategory", "statusCodes"),
    "aggregation: 7 of Requests": lambda text: text.replace('"aggregation": 1', '"aggregation": 7'),
    "type: 12 is not served": lambda text: text.replace('"type": 3,', '"type": 12,'),
    "'span' is no parameter": lambda text: text.replace('FromParameter": "range"', 'FromParameter": "span"'),
    "visualization: 'lines'": lambda text: text.replace('"timechart"', '"lines"'),
    "is no JSON": lambda text: text[:-1],
}


@pytest.mark.parametrize("said", BREAKS)
def test_each_break_is_told(said: str) -> None:
    found = list(workbook_items.problems(BREAKS[said](workbook().inputs["serializedData"])))
    assert [each for each in found if said in each], found


def test_every_alert_is_a_chart_of_its_metric_and_its_dimensions() -> None:
    drawn = items(workbook(LATER), 10)
    alerts = plan_of(SHOWN, LATER).all(ALERT)
    assert len(alerts) >= 8
    for each in alerts:
        [one] = each.inputs["criteria"]["allOf"]
        content = drawn[f"{each.inputs['ruleName']}: alarm above {one['threshold']:g}"]
        [metric] = content["metrics"]
        kind = one["metricNamespace"].lower()
        assert (metric["namespace"], metric["metric"]) == (kind, f"{kind}--{one['metricName']}")
        assert metric["aggregation"] == AGGREGATIONS[one["timeAggregation"]]
        assert [each.inputs["scopes"][0].removesuffix("/queueServices/default")] == content["resourceIds"]
        assert [{"key": key["name"], "operator": 0, "values": key["values"]} for key in one["dimensions"]] == content["filters"]


def test_every_alert_on_lines_is_an_item_with_its_query() -> None:
    drawn = items(workbook(LATER), 3)
    rules = plan_of(SHOWN, LATER).all(LOG_ALERT)
    assert len(rules) == 4
    for each in rules:
        [one] = each.inputs["criteria"]["allOf"]
        content = drawn[f"{each.inputs['ruleName']}: alarm above {one['threshold']:g}"]
        assert (content["query"], content["visualization"]) == (one["query"], "timechart" if "metricMeasureColumn" in one else "table")


def test_there_is_one_when_asked_for_with_a_name_that_stays_and_an_address() -> None:
    assert plan_of({}).all(WORKBOOK) == []
    assert "dashboardUrl" not in plan(STACK).outputs
    made = workbook()
    assert str(uuid.UUID(made.inputs["resourceName"])) == made.inputs["resourceName"]
    assert len({workbook(stack).inputs["resourceName"] for stack in (STACK, EVENTS, LATER)}) == 3
    assert plan(STACK, SHOWN).outputs["dashboardUrl"] == address("00000000-0000-0000-0000-00000000000a", made.outputs["id"])
    assert made.inputs["sourceId"] == plan_of(SHOWN).one(WORKSPACE).outputs["id"].lower()


def test_what_the_functions_count_is_drawn_and_what_they_do_not_is_not() -> None:
    pings, later = {"Pings", "PingsCold", "PingsFailed"}, {"AnswersHandedOver", "AnswersDone", "AnswersFailed", "AnswerAttemptsFailed"}
    objects = {metrics.OBJECTS_PROCESSED, metrics.OBJECTS_FAILED, metrics.OBJECTS_PASSED_OVER}
    assert "counted" not in items(workbook(), 3)
    for stack, own in ((STACK, set()), (LATER, later), (EVENTS, objects)):
        drawn = kusto.read(items(workbook(stack, PINGED), 3)["counted"]["query"], TABLES, NOON).columns
        assert set(drawn) == {"TimeGenerated"} | own | pings, stack


class Written(Lines):
    """What a workbook's query finds among the lines."""

    def found(self, title: str, stack: str = STACK, changes: Mapping[str, Any] = SHOWN) -> list[dict[str, Any]]:
        return self.asked(items(workbook(stack, changes), 3)[title]["query"])


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.setenv("CONTAINER_APP_NAME", "api")
    return Written(capsys)


def without(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in ("TimeGenerated", *names)} for row in rows]


def answered(error: Exception) -> None:
    """One request that the function refuses, through the function's own code."""

    def read() -> Any:
        raise error

    settings: Any = None
    function = ApiFunction(settings, settings, max_answer_bytes=1, take_stages=dict)
    function.answer(read, call_id="a-call", deadline=NOON)


def test_cold_starts_are_told_by_stage_at_their_slowest(written: Written) -> None:
    metrics.cold_start(STACK, {"endpoint-boot": 120.5, "endpoint-load": 900}, request_id="a")
    metrics.cold_start(STACK, {"endpoint-boot": 80}, request_id="b")
    metrics.count(STACK, {"Pings": 1})
    logs.write("cold_start", stages={"boot": 5000})
    written.by("api")
    found = written.found("cold starts, slowest by stage (ms)")
    assert without(found) == [{"stage": "endpoint-boot", "slowest": 120.5}, {"stage": "endpoint-load", "slowest": 900.0}]


def test_answers_and_failures_are_told_by_app(written: Written) -> None:
    answered(NotReady("Later.", retry_after_s=1))
    answered(ValueError("broken"))
    written.by("api")
    answered(NotReady("Later.", retry_after_s=1))
    written.by("endpoint")
    written.by("endpoint")
    both = [{"ContainerAppName": "api", "answers": 2}, {"ContainerAppName": "endpoint", "answers": 1}]
    assert without(written.found("answers")) == without(written.found("answers of the 500s")) == both
    rows = written.found("latencies (ms)")
    assert [(row["ContainerAppName"], row["answers"], row["failed"]) for row in rows] == [("api", 2, 2), ("endpoint", 1, 1)]
    assert all(0 <= row["p50"] <= row["p95"] <= row["p99"] <= row["slowest"] < 1000 for row in rows)
    assert [row["ContainerAppName"] for row in written.found("one answer in twenty is slower (ms)")] == ["api", "endpoint"]


def test_what_was_counted_is_summed_by_time(written: Written) -> None:
    for at in (NOON, NOON + 60, NOON + 400):
        metrics.count(EVENTS, {metrics.OBJECTS_PROCESSED: 3, metrics.OBJECTS_FAILED: 0, metrics.OBJECTS_PASSED_OVER: 1})
        metrics.cold_start(EVENTS, {"load": 100})
        written.by("events", at)
    sums = [[row[name] for name in ("ObjectsProcessed", "ObjectsFailed", "ObjectsPassedOver")] for row in written.found("counted", EVENTS)]
    assert sums == [[6, 0, 2], [3, 0, 1]]


def test_dead_letters_are_counted_by_who_gave_them_up(written: Written) -> None:
    nothing: Any = None

    class Dead:
        """Takes letters, as a queue does."""

        def put(self, body: bytes, *, keep_s: int) -> None:
            assert Noted.read(body).told

    dead: Any = Dead()
    consumer = Consumer(nothing, dead, nothing, nothing)
    assert consumer._bury(Held(nothing, Message(id="m", body=b'{"id": "e"}', attempt=5), 30), Ended(done=False, reason="gone"))
    written.by("events")
    assert without(written.found("dead letters", EVENTS)) == [{"ContainerAppName": "events", "letters": 1}]
    assert "dead letters" not in items(workbook(), 3)


def test_pings_that_nobody_answered_are_counted_and_among_the_troubles(written: Written) -> None:
    def send(ping: Any) -> bytes:
        raise OSError("nobody there")

    with pytest.raises(WarmingFailed):
        Warmer(send, STACK).warm(2, batch_id="batch", seconds=5)
    written.by("warmer")
    assert [(row["Pings"], row["PingsFailed"]) for row in written.found("counted", STACK, PINGED)] == [(2, 2)]
    troubles = written.found("the last warnings and errors")
    assert sorted(row["event"] for row in troubles) == ["ping_failed", "ping_failed", "warmed"]
    assert "nobody there" in {row["message"] for row in troubles}
