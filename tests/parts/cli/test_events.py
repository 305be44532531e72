"""What is gathered from recorded event logs of the real engine (3.274, debug lines left out)."""

import json
from pathlib import Path

from pilotlight.cli.diagnostics import Diagnostic
from pilotlight.cli.events import Run, Step

RECORDINGS = Path(__file__).parent / "events"


def replayed(name: str) -> Run:
    run = Run()
    for at, line in enumerate((RECORDINGS / f"{name}.jsonl").read_text().splitlines()):
        run.take(json.loads(line), float(at))
    return run


def test_a_replacement_counts_once_and_in_the_engines_numbers() -> None:
    run = replayed("replace")
    assert run.changes == {"create": 1, "update": 1, "replace": 1, "unchanged": 1}
    assert run.result == "succeeded"


def test_every_step_of_a_replacement_is_seen_with_its_time() -> None:
    run = replayed("replace")
    steps = {(step.name, step.operation): step for step in run.steps.values()}
    assert {("a", "create-replacement"), ("a", "replace"), ("a", "delete-replaced"), ("b", "update"), ("c", "create")} == set(steps)
    assert all(step.state == "done" and step.seconds is not None and step.seconds > 0 for step in steps.values())


def test_secret_outputs_are_named_and_hidden() -> None:
    assert replayed("replace").outputs == {"apiKey": "[secret]", "url": "http://x"}


def test_a_refused_input_is_one_line_with_resource_property_and_reason() -> None:
    run = replayed("check")
    assert run.result == "failed"
    assert [str(found) for found in run.diagnostics.found] == ["a: bad: 'no' is not allowed: leave it out"]


def test_a_failed_creation_names_the_resource_and_is_a_failed_step() -> None:
    run = replayed("broken")
    assert run.diagnostics.found == [Diagnostic(severity="error", resource="d", message="ThingLimitExceeded: too many things")]
    assert [(step.name, step.state) for step in run.steps.values()] == [("d", "failed")]


def test_an_interrupted_run_keeps_what_was_finished_and_says_nothing_of_the_engines_own_words() -> None:
    run = replayed("interrupted")
    assert {step.name: step.state for step in run.steps.values() if step.operation == "create"} == {"e": "done", "f": "done"}
    assert run.diagnostics.found == []


def test_a_terminated_run_leaves_its_creation_as_started() -> None:
    run = replayed("terminated")
    assert [(step.name, step.state, step.seconds) for step in run.steps.values()] == [("g", "started", None)]
    assert run.result == "canceled"


def test_a_destroyed_stack_counts_its_deletions() -> None:
    run = replayed("destroy")
    assert run.changes == {"delete": 3}
    assert {step.operation for step in run.steps.values()} == {"delete"}


def test_a_refresh_reads_and_counts_nothing_as_changed() -> None:
    assert replayed("refresh").changes == {"unchanged": 6}


def test_the_short_type_leaves_module_paths_and_parents_out() -> None:
    urn = "urn:pulumi:s::p::pilotlight:index:InferenceApi$aws:iam/role:Role::api-role"
    assert Step(urn=urn, operation="create", state="done").type == "aws:iam:Role"


def test_an_unknown_event_is_passed_over() -> None:
    run = Run()
    assert run.take({"sequence": 1, "somethingNew": {}}, 0.0) is None
    assert run == Run()


def test_an_output_that_a_preview_cannot_know_is_named_so() -> None:
    run = Run()
    metadata = {
        "urn": "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s",
        "op": "create",
        "type": "pulumi:pulumi:Stack",
        "new": {"outputs": {"url": "04da6b54-80e4-46f7-96ec-b56ff0331ba9", "groups": ["a", "04da6b54-80e4-46f7-96ec-b56ff0331ba9"]}},
    }
    run.take({"resOutputsEvent": {"metadata": metadata}}, 0.0)
    assert run.outputs == {"url": "[unknown]", "groups": ["a", "[unknown]"]}


def test_a_component_that_ends_twice_is_told_once() -> None:
    run = Run()
    metadata = {"urn": "urn:pulumi:s::p::t:i:T::a", "type": "t:i:T", "op": "create"}
    told = [
        run.take({kind: {"metadata": metadata}}, float(at))
        for at, kind in enumerate(["resourcePreEvent", "resOutputsEvent", "resOutputsEvent"])
    ]
    assert [step.state if isinstance(step, Step) else step for step in told] == ["started", "done", None]
