"""Tests are dealt out to workers so that no two whole stacks are under load at once."""

import re
from pathlib import Path

import pytest

from tests.conftest import group_of

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("tests/conformance", "tests/storm", "tests/twin/system")
WHOLE = sorted(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).glob("test_*.py"))


@pytest.mark.parametrize("file", WHOLE)
def test_whoever_uses_a_whole_stack_at_a_rate_or_many_times_at_once_runs_alone(file: str) -> None:
    group = group_of(f"{file}::test")
    assert group in ("whole stacks under load", "whole stacks in a storm", "whole stacks")
    if file.startswith("tests/storm/"):
        assert group == "whole stacks in a storm"
    elif re.search(r"stead(il)?y|ThreadPoolExecutor|storm|calling\(", (ROOT / file).read_text()):
        assert group == "whole stacks under load"


def test_plans_are_made_by_one_worker() -> None:
    groups = {group_of(f"tests/planned/{file}.py::test") for file in ("azure/test_every_plan", "gcp/test_alarms", "test_cost_at_rest")}
    assert groups == {"tests/planned/"}


def test_other_tests_go_by_their_files() -> None:
    assert group_of("tests/twin/cli/test_whole.py::test_one[a::b]") == "tests/twin/cli/test_whole.py"
