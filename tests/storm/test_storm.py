"""Uploads in a storm: one row for each version of an object, the newest ahead, nothing lost, and dead letters that come back.

A hundred uploads by default; PILOTLIGHT_STORM=1000 makes it as large as `make test-all` does.
"""

import os
from collections.abc import Iterator

import pytest

from tests.storm.storm import Weather, settings_of, storm_of
from tests.support.deployment import Deployment
from tests.support.size import only_all

# What is lost once is lost: no second try (docs/decisions/0024).
pytestmark = pytest.mark.flaky(reruns=0)
# Where the results of each go: one of each cloud sends them too, the others are as they are committed.
STACKS = (
    pytest.param("aws-sagemaker-events", ["table", "queue"], id="aws-sagemaker-events"),
    pytest.param("aws-lambda-events", ["table"], id="aws-lambda-events", marks=only_all),
    pytest.param("gcp-cloud-run-events", ["table"], id="gcp-cloud-run-events"),
    pytest.param("gcp-cloud-run-gpu-events", ["table", "queue"], id="gcp-cloud-run-gpu-events", marks=only_all),
    pytest.param("azure-container-apps-events", ["table", "queue"], id="azure-container-apps-events"),
    pytest.param("azure-container-apps-gpu-events", ["table"], id="azure-container-apps-gpu-events", marks=only_all),
)
SIZE = int(os.environ.get("PILOTLIGHT_STORM", "0")) or 100
LARGE = SIZE >= 1000
# Uploads while nothing works at all, for the dead letters.
DOOMED = 10
# A message that fails until it is among the dead letters, at the storm's speed, and a busy machine.
PATIENCE_S = 600 if LARGE else 240


@pytest.fixture
def up(stack: str, results: list[str], deployment: Deployment) -> Iterator[str]:
    deployment.configure(stack, settings_of(stack, results=results))
    deployment.up(stack)
    yield stack
    deployment.report("destroy", stack)


@pytest.mark.parametrize(("stack", "results"), STACKS)
def test_every_version_gets_one_row_whatever_fails(deployment: Deployment, up: str) -> None:
    storm = storm_of(deployment, deployment.outputs(up), Weather())
    accepted = len(storm.uploads(SIZE))
    assert accepted >= SIZE
    assert storm.missed() == [], storm.met
    storm.doomed(DOOMED, PATIENCE_S)
    storm.settled(PATIENCE_S)
    after = storm.verdict()
    assert after.faults == [], f"{after}\n{deployment.run('logs', up, '--tail', '100').stdout}"
    # A version that is dead by one copy of its event may have a row by another, so the two can be more than the versions.
    assert after.rows + after.overtaken + after.dead >= accepted + DOOMED
    assert after.dead > 0
    # Nothing fails any more, so that time need not run fast; and it may not: the pauses between three attempts would be one second in all,
    # in which a version that was replaced has to see the row of what replaced it.
    storm.calm()
    deployment.run("replay", up)
    storm.settled(PATIENCE_S)
    replayed = storm.verdict()
    told = f"{replayed}\n{storm.letters()}\n{deployment.run('logs', up, '--tail', '200').stdout if replayed.dead else ''}"
    assert replayed.faults == [], told
    assert (replayed.rows + replayed.overtaken, replayed.dead) == (accepted + DOOMED, 0), told
