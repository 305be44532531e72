"""How tests are dealt out to workers (`pytest -n 2`), and what makes all of them faster."""

import gc
from typing import Any

import pytest

# One worker runs all of these, one after another: two whole stacks under load at once would only measure the machine.
WHOLE_STACKS = ("tests/conformance/", "tests/storm/", "tests/twin/system/")


def pytest_configure() -> None:
    """SDKs and tests are a million objects that stay: to search them for garbage as often as Python does takes a third of the time."""
    gc.set_threshold(50_000, 20, 100)


def group_of(nodeid: str) -> str:
    """What one worker gets as a whole: a file, whose tests share their fixtures, or all tests of whole stacks."""
    file = nodeid.partition("::")[0]
    return "whole stacks" if file.startswith(WHOLE_STACKS) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A scheduler of our own: xdist 3.8 tells groups by a suffix of the test's id, which pytest 9.2 does not let it add."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Groups(config, log)
