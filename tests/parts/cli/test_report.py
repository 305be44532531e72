"""Counts and documents, and which stream gets what."""

import json

import pytest

from pilotlight.cli.events import Run
from pilotlight.cli.report import Report, counts, document


def test_a_preview_says_what_would_be_done() -> None:
    assert counts({"create": 2, "update": 1, "replace": 1, "delete": 4, "unchanged": 3}, preview=True) == [
        "2 to create",
        "1 to update",
        "1 to replace",
        "4 to delete",
        "3 unchanged",
    ]


def test_an_up_says_what_was_done() -> None:
    changes = {"create": 2, "update": 1, "replace": 1, "delete": 4, "unchanged": 3}
    assert counts(changes, preview=False) == ["2 created", "1 updated", "1 replaced", "4 deleted", "3 unchanged"]


def test_an_operation_without_a_word_of_its_own_keeps_its_name() -> None:
    assert counts({"import": 1}, preview=False) == ["1 import"]


def test_counts_come_one_a_line_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("preview", "demo", as_json=False)
    report.say("packaging")
    report.finish(Run(changes={"create": 2, "unchanged": 3}), "succeeded", 1.25)
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["preview succeeded in 1.2 s", "2 to create", "3 unchanged"]
    assert captured.err == "packaging\n"


def test_json_is_the_only_thing_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("up", "demo", as_json=True)
    run = Run(changes={"create": 1})
    metadata = {"urn": "urn:pulumi:s::p::t:i:T::a", "type": "t:i:T", "op": "create"}
    for at, kind in enumerate(("resourcePreEvent", "resOutputsEvent")):
        report.show(run.take({kind: {"metadata": metadata}}, float(at)))
    report.finish(run, "succeeded", 1.0)
    found = json.loads(capsys.readouterr().out)
    assert found["changes"] == {"create": 1}
    assert found["resources"] == [
        {"urn": metadata["urn"], "type": "t:i:T", "name": "a", "operation": "create", "state": "done", "seconds": 1.0, "properties": []}
    ]


def test_markup_in_names_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("up", "demo", as_json=False)
    run = Run()
    report.show(run.take({"diagnosticEvent": {"severity": "error", "message": "[red]not markup[/] [/nothing]", "urn": ""}}, 0.0))
    report.finish(Run(outputs={"x": "[bold]"}), "succeeded", 0.0)
    captured = capsys.readouterr()
    assert "[red]not markup[/] [/nothing]" in captured.err
    assert "[bold]" in captured.out


def test_the_document_has_the_promised_keys() -> None:
    assert set(document("up", "demo", Run(), "failed", 0.0)) == {
        "stack",
        "operation",
        "result",
        "seconds",
        "changes",
        "resources",
        "outputs",
        "diagnostics",
        "policyPacks",
        "policyLevels",
        "violations",
    }


def test_a_program_refused_before_its_first_resource_counts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Report("up", "demo", as_json=False).finish(Run(changes={"create": 1}), "failed", 1.0)
    assert capsys.readouterr().out.splitlines() == ["up failed in 1.0 s"]


def test_a_terminal_names_what_is_in_flight_and_no_component(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    report, run = Report("up", "demo", as_json=False), Run()
    for urn in ("urn:pulumi:s::p::pilotlight:index:InferenceApi::api", "urn:pulumi:s::p::aws:iam/role:Role::api-role"):
        report.show(run.take({"resourcePreEvent": {"metadata": {"urn": urn, "op": "create"}}}, 0.0))
    assert report._status is not None
    assert report._status.status == "creating api-role"
