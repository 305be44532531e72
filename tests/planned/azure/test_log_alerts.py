"""Alerts on lines: what no metric tells, found in the lines that the functions write."""

import re
from pathlib import Path
from typing import Any

import pytest

from components.azure.log_queries import FAULTS
from docs.generate.options import judged
from handlers.functions import logs, metrics
from handlers.functions.attempts import Attempts
from handlers.functions.azure.consumer_settings import ConsumerSettings
from handlers.functions.azure.consuming import Consumer
from handlers.functions.azure.held import Held
from handlers.functions.azure.queues import Message
from pilotlight.planned import ready_stacks
from pilotlight.twin.azure import log_rules
from pilotlight.twin.azure.types import LOG_ALERT as TOKEN
from pilotlight.twin.world import Resource
from tests.planned.azure.conftest import ALERT, APP, EVENTS, LATER, LOG_ALERT, MAIL, STACK, WORKSPACE, plan_of
from tests.planned.azure.lines import NOON, Lines

ROLES = {EVENTS: ("events", "events-old", "function-errors"), LATER: ("worker", "answers-old", "worker-errors")}
VARIANTS = [(stack, words) for stack in ready_stacks() if stack.startswith("azure-") for words in judged(stack)]


@pytest.mark.parametrize(("stack", "words"), VARIANTS, ids=[f"{stack} {words}" for stack, words in VARIANTS])
def test_every_rule_asks_for_what_there_is_over_the_lines_of_the_stack(stack: str, words: str) -> None:
    made = plan_of(judged(stack)[words], stack)
    for each in made.all(LOG_ALERT):
        assert list(log_rules.problems(each.inputs)) == []
        assert each.inputs["scopes"] == [made.one(WORKSPACE).outputs["id"]]
    # Who takes messages has no ingress: its age and its faults are told by lines. The others' latencies are.
    inside = [each for each in made.all(APP) if not each.inputs["configuration"].get("ingress")]
    assert len(made.all(LOG_ALERT)) == 2 * len(inside) + (len(made.all(APP)) - len(inside))


def test_without_alarms_there_is_none_and_with_an_address_they_are_mailed() -> None:
    assert plan_of({"alarms.enabled": False}, EVENTS).all(LOG_ALERT) == []
    assert [each.inputs["ruleName"] for each in plan_of({}, STACK).all(LOG_ALERT)] == ["endpoint-latency", "function-latency"]
    made = plan_of({"alarms.email": "ops@example.com"}, EVENTS)
    assert [each.inputs["actions"] for each in made.all(LOG_ALERT)] == [{"actionGroups": [made.one(MAIL).outputs["id"]]}] * 3
    assert ["actions" in each.inputs for each in plan_of({}, EVENTS).all(LOG_ALERT)] == [False] * 3


@pytest.mark.parametrize("stack", [EVENTS, STACK])
def test_no_alert_counts_pings_among_latencies(stack: str) -> None:
    made = plan_of({"warming": [{"kind": "ping", "everyMinutes": 5}]}, stack)
    assert "ResponseTime" not in [one["metricName"] for each in made.all(ALERT) for one in each.inputs["criteria"]["allOf"]]


def test_what_is_looked_at_is_looked_at_as_seldom_as_is_cheapest() -> None:
    assert {(each.inputs["evaluationFrequency"], each.inputs["windowSize"]) for each in plan_of({}, EVENTS).all(LOG_ALERT)} == {
        ("PT15M", "PT15M")
    }


class Watched:
    """An app that takes messages, by its own code, and whether a rule of its stack is met by what it writes."""

    def __init__(self, stack: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.lines, self._rules = Lines(capsys), {each.inputs["ruleName"]: each.inputs for each in plan_of({}, stack).all(LOG_ALERT)}
        self.stack, (self.role, self.old, self.errors) = stack, ROLES[stack]
        [self.app] = [each.inputs["containerAppName"] for each in plan_of({}, stack).all(APP) if self._takes(each.inputs)]

    def met(self, name: str) -> bool:
        rule = log_rules.read(Resource(token=TOKEN, id=name, urn="", outputs=self._rules[name]))
        assert rule is not None
        return any(map(rule.met, rule.figures(self.lines.asked(rule.query)).values()))

    def consumer(self, error: Exception | None = None) -> Consumer:
        nothing: Any = None

        def work(task: Any, seconds_left: Any) -> Any:
            raise error or AssertionError

        settings = ConsumerSettings(attempts=Attempts(most=3, unseen_s=30), concurrency=1, timeout_s=1, drain_s=1)
        return Consumer(nothing, nothing, work, settings, now=lambda: NOON)

    def _takes(self, app: Any) -> bool:
        return bool(app["containerAppName"].startswith(f"{self.role}-"))


@pytest.fixture(params=ROLES)
def watched(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setenv("CONTAINER_APP_NAME", "api")
    return Watched(request.param, capsys)


def message(age_s: float = 0) -> Message:
    return Message(id="m", body=b'{"id": "e"}', attempt=1, inserted=NOON - age_s)


def test_a_message_that_had_waited_for_an_hour_is_told_and_a_younger_one_is_not(watched: Watched) -> None:
    watched.consumer()._tell_age([message(3599), message(5)])
    watched.lines.by(watched.app)
    watched.consumer()._tell_age([message(9000)])
    watched.lines.by("another-app")
    assert not watched.met(watched.old)
    watched.consumer()._tell_age([message(5), message(3601)])
    watched.lines.by(watched.app)
    assert watched.met(watched.old)
    assert not watched.met(watched.errors)


def test_a_fault_of_the_functions_own_is_told_and_an_objects_or_another_apps_is_not(watched: Watched) -> None:
    nothing: Any = None
    watched.consumer(ValueError("broken"))._ended(Held(nothing, message(), 30))
    watched.lines.by("another-app")
    logs.write("object", level="ERROR", outcome="refused")
    logs.write("dead_letter", level="ERROR", reason="function_fault")
    watched.lines.by(watched.app)
    assert not watched.met(watched.errors)
    watched.consumer(ValueError("broken"))._ended(Held(nothing, message(), 30))
    watched.lines.by(watched.app)
    assert watched.met(watched.errors)


def test_a_request_close_to_its_deadline_is_told_and_a_quicker_one_a_ping_or_another_apps_is_not(watched: Watched) -> None:
    model = next(each.inputs["containerAppName"] for each in plan_of({}, watched.stack).all(APP) if "endpoint" in each.name)
    logs.write("request", **metrics.latency(None, 9000))
    logs.write("ping", ms=9900)
    watched.lines.by(model)
    logs.write("request", **metrics.latency(None, 9900))
    watched.lines.by("another-app")
    assert not watched.met("endpoint-latency")
    logs.write("request", **metrics.latency(None, 9000.5))
    watched.lines.by(model)
    assert watched.met("endpoint-latency")


def test_every_fault_that_is_looked_for_is_one_that_the_functions_write() -> None:
    text = "\n".join(each.read_text() for each in Path("handlers").rglob("*.py"))
    written = {*re.findall(r'write_fault\("(\w+)"', text), *re.findall(r'write\("(\w+)", level="ERROR"', text)}
    assert {*FAULTS} <= written
    # One more fault is one more to look for, but those of other clouds.
    own = [each for each in Path("handlers/functions").rglob("*.py") if not {"aws", "gcp"} & {*each.parts}]
    assert {name for each in own for name in re.findall(r'write_fault\("(\w+)"', each.read_text())} <= {*FAULTS}
