"""A stack with a warming plan on a twin whose clock a test moves, and its floor as the platform itself tells it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from handlers.server.stages import AHEAD_S
from tests.conformance.stacks import STACKS, ReadyStack
from tests.support.clients import client
from tests.support.deployment import Deployment, post

ZONE = ZoneInfo("Europe/Berlin")
WINDOW = {"kind": "scheduled", "cron": "0 8 * * MON-FRI", "until": "0 12 * * MON-FRI", "timezone": ZONE.key, "instances": 1}
# A schedule is delivered within its minute, and a floor needs a moment to come up.
SOON = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True)
class Warmed:
    """A stack that is up; `day` is the midnight with which its first day begins, `made` are the outputs of its first `up`."""

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
        return report

    def declared(self) -> int:
        """The floor that the last `up` declared."""
        return int(self.deployment.outputs(self.stack)["floor"])

    def floor(self) -> int:
        """The live one."""
        outputs, variables = self.made, self.variables
        if outputs["platform"] == "aws-lambda":
            functions = client(variables, "lambda")
            try:
                asked = {"FunctionName": outputs["functionName"], "Qualifier": outputs["functionAlias"]}
                return int(functions.get_provisioned_concurrency_config(**asked)["RequestedProvisionedConcurrentExecutions"])
            except functions.exceptions.ProvisionedConcurrencyConfigNotFoundException:
                return 0
        if outputs["platform"] == "gcp-cloud-run":
            api = self.deployment.twin("google")["CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"]
            service = "projects/{project}/locations/{region}/services/{endpointName}".format(**outputs)
            told = httpx.get(f"{api}/v2/{service}").raise_for_status().json()
            return int(told.get("scaling", {}).get("minInstanceCount", 0))
        [variant] = client(variables, "sagemaker").describe_endpoint(EndpointName=outputs["endpointName"])["ProductionVariants"]
        return int(variant["CurrentServerlessConfig"].get("ProvisionedConcurrency", 0))

    def is_cold(self, *, fresh: bool = False) -> bool:
        """Whether a call now has to wait for a model to start. `fresh`: the floor has just come up; an instance counts as started
        ahead once it has idled for a moment."""
        if fresh:
            time.sleep(AHEAD_S + 0.5)
        answer = post(self.made, {"inputs": "is anybody there?"})
        assert answer.status_code == 200, answer.text
        return "load;" in answer.headers.get("server-timing", "")

    def resize(self, more_gb: int) -> None:
        """The endpoint's memory becomes so much more than the ready stack's."""
        memory_mb = self.ready.service["endpoint"]["memoryMb"] + 1024 * more_gb
        self.deployment.configure(self.stack, {"endpoint": {"memoryMb": memory_mb}})

    @property
    def ready(self) -> ReadyStack:
        return next(ready for ready in STACKS if ready.name == self.stack)


def brought_up(
    deployment: Deployment, stack: str, day: datetime, rules: Sequence[Mapping[str, Any]], settings: Mapping[str, Any] | None = None
) -> Warmed:
    """The ready stack with these rules, up at 07:20 of that day."""
    deployment.configure(stack, {"warming": list(rules), **(settings or {})})
    deployment.twin("clock", {"until": day.replace(hour=7, minute=20).astimezone(UTC).isoformat()})
    assert deployment.up(stack)["result"] == "succeeded"
    return Warmed(deployment=deployment, stack=stack, day=day, made=deployment.outputs(stack), variables=deployment.variables())


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
