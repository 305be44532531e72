"""Uploads in a storm: one row for each version of an object, the newest ahead, nothing lost, and dead letters that come back.

A hundred uploads by default, forty on Google Cloud; PILOTLIGHT_STORM=1000 makes it as large as `make test-all` does.
"""

import os
from collections.abc import Iterator

import pytest

from tests.storm.storm import Weather, storm_of
from tests.support.deployment import Deployment

STACKS = {"aws-sagemaker-events": 100, "aws-lambda-events": 100, "gcp-cloud-run-events": 40}
WANTED = int(os.environ.get("PILOTLIGHT_STORM", "0"))
LARGE = WANTED >= 1000
# On Google Cloud an attempt that was killed lasts by the machine's clock: as short as the model allows.
SHORT = {"predictSeconds": 5, "coldStartSeconds": 15}
# Uploads while nothing works at all, for the dead letters.
DOOMED = 10
# A message that fails until it is among the dead letters, at the storm's speed, and a busy machine.
PATIENCE_S = 600 if LARGE else 240


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[str]:
    name = str(request.param)
    # Three tries instead of five, so that there are dead letters within the patience.
    deployment.configure(name, {"events": {"maxAttempts": 3}, **({"endpoint": SHORT} if name.startswith("gcp-") else {})})
    deployment.up(name)
    yield name
    deployment.report("destroy", name)


def test_every_version_gets_one_row_whatever_fails(deployment: Deployment, stack: str) -> None:
    size = WANTED or STACKS[stack]
    storm = storm_of(deployment, deployment.outputs(stack), Weather(outage_s=10 if LARGE else 3))
    assert len(storm.uploads(size)) == size
    storm.doomed(DOOMED, PATIENCE_S)
    storm.settled(PATIENCE_S)
    after = storm.verdict()
    assert after.faults == [], f"{after}\n{deployment.run('logs', stack, '--tail', '100').stdout}"
    # A version that is dead by one copy of its event may have a row by another, so the two can be more than the versions.
    assert after.rows + after.dead >= size + DOOMED
    assert after.dead > 0
    deployment.run("replay", stack)
    storm.settled(PATIENCE_S)
    replayed = storm.verdict()
    storm.calm()
    assert replayed.faults == []
    assert (replayed.rows, replayed.dead) == (size + DOOMED, 0)
