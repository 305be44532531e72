"""A stack with a warming plan on a twin whose clock a test moves, and its floor as the platform itself tells it.

Each cloud has its half: what sets a floor, what pings, and what a budget stops.
"""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx

from handlers.server.stages import AHEAD_S
from tests.conformance.observed import Observed, observed_of
from tests.conformance.stacks import STACKS, ReadyStack
from tests.support.clients import client
from tests.support.deployment import Deployment, post

# The stacks that answer at once.
APIS = {ready.name: ready for ready in STACKS if ready.pattern == "api" and ready.has("warming.scheduled")}
ZONE = ZoneInfo("Europe/Berlin")
WINDOW = {"kind": "scheduled", "cron": "0 8 * * MON-FRI", "until": "0 12 * * MON-FRI", "timezone": ZONE.key, "instances": 1}
# A schedule is delivered within its minute, and a floor needs a moment to come up.
SOON = timedelta(minutes=2)
# For an old replica that ends, on a machine that is busy with other tests.
STEADY_S = 40


@dataclass(frozen=True, kw_only=True)
class Warmed(ABC):
    """A stack that is up; `day` is the midnight with which its first day begins, `made` are the outputs of its first `up`."""

    # What the names of schedules that ping contain, and how the twin calls what looks at budgets.
    pings: ClassVar[str]
    budgets: ClassVar[str]
    # Whether a budget that is still spent drops the floor again after an `up --refresh`.
    drops_again: ClassVar[bool]
    # Whether an `up` can leave another floor than the plan's, until a schedule or another `up` mends it.
    drifts: ClassVar[bool] = True
    # How long after the end of a window its floor is gone.
    lowered: ClassVar[timedelta] = SOON
    # How long an instance stays that an `up` itself has started, whatever the plan says.
    started_for: ClassVar[timedelta] = timedelta()

    deployment: Deployment
    stack: str
    day: datetime
    made: Mapping[str, Any]
    variables: Mapping[str, str]

    def at(self, clock: str, days: int = 0) -> datetime:
        """That local time of the first day, or `days` later."""
        hour, minute = (int(part) for part in clock.split(":"))
        return (self.day + timedelta(days=days)).replace(hour=hour, minute=minute)

    def goes_to(self, moment: datetime) -> list[dict[str, Any]]:
        """Everything that is due until then happens on the way; what it was."""
        ran: list[dict[str, Any]] = self.deployment.twin("clock", {"until": moment.astimezone(UTC).isoformat()})["ran"]
        return ran

    def up(self) -> dict[str, Any]:
        report = self.deployment.up(self.stack)
        assert report["result"] == "succeeded"
        self.settled()
        return report

    def settled(self) -> None:
        """What an `up` itself has started is over."""
        if self.started_for:
            self.deployment.twin("clock", {"advance_s": self.started_for.total_seconds()})

    def declared(self) -> int:
        """The floor that the last `up` declared."""
        return int(self.deployment.outputs(self.stack)["floor"])

    @abstractmethod
    def floor(self) -> int:
        """The live one."""

    @abstractmethod
    def schedules(self) -> dict[str, str]:
        """The stack's schedules by name; a value is another one when the schedule was changed."""

    @abstractmethod
    def scaled(self) -> int:
        """How many things beside schedules move the floor."""

    @abstractmethod
    def pinged(self, start: datetime, end: datetime) -> int:
        """The metric `Pings` between two moments."""

    @property
    @abstractmethod
    def model(self) -> tuple[str, str]:
        """What the names of the model's processes end in, and those of its logs contain."""

    @property
    def requests(self) -> int:
        """So many pings keep one instance."""
        return requests_of(self.stack)

    @property
    def observed(self) -> Observed:
        return observed_of(self.deployment, self.made)

    def told(self) -> Mapping[str, Any]:
        """What `doctor` says of the floor; empty where it says nothing."""
        found = json.loads(self.deployment.run("doctor", self.stack, "--local", "--json", code=None).stdout)["findings"]
        return next((finding for finding in found if finding["id"] == "floor"), {})

    def is_cold(self, *, fresh: bool = False) -> bool:
        """Whether a call now has to wait for a model to start. `fresh`: the floor has just come up; an instance counts as started
        ahead once it has idled for a moment."""
        if fresh:
            time.sleep(AHEAD_S + 0.5)
        answer = post(self.made, {"inputs": "is anybody there?"})
        assert answer.status_code == 200, answer.text
        # A warm answer has no such header, or the function's own part alone (contract 3 of docs/architecture.md); that a cold one has it is
        # seen before a window opens (test_warming.py).
        return "load;" in answer.headers.get("server-timing", "")

    def resize(self, more_gb: int) -> None:
        """The endpoint's memory becomes so much more than the ready stack's."""
        self.deployment.configure(self.stack, self.ready.resized(more_gb))

    def rebuild(self) -> None:
        """The endpoint's image becomes another one."""
        source = self.deployment.checkout / "handlers" / "server" / "__init__.py"
        source.write_bytes(source.read_bytes() + f"# changed for {self.stack}\n".encode())

    @property
    def ready(self) -> ReadyStack:
        return APIS[self.stack]


class AwsWarmed(Warmed):
    """EventBridge Scheduler, and application auto scaling for the floor."""

    pings, budgets, drops_again = "-ping-", "budgets", False

    @property
    def is_function(self) -> bool:
        return bool(self.made["platform"] == "aws-lambda")

    @property
    def model(self) -> tuple[str, str]:
        return ("-model", "-model") if self.is_function else ("-api", "Endpoints")

    def floor(self) -> int:
        outputs = self.made
        if self.is_function:
            # Of whatever aliases it has, and had before a plan came or went.
            listed = client(self.variables, "lambda").list_provisioned_concurrency_configs(FunctionName=outputs["functionName"])
            return sum(int(each["RequestedProvisionedConcurrentExecutions"]) for each in listed["ProvisionedConcurrencyConfigs"])
        [variant] = client(self.variables, "sagemaker").describe_endpoint(EndpointName=outputs["endpointName"])["ProductionVariants"]
        return int(variant["CurrentServerlessConfig"].get("ProvisionedConcurrency", 0))

    def schedules(self) -> dict[str, str]:
        listed = client(self.variables, "scheduler").list_schedules(GroupName=self.made["scheduleGroup"])["Schedules"]
        return {each["Name"]: str(each["LastModificationDate"]) for each in listed}

    def scaled(self) -> int:
        asked = {"ServiceNamespace": self.made["platform"].removeprefix("aws-")}
        scaling = client(self.variables, "application-autoscaling")
        return len(
            scaling.describe_scalable_targets(**asked)["ScalableTargets"] + scaling.describe_scheduled_actions(**asked)["ScheduledActions"]
        )

    def pinged(self, start: datetime, end: datetime) -> int:
        span = {"StartTime": start, "EndTime": end, "Period": int((end - start).total_seconds()), "Statistics": ["Sum"]}
        dimensions = [{"Name": "Service", "Value": f"pilotlight-{self.stack}"}]
        watch = client(self.variables, "cloudwatch")
        [counted] = watch.get_metric_statistics(Namespace="Pilotlight", MetricName="Pings", Dimensions=dimensions, **span)["Datapoints"]
        return int(counted["Sum"])


class GoogleWarmed(Warmed):
    """Jobs of Cloud Scheduler, which ping, and set the minimum of the endpoint's service."""

    pings, budgets, drops_again = "-pings-", "Cloud Billing's budgets", True

    @property
    def model(self) -> tuple[str, str]:
        return self.made["endpointName"], "endpointName"

    def floor(self) -> int:
        told = self._asked("RUN", f"v2/{self._place}/services/{self.made['endpointName']}")
        return int(told.get("scaling", {}).get("minInstanceCount", 0))

    def schedules(self) -> dict[str, str]:
        jobs = self._asked("CLOUDSCHEDULER", f"v1/{self._place}/jobs").get("jobs", [])
        own, kept = f"/jobs/{self.made['endpointName']}-", ("schedule", "timeZone", "state", "httpTarget", "retryConfig")
        return {each["name"].rpartition("/")[2]: json.dumps([each.get(part) for part in kept]) for each in jobs if own in each["name"]}

    def scaled(self) -> int:
        """Nothing."""
        return 0

    def pinged(self, start: datetime, end: datetime) -> int:
        """What the log-based metric counts: since the stack came up, which is the first of these moments."""
        return sum(line["Pings"] for line in self.observed.lines("-warmer") if line.get("event") == "metrics")

    def raised(self, ran: Sequence[Mapping[str, Any]]) -> list[str]:
        """What came of the jobs that raise the floor, each time that they were due."""
        own = f"/jobs/{self.made['endpointName']}-floors-"
        return [one["said"] for one in ran if own in one["name"] and f"{own}0-" not in one["name"]]

    @property
    def _place(self) -> str:
        return "projects/{project}/locations/{region}".format(**self.made)

    def _asked(self, api: str, path: str) -> dict[str, Any]:
        address = self.deployment.twin("google")[f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}"]
        found: dict[str, Any] = httpx.get(f"{address}/{path}").raise_for_status().json()
        return found


class AzureWarmed(Warmed):
    """Rules of KEDA's in the endpoint's app, which know by themselves when they are in force, and jobs that ping."""

    pings, budgets, drops_again = "warmer-", "Azure's budgets", True
    drifts = False
    # Container Apps documentation, "Set scaling rules": replicas stay for 300 s, looked at every 30 s.
    lowered = timedelta(minutes=7)
    # A new revision starts with one, whatever its minimum is.
    started_for = lowered
    model = ("endpoint", "endpointName")

    def floor(self) -> int:
        """Replicas that run while nobody calls, once none comes or goes any more: an `up` starts new ones before it ends the old."""
        before, deadline = -1, time.monotonic() + STEADY_S
        while (found := len(self.observed.processes(self.model[0]))) != before and time.monotonic() < deadline:
            before = found
            time.sleep(2)
        return found

    def schedules(self) -> dict[str, str]:
        """Of the jobs that ping; others ask the budget, or forget answers."""
        jobs = [found["outputs"] for found in self._state() if found["type"] == "azure-native:app:Job"]
        own = [job for job in jobs if job["name"].startswith(self.pings)]
        return {job["name"]: json.dumps(job["configuration"]["scheduleTriggerConfig"]) for job in own}

    def scaled(self) -> int:
        rules = [
            rule
            for found in self._state()
            # Beside a GPU or in a network its name has a mark.
            if "endpoint-app" in found["urn"].rpartition("::")[2]
            for rule in found["outputs"]["template"]["scale"]["rules"]
        ]
        return sum(rule.get("custom", {}).get("type") == "cron" for rule in rules)

    def pinged(self, start: datetime, end: datetime) -> int:
        """What the jobs' lines of metrics tell: since the stack came up, which is the first of these moments."""
        return sum(line["Pings"] for line in self.observed.lines("-warmer") if line.get("event") == "metrics")

    def ran(self, event: str) -> list[datetime]:
        """When warmers wrote lines of that event, on the plan's clock: jobs start at hours of UTC, and look themselves whether those are
        the plan's."""
        lines = [line for line in self.observed.lines("-warmer") if line.get("event") == event]
        return sorted(datetime.fromisoformat(line["timestamp"]).astimezone(ZONE) for line in lines)

    def _state(self) -> list[dict[str, Any]]:
        exported = json.loads(self.deployment.pulumi("stack", "export", "-s", self.stack))
        found: list[dict[str, Any]] = exported["deployment"]["resources"]
        return found


def requests_of(stack: str) -> int:
    """How many requests an instance of that stack takes at a time."""
    endpoint, facts = APIS[stack].service["endpoint"], APIS[stack].facts.instance
    if facts is None:
        return 1
    return int(endpoint.get("requestsPerInstance") or (facts.gpus[endpoint["gpu"]].requests if endpoint.get("gpu") else facts.requests))


CLOUDS: Mapping[str, type[Warmed]] = {"aws": AwsWarmed, "azure": AzureWarmed, "gcp": GoogleWarmed}


def brought_up(
    deployment: Deployment, stack: str, day: datetime, rules: Sequence[Mapping[str, Any]], settings: Mapping[str, Any] | None = None
) -> Warmed:
    """The ready stack with these rules, up at 07:20 of that day."""
    deployment.configure(stack, {"warming": list(rules), **(settings or {})})
    deployment.twin("clock", {"until": day.replace(hour=7, minute=20).astimezone(UTC).isoformat()})
    assert deployment.up(stack)["result"] == "succeeded"
    made, variables = deployment.outputs(stack), deployment.variables()
    warmed = CLOUDS[APIS[stack].cloud](deployment=deployment, stack=stack, day=day, made=made, variables=variables)
    warmed.settled()
    return warmed


def local_now(deployment: Deployment) -> datetime:
    """The twin's time in the plan's zone."""
    return datetime.fromtimestamp(deployment.twin("clock")["now"], ZONE)


def next_monday(now: datetime) -> datetime:
    """The midnight with which it begins."""
    return (now + timedelta(days=7 - now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)


def monday_before_the_clocks_change(now: datetime) -> datetime:
    """The first Monday to come at the end of whose week the zone's offset changes."""
    monday = next_monday(now)
    while monday.utcoffset() == (monday + timedelta(days=7)).utcoffset():
        monday += timedelta(days=7)
    return monday
