"""The last line of `pilotlight check` says no more than what was checked."""

from pathlib import Path

import pytest

from pilotlight.cli import check as module
from pilotlight.cli.check import Result, check
from pilotlight.cli.exits import Exit

WELL = Result(check="settings", subject="mine", status="ok")
NONE = Result(check="zizmor", subject=".github", status="skipped", notes=("there is none",))
MISSING = Result(check="actionlint", subject=".github", status="skipped", missing=True, notes=("actionlint is not installed",))
BROKEN = Result(check="plan", subject="mine", status="fail", problems=("no",))


@pytest.mark.parametrize(
    ("results", "strict", "status", "says"),
    [
        ([WELL, NONE], False, Exit.OK, ": all is well\n"),
        ([WELL, MISSING], False, Exit.OK, ": what was checked is well; not checked: actionlint\n"),
        ([MISSING, BROKEN], False, Exit.FAILED, ": 1 failed; not checked: actionlint\n"),
        ([WELL, NONE], True, Exit.OK, ": all is well\n"),
        ([WELL, MISSING], True, Exit.FAILED, ": 1 failed; not checked: actionlint\n"),
    ],
)
def test_what_was_not_checked_is_told_last_and_is_a_failure_where_it_is_strict(
    results: list[Result], strict: bool, status: Exit, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_results", lambda *given: iter(results))
    assert check((), Path(__file__).parents[3], (), plans=None, as_json=False, strict=strict) == status
    assert capsys.readouterr().out.endswith(says)
