"""A storm over a deployed event stack: uploads while everything around them fails, then calm, then what must hold."""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from pilotlight.twin import client as twin_client
from tests.conformance.observed import AzureObserved
from tests.conformance.pipeline import AwsPipeline, Pipeline, pipeline_of
from tests.storm.uploads import Upload, Uploaded, carried_out, planned
from tests.storm.verdict import Identity, Verdict, judge
from tests.support.deployment import Deployment

if TYPE_CHECKING:
    from tests.conformance.pipeline_azure import AzurePipeline
    from tests.conformance.pipeline_gcp import GooglePipeline

# Looked at so often in a row before a queue counts as empty: its numbers are approximate.
QUIET_LOOKS = 4
# So that there are dead letters within a patience of minutes.
ATTEMPTS = 3
# On Google Cloud an attempt that was killed lasts by the machine's clock: as short as the model allows.
SHORT = {"predictSeconds": 5, "coldStartSeconds": 15}
# The first uploads are under way when the first service stops.
BEFORE_S = 1.5
# So long after the uploads the weather may take to have met the work with everything it has.
WEATHER_S = 180
# Between one end of a process and the next.
KILLED_EVERY_S = (0.5, 4)
# Further uploads at a time, where all work is done and some fault has met none of it: a pipeline calls its model once for many objects.
MORE = 20


def settings_of(stack: str, **events: Any) -> dict[str, Any]:
    """What a stack is told otherwise for a storm: fewer attempts, and what is named of its `events`."""
    short = {"endpoint": SHORT} if stack.startswith("gcp-") else {}
    return {"events": {"maxAttempts": ATTEMPTS, **events}, **short}


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What goes wrong. Shares are of events, executions of the function, and calls of the endpoint; times in seconds.

    Each outage lasts `outage_s`, and the next begins in the middle of it. `speed` is how fast the twin's clock runs, so that a visibility
    timeout of minutes is over in seconds.
    """

    duplicates: float = 0.2
    delay_s: float = 20
    killed: float = 0.1
    errors: float = 0.1
    timeouts: float = 0.05
    hold_s: float = 2
    outage_s: float = 10
    speed: float = 30
    seed: int = 1

    def faults(self, function: str, endpoint: str) -> dict[str, Any]:
        """The same as the twin's control API takes it, for what it calls the two."""
        executions: dict[str, Any] = {function: {"kill": self.killed}}
        # Where the model is in the function itself, the two are one.
        executions[endpoint] = {**executions.get(endpoint, {}), "error": self.errors, "timeout": self.timeouts}
        return {
            "events": {"duplicates": self.duplicates, "delay_s": self.delay_s, "seed": self.seed},
            "executions": {**executions, "hold_s": self.hold_s, "seed": self.seed},
        }


class Storm(ABC):
    """`storm_of(deployment, outputs, Weather()).uploads(100)`, then `settled()` and `verdict()`."""

    # Services that are stopped in the middle of the uploads: the first alone, both, the second alone.
    outages: tuple[str, str]

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any], weather: Weather, pipeline: Pipeline) -> None:
        self._outputs = outputs
        self._weather = weather
        self._twin = twin_client.ensure_running(deployment.home)
        self._pipeline = pipeline
        self._uploaded: list[Uploaded] = []
        self._messages: list[dict[str, Any]] = []
        # How often the weather met something, by what the twin calls each of its faults.
        self.met: Counter[str] = Counter()

    @abstractmethod
    def _parts(self) -> tuple[str, str]:
        """What faults call the function and the endpoint."""

    @abstractmethod
    def _doom(self) -> dict[str, Any]:
        """Executions of which none ends well."""

    @abstractmethod
    def _waiting(self) -> int:
        """How much is on its way."""

    @abstractmethod
    def _dead(self) -> int:
        """How many dead letters there are."""

    @contextmanager
    def weather(self) -> Iterator[None]:
        """The faults for as long as the block lasts, and then until each has met something and nine tenths of the work are done.

        The clock goes on running fast until `calm`.
        """
        self._call("clock", {"speed": self._weather.speed})
        self._call("faults", self._weather.faults(*self._parts()))
        outages = threading.Thread(target=self._outages)
        outages.start()
        try:
            yield
            outages.join()
            self._weathered()
        finally:
            outages.join()
            self.met.update(self._met())
            self._call("faults", {})

    def uploads(self, count: int) -> Sequence[Uploaded]:
        """Upload under the weather, `count` and as many more as it takes for every fault to meet something; returns what the bucket has
        accepted."""
        plan: list[list[Upload]] = planned(count, self._weather.seed)
        with self.weather():
            self._uploaded += carried_out(self._pipeline.put, plan)
        return self._uploaded

    def missed(self) -> list[str]:
        """The faults that have met nothing."""
        return self._missed(self.met)

    def doomed(self, count: int, patience_s: float) -> None:
        """Further uploads while no execution ends well, until one of them is among the dead letters."""
        self._call("faults", {"executions": self._doom()})
        before = self._dead()
        self._uploaded += carried_out(self._pipeline.put, planned(count, self._weather.seed, "doomed/"))
        deadline = time.monotonic() + patience_s
        while self._dead() <= before:
            assert time.monotonic() < deadline, f"no dead letter after {patience_s:.0f} s"
            time.sleep(0.25)
        self._call("faults", {})

    def settled(self, patience_s: float) -> None:
        """Wait until nothing is on its way any more. Fails with what is, after `patience_s`."""
        deadline, quiet = time.monotonic() + patience_s, 0
        while quiet < QUIET_LOOKS:
            waiting = self._waiting()
            quiet = 0 if waiting else quiet + 1
            assert time.monotonic() < deadline, f"{waiting} are still on their way after {patience_s:.0f} s"
            time.sleep(0.25)

    def calm(self) -> None:
        """Real time again."""
        self._call("clock", {"speed": 1})

    def verdict(self) -> Verdict:
        pipeline, messages = self._pipeline, None
        if "resultsQueueUrl" in self._outputs:
            self._messages += pipeline.messages()
            messages = self._messages
        found = (pipeline.rows(), pipeline.dead(), pipeline.live(), messages)
        return judge(self._uploaded, self._outputs["objectsBucket"], *found, passed_over=self._passed_over())

    def letters(self) -> Any:
        """The dead letters, with their reasons where they tell them."""
        return self._pipeline.dead()

    def _passed_over(self) -> Collection[Identity]:
        """Those of which the function says that they were replaced before their turn, where nothing keeps versions."""
        return ()

    def _met(self) -> Counter[str]:
        found: dict[str, int] = twin_client.call(self._twin, "faults")["met"]
        return Counter(found)

    def _missed(self, met: Counter[str]) -> list[str]:
        function, endpoint = self._parts()
        executions = (f"executions.{function}.kill", f"executions.{endpoint}.error", f"executions.{endpoint}.timeout")
        return [name for name in ("events.duplicates", *(f"outages.{service}" for service in self.outages), *executions) if not met[name]]

    def _weathered(self) -> None:
        deadline, more = time.monotonic() + WEATHER_S, 0
        while (missed := self._missed(self.met + self._met())) or self._waiting() > len(self._uploaded) // 10:
            if time.monotonic() > deadline:
                return
            if missed and self._waiting() <= len(self._uploaded) // 10:
                more += 1
                self._uploaded += carried_out(self._pipeline.put, planned(MORE, self._weather.seed, f"more {more}/"))
            # An outage in which nobody asked, since all who could were held up by the other one, comes once more. It is over before what
            # waits is counted, which asks the same service.
            if again := [service for service in self.outages if f"outages.{service}" in missed]:
                self._call("faults", {"outages": again})
                time.sleep(1)
                self._call("faults", {"outages": None})
            time.sleep(0.5)

    def _outages(self) -> None:
        first, second = self.outages
        time.sleep(BEFORE_S)
        for out in ([first], [first, second], [second]):
            self._turn(out)
            time.sleep(self._weather.outage_s / 2)
        self._call("faults", {"outages": None})

    def _turn(self, out: Sequence[str]) -> None:
        """From now on these are out."""
        self._call("faults", {"outages": out})

    def _call(self, name: str, body: Mapping[str, Any]) -> None:
        twin_client.call(self._twin, name, body)


class AwsStorm(Storm):
    outages = ("dynamodb", "sqs")
    _pipeline: AwsPipeline

    def _parts(self) -> tuple[str, str]:
        return "lambda", "sagemaker" if "endpointName" in self._outputs else "lambda"

    def _doom(self) -> dict[str, Any]:
        return {"lambda": {"kill": 1}}

    def _waiting(self) -> int:
        return self._pipeline.waiting()

    def _dead(self) -> int:
        return self._pipeline.waiting("deadLetterQueueUrl")


class ContainerStorm(Storm):
    """What brings events does not tell how many it has, so that they are counted by what is missing."""

    # What services that run containers are named in faults before their own names.
    kind: str

    def _parts(self) -> tuple[str, str]:
        return f"{self.kind}:{self._outputs['functionName']}", f"{self.kind}:{self._outputs['endpointName']}"

    def _doom(self) -> dict[str, Any]:
        # An attempt that was killed lasts as long as it might have, by the machine's clock.
        return {self._parts()[1]: {"error": 1}}

    def _waiting(self) -> int:
        bucket, rows, dead = self._outputs["objectsBucket"], self._pipeline.rows(), self._pipeline.dead()
        return len(judge(self._uploaded, bucket, rows, dead, {}, passed_over=self._maybe_passed_over()).lost) + self._under_way()

    def _maybe_passed_over(self) -> Collection[Identity]:
        """Those that need no row where what is under way is counted beside them."""
        return ()

    @abstractmethod
    def _under_way(self) -> int:
        """Attempts that are not over, at whatever."""

    def _dead(self) -> int:
        return len(self._pipeline.dead())


class GoogleStorm(ContainerStorm):
    """The function keeps its attempts."""

    outages = ("firestore", "pubsub")
    kind = "run"
    _pipeline: "GooglePipeline"

    def _under_way(self) -> int:
        return self._pipeline.under_way()


class AzureStorm(ContainerStorm):
    """Nobody calls the function, so that a fault can't meet a call of it: its processes are ended instead, at random moments.

    Where an object is, nothing is left of its versions before: they are passed over, which the function tells.
    """

    outages = ("table", "queue")
    kind = "app"
    _pipeline: "AzurePipeline"

    def __init__(self, deployment: Deployment, *given: Any) -> None:
        super().__init__(deployment, *given)
        self._observed = AzureObserved(deployment, self._outputs)

    @contextmanager
    def weather(self) -> Iterator[None]:
        over = threading.Event()
        killer = threading.Thread(target=self._kill, args=(over,))
        killer.start()
        try:
            with super().weather():
                yield
        finally:
            over.set()
            killer.join()

    def _kill(self, over: threading.Event) -> None:
        moments = random.Random(self._weather.seed)
        while not over.wait(moments.uniform(*KILLED_EVERY_S)):
            pids = sorted(self._observed.processes(self._outputs["functionName"]))
            # One that has ended by itself meanwhile was not killed.
            with suppress(psutil.NoSuchProcess):
                for pid in moments.sample(pids, k=min(1, len(pids))):
                    psutil.Process(pid).kill()
                    self.met[f"executions.{self._parts()[0]}.kill"] += 1

    def letters(self) -> Any:
        return self._pipeline.letters()

    def _passed_over(self) -> Collection[Identity]:
        query = (
            f'ContainerAppConsoleLogs | where ContainerAppName == "{self._outputs["functionName"]}" | extend line = parse_json(Log) '
            '| where tostring(line.outcome) == "passed-over" | project object = tostring(line.object), version = tostring(line.version)'
        )
        return {(name, version) for name, version in self._observed.rows(query)}

    def _maybe_passed_over(self) -> Collection[Identity]:
        bucket = self._outputs["objectsBucket"]
        return {(f"{bucket}/{done.upload.key}", done.version) for done in self._uploaded}

    def _under_way(self) -> int:
        return self._pipeline.waiting()


def storm_of(deployment: Deployment, outputs: Mapping[str, Any], weather: Weather) -> Storm:
    """The half of the cloud that the stack is in."""
    if str(outputs["platform"]).startswith("gcp-"):
        return GoogleStorm(deployment, outputs, weather, pipeline_of(deployment, outputs))
    if str(outputs["platform"]).startswith("azure-"):
        return AzureStorm(deployment, outputs, weather, pipeline_of(deployment, outputs))
    # A careful uploader and reader: while a service is out they try again, as users' clients do.
    return AwsStorm(deployment, outputs, weather, AwsPipeline(deployment, outputs, attempts=10, connections=16))
