"""A storm over a deployed event stack: uploads while everything around them fails, then calm, then what must hold."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pilotlight.twin import client as twin_client
from tests.storm.uploads import Upload, Uploaded, carried_out, planned
from tests.storm.verdict import Verdict, dead_letters, judge, newest, rows_of
from tests.support.clients import client
from tests.support.deployment import Deployment

WAITING = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
# Looked at so often in a row before a queue counts as empty: its numbers are approximate.
QUIET_LOOKS = 4


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What goes wrong. Shares are of events, executions of the function, and calls of the endpoint; times in seconds.

    `outages` are services that are stopped one after another, `outage_s` each, in the middle of the uploads. `speed` is how fast the
    twin's clock runs, so that a visibility timeout of minutes is over in seconds.
    """

    duplicates: float = 0.2
    delay_s: float = 20
    killed: float = 0.1
    errors: float = 0.1
    timeouts: float = 0.05
    hold_s: float = 2
    outages: tuple[str, ...] = ("dynamodb", "sqs")
    outage_s: float = 10
    speed: float = 30
    seed: int = 1

    def faults(self) -> dict[str, Any]:
        """The same as the twin's control API takes it."""
        executions = {"lambda": {"kill": self.killed}, "sagemaker": {"error": self.errors, "timeout": self.timeouts}}
        return {
            "events": {"duplicates": self.duplicates, "delay_s": self.delay_s, "seed": self.seed},
            "executions": {**executions, "hold_s": self.hold_s, "seed": self.seed},
        }


class Storm:
    """`Storm(deployment, outputs, Weather()).uploads(100)`, then `settled()` and `verdict()`."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any], weather: Weather) -> None:
        self._outputs = outputs
        self._weather = weather
        self._twin = twin_client.ensure_running(deployment.home)
        variables = deployment.variables()
        # A careful uploader and reader: while a service is out they try again, as users' clients do.
        self._s3, self._sqs, self._dynamodb = (client(variables, name, attempts=10, connections=16) for name in ("s3", "sqs", "dynamodb"))
        self._uploaded: list[Uploaded] = []

    @contextmanager
    def weather(self) -> Iterator[None]:
        """The faults for as long as the block lasts; the clock goes on running fast until `calm`."""
        self._call("clock", {"speed": self._weather.speed})
        self._call("faults", self._weather.faults())
        outages = threading.Thread(target=self._outages)
        outages.start()
        try:
            yield
        finally:
            outages.join()
            self._call("faults", {})

    def uploads(self, count: int) -> Sequence[Uploaded]:
        """Upload under the weather; returns what the bucket has accepted."""
        plan: list[list[Upload]] = planned(count, self._weather.seed)
        with self.weather():
            self._uploaded += carried_out(self._s3, self._outputs["objectsBucket"], plan)
        return self._uploaded

    def doomed(self, count: int, patience_s: float) -> None:
        """Further uploads while no execution of the function ends well, until one of them is among the dead letters."""
        self._call("faults", {"executions": {"lambda": {"kill": 1}}})
        self._uploaded += carried_out(self._s3, self._outputs["objectsBucket"], planned(count, self._weather.seed, "doomed/"))
        deadline = time.monotonic() + patience_s
        while not self._waiting("deadLetterQueueUrl"):
            assert time.monotonic() < deadline, f"no dead letter after {patience_s:.0f} s"
            time.sleep(0.25)
        self._call("faults", {})

    def settled(self, patience_s: float) -> None:
        """Wait until nothing is on its way any more. Fails with what is, after `patience_s`."""
        deadline, quiet = time.monotonic() + patience_s, 0
        while quiet < QUIET_LOOKS:
            waiting = self._waiting()
            quiet = 0 if waiting else quiet + 1
            assert time.monotonic() < deadline, f"{waiting} messages are still on their way after {patience_s:.0f} s"
            time.sleep(0.25)

    def calm(self) -> None:
        """Real time again."""
        self._call("clock", {"speed": 1})

    def verdict(self) -> Verdict:
        bucket = self._outputs["objectsBucket"]
        rows = rows_of(self._dynamodb, self._outputs["resultsTable"])
        dead = dead_letters(self._sqs, self._outputs["deadLetterQueueUrl"])
        return judge(self._uploaded, bucket, rows, dead, newest(self._s3, bucket))

    def _waiting(self, queue: str = "queueUrl") -> int:
        asked = {"QueueUrl": self._outputs[queue], "AttributeNames": list(WAITING)}
        return sum(int(number) for number in self._sqs.get_queue_attributes(**asked)["Attributes"].values())

    def _outages(self) -> None:
        for service in self._weather.outages:
            time.sleep(self._weather.outage_s / 2)
            self._call("faults", {"outages": [service]})
            time.sleep(self._weather.outage_s)
            self._call("faults", {"outages": None})

    def _call(self, name: str, body: Mapping[str, Any]) -> None:
        twin_client.call(self._twin, name, body)
