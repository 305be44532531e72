"""Checks of the live warming floor: what the budget dropped, and where it is not the plan's."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from components.gcp.names import Names, names_of
from components.warming_plan import floor_at
from pilotlight.cli.api_errors import ApiError, NotServed
from pilotlight.doctor import floors
from pilotlight.doctor.findings import Finding
from pilotlight.doctor.subject import Subject
from stacks.plan import plan_of

# The role of the function that drops it (`components/gcp/drop.py`).
FLOOR = "floor"
# Cloud Billing's messages come again and again while a budget is spent (its documentation, programmatic notifications).
AGAIN = "; while this month's budget stays spent it is dropped again within hours, so raise budget.monthlyUsd first"


def floor(subject: Subject) -> Iterator[Finding]:
    """The minimum of the endpoint's service is the plan's for this moment. Nothing where the stack is not up, or has neither."""
    assert subject.settings is not None
    names, plan = _names(subject), plan_of(subject.settings.warming)
    live, wanted = _live(subject, names), floor_at(plan, subject.moment())
    if live is None or not (plan.rules or live):
        return
    found = list(_dropped(subject, names, live, wanted))
    if found:
        yield from found
    elif live == wanted:
        yield floors.as_planned(live)
    else:
        yield floors.another(live, wanted, subject.stack)


def before_up(subject: Subject) -> Iterator[Finding]:
    """What of it an `up` does not mend."""
    assert subject.settings is not None
    names = _names(subject)
    live = _live(subject, names)
    if live is not None:
        yield from _dropped(subject, names, live, floor_at(plan_of(subject.settings.warming), subject.moment()))


def _dropped(subject: Subject, names: Names, live: int, wanted: int) -> Iterator[Finding]:
    """The budget was spent and its function has stopped what moves the floor."""
    told = _told(subject, names) if subject.settings and subject.settings.warming else None
    if told is None:
        return
    jobs = [job for job in told.get("SCHEDULES", "").split(",") if job]
    stopped = any(subject.clients.of("cloudscheduler").ask("GET", f"/v1/{job}").get("state") == "PAUSED" for job in jobs)
    # Where nothing moves the floor there is nothing to stop: then it is down.
    if stopped or (not jobs and live < wanted):
        yield floors.dropped(live, wanted, subject.stack, _when(subject, names), also=AGAIN)


def _live(subject: Subject, names: Names) -> int | None:
    """Instances that are kept warm, whoever asked for them; None where the model is not up."""
    # An `up` that turns `endpoint.private` on or off finds the other one.
    service = _service(subject, names.endpoint) or _service(subject, names.private_endpoint)
    return None if service is None else int((service.get("scaling") or {}).get("minInstanceCount") or 0)


def _told(subject: Subject, names: Names) -> Mapping[str, str] | None:
    """What the function that drops the floor is told (contract 3 of docs/architecture.md); None where the stack has none."""
    service = _service(subject, names.service(FLOOR))
    if service is None:
        return None
    [container] = service["template"]["containers"]
    return {one["name"]: one.get("value", "") for one in container.get("env", [])}


def _service(subject: Subject, name: str) -> Any | None:
    """A Cloud Run service of the stack, None where there is none (Cloud Run API v2, projects.locations.services.get)."""
    try:
        run = subject.clients.of("run")
        return run.ask("GET", f"/v2/projects/{subject.google_project}/locations/{subject.region}/services/{name}")
    except NotServed:
        # The twin serves it from the first service on.
        return None
    except ApiError as error:
        if error.status == 404 or error.reason == "SERVICE_DISABLED":
            return None
        raise


def _when(subject: Subject, names: Names) -> str:
    """` on 2027-01-04 at 17:00 UTC`, as the function's log has it; empty where that is over its retention, or may not be read."""
    asked = {
        "resourceNames": [f"projects/{subject.google_project}"],
        "filter": f'resource.type="cloud_run_revision" AND resource.labels.service_name="{names.service(FLOOR)}"'
        ' AND jsonPayload.event="floor_dropped"',
        "orderBy": "timestamp desc",
        "pageSize": 1,
    }
    try:
        entries = subject.clients.of("logging").ask("POST", "/v2/entries:list", json=asked).get("entries", [])
    except ApiError:
        return ""
    return datetime.fromisoformat(entries[0]["timestamp"]).strftime(" on %Y-%m-%d at %H:%M UTC") if entries else ""


def _names(subject: Subject) -> Names:
    return names_of(subject.project.name, subject.stack)
