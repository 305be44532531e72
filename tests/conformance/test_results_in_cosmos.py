"""An event stack on Azure whose rows of results are in Cosmos DB: the same promise, and its rows go with it."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.conformance.evented import PREFIX, Evented, brought_up, event_stacks
from tests.support.deployment import Deployment
from tests.support.size import only_all

pytestmark = only_all
# Long enough for the first attempts at what comes while the service is busy.
BUSY_S = 3


@pytest.fixture(scope="module")
def up(deployment: Deployment) -> Iterator[Evented]:
    ready = event_stacks("azure")[0]
    deployment.configure(ready.name, {"events": {"resultsTable": "cosmos"}})
    for [made] in brought_up(deployment, "azure", [ready]):
        yield made


def test_each_version_has_one_row_and_one_message_the_newest_ahead_whoever_is_busy(up: Evented) -> None:
    assert "/cosmos/" in up.outputs["resultsDatabase"]
    identities = [up.put(f"{number}.txt") for number in range(4)]
    up.emptied()
    up.faulty(outages=["cosmos"])
    identities += [up.put("busy.txt"), up.put(f"{'deep/' * 60}long.txt")]
    time.sleep(BUSY_S)
    assert up.pipeline.waiting() == 2
    up.faulty()
    identities.append(up.put("0.txt"))
    up.emptied()
    rows = [up.answered(identity) for identity in identities]
    assert len({row["version"] for row in rows}) == len(identities) == 7
    # One pointer for each object.
    assert len(up.pipeline.rows()) == 7 + 6
    assert up.messages([version for _, version in identities]) == {version: 1 for _, version in identities}
    name, newest = identities[-1]
    assert up.pipeline.newest(name) == newest
    told = json.loads(up.deployment.run("results", up.ready.name, f"{PREFIX}0.txt", "--json").stdout)
    assert [row["version"] for row in told] == [newest, identities[0][1]]
    assert up.pipeline.dead() == []


def test_nothing_changes_twice_and_rows_go_with_the_stack(up: Evented) -> None:
    assert set(up.deployment.up(up.ready.name)["changes"]) == {"unchanged"}
    assert set(up.deployment.report("refresh", up.ready.name)["changes"]) == {"unchanged"}
    up.deployment.run("destroy", up.ready.name)
    again = up.deployment.up(up.ready.name)
    assert again["result"] == "succeeded"
    assert up.pipeline.rows() == []
