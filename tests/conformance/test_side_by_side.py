"""Stacks up at once, APIs of each cloud, two of one, or one of each pattern: one comes, is changed and goes while the others are used,
which hear nothing of it.

Event stacks of one cloud: test_events.py.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest

from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import Use, assert_all_work_on, assert_right, use_of
from tests.support.deployment import Deployment
from tests.support.size import ALL, only_all
from tests.support.vectors import TEXTS

APIS = [ready for ready in STACKS if ready.pattern == "api"]
# One stack of each cloud, the one that rolls, in every run; those of one cloud in the large one.
ACROSS = tuple(ready for ready in APIS if ready.rolls)
WITHIN = [pair for pair in combinations(APIS, 2) if len({ready.cloud for ready in pair}) == 1]
MIXED = [(api, next(each for each in STACKS if (each.pattern, each.cloud) == ("events", api.cloud))) for api in ACROSS]
GROUPS = [ACROSS, *(pytest.param(pair, marks=only_all) for pair in (*WITHIN, *MIXED))]


@dataclass(frozen=True, kw_only=True)
class Up:
    """One of them."""

    deployment: Deployment
    ready: ReadyStack
    outputs: dict[str, Any]

    @property
    def use(self) -> Use:
        return use_of(self.ready.pattern, self.deployment, self.outputs)

    def is_right(self) -> None:
        assert_right(self.ready, "english", self.use.answer(TEXTS["english"]["text"]))

    def comes(self) -> Any:
        return self.deployment.up(self.ready.name)["result"]

    def goes(self) -> Any:
        return self.deployment.report("destroy", self.ready.name)["result"]


def name_of(group: tuple[ReadyStack, ...]) -> str:
    return " and ".join(ready.name for ready in group)


def up(deployment: Deployment, ready: ReadyStack) -> Up:
    return Up(deployment=deployment, ready=ready, outputs=deployment.outputs(ready.name))


@pytest.fixture(params=GROUPS, ids=name_of)
def several(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[list[Up]]:
    """Brought up at the same time; gone afterwards."""
    group: tuple[ReadyStack, ...] = request.param
    with ThreadPoolExecutor() as pool:
        reports = list(pool.map(deployment.up, [ready.name for ready in group]))
    assert [report["result"] for report in reports] == ["succeeded"] * len(group)
    yield [up(deployment, ready) for ready in group]
    for ready in group:
        deployment.run("destroy", ready.name, code=None)  # they may be gone already


def test_one_hears_nothing_of_the_others(several: list[Up]) -> None:
    assert len({one.ready.cloud for one in several}) in (1, len(several))
    for one in several:
        one.is_right()
    first, *others = several
    assert_all_work_on(others, first.goes)
    assert_all_work_on(others, first.comes)
    back = up(first.deployment, first.ready)
    back.is_right()
    if ALL:
        for other in others:
            other.deployment.configure(other.ready.name, other.ready.resized())
            assert_all_work_on([back, *(one for one in others if one is not other)], other.comes)
    while others:
        going = others.pop()
        assert_all_work_on([back, *others], going.goes)
    back.is_right()
