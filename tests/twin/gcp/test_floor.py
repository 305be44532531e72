"""A service's floor, set through Cloud Run's API: who may, what comes of it at once, what the engine sees of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from pilotlight.twin.gcp.callers import Caller
from pilotlight.twin.gcp.cloud_run_revision import IDLE_S
from pilotlight.twin.gcp.types import ACCOUNT, ACCOUNT_MEMBER, CUSTOM_ROLE, RUN_MEMBER
from pilotlight.twin.world import Resource
from tests.support.waiting import until
from tests.twin.gcp.conftest import REGION
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.services import CLIENT, Run, harness_in

MASK = "updateMask=scaling.minInstanceCount"
PERMISSIONS = ["run.services.get", "run.services.update"]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleHarness]:
    running = harness_in(tmp_path_factory.mktemp("floor"))
    yield running
    running.down()


class Floor:
    """One service and the account that sets its floor."""

    def __init__(self, run: Run) -> None:
        self.run, self.harness = run, run.harness
        self.setter = self.harness.account("setter")
        self.role = self.harness.make(CUSTOM_ROLE, "sets", roleId="setsFloor", title="sets", permissions=PERMISSIONS)["name"]

    def let(self, service: Resource) -> list[Resource]:
        """Every right that it takes."""
        member = f"serviceAccount:{self.setter}"
        name, runner = service["name"], self.harness.twin.world.one(ACCOUNT, email=self.run.runner)
        assert runner is not None
        return [
            self.harness.make(RUN_MEMBER, f"{name}-sets", name=name, location=REGION, role=self.role, member=member),
            self.harness.make(
                ACCOUNT_MEMBER, f"{name}-acts", serviceAccountId=runner["name"], role="roles/iam.serviceAccountUser", member=member
            ),
        ]

    def ask(self, method: str, service: Resource, query: str = "", caller: str | None = None, **body: Any) -> httpx.Response:
        address = self.harness.twin.gcp.url(self.harness.twin, "run-admin", "v2", service.id)
        headers = {"Authorization": f"Bearer {self.run.tokens.access(caller or self.setter)}"}
        return CLIENT.request(method, f"{address}?{query}", headers=headers, json=body)

    def set(self, service: Resource, count: Any, query: str = MASK) -> httpx.Response:
        return self.ask("PATCH", service, query, scaling={"minInstanceCount": count})

    def live(self, service: Resource) -> Any:
        """What a refresh reads: (outputs, inputs)."""
        read = self.harness.life.read(service.token, service.id, service.urn, service.inputs)
        assert read is not None
        assert read[0]["scaling"]["minInstanceCount"] == read[1]["scaling"]["minInstanceCount"]
        return read[1]["scaling"]["minInstanceCount"]


@pytest.fixture(scope="module")
def floor(harness: GoogleHarness) -> Floor:
    return Floor(Run(harness, harness.pushed(), harness.account("caller"), harness.account("runner")))


@pytest.fixture
def run(floor: Floor) -> Iterator[Run]:
    yield floor.run
    floor.run.clear()


def test_a_patch_changes_the_instances_and_a_refresh_sees_it(run: Run, floor: Floor) -> None:
    service = run()
    floor.let(service)
    answer = floor.set(service, 2)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["done"], told["response"]["scaling"]) == (True, {"minInstanceCount": 2})
    assert told["name"].startswith(service.id.split("/services/")[0] + "/operations/")
    until(lambda: len(run.processes(service)) == 2)
    assert floor.live(service) == 2
    seen = floor.ask("GET", service).json()
    assert (seen["name"], seen["scaling"], seen["uri"]) == (service.id, {"minInstanceCount": 2}, service["uri"])
    floor.harness.change(service, annotations={"warming-plan": "none"})
    assert floor.live(service) == 0, "the provider sends a service whole, with the floor of the program"
    assert seen["template"]["containers"][0]["image"] == run.image

    twin = run.harness.twin
    assert floor.set(service, 0).status_code == 200
    run.harness.wait(twin.timers.forward(twin.clock.now() + IDLE_S + 1))
    until(lambda: run.processes(service) == [])


def test_an_up_writes_what_the_program_says(run: Run, floor: Floor) -> None:
    service = run(floor=0)
    floor.let(service)
    floor.set(service, 1)
    until(lambda: len(run.processes(service)) == 1)
    changed = run.harness.change(service, template=run.template({"WHICH": "two"}))
    assert floor.live(changed) == 0
    floor.set(service, 1)
    changed = run.harness.change(changed, labels={"a": "b"})
    assert floor.live(changed) == 0, "an update writes the whole service"
    assert floor.ask("GET", changed).json()["scaling"] == {"minInstanceCount": 0}


def test_who_may_not_is_refused(run: Run, floor: Floor) -> None:
    service = run()
    reasons = floor.set(service, 1)
    assert (reasons.status_code, reasons.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    granted = floor.let(service)
    run.harness.remove(granted[1])
    refused = floor.set(service, 1)
    assert refused.status_code == 403
    assert "iam.serviceAccounts.actAs" in refused.json()["error"]["message"]
    assert floor.ask("GET", service).status_code == 200, "reading takes no more"
    address = run.harness.twin.gcp.url(run.harness.twin, "run-admin", "v2", service.id)
    assert CLIENT.get(address).status_code == 401
    assert floor.live(service) == 0
    assert run.processes(service) == []


@pytest.mark.parametrize(
    ("query", "count", "status", "said"),
    [
        ("updateMask=template.containers", 1, 501, "template.containers"),
        ("updateMask=scaling", 1, 501, "'scaling'"),
        ("", 1, 501, "updateMask ''"),
        (f"{MASK}&allowMissing=true", 1, 501, "allowMissing"),
        (MASK, -1, 400, "whole number"),
        (MASK, "two", 400, "whole number"),
        (MASK, True, 400, "whole number"),
    ],
)
def test_any_other_change_is_refused_by_name(run: Run, floor: Floor, query: str, count: Any, status: int, said: str) -> None:
    service = run()
    floor.let(service)
    answer = floor.set(service, count, query)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True), answer.text
    assert floor.live(service) == 0


def test_more_than_the_maximum_and_what_is_not_there_are_refused(run: Run, floor: Floor) -> None:
    service = run()
    floor.let(service)
    bounded = run.harness.change(service, scaling={"minInstanceCount": 0, "maxInstanceCount": 1})
    answer = floor.set(bounded, 2)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "2 is more than maxInstanceCount, 1" in answer.text
    run.harness.remove(service)
    floor.harness.grant("roles/run.developer", floor.setter)
    assert floor.set(service, 1).status_code == 404


def test_an_outage_answers_503(run: Run, floor: Floor) -> None:
    service = run()
    floor.let(service)
    run.harness.twin.faults.set({"outages": ["run-admin"]})
    assert floor.set(service, 1).status_code == 503
    run.harness.twin.faults.clear()
    assert floor.set(service, 1).status_code == 200


def test_instances_and_shells_are_led_to_the_api(run: Run, floor: Floor) -> None:
    variable = "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN"
    service = run()
    floor.let(service)
    led = run.ask(service).json()["env"][variable]
    refused = CLIENT.get(f"{led}/v2/{service.id}")
    assert (refused.status_code, run.runner in refused.text) == (403, True), "as the account that the instance runs as"
    developer = run.harness.wait(run.harness.twin.gcp.variables(run.harness.twin, Caller()))[variable]
    assert CLIENT.get(f"{developer}/v2/{service.id}").json()["name"] == service.id
