"""The role `floor`, a job: the budget is asked what was spent, and once all of it is, the warming floor goes.

First everything is stopped that would warm again, then the endpoint's own rules go and its minimum: windows are rules of KEDA's in it.
Doing it twice changes nothing more; an `up` in between that writes the endpoint brings its rules back until the next run.

It changes what a program declares, so that a refresh sees it: pings get a schedule that is as good as never, since whether a job is
suspended, which is an action of its own, is in no declaration.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from handlers.functions import logs
from handlers.functions.azure.manager import Manager
from handlers.functions.environment import Environment
from handlers.functions.rest import ApiError

RESTORED_BY = "`pulumi up --refresh` restores the plan; an up without the refresh does not see all of what was dropped"
# On the endpoint: since when it is without its floor.
TAG = "floor-dropped"
# Every fourth year once: a date that never comes may be refused.
NEVER = "0 0 29 2 *"
_IN = r"/subscriptions/[^/,]+/resourceGroups/[^/,]+/providers/"
_APP = re.compile(_IN + r"Microsoft\.App/containerApps/[^/,]+", re.IGNORECASE)
_JOBS = re.compile(rf"{_IN}Microsoft\.App/jobs/[^/,]+(,{_IN}Microsoft\.App/jobs/[^/,]+)*", re.IGNORECASE)
_BUDGET = re.compile(_IN + r"Microsoft\.Consumption/budgets/[^/,]+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class FloorRole:
    """One run: a budget, the endpoint, and jobs that ping, each by its id."""

    budget: str
    endpoint: str
    jobs: tuple[str, ...]
    manager: Manager = field(default_factory=Manager)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def run(self) -> int:
        """The exit status: 1 where the budget could not be asked, or something is not dropped. The next run goes on from there."""
        try:
            if not spent(self.manager.budget(self.budget)):
                logs.write("floor_kept")
                return 0
        except (ApiError, ValueError) as error:
            logs.write("budget_unknown", level="ERROR", message=str(error))
            return 1
        done, whole = list[str](), True
        parts: list[tuple[Callable[[str], list[str]], str]] = [(self._stopped, job) for job in self.jobs]
        for part, id_ in [*parts, (self._cooled, self.endpoint)]:
            try:
                done += part(id_)
            except (ApiError, ValueError, KeyError) as error:
                logs.write("floor_in_part", level="ERROR", part=id_, message=f"{type(error).__name__}: {error}")
                whole = False
        if done:
            logs.write("floor_dropped", level="WARNING", done=done, restored_by=RESTORED_BY)
        return 0 if whole else 1

    def _stopped(self, job: str) -> list[str]:
        configuration = self.manager.job(job)["properties"]["configuration"]
        schedule = configuration.get("scheduleTriggerConfig") or {}
        if schedule.get("cronExpression") in (None, NEVER):
            return []
        # All of what a configuration must have; the rest, its registries above all, stays as it is.
        needed = {name: configuration[name] for name in ("triggerType", "replicaTimeout")}
        due = {**schedule, "cronExpression": NEVER}
        self.manager.change_job(job, {"properties": {"configuration": {**needed, "scheduleTriggerConfig": due}}})
        return [f"stopped {job}"]

    def _cooled(self, app: str) -> list[str]:
        found = self.manager.app(app)
        scale, tags = found["properties"]["template"].get("scale") or {}, found.get("tags") or {}
        rules = [rule for rule in scale.get("rules") or [] if not _is_window(rule)]
        warm = bool(scale.get("minReplicas")) or len(rules) < len(scale.get("rules") or [])
        if TAG in tags and not warm:
            return []
        change: dict[str, Any] = {"tags": {**tags, TAG: self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}}
        if warm:
            change["properties"] = {"template": {"scale": {**scale, "minReplicas": 0, "rules": rules}}}
        self.manager.change_app(app, change)
        return [f"cooled {app}"]


def spent(budget: Mapping[str, Any]) -> bool:
    """Whether all of a budget is, as it was last looked at; before that nothing is. Raises ValueError for what is no budget."""
    try:
        properties = budget["properties"]
        known = properties.get("currentSpend") or {"amount": 0}
        return float(known["amount"]) >= float(properties["amount"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The answer is no budget: {type(error).__name__}: {error}.") from error


def _is_window(rule: Mapping[str, Any]) -> bool:
    return (rule.get("custom") or {}).get("type") == "cron"


def make(variables: Mapping[str, str]) -> FloorRole:
    """The role. Raises SettingsError with every bad variable."""
    environment = Environment(variables)
    budget = environment.matching("BUDGET", _BUDGET, "the id of a budget of a resource group")
    endpoint = environment.matching("ENDPOINT_APP", _APP, "the id of a container app")
    jobs = environment.matching("PING_JOBS", _JOBS, "ids of jobs of Container Apps, with commas between them")
    environment.required("BUDGET", "the id of the budget that is asked")
    environment.required("ENDPOINT_APP", "the id of the endpoint's container app")
    environment.check()
    return FloorRole(budget=budget or "", endpoint=endpoint or "", jobs=tuple((jobs or "").split(",")) if jobs else ())
