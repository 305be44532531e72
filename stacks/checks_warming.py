"""What of a warming plan and a budget hangs on other settings. Pure, but for the time that leases are compared with."""

import math
from collections.abc import Iterator

from components import limits_azure
from components.limits import BUDGET_NOTIFICATIONS
from components.platform_facts import PLATFORM_FACTS
from components.warming_checks import Facts, problems
from stacks.messages import Problem, shown, told
from stacks.plan import date_of, now, plan_of
from stacks.settings_service import Endpoint, Settings
from stacks.sizes import instance, ping_minutes


def warming_problems(settings: Settings) -> Iterator[Problem]:
    """Every problem of the plan's rules and of the budget; parts that could not be read are passed over."""
    yield from _budget(settings)
    yield from _dates(settings)
    endpoint = settings.endpoint
    if settings.warming and endpoint is not None and endpoint.platform is not None:
        yield from (told(problem) for problem in problems(plan_of(settings.warming), _facts(endpoint), now()))


def _facts(endpoint: Endpoint) -> Facts:
    """Warm are instances, which some platforms give several requests each."""
    facts, most = PLATFORM_FACTS.get(endpoint.platform), endpoint.max_concurrency
    minutes = ping_minutes(endpoint, facts)
    size = None if facts is None else instance(endpoint, facts)
    if size is None or most is None or size.requests < 1:
        return Facts(platform=endpoint.platform, most=most, minutes=minutes)
    bound = f"endpoint.maxConcurrency over {size.requests} requests of an instance"
    return Facts(
        platform=endpoint.platform,
        most=math.ceil(most / size.requests),
        bound=bound,
        requests=size.requests,
        minutes=minutes,
    )


def _budget(settings: Settings) -> Iterator[Problem]:
    budget = settings.budget
    if budget is None:
        return
    if budget.email is None and settings.alarms is not None and settings.alarms.email is None:
        yield told("budget.email: missing: use one address, name@example.com, here or in alarms.email: a budget tells somebody")
    if budget.on_exceeded == "drop-warming" and settings.warming == []:
        yield told("budget.onExceeded: 'drop-warming': there is no warming to drop: use notify, or set warming")
    if settings.cloud == "gcp":
        return
    limit = limits_azure.BUDGET_NOTIFICATIONS if settings.cloud == "azure" else BUDGET_NOTIFICATIONS
    # What drops the floor is told of all of it, 1.0, mailed or not; on Azure it asks.
    told_apart = budget.on_exceeded == "drop-warming" and settings.cloud != "azure"
    shares = {*budget.alert_at, *([1.0] if told_apart else [])}
    problem = limit.problem(len(shares))
    if problem is not None:
        also = "" if shares == set(budget.alert_at) else ", with drop-warming's own at 1.0"
        yield told(f"budget.alertAt: {shown(budget.alert_at)}: makes {len(shares)} notifications{also}: {problem} ({limit.source})")


def _dates(settings: Settings) -> Iterator[Problem]:
    for position, rule in enumerate(settings.warming or ()):
        lease = getattr(rule, "lease_until", None)
        if lease is not None and date_of(lease) is None:
            yield told(f"warming.{position}.leaseUntil: {shown(lease)}: use a date that exists, 2027-01-31, say")
