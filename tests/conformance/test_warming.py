"""The promise of warming: at every moment the live floor is what the plan says, whatever else an `up` changes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from handlers.server.stages import AHEAD_S
from pilotlight.twin import client as twin_client
from tests.conformance.stacks import STACKS
from tests.support.clients import client
from tests.support.deployment import Deployment, post

ZONE = ZoneInfo("Europe/Berlin")
PLAN = '- {kind: scheduled, cron: "0 8 * * MON-FRI", until: "0 18 * * MON-FRI", timezone: Europe/Berlin, instances: 1}'
# A schedule is delivered within its minute, and a floor needs a moment to come up.
SOON = timedelta(minutes=2)
# By when an `up` that ran across an edge has been mended at the latest: the assertion a quarter of an hour after the edge.
MENDED = timedelta(minutes=20)


@dataclass(frozen=True, kw_only=True)
class Warmed:
    """A stack with a plan on a twin whose clock the test moves."""

    deployment: Deployment
    stack: str
    day: datetime

    def at(self, clock: str, days: int = 0) -> datetime:
        """That local time of the first day, or `days` later."""
        hour, minute, second = (int(part) for part in f"{clock}:00".split(":")[:3])
        return (self.day + timedelta(days=days)).replace(hour=hour, minute=minute, second=second)

    def clock(self, **wish: Any) -> None:
        twin_client.call(twin_client.ensure_running(self.deployment.home), "clock", wish, timeout_s=300)

    def goes_to(self, moment: datetime) -> None:
        """Everything that is due until then happens on the way."""
        self.clock(until=moment.astimezone(UTC).isoformat())

    def up(self) -> dict[str, Any]:
        report = self.deployment.up(self.stack)
        assert report["result"] == "succeeded"
        return report

    @property
    def outputs(self) -> dict[str, Any]:
        return self.deployment.outputs(self.stack)

    def floor(self) -> int:
        """The live one, asked of the platform itself."""
        outputs, variables = self.outputs, self.deployment.variables()
        if outputs["platform"] == "aws-lambda":
            functions = client(variables, "lambda")
            try:
                asked = {"FunctionName": outputs["functionName"], "Qualifier": outputs["functionAlias"]}
                return int(functions.get_provisioned_concurrency_config(**asked)["RequestedProvisionedConcurrentExecutions"])
            except functions.exceptions.ProvisionedConcurrencyConfigNotFoundException:
                return 0
        [variant] = client(variables, "sagemaker").describe_endpoint(EndpointName=outputs["endpointName"])["ProductionVariants"]
        return int(variant["CurrentServerlessConfig"].get("ProvisionedConcurrency", 0))

    def is_cold(self) -> bool:
        """Whether a call now has to wait for a model to start. An instance counts as started ahead once it has idled for a moment."""
        time.sleep(AHEAD_S + 0.5)
        answer = post(self.outputs, {"inputs": "is anybody there?"})
        assert answer.status_code == 200, answer.text
        return "load;" in answer.headers.get("server-timing", "")

    def edit(self, pattern: str, replacement: str) -> None:
        self.deployment.edit(f"stacks/Pulumi.{self.stack}.yaml", pattern, replacement)


@pytest.fixture(scope="module", params=[ready.name for ready in STACKS if ready.pattern == "api"])
def warmed(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[Warmed]:
    """Up on a Monday before the window opens."""
    stack = str(request.param)
    now = datetime.fromtimestamp(twin_client.call(twin_client.ensure_running(deployment.home), "clock")["now"], ZONE)
    monday = (now + timedelta(days=7 - now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    made = Warmed(deployment=deployment, stack=stack, day=monday)
    made.edit(r"^    dataRetention: delete$", f"    warming:\n      {PLAN}\n    dataRetention: delete")
    made.goes_to(made.at("07:30"))
    made.up()
    yield made
    made.clock(speed=1)
    deployment.report("destroy", stack)


def test_the_floor_is_up_inside_the_window_and_down_outside(warmed: Warmed) -> None:
    assert warmed.floor() == 0
    warmed.goes_to(warmed.at("08:00") + SOON)
    assert warmed.floor() == 1
    assert warmed.outputs["floor"] == 0, "what the program declared at half past seven"
    cold = [warmed.is_cold()]
    for later in ("12:00", "17:55"):
        warmed.goes_to(warmed.at(later))
        assert warmed.floor() == 1
        cold.append(warmed.is_cold())
    assert cold == [False, False, False], "no cold start inside the window"
    warmed.goes_to(warmed.at("18:00") + SOON)
    assert warmed.floor() == 0


def test_an_up_inside_a_window_leaves_the_floor_whatever_it_changes(warmed: Warmed) -> None:
    warmed.goes_to(warmed.at("09:00", days=1))
    assert warmed.floor() == 1
    warmed.edit(r"memoryMb: 2048", "memoryMb: 3072")
    warmed.up()
    assert (warmed.floor(), warmed.outputs["floor"]) == (1, 1)
    source = warmed.deployment.checkout / "handlers" / "server" / "__init__.py"
    source.write_bytes(source.read_bytes() + f"# changed for {warmed.stack}\n".encode())
    warmed.up()
    assert warmed.floor() == 1
    assert not warmed.is_cold()
    warmed.deployment.report("refresh", warmed.stack)
    warmed.up()
    assert warmed.floor() == 1


def test_an_up_outside_after_one_inside_leaves_no_floor(warmed: Warmed) -> None:
    warmed.goes_to(warmed.at("20:00", days=1))
    assert warmed.floor() == 0
    warmed.edit(r"memoryMb: 3072", "memoryMb: 2048")
    warmed.up()
    assert (warmed.floor(), warmed.outputs["floor"]) == (0, 0)
    warmed.goes_to(warmed.at("08:00", days=2) + SOON)
    assert warmed.floor() == 1


@pytest.mark.parametrize(("edge", "days", "after"), [("18:00", 2, 0), ("08:00", 3, 1)])
def test_an_up_across_an_edge_leaves_the_floor_of_its_end(warmed: Warmed, edge: str, days: int, after: int) -> None:
    # Wednesday evening, then Thursday morning. The program sees the moment before the edge; the engine writes after the schedule did.
    moment = warmed.at(edge, days=days)
    warmed.goes_to(moment + SOON)
    assert warmed.floor() == after
    warmed.edit(r"memoryMb: (2048|4096)", "memoryMb: 4096" if after == 0 else "memoryMb: 2048")
    before = (moment - timedelta(seconds=5)).isoformat()
    assert warmed.deployment.report("up", warmed.stack, "--local", "--at", before)["result"] == "succeeded"
    assert warmed.outputs["floor"] == warmed.floor() != after, "the program wrote the floor of its start"
    warmed.goes_to(moment + MENDED)
    assert warmed.floor() == after
