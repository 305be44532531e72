"""Linters: what they are run on, where they are, and that their findings come line by line."""

from dataclasses import replace
from pathlib import Path

import pytest

from pilotlight.ci import linters
from pilotlight.ci.linters import LINTERS

ROOT = Path(__file__).resolve().parents[3]
BY_NAME = {linter.name: linter for linter in LINTERS}


def test_every_workflow_action_and_dockerfile_is_linted() -> None:
    workflows = {str(path.relative_to(ROOT)) for path in ROOT.glob(".github/workflows/*")}
    actions = {str(path.relative_to(ROOT)) for path in ROOT.glob(".github/actions/*/*")}
    assert set(BY_NAME["actionlint"].files(ROOT)) == workflows
    assert set(BY_NAME["zizmor"].files(ROOT)) == workflows | actions
    assert BY_NAME["hadolint"].files(ROOT) == ["containers/Dockerfile"]


def test_the_dockerfile_has_no_finding() -> None:
    assert BY_NAME["hadolint"].program is not None
    assert BY_NAME["hadolint"].problems(ROOT) == []


def test_findings_come_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers/Dockerfile").write_text("FROM python:latest\nADD . /app\n")
    said = BY_NAME["hadolint"].problems(tmp_path)
    assert [line for line in said if "DL3007" in line]
    assert [line for line in said if "DL3020" in line]


def test_a_linter_that_is_nowhere_is_known_to_be() -> None:
    assert replace(BY_NAME["zizmor"], name="no-such-linter").program is None


def test_a_program_that_fails_without_a_word_is_no_pass(tmp_path: Path) -> None:
    silent = replace(BY_NAME["hadolint"], name="false", arguments=())
    assert silent.problems(tmp_path) == ["ended with 1 and said nothing"]


def test_a_program_that_does_not_end_is_a_problem_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linters, "PATIENCE_S", 0.1)
    endless = replace(BY_NAME["hadolint"], name="sleep", arguments=("60",), files=lambda root: [])
    assert endless.problems(tmp_path) == ["was not done after 0.1 s"]
