"""Checks of the live warming floor: what the budget dropped, what no plan asks for, what a smaller reservation would meet."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from components.aws.names import ALIAS, WARMED_ALIAS, Names, names_of
from components.warming_plan import floor_at
from pilotlight.doctor import floors
from pilotlight.doctor.findings import Finding, warn
from pilotlight.doctor.subject import Subject
from stacks.plan import plan_of

# In which an endpoint takes no update (SageMaker API reference, DescribeEndpoint: EndpointStatus).
_UNDER_WAY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def floor(subject: Subject) -> Iterator[Finding]:
    """The floor that is live is the plan's for this moment. Nothing where the stack is not up, or has neither."""
    assert subject.settings is not None
    names, plan = _names(subject), plan_of(subject.settings.warming)
    if moving := list(_moving(subject, names)):
        # What is live is about to be another.
        yield from moving
        return
    live, wanted = _live(subject, names), floor_at(plan, subject.moment())
    if live is None or not (plan.rules or live):
        return
    found = [*_dropped(subject, names, live, wanted), *_unplanned(subject, names), *_reserved(subject, live)]
    if found:
        yield from found
    elif live == wanted:
        yield floors.as_planned(live)
    else:
        yield floors.another(live, wanted, subject.stack)


def before_up(subject: Subject) -> Iterator[Finding]:
    """What of it an `up` does not mend, or meets."""
    assert subject.settings is not None
    names, plan = _names(subject), plan_of(subject.settings.warming)
    live = _live(subject, names)
    if live is not None:
        yield from _dropped(subject, names, live, floor_at(plan, subject.moment()))
        yield from _unplanned(subject, names)
        yield from _reserved(subject, live)
    yield from _moving(subject, names)


def _moving(subject: Subject, names: Names) -> Iterator[Finding]:
    """An endpoint that is being moved takes no update: a schedule of the plan swaps it, or another `up` is under way."""
    endpoint = _endpoint(subject, names) if _swapped(subject) else None
    if endpoint is None or endpoint["EndpointStatus"] not in _UNDER_WAY:
        return
    yield warn(
        floors.ID,
        f"the endpoint {names.endpoint!r} is {endpoint['EndpointStatus']}: SageMaker refuses an `up` that would move it until that is over",
        allowed="an endpoint that is InService; the swap of a warming plan takes minutes",
        mend=f"aws sagemaker wait endpoint-in-service --endpoint-name {names.endpoint}",
    )


def _unplanned(subject: Subject, names: Names) -> Iterator[Finding]:
    """A floor of the alias that no plan gives one. Both aliases can't have one for the same version, so that it stands in the way of a
    plan's."""
    if _swapped(subject) or not (unplanned := _provisioned(subject, names, ALIAS)):
        return
    yield warn(
        floors.ID,
        f"{unplanned} instances of the alias {ALIAS!r} are kept warm, which no plan asks for",
        allowed=f"a floor of the alias {WARMED_ALIAS!r}, which a plan has",
        mend=f"aws lambda delete-provisioned-concurrency-config --function-name {names.model_function} --qualifier {ALIAS}",
    )


def _dropped(subject: Subject, names: Names, live: int, wanted: int) -> Iterator[Finding]:
    """The budget was spent and its function did what it is for. The state of the stack knows nothing of it."""
    told = _told(subject, names) if subject.settings and subject.settings.warming else None
    if told is None:
        return
    stopped = _stopped(subject, told)
    # Where nothing moves the floor there is nothing to stop: then it is down.
    if stopped or (stopped is None and live < wanted):
        yield floors.dropped(live, wanted, subject.stack, _when(subject, names))


def _reserved(subject: Subject, live: int) -> Iterator[Finding]:
    """A function's reservation changes before its floor does: the alias that has the floor comes after the function."""
    assert subject.settings is not None
    most = subject.settings.endpoint.max_concurrency
    if _swapped(subject) or most is None or live < most:
        return
    if live == most:
        yield warn(
            floors.ID,
            f"{live} instances are kept warm and maxConcurrency is {most}: all of what is reserved, so that a new version has no place to "
            "start in",
            allowed=f"maxConcurrency of {live + 1} or more while so many are kept warm",
            mend=f"pilotlight up {subject.stack} with maxConcurrency {live + 1} or more, then again with the lower floor and what you want",
        )
        return
    yield warn(
        floors.ID,
        f"{live} instances are kept warm and maxConcurrency is {most}: `up` lowers the reservation first, which may be refused",
        allowed=f"maxConcurrency of {live} or more while so many are kept warm",
        mend=f"pilotlight up {subject.stack} with the lower floor, then again with the lower maxConcurrency",
    )


def _swapped(subject: Subject) -> bool:
    """Whether the floor is a part of the endpoint's configuration, which is replaced as a whole."""
    assert subject.settings is not None
    return subject.settings.endpoint.platform == "aws-sagemaker"


def _live(subject: Subject, names: Names) -> int | None:
    """Instances that are kept warm, whoever asked for them; None where the model is not up."""
    if _swapped(subject):
        endpoint = _endpoint(subject, names)
        # One that is being created has none yet.
        variants = () if endpoint is None else endpoint.get("ProductionVariants", ())
        kept = [int(each.get("CurrentServerlessConfig", {}).get("ProvisionedConcurrency", 0)) for each in variants]
        return sum(kept) if kept else None
    # The settings may have a plan that the deployed stack has not, or the other way round.
    found = [_provisioned(subject, names, alias) for alias in (ALIAS, WARMED_ALIAS)]
    return None if found == [None, None] else sum(each or 0 for each in found)


def _endpoint(subject: Subject, names: Names) -> Mapping[str, Any] | None:
    """What SageMaker tells of the endpoint; None where there is none."""
    from botocore.exceptions import ClientError

    try:
        found: Mapping[str, Any] = subject.clients.of("sagemaker", subject.region).describe_endpoint(EndpointName=names.endpoint)
    except ClientError as error:
        # SageMaker has no code of its own for what is not there.
        if "Could not find" in str(error):
            return None
        raise
    return found


def _provisioned(subject: Subject, names: Names, alias: str) -> int | None:
    """The provisioned concurrency of an alias of the model's function; None where there is no such alias."""
    client = subject.clients.of("lambda", subject.region)
    try:
        found = client.get_provisioned_concurrency_config(FunctionName=names.model_function, Qualifier=alias)
    except client.exceptions.ProvisionedConcurrencyConfigNotFoundException:
        return 0
    except client.exceptions.ResourceNotFoundException:
        return None
    return int(found["RequestedProvisionedConcurrentExecutions"])


def _told(subject: Subject, names: Names) -> Mapping[str, str] | None:
    """What the function that drops the floor is told (contract 3 of docs/architecture.md); None where the stack has none."""
    client = subject.clients.of("lambda", subject.region)
    try:
        variables: Mapping[str, str] = client.get_function_configuration(FunctionName=names.named("floor"))["Environment"]["Variables"]
    except client.exceptions.ResourceNotFoundException:
        return None
    return variables


def _stopped(subject: Subject, told: Mapping[str, str]) -> bool | None:
    """Whether the function has stopped what moves the floor; None where nothing does."""
    found: list[bool] = []
    if group := told.get("SCHEDULE_GROUP"):
        scheduler = subject.clients.of("scheduler", subject.region)
        found.append(bool(scheduler.list_schedules(GroupName=group, State="DISABLED", MaxResults=1)["Schedules"]))
    if resource := told.get("SCALABLE_RESOURCE"):
        scaling = subject.clients.of("application-autoscaling", subject.region)
        namespace = told["SCALABLE_DIMENSION"].partition(":")[0]
        targets = scaling.describe_scalable_targets(ServiceNamespace=namespace, ResourceIds=[resource])["ScalableTargets"]
        found += [bool(target["SuspendedState"]["ScheduledScalingSuspended"]) for target in targets]
    return any(found) if found else None


def _when(subject: Subject, names: Names) -> str:
    """` on 2027-01-04 at 17:00 UTC`, as the function's log has it; empty where that is over its retention."""
    pages = subject.clients.of("logs", subject.region).get_paginator("filter_log_events")
    lines: list[dict[str, Any]] = [
        event
        for page in pages.paginate(logGroupName=names.logs_of("floor"), filterPattern='"floor_dropped"')
        for event in page.get("events", [])
    ]
    if not lines:
        return ""
    return datetime.fromtimestamp(max(line["timestamp"] for line in lines) / 1000, UTC).strftime(" on %Y-%m-%d at %H:%M UTC")


def _names(subject: Subject) -> Names:
    return names_of(subject.project.name, subject.stack)
