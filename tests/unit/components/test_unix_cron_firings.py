"""What Google Cloud is given as schedules, on the days when the clocks change, whatever it does with an hour that comes twice."""

from collections.abc import Collection
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings

from components.warming_plan import Plan, Scheduled
from components.warming_schedule import assertions
from pilotlight.twin.unix_cron import UnixCron
from tests.support.size import examples
from tests.unit.components.firing_oracle import BERLIN, CHANGES, MINUTE, comes_twice, due, replayed, scheduled_plans

COMINGS = {"the first": {0}, "the second": {1}, "both": {0, 1}}
# One edge in the hour that is skipped or comes twice, and days whose names run over the end of Unix's week.
NIGHT = Plan(rules=(Scheduled(cron="30 2 * * FRI-MON", until="45 3 * * FRI-MON", timezone=BERLIN),))
BEFORE, MINUTES = timedelta(hours=3), 6 * 60


@pytest.mark.parametrize("comings", COMINGS.values(), ids=COMINGS)
@example(of=NIGHT)
@settings(max_examples=examples(4, 40), deadline=None)
@given(of=scheduled_plans())
def test_outside_an_hour_that_comes_twice_the_floor_is_the_plans_whichever_coming_counts(comings: Collection[int], of: Plan) -> None:
    zone = ZoneInfo(of.scheduled[0].timezone)
    for change in map(datetime.fromisoformat, CHANGES[zone.key]):
        for moment, floor, expected in replayed(of, change - BEFORE, MINUTES, "unix_cron", comings):
            assert floor == expected or comes_twice(moment.astimezone(zone)), moment


@example(of=NIGHT)
@settings(max_examples=examples(4, 40), deadline=None)
@given(of=scheduled_plans())
def test_the_twin_runs_jobs_at_the_minutes_that_the_clock_shows(of: Plan) -> None:
    """At the first coming of those that come twice."""
    zone = ZoneInfo(of.scheduled[0].timezone)
    for start in (datetime.fromisoformat(change) - BEFORE for change in CHANGES[zone.key]):
        stepped = [start + step * MINUTE for step in range(MINUTES)]
        for firing in {each.firing for each in assertions(of) if each.firing.before is None}:
            cron, found = UnixCron.of(firing.unix_cron, zone), list[datetime]()
            instant = cron.next_after((start - MINUTE).timestamp())
            while instant is not None and instant <= stepped[-1].timestamp():
                found.append(datetime.fromtimestamp(instant, start.tzinfo))
                instant = cron.next_after(instant)
            assert found == [moment for moment in stepped if due(firing, moment, "unix_cron")]
