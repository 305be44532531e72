"""Scale rules: what is refused, and when those of the clock hold, on the days when clocks change too."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pilotlight.twin.azure.scale_rules import CronRule, HttpRule, LoadRule, QueueRule, rule_problems, rules_of

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = {"timezone": "Europe/Berlin", "start": "0 8 * * mon-fri", "end": "0 18 * * mon-fri", "desiredReplicas": "2"}
QUEUE = {"accountName": "account", "queueName": "objects", "queueLength": 5, "identity": "/an/identity"}


def custom(kind: str, metadata: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"name": kind, "custom": {"type": kind, "metadata": metadata, **more}}


def found(*rules: dict[str, Any], **scale: Any) -> list[str]:
    return list(rule_problems({"rules": list(rules), **scale}, "template.scale."))


def cron(**metadata: str) -> CronRule:
    rule = rules_of({"scale": {"rules": [custom("cron", {**OFFICE, **metadata})]}}, None)[0]
    assert isinstance(rule, CronRule)
    return rule


def at(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def test_rules_are_read_as_keda_reads_them() -> None:
    queue = custom("azure-queue", {"accountName": "account", "queueName": "objects"}, identity="system")
    rules = [{"name": "http", "http": {"metadata": {"concurrentRequests": "7"}}}, {"name": "q", "azureQueue": QUEUE}, queue]
    cpu = custom("cpu", {"type": "Utilization", "value": "80"})
    assert rules_of({"scale": {"rules": [*rules, cpu]}}, None) == (
        HttpRule(requests=7),
        QueueRule(account="account", queue="objects", length=5, identity="/an/identity"),
        QueueRule(account="account", queue="objects", length=5, identity="system"),
        LoadRule(kind="cpu"),
    )
    assert found(*rules, cpu) == []


def test_an_app_with_ingress_has_a_rule_and_one_without_has_none() -> None:
    assert rules_of({}, {"external": True}) == (HttpRule(requests=10),)
    assert rules_of({"scale": {"rules": []}}, None) == ()


def test_a_cron_rule_holds_from_its_start_to_its_end_on_the_local_clock() -> None:
    rule = cron()
    moments = ["2026-11-26T07:59:59", "2026-11-26T08:00:00", "2026-11-26T17:59:59", "2026-11-26T18:00:00", "2026-11-28T12:00:00"]
    assert [rule.active(at(moment)) for moment in moments] == [False, True, True, False, False]
    assert rule.next_change(at("2026-11-27T18:00:00")) == at("2026-11-30T08:00:00")


def test_a_window_over_midnight_holds_through_it() -> None:
    rule = cron(start="0 22 * * *", end="0 6 * * *")
    assert [rule.active(at(f"2026-11-26T{hour}:30:00")) for hour in ("21", "22", "00", "05", "06")] == [False, True, True, True, False]


def test_a_window_is_an_hour_longer_or_shorter_where_the_clocks_change_in_it() -> None:
    rule = cron(start="0 1 * * *", end="0 5 * * *")
    for day, hours in (("2026-03-29", 3), ("2026-03-30", 4), ("2026-10-25", 5)):
        start, end = at(f"{day}T01:00:00"), at(f"{day}T05:00:00")
        assert end - start == hours * 3600
        assert [rule.active(start - 1), rule.active(start), rule.active(end - 1), rule.active(end)] == [False, True, True, False]


def test_before_a_start_that_the_clocks_skip_the_rule_holds_for_a_day() -> None:
    """KEDA only looks ahead: with no start that day, the next thing that it sees is an end."""
    rule = cron(start="30 2 * * *", end="0 5 * * *")
    moments = ["2026-03-27T12:00:00", "2026-03-28T12:00:00", "2026-03-29T04:59:00", "2026-03-29T12:00:00"]
    assert [rule.active(at(moment)) for moment in moments] == [False, True, True, False]


def test_a_start_that_comes_twice_is_the_first_one() -> None:
    rule = cron(start="30 2 * * *", end="0 5 * * *")
    assert rule.active(at("2026-10-25T02:30:00", fold=0))
    assert rule.active(at("2026-10-25T02:15:00", fold=1))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            custom("kafka", {}),
            "template.scale.rules[0].custom.type: 'kafka': the local twin scales by azure-queue, cpu, cron, http, memory.",
        ),
        ({"name": "a", "tcp": {"metadata": {"concurrentConnections": "5"}}}, "rules[0].tcp: the local twin's ingress speaks HTTP"),
        ({"name": "a"}, "none is given: use exactly one"),
        ({"name": "a", "http": {}, "custom": {"type": "cron"}}, "exclude each other"),
        ({"http": {"metadata": {"concurrentRequests": "5"}}}, "rules[0].name: is missing"),
        ({"name": "a", "http": {"metadata": {"concurrentRequests": "0"}}}, "concurrentRequests: '0': use a whole number of 1 or more"),
        ({"name": "a", "http": {"metadata": {"concurrent": "5"}}}, "http.metadata.concurrent: is not known to rules of type 'http'"),
        ({"name": "a", "azureQueue": {**QUEUE, "queueName": None}}, "azureQueue.queueName: is missing"),
        ({"name": "a", "azureQueue": {**QUEUE, "identity": None}}, "azureQueue.identity: is missing"),
        (custom("azure-queue", {"accountName": "a", "queueName": "b", "queueLength": "5.5"}, identity="x"), "queueLength: '5.5'"),
        (custom("azure-queue", {"accountName": "a", "queueName": "b"}, auth=[{"secretRef": "s"}]), "custom.auth: the local twin's"),
        (custom("cron", {"timezone": "Europe/Berlin", "start": "0 8 * * *", "end": "0 9 * * *"}), "desiredReplicas: is missing"),
        (custom("cron", {**OFFICE, "timezone": "Mars/Base"}), "timezone: time zone 'Mars/Base'"),
        (custom("cron", {**OFFICE, "start": "0 8 * *"}), "custom.metadata.start: '0 8 * *' has 4 fields"),
        (custom("cron", {**OFFICE, "end": "0 8 * * 7"}), "custom.metadata.end: '0 8 * * 7': weekday 7: use 0 for Sunday"),
        (custom("cron", {**OFFICE, "end": OFFICE["start"]}), "is the start too"),
    ],
)
def test_what_is_no_rule_is_told_by_its_path(rule: dict[str, Any], text: str) -> None:
    problems = found(rule)
    assert len(problems) == 1
    assert text in problems[0]


def test_processor_and_memory_alone_cannot_scale_from_zero() -> None:
    cpu, memory = (custom(kind, {"type": "Utilization", "value": "80"}) for kind in ("cpu", "memory"))
    assert found(cpu, memory) == [
        "template.scale.minReplicas: 0 with rules for cpu and memory alone: use 1 or more, they can't scale from zero "
        "(Container Apps documentation, set scaling rules)."
    ]
    assert found(cpu, minReplicas=1) == []
    assert found(cpu, {"name": "http", "http": {"metadata": {"concurrentRequests": "5"}}}) == []


def test_a_name_is_there_once() -> None:
    rule = {"name": "same", "http": {"metadata": {"concurrentRequests": "5"}}}
    assert found(rule, rule) == ["template.scale.rules: the name 'same' is there twice."]
