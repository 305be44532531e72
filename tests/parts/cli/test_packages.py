"""What a stack's file asks to be packaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.artifact import Shrink
from pilotlight.cli.exits import CommandError
from pilotlight.cli.packages import Shrinking, Wanted, command, wanted_by
from pilotlight.cli.session import Session

MODEL = "model: {source: 'pypi:some-model', task: feature-extraction, engine: onnx}"


def stack_with(session: Session, *lines: str) -> Wanted | None:
    body = "".join(f"    {line}\n" for line in lines)
    session.project.stack_file("demo").write_text(f"config:\n  pilotlight:service:\n{body or '    {}'}")
    return wanted_by(session.project, "demo")


@pytest.mark.parametrize(("platform", "function"), [("aws-sagemaker", True), ("aws-lambda", False)])
def test_a_function_is_packaged_where_one_stands_in_front(session_in: Callable[[str], Session], platform: str, function: bool) -> None:
    wanted = stack_with(session_in("local"), MODEL, f"endpoint: {{platform: {platform}}}")
    assert wanted == Wanted(source="pypi:some-model", task="feature-extraction", engine="onnx", function=function)


@pytest.mark.parametrize(
    ("line", "function"),
    [
        ("warming: [{kind: ping, everyMinutes: 5}]", True),
        ("budget: {monthlyUsd: 9, onExceeded: drop-warming}", True),
        ("warming: [{kind: provisioned}]", False),
        ("budget: {monthlyUsd: 9}", False),
        ("warming: nonsense", False),
    ],
)
def test_functions_that_keep_a_model_warm_are_packaged_with_it(session_in: Callable[[str], Session], line: str, function: bool) -> None:
    wanted = stack_with(session_in("local"), MODEL, "endpoint: {platform: aws-lambda}", line)
    assert wanted is not None
    assert wanted.function is function


def test_a_stack_says_how_its_model_is_shrunk(session_in: Callable[[str], Session]) -> None:
    shrunk = MODEL.replace("}", ", quantize: int8, prune: 0.1, maxDrift: 0.05}")
    wanted = stack_with(session_in("local"), shrunk, "endpoint: {platform: aws-lambda}")
    assert wanted is not None
    assert wanted.shrink == Shrink(quantize="int8", prune=0.1, max_drift=0.05)


@pytest.mark.parametrize(
    "lines",
    [
        (MODEL.replace("}", ", quantize: 8}"), "endpoint: {platform: aws-lambda}"),
        (MODEL.replace("}", ", prune: much}"), "endpoint: {platform: aws-lambda}"),
        (),
        (MODEL,),
        (MODEL, "endpoint: {platform: moon}"),
        ("model: 7", "endpoint: {platform: aws-lambda}"),
        ("model: {source: [a], task: x}", "endpoint: {platform: aws-lambda}"),
    ],
)
def test_a_file_with_mistakes_is_left_to_the_program(session_in: Callable[[str], Session], lines: tuple[str, ...]) -> None:
    assert stack_with(session_in("local"), *lines) is None


def packaging(session: Session, target: str, **options: str | bool | Shrinking | None) -> None:
    arguments = {"task": None, "engine": None, "function": False} | options
    command(target, session.project.root, **arguments, force=False, as_json=False, say=print)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shrinking", "told"),
    [
        (Shrinking(prune=0.0), "--prune 0: use a share above 0"),
        (Shrinking(max_drift=0.5), "--max-drift 0.5: it bounds what"),
        (Shrinking(prune=0.0, max_drift=0.5), "(?s)^2 mistakes:\n- --prune 0: .*\n- --max-drift 0.5: "),
        (Shrinking(quantize="int4", prune=0.0, max_drift=7.0), "(?s)^3 mistakes:\n- --prune 0: .*\n- quantize 'int4': .*\n- max drift 7: "),
    ],
)
def test_options_without_a_meaning_are_refused(session_in: Callable[[str], Session], shrinking: Shrinking, told: str) -> None:
    with pytest.raises(CommandError, match=told):
        packaging(session_in("local"), "pypi:some-model", task="feature-extraction", shrinking=shrinking)


def test_a_stack_takes_no_other_shrinking_than_its_files(session_in: Callable[[str], Session]) -> None:
    with pytest.raises(CommandError, match=r"leave --quantize, --prune and --max-drift out and set model\.quantize"):
        packaging(session_in("local"), "demo", shrinking=Shrinking(quantize="int8"))


def test_a_source_without_a_task_says_what_is_missing(session_in: Callable[[str], Session]) -> None:
    with pytest.raises(CommandError, match=r"no stack \(known: demo\).*--task"):
        packaging(session_in("local"), "pypi:some-model")


@pytest.mark.parametrize("option", [{"task": "feature-extraction"}, {"function": True}])
def test_a_stack_takes_nothing_that_its_file_tells(session_in: Callable[[str], Session], option: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match="leave --task, --engine and --function out"):
        packaging(session_in("local"), "demo", **option)


def test_a_source_that_is_no_model_is_the_packagers_error(
    session_in: Callable[[str], Session], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(CommandError, match="nothing-there"):
        packaging(session_in("local"), "./nothing-there", task="feature-extraction")
