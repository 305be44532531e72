"""Lists of stacks that something else than the suite keeps: a new ready stack that is missing there is told."""

from benchmarks import program
from pilotlight.planned import ready_stacks
from tests.conformance.stacks import STACKS
from tests.storm import test_storm


def test_the_storm_goes_over_every_pipeline() -> None:
    assert {stack.values[0] for stack in test_storm.STACKS} == {ready.name for ready in STACKS if ready.pattern == "events"}


def test_every_stack_of_a_cloud_that_has_programs_by_hand_is_measured_beside_one() -> None:
    assert set(program.STACKS) == {stack for stack in ready_stacks() if stack.partition("-")[0] in program.SDKS}
