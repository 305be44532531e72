"""What of a warming plan and a budget hangs on other settings. Pure, but for the time that leases are compared with."""

from collections.abc import Iterator

from components.limits import BUDGET_NOTIFICATIONS
from components.warming_checks import Facts, problems
from stacks.messages import Problem, shown, told
from stacks.plan import date_of, now, plan_of
from stacks.settings_service import Settings


def warming_problems(settings: Settings) -> Iterator[Problem]:
    """Every problem of the plan's rules and of the budget; parts that could not be read are passed over."""
    yield from _budget(settings)
    yield from _dates(settings)
    endpoint = settings.endpoint
    if settings.warming and endpoint is not None and endpoint.platform is not None:
        facts = Facts(platform=endpoint.platform, max_concurrency=endpoint.max_concurrency)
        yield from (told(problem) for problem in problems(plan_of(settings.warming), facts, now()))


def _budget(settings: Settings) -> Iterator[Problem]:
    budget = settings.budget
    if budget is None:
        return
    if budget.email is None and settings.alarms is not None and settings.alarms.email is None:
        yield told("budget.email: missing: use one address, name@example.com, here or in alarms.email: a budget tells somebody")
    if budget.on_exceeded == "drop-warming" and settings.warming == []:
        yield told("budget.onExceeded: 'drop-warming': there is no warming to drop: use notify, or set warming")
    # What drops the floor is told of all of it, 1.0, mailed or not.
    shares = {*budget.alert_at, *([1.0] if budget.on_exceeded == "drop-warming" else [])}
    problem = BUDGET_NOTIFICATIONS.problem(len(shares))
    if problem is not None:
        also = "" if shares == set(budget.alert_at) else ", with drop-warming's own at 1.0"
        yield told(
            f"budget.alertAt: {shown(budget.alert_at)}: makes {len(shares)} notifications{also}: {problem} ({BUDGET_NOTIFICATIONS.source})"
        )


def _dates(settings: Settings) -> Iterator[Problem]:
    for position, rule in enumerate(settings.warming or ()):
        lease = getattr(rule, "lease_until", None)
        if lease is not None and date_of(lease) is None:
            yield told(f"warming.{position}.leaseUntil: {shown(lease)}: use a date that exists, 2027-01-31, say")
