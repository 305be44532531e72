"""The role `floor`: a budget is asked, and once all of it is spent pings are stopped and the endpoint's floor goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from handlers.functions.azure import floor
from handlers.functions.azure.manager import ADDRESS
from handlers.functions.environment import SettingsError
from tests.parts.handlers.azure.servers import Identities, identity_endpoint
from tests.parts.handlers.http_servers import Quiet, serving

GROUP = "/subscriptions/s/resourceGroups/g/providers"
BUDGET, APP = f"{GROUP}/Microsoft.Consumption/budgets/spend", f"{GROUP}/Microsoft.App/containerApps/endpoint"
JOBS = [f"{GROUP}/Microsoft.App/jobs/warmer-{number}" for number in (0, 1)]
HTTP = {"name": "http-0", "http": {"metadata": {"concurrentRequests": "2"}}}
WINDOW = {"name": "cron-1", "custom": {"type": "cron", "metadata": {"desiredReplicas": "2"}}}
SCALE = {"minReplicas": 1, "maxReplicas": 5, "cooldownPeriod": 300, "rules": [HTTP, WINDOW]}
NOW = datetime(2027, 1, 4, 17, tzinfo=UTC)


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396, as Resource Manager does it."""
    if not isinstance(patch, dict):
        return patch
    held = old if isinstance(old, dict) else {}
    return {**held, **{key: merged(held.get(key), value) for key, value in patch.items()}}


@dataclass
class Manager:
    """Resource Manager, with what is where; `asked` are the requests that came, `failing` statuses by path, of changes alone."""

    address: str = ""
    held: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None, Any]] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)

    def answer(self, method: str, path: str, token: str | None, body: bytes) -> tuple[int, bytes]:
        at, patch = urlsplit(path), json.loads(body) if body else None
        self.asked.append((method, at.path, token, patch))
        if at.path not in self.held or not at.query.startswith("api-version=20"):
            return 404, b'{"error": {"code": "ResourceNotFound", "message": "It is not there."}}'
        if method == "PATCH":
            if status := self.failing.get(at.path):
                return status, b"{}"
            self.held[at.path] = merged(self.held[at.path], patch)
            # As Azure does: taken, and done later.
            return 202, b""
        return 200, json.dumps(self.held[at.path]).encode()

    def costs(self, amount: float | None) -> None:
        known = {} if amount is None else {"currentSpend": {"amount": amount, "unit": "USD"}}
        self.held[BUDGET] = {"properties": {"amount": 100.0, **known}}

    @property
    def scale(self) -> dict[str, Any]:
        return dict(self.held[APP]["properties"]["template"]["scale"])

    def cron(self, job: str) -> str:
        return str(self.held[job]["properties"]["configuration"]["scheduleTriggerConfig"]["cronExpression"])

    def changes(self) -> list[str]:
        return [path for method, path, _, _ in self.asked if method == "PATCH"]


@pytest.fixture
def manager() -> Iterator[Manager]:
    made = Manager()
    due = {"cronExpression": "*/5 * * * *", "parallelism": 1, "replicaCompletionCount": 1}
    told = {"triggerType": "Schedule", "replicaTimeout": 60, "scheduleTriggerConfig": due, "registries": [{"server": "r", "identity": "i"}]}
    made.held = {job: {"properties": {"configuration": told}} for job in JOBS}
    template = {"containers": [{"image": "i"}], "scale": SCALE}
    made.held[APP] = {"tags": {"stack": "mine"}, "properties": {"template": template, "environmentId": "e"}}

    class Handler(Quiet):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = made.answer(self.command, self.path, self.headers.get("Authorization"), body)
            self.reply(status, content, {"Content-Type": "application/json"})

        do_GET = do_PATCH = forward

    with serving(Handler) as host:
        made.address = f"http://{host}"
        yield made


@pytest.fixture
def identities() -> Iterator[Identities]:
    with identity_endpoint() as made:
        yield made


@pytest.fixture
def role(manager: Manager, identities: Identities, monkeypatch: pytest.MonkeyPatch) -> floor.FloorRole:
    for name, value in {**identities.variables, ADDRESS[0]: f"{manager.address}/"}.items():
        monkeypatch.setenv(name, value)
    made = floor.make({"BUDGET": BUDGET, "ENDPOINT_APP": APP, "PING_JOBS": ",".join(JOBS)})
    return floor.FloorRole(budget=made.budget, endpoint=made.endpoint, jobs=made.jobs, manager=made.manager, now=lambda: NOW)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_spent_budget_stops_pings_and_takes_the_floor(
    role: floor.FloorRole, manager: Manager, identities: Identities, capsys: pytest.CaptureFixture[str]
) -> None:
    manager.costs(100.0)
    assert role.run() == 0
    assert [manager.cron(job) for job in JOBS] == [floor.NEVER] * 2
    assert manager.held[JOBS[0]]["properties"]["configuration"]["registries"] == [{"server": "r", "identity": "i"}]
    assert manager.scale == {**SCALE, "minReplicas": 0, "rules": [HTTP]}
    assert manager.held[APP]["tags"] == {"stack": "mine", "floor-dropped": "2027-01-04T17:00:00Z"}
    assert manager.changes() == [*JOBS, APP], "what would warm again goes first"
    [line] = lines(capsys)
    assert (line["event"], line["level"], line["done"]) == (
        "floor_dropped",
        "WARNING",
        [*(f"stopped {job}" for job in JOBS), f"cooled {APP}"],
    )
    assert {token for _, _, token, _ in manager.asked} == {f"Bearer {token}" for token in identities.tokens}
    assert {one["resource"] for one in identities.asked} == {"https://management.azure.com/"}


def test_a_change_names_neither_an_environment_nor_an_identity(role: floor.FloorRole, manager: Manager) -> None:
    """Each would need a right of its own, on what it names."""
    manager.costs(100.0)
    role.run()
    sent = [body for method, _, _, body in manager.asked if method == "PATCH"]
    assert [(set(body), set(body["properties"])) for body in sent] == [({"properties"}, {"configuration"})] * 2 + [
        ({"tags", "properties"}, {"template"})
    ]
    assert set(sent[2]["properties"]["template"]) == {"scale"}
    assert "identity" not in json.dumps(sent)


@pytest.mark.parametrize("amount", [None, 0, 99.99])
def test_a_budget_that_is_not_spent_changes_nothing(role: floor.FloorRole, manager: Manager, amount: float | None) -> None:
    manager.costs(amount)
    assert role.run() == 0
    assert [(method, path) for method, path, _, _ in manager.asked] == [("GET", BUDGET)]


def test_the_next_run_changes_nothing_more_until_an_up_brings_rules_back(
    role: floor.FloorRole, manager: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    manager.costs(120)
    role.run()
    manager.asked.clear()
    capsys.readouterr()
    assert (role.run(), manager.changes(), lines(capsys)) == (0, [], [])
    manager.held[APP]["properties"]["template"]["scale"] = SCALE
    assert (role.run(), manager.changes(), manager.scale["rules"]) == (0, [APP], [HTTP])


def test_pings_alone_leave_the_scale_as_it_is_and_the_day_on_the_endpoint(role: floor.FloorRole, manager: Manager) -> None:
    manager.costs(120)
    cold = {**SCALE, "minReplicas": 0, "rules": [HTTP]}
    manager.held[APP]["properties"]["template"]["scale"] = cold
    role.run()
    [body] = [body for method, path, _, body in manager.asked if (method, path) == ("PATCH", APP)]
    assert (set(body), manager.scale) == ({"tags"}, cold)


def test_a_part_that_fails_leaves_the_others_done_and_the_run_failed(
    role: floor.FloorRole, manager: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    manager.costs(120)
    manager.failing[JOBS[0]] = 403
    assert role.run() == 1
    assert ([manager.cron(job) for job in JOBS], manager.scale["minReplicas"]) == (["*/5 * * * *", floor.NEVER], 0)
    failed, dropped = lines(capsys)
    assert (failed["event"], failed["part"], dropped["done"]) == ("floor_in_part", JOBS[0], [f"stopped {JOBS[1]}", f"cooled {APP}"])
    manager.failing.clear()
    assert role.run() == 0
    assert manager.cron(JOBS[0]) == floor.NEVER


def test_a_budget_that_can_not_be_asked_fails_the_run_and_changes_nothing(
    role: floor.FloorRole, manager: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    assert role.run() == 1
    manager.held[BUDGET] = {"properties": {"currentSpend": {"amount": 1}}}
    assert role.run() == 1
    assert [line["event"] for line in lines(capsys)] == ["budget_unknown"] * 2
    assert manager.changes() == []


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"BUDGET": BUDGET},
        {"BUDGET": "spend", "ENDPOINT_APP": APP},
        {"BUDGET": BUDGET, "ENDPOINT_APP": BUDGET},
        {"BUDGET": BUDGET, "ENDPOINT_APP": APP, "PING_JOBS": f"{JOBS[0]},"},
    ],
)
def test_ids_that_are_none_are_refused(variables: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"BUDGET|ENDPOINT_APP|PING_JOBS"):
        floor.make(variables)


def test_a_stack_without_pings_has_a_floor_too(role: floor.FloorRole, manager: Manager) -> None:
    manager.costs(120)
    assert floor.make({"BUDGET": BUDGET, "ENDPOINT_APP": APP}).run() == 0
    assert manager.changes() == [APP]
