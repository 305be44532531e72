"""Two API stacks up at once, of two clouds or of one: one comes, is changed and goes while the other is called, which hears nothing of it.

Event stacks of one cloud: test_events.py, test_events_gcp.py.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest

from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import Use, assert_one_works_on_while_the_other_goes, assert_works_on, use_of
from tests.support.deployment import Deployment
from tests.support.size import ALL, only_all
from tests.support.vectors import TEXTS, assert_agrees

APIS = [ready for ready in STACKS if ready.pattern == "api"]
# One stack of each cloud, the one that rolls, in every run; those of one cloud in the large one.
ACROSS = list(combinations([ready for ready in APIS if ready.rolls], 2))
WITHIN = [pair for pair in combinations(APIS, 2) if len({ready.cloud for ready in pair}) == 1]
PAIRS = [*ACROSS, *(pytest.param(pair, marks=only_all) for pair in WITHIN)]


@dataclass(frozen=True, kw_only=True)
class Up:
    """One of the two."""

    deployment: Deployment
    ready: ReadyStack
    outputs: dict[str, Any]

    @property
    def use(self) -> Use:
        return use_of(self.ready.pattern, self.deployment, self.outputs)

    def is_right(self) -> None:
        assert_agrees("english", self.use.answer(TEXTS["english"]["text"]))


def name_of(pair: tuple[ReadyStack, ReadyStack]) -> str:
    return " and ".join(ready.name for ready in pair)


@pytest.fixture(params=PAIRS, ids=name_of)
def both(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[tuple[Up, Up]]:
    """Brought up at the same time; gone afterwards."""
    pair: tuple[ReadyStack, ReadyStack] = request.param
    with ThreadPoolExecutor() as pool:
        reports = list(pool.map(deployment.up, [ready.name for ready in pair]))
    assert [report["result"] for report in reports] == ["succeeded"] * len(pair)
    one, other = (Up(deployment=deployment, ready=ready, outputs=deployment.outputs(ready.name)) for ready in pair)
    yield one, other
    for ready in pair:
        deployment.run("destroy", ready.name, code=None)  # both may be gone already


def test_one_hears_nothing_of_the_other(both: tuple[Up, Up]) -> None:
    one, other = both
    one.is_right()
    other.is_right()
    assert_one_works_on_while_the_other_goes(one, other)
    again = one.ready.name
    assert_works_on(other, lambda: one.deployment.up(again)["result"])
    back = Up(deployment=one.deployment, ready=one.ready, outputs=one.deployment.outputs(again))
    back.is_right()
    if ALL:
        memory_mb = other.ready.service["endpoint"]["memoryMb"] + 1024
        other.deployment.configure(other.ready.name, {"endpoint": {"memoryMb": memory_mb}})
        assert_works_on(back, lambda: other.deployment.up(other.ready.name)["result"])
    assert_one_works_on_while_the_other_goes(other, back)
    back.is_right()
