"""Twins whose clock begins where a test wants it; environments are the user's own, so that they are made once."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from pilotlight.twin.aws.compute_logs import GATHER_S
from pilotlight.twin.aws.logs import Event
from pilotlight.twin.clock import Clock
from pilotlight.twin.timers import Ran
from tests.twin.compute.harness import REGION, Harness, archive

FUNCTION = "aws:lambda/function:Function"
QUEUE = "aws:sqs/queue:Queue"
SCHEDULE = "aws:scheduler/schedule:Schedule"
GROUP = "aws:scheduler/scheduleGroup:ScheduleGroup"
ACCOUNT_ARN = f"{REGION}:123456789012"
# Counts its events in a file of the test's, one line each.
NOTING = """
import json, time
def handler(event, context):
    print("seen", json.dumps(event))
    if event.get("raise"):
        raise ValueError(event["raise"])
    return event
"""


class Timed(Harness):
    """A harness whose time a test moves."""

    def forward(self, until: str) -> list[Ran]:
        """To an ISO 8601 time with its offset; what ran."""
        return self.wait(self.twin.timers.forward(datetime.fromisoformat(until).timestamp()))

    def allowed(self, name: str, service: str, *statements: tuple[str | list[str], str]) -> str:
        """The ARN of a role that `service` may assume and that may do (action, resource)."""
        rules = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in statements]
        return str(self.role(name, service, *rules)["arn"])

    def function(self, name: str, folder: Path, code: str = NOTING, **inputs: Any) -> Any:
        role = self.allowed(f"{name}-role", "lambda.amazonaws.com")
        inputs = {"handler": "app.handler", "runtime": "python3.11", "role": role, "timeout": 10, **inputs}
        return self.create(FUNCTION, name=name, code=archive(folder / name, app=code), **inputs)

    def queue(self, name: str) -> Any:
        return self.create(QUEUE, name=name)

    def received(self, queue: Any) -> list[dict[str, Any]]:
        """Every message of a queue, taken out of it."""
        client, found = self.client("sqs"), []
        while messages := client.receive_message(QueueUrl=queue["url"], MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
            "Messages"
        ):
            for message in messages:
                client.delete_message(QueueUrl=queue["url"], ReceiptHandle=message["ReceiptHandle"])
            found += messages
        return found

    def seen(self, function: str) -> list[tuple[datetime, Any]]:
        """What a NOTING function was called with, and when by the twin's clock."""
        lines = [event for event in self._log(function) if event.message.startswith("seen ")]
        return [(datetime.fromtimestamp(line.timestamp / 1000, UTC), json.loads(line.message.partition(" ")[2])) for line in lines]

    def cold_starts(self, function: str) -> int:
        return sum("Init Duration" in event.message for event in self._log(function))

    def _log(self, function: str) -> list[Event]:
        time.sleep(2 * GATHER_S)
        return self.twin.logs.events(f"/aws/lambda/{function}")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the tests' own, but for the environments."""
    folder = tmp_path_factory.mktemp("warming") / "cache"
    envs = platformdirs.user_cache_path("pilotlight") / "envs"
    envs.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    (folder / "envs").symlink_to(envs)
    return folder


@pytest.fixture
def twin_at(tmp_path: Path, cache: Path) -> Iterator[Callable[[str], Timed]]:
    """A twin whose clock begins at an ISO 8601 time with its offset."""
    running: list[Timed] = []

    def make(moment: str) -> Timed:
        clock = Clock(datetime.fromisoformat(moment).timestamp())
        harness = Timed(tmp_path / f"home-{len(running)}", cache, clock)
        harness.up()
        running.append(harness)
        return harness

    yield make
    for harness in running:
        harness.down()
