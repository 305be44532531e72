"""The programs by hand that `make bench` measures ours against make the very same resources: of each cloud the longest stack by
default, two programs a stack."""

from collections import Counter

import pytest

from benchmarks.program import STACKS, differences, same_resources
from pilotlight.planned import ready_stacks
from tests.support.size import only_all

LONGEST = ("aws-sagemaker-events", "gcp-cloud-run-gpu-events", "azure-container-apps-gpu-events")


def test_every_ready_stack_has_one() -> None:
    assert sorted(STACKS) == ready_stacks()


@pytest.mark.parametrize("stack", [pytest.param(stack, marks=[] if stack in LONGEST else only_all) for stack in STACKS])
def test_both_make_the_same_with_the_same_sdks(stack: str) -> None:
    assert same_resources(stack).total() > 30


def test_what_differs_is_told_input_by_input() -> None:
    own = Counter({("Queue", '{"name": "a", "seconds": [1, 2]}'): 1, ("Queue", '{"name": "b", "seconds": [3, 4]}'): 2, ("Topic", "{}"): 1})
    hand = Counter({("Queue", '{"name": "b", "seconds": [3, 5]}'): 1, ("Queue", '{"name": "a", "seconds": [1, 2], "tags": {}}'): 1})
    assert list(differences(own, hand)) == [
        "Queue.tags: ours null, by hand {}",
        "Queue.seconds[1]: ours 4, by hand 5",
        'Queue: only ours has {"name": "b", "seconds": [3, 4]}',
        "Topic: only ours has {}",
    ]
    assert list(differences(Counter(), Counter({("Topic", "{}"): 1}))) == ["Topic: only the one by hand has {}"]
