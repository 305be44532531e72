"""The programs by hand that `make bench` measures ours against make the very same resources: large runs, two programs a stack."""

import pytest

from benchmarks.program import STACKS, same_resources
from pilotlight.planned import ready_stacks
from tests.support.size import only_all


def test_every_ready_stack_has_one() -> None:
    assert sorted(STACKS) == ready_stacks()


@only_all
@pytest.mark.parametrize("stack", STACKS)
def test_both_make_the_same_with_the_same_sdks(stack: str) -> None:
    assert same_resources(stack).total() > 30
