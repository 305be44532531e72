"""The judge of a storm can fail: each thing that must not be is found."""

import json
from typing import Any

import pytest

from tests.storm.uploads import Upload, Uploaded, planned
from tests.storm.verdict import LATEST, judge
from tests.support.vectors import TEXTS

BUCKET = "objects"
UPLOADED = [Uploaded(upload=Upload(key="a", text=text), version=version) for text, version in (("english", "v1"), ("chinese", "v2"))]
NEWEST = {f"{BUCKET}/a": "v2"}


def rows() -> list[dict[str, Any]]:
    """What the table holds when all went well."""
    answers = [
        {"object": f"{BUCKET}/a", "version": done.version, "result": json.dumps({"outputs": TEXTS[done.upload.text]["sentence"]})}
        for done in UPLOADED
    ]
    return [*answers, {"object": f"{BUCKET}/a", "version": LATEST, "latest": "v2"}]


def test_a_storm_without_damage_has_no_faults() -> None:
    verdict = judge(UPLOADED, BUCKET, rows(), [], NEWEST)
    assert (verdict.faults, verdict.rows, verdict.dead) == ([], 2, 0)


def test_a_dead_letter_is_not_lost() -> None:
    verdict = judge(UPLOADED, BUCKET, rows()[1:], [(f"{BUCKET}/a", "v1")], NEWEST)
    assert (verdict.faults, verdict.rows, verdict.dead) == ([], 1, 1)


def test_where_one_version_is_kept_alone_a_later_row_takes_the_place_of_an_earlier_one() -> None:
    told = [(f"{BUCKET}/a", version) for version in ("v1", "v2")]
    verdict = judge(UPLOADED, BUCKET, rows()[1:], [], NEWEST, passed_over=told)
    assert (verdict.faults, verdict.rows, verdict.dead, verdict.overtaken) == ([], 1, 0, 1)
    verdict = judge(UPLOADED, BUCKET, [*rows()[:1], rows()[2] | {"latest": "v1"}], [], NEWEST, passed_over=told)
    assert [fault.partition(":")[0] for fault in verdict.faults] == ["lost"], "the later one itself is not replaced by anything"
    verdict = judge(UPLOADED, BUCKET, rows()[1:], [], NEWEST, passed_over=told[1:])
    assert [fault.partition(":")[0] for fault in verdict.faults] == ["lost"], "nobody has said that it was passed over"


def messages() -> list[dict[str, Any]]:
    """What the queue holds when all went well."""
    return [{**row, "result": json.loads(row["result"])} for row in rows()[:2]]


def test_a_result_may_be_sent_again_but_no_other_one() -> None:
    sent = messages()
    assert judge(UPLOADED, BUCKET, rows(), [], NEWEST, sent).again == 0
    verdict = judge(UPLOADED, BUCKET, rows(), [], NEWEST, [*sent, sent[0]])
    assert (verdict.faults, verdict.again) == ([], 1)


def test_a_row_that_could_not_be_sent_is_a_dead_letter() -> None:
    unsent = messages()[0]
    grave = [(unsent["object"], unsent["version"])]
    assert judge(UPLOADED, BUCKET, rows(), grave, NEWEST, messages()[1:]).faults == []


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("unsent", messages()[1:]),
        ("unlike", [*messages(), messages()[0] | {"at": "later"}]),
        ("unlike", [messages()[0] | {"result": messages()[1]["result"]}, messages()[1]]),
        ("unlike", [*messages(), {"object": f"{BUCKET}/b", "version": "v9", "result": {}}]),
    ],
)
def test_damage_to_messages_is_found(kind: str, broken: list[dict[str, Any]]) -> None:
    assert [fault.partition(":")[0] for fault in judge(UPLOADED, BUCKET, rows(), [], NEWEST, broken).faults] == [kind]


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("lost", rows()[1:]),
        ("doubled", [*rows(), rows()[0]]),
        ("doubled", [*rows(), rows()[2]]),
        ("strange", [*rows(), {"object": f"{BUCKET}/b", "version": "v9", "result": "[]"}]),
        ("wrong", [rows()[0] | {"result": rows()[1]["result"]}, *rows()[1:]]),
        ("not_newest", [*rows()[:2], rows()[2] | {"latest": "v1"}]),
        ("not_newest", rows()[:2]),
    ],
)
def test_damage_is_found(kind: str, broken: list[dict[str, Any]]) -> None:
    verdict = judge(UPLOADED, BUCKET, broken, [], NEWEST)
    assert [fault.partition(":")[0] for fault in verdict.faults] == [kind]


def test_a_plan_has_as_many_uploads_as_asked_for_and_is_the_same_again() -> None:
    plan = planned(100, seed=3)
    assert sum(map(len, plan)) == 100
    assert any(len(versions) > 1 for versions in plan)
    assert planned(100, seed=3) == plan
    assert planned(100, seed=4) != plan
