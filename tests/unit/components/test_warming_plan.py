"""The floor of a plan at an instant, its edges, and the firings that assert it, against a clock that is stepped minute by minute."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.warming_plan import Edge, Ping, Plan, Provisioned, Rule, Scheduled, edges, floor_at, lease_end
from components.warming_schedule import Firing, assertions, in_force, outlasts, ping_firings
from components.warming_window import Window, falls_in, gaps, instant, weekly, windows
from tests.support.size import examples
from tests.unit.components.firing_oracle import BERLIN, CHANGES, CRONS, MINUTE, due, replayed, scheduled_plans

OFFICE = Scheduled(cron="0 8 * * MON-FRI", until="0 18 * * MON-FRI", timezone=BERLIN, instances=2)


def plan(*rules: Rule) -> Plan:
    return Plan(rules=rules)


def local(text: str, zone: str = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("when", "floor"),
    [
        ("2027-01-27T07:59:59", 0),
        ("2027-01-27T08:00", 2),
        ("2027-01-27T17:59:59", 2),
        ("2027-01-27T18:00", 0),
        ("2027-01-30T12:00", 0),  # a Saturday
    ],
)
def test_the_floor_is_up_from_the_first_second_of_a_window_to_its_last(when: str, floor: int) -> None:
    assert floor_at(plan(OFFICE), local(when)) == floor


def test_the_floor_follows_the_local_clock_through_the_year() -> None:
    summer, winter = datetime(2027, 7, 28, 6, tzinfo=UTC), datetime(2027, 1, 27, 7, tzinfo=UTC)
    assert [floor_at(plan(OFFICE), each) for each in (summer - MINUTE, summer, winter - MINUTE, winter)] == [0, 2, 0, 2]


def test_what_is_warm_always_stays_so_outside_windows_and_the_larger_floor_wins_inside() -> None:
    both = plan(OFFICE, Provisioned(instances=1))
    assert [floor_at(both, local(f"2027-01-27T{hour}:00")) for hour in ("07", "08", "18")] == [1, 2, 1]
    assert both.levels == [1, 2]


def test_pings_have_no_floor() -> None:
    assert floor_at(plan(Ping(every_minutes=5)), local("2027-01-27T12:00")) == 0
    assert assertions(plan(Ping(every_minutes=5), Provisioned(instances=1))) == []


def test_a_window_over_midnight_and_over_the_end_of_the_week() -> None:
    weekend = plan(Scheduled(cron="0 22 * * SUN", until="0 6 * * MON", timezone=BERLIN))
    assert [floor_at(weekend, local(f"2027-01-{when}")) for when in ("24T21:59", "24T22:00", "25T05:59", "25T06:00")] == [0, 1, 1, 0]


def test_a_lease_ends_its_window_at_midnight_after_its_last_day() -> None:
    night = Scheduled(cron="0 22 * * *", until="0 6 * * *", timezone=BERLIN, lease_until=date(2027, 1, 31))
    assert lease_end(night) == local("2027-02-01T00:00")
    assert [floor_at(plan(night), local(f"2027-{when}")) for when in ("01-31T05:00", "01-31T23:59", "02-01T00:00", "02-01T23:00")] == [
        1,
        1,
        0,
        0,
    ]
    assert edges(plan(night), local("2027-01-31T12:00"), local("2027-02-09T00:00")) == [
        Edge(datetime(2027, 1, 31, 21, tzinfo=UTC), 1),
        Edge(datetime(2027, 1, 31, 23, tzinfo=UTC), 0),
    ]


def test_a_rule_is_in_force_until_the_instant_at_which_its_lease_ends() -> None:
    leased, ping = replace(OFFICE, lease_until=date(2027, 1, 31)), Ping(every_minutes=5, lease_until=date(2027, 1, 30), timezone=BERLIN)
    of, end = plan(leased, ping, Provisioned(instances=1)), local("2027-02-01T00:00")
    assert in_force(of, end - timedelta(seconds=1)) == plan(leased, Provisioned(instances=1))
    assert in_force(of, end) == plan(Provisioned(instances=1))
    assert in_force(of, local("2027-01-31T00:00") - timedelta(seconds=1)) == of


def test_a_rule_whose_lease_ends_inside_its_window_is_over_when_that_was_asserted_for_an_hour() -> None:
    night = Scheduled(cron="0 22 * * *", until="0 6 * * *", timezone=BERLIN, lease_until=date(2027, 1, 31))
    moments = [local(f"2027-{when}") for when in ("01-31T23:59:59", "02-01T00:00", "02-01T00:59:59", "02-01T01:00")]
    assert [in_force(plan(night), each) == plan(night) for each in moments] == [True, True, True, False]
    assert [floor_at(plan(night), each) for each in moments] == [1, 0, 0, 0]


def test_what_ends_while_an_up_runs_does_not_outlast_it() -> None:
    end = local("2027-02-01T00:00")
    assert [outlasts(end, end - timedelta(minutes=each)) for each in (16, 15, 0)] == [True, False, False]
    assert outlasts(None, end)


def test_a_firing_on_a_date_is_declared_until_then() -> None:
    once = Firing(minutes=(15,), hours=(2,), on=date(2027, 2, 1), timezone=BERLIN)
    due_at = local("2027-02-01T02:15")
    assert [once.is_declared(due_at - timedelta(seconds=each)) for each in (1, 0, -1)] == [True, False, False]


def test_edges_are_those_of_the_range_alone_and_in_order() -> None:
    day = edges(plan(OFFICE), local("2027-01-27T08:00"), local("2027-01-27T18:00"))
    assert day == [Edge(datetime(2027, 1, 27, 7, tzinfo=UTC), 2)]
    assert len(edges(plan(OFFICE), local("2027-01-25T00:00"), local("2027-02-01T00:00"))) == 10


def test_windows_that_touch_are_one_edge() -> None:
    shifts = plan(
        Scheduled(cron="0 6 * * *", until="0 14 * * *", timezone=BERLIN, instances=1),
        Scheduled(cron="0 14 * * *", until="0 22 * * *", timezone=BERLIN, instances=3),
    )
    found = edges(shifts, local("2027-01-27T00:00"), local("2027-01-28T00:00"))
    assert [(each.at.astimezone(ZoneInfo(BERLIN)).hour, each.floor) for each in found] == [(6, 1), (14, 3), (22, 0)]


@pytest.mark.parametrize(
    ("text", "zone", "when"),
    [
        ("2027-03-28T02:30", BERLIN, "2027-03-28T01:00Z"),  # skipped: the end of the gap
        ("2027-10-31T02:30", BERLIN, "2027-10-31T00:30Z"),  # twice: its first coming
        ("2027-10-03T02:10", "Australia/Lord_Howe", "2027-10-02T15:30Z"),  # a gap of half an hour
        ("2027-04-04T01:45", "Australia/Lord_Howe", "2027-04-03T14:45Z"),
        ("2011-12-30T09:00", "Pacific/Apia", "2011-12-30T10:00Z"),  # a day that never was
        ("2027-04-30T00:00", "Africa/Cairo", "2027-04-29T22:00Z"),  # a midnight that never is
    ],
)
def test_local_times_that_are_skipped_or_come_twice(text: str, zone: str, when: str) -> None:
    assert instant(datetime.fromisoformat(text), ZoneInfo(zone)) == datetime.fromisoformat(when)


@pytest.mark.parametrize(
    ("zone", "first", "last"),
    [
        (BERLIN, "2026-03-29T02:00", "2040-03-25T03:00"),
        ("Europe/Lisbon", "2026-03-29T01:00", "2040-03-25T02:00"),
        ("Antarctica/Troll", "2026-03-29T01:00", "2040-03-25T03:00"),  # two hours
        ("America/Nuuk", "2026-03-28T23:00", "2040-03-25T00:00"),  # up to midnight
    ],
)
def test_what_clocks_skip(zone: str, first: str, last: str) -> None:
    found = gaps(zone)
    assert (found[0][0], found[-1][1], len(found)) == (datetime.fromisoformat(first), datetime.fromisoformat(last), 15)
    assert gaps("Asia/Tokyo") == ()


def test_a_cron_falls_into_a_gap_from_its_beginning_on_and_over_the_weeks_end() -> None:
    gap = (datetime(2027, 3, 28, 23), datetime(2027, 3, 29, 1))
    falling = {cron: falls_in(cron, gap) for cron in ("59 22 * * *", "0 23 * * SUN", "0 23 * * SAT", "59 0 * * MON", "0 1 * * MON")}
    assert list(falling.values()) == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("cron", "minutes"),
    [
        ("0 8 * * MON", (480,)),
        ("5 0 * * sun-mon", (5, 8645)),
        ("0 1 * * TUE,MON,TUE", (60, 1500)),
        ("30 23 * * *", tuple(range(1410, 10080, 1440))),
    ],
)
def test_a_cron_is_read_as_minutes_of_the_week(cron: str, minutes: tuple[int, ...]) -> None:
    assert weekly(cron) == minutes


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "0 8 * *",
        "0 8 * * * *",
        "*/5 8 * * *",
        "0 8-9 * * *",
        "60 8 * * *",
        "0 24 * * *",
        "0 8 1 * *",
        "0 8 * JAN *",
        "0 8 * * 1",
        "0 8 * * MON-",
        "0 8 * * MON-TUE-WED",
        "0 8 * * FUNDAY",
    ],
)
def test_a_cron_that_is_no_weekly_window_is_refused_with_what_is_allowed(cron: str) -> None:
    with pytest.raises(ValueError, match=r"use five fields M H \* \* DOW"):
        weekly(cron)


def test_ends_take_turns_with_starts() -> None:
    assert windows("0 22 * * FRI,SAT", "0 6 * * SAT,SUN") == (Window(7080, 7560), Window(8520, 9000))
    with pytest.raises(ValueError, match="comes 1 times a week and cron 5 times"):
        windows("0 8 * * MON-FRI", "0 18 * * FRI")
    with pytest.raises(ValueError, match="does not take turns"):
        windows("0 8 * * MON,TUE", "0 18 * * WED,THU")


@pytest.mark.parametrize("until", ["0 8 * * MON-FRI", "0 7 * * MON-FRI"])
def test_an_end_that_is_not_after_its_start_is_refused_with_the_way_to_write_it(until: str) -> None:
    with pytest.raises(ValueError, match=r"is not after cron .* name the days that follow"):
        windows("0 8 * * MON-FRI", until)


@pytest.mark.parametrize("cron", CRONS)
@settings(max_examples=examples(4, 40), deadline=None)
@given(of=scheduled_plans(), data=st.data())
def test_firings_leave_the_floor_of_the_plan_at_every_minute_when_the_clocks_change(cron: str, of: Plan, data: st.DataObject) -> None:
    change = datetime.fromisoformat(data.draw(st.sampled_from(CHANGES[of.scheduled[0].timezone])))
    for moment, floor, expected in replayed(of, change - timedelta(hours=3), 6 * 60, cron):
        assert floor == expected, moment


@settings(max_examples=examples(4, 30), deadline=None)
@given(scheduled_plans(), st.integers(0, 364 * 24 * 60), st.integers(0, 9))
def test_whatever_an_up_left_behind_is_mended_soon(of: Plan, start: int, wrong: int) -> None:
    """Within a quarter of an hour in windows and for an hour after an edge, else within an hour; on most days, with any floor."""
    began = datetime(2027, 1, 1, tzinfo=UTC) + start * MINUTE
    lease = max((end for each in of.scheduled if (end := lease_end(each)) is not None), default=None)
    if lease is not None and began + timedelta(hours=2) > lease:
        return  # over: the next `up` declares nothing of it
    zone = ZoneInfo(of.scheduled[0].timezone)
    if any(abs(datetime.fromisoformat(each) - began) < timedelta(hours=3) for each in CHANGES[zone.key]):
        return  # the hour that comes twice is asserted once
    soon = floor_at(of, began) > of.base or edges(of, began - timedelta(minutes=45), began + MINUTE)
    floor, minutes = wrong, 15 if soon else 60
    for step in range(minutes):
        fired = {each.floor for each in assertions(of) if due(each.firing, began + step * MINUTE)}
        floor = fired.pop() if fired else floor
    assert floor == floor_at(of, began + (minutes - 1) * MINUTE)


@settings(max_examples=examples(5, 20), deadline=None)
@given(scheduled_plans())
def test_edges_are_where_the_floor_of_each_minute_changes(of: Plan) -> None:
    start, minutes = datetime.fromisoformat(CHANGES[of.scheduled[0].timezone][0]) - timedelta(hours=5), 9 * 60
    floors = [floor_at(of, start + step * MINUTE) for step in range(-1, minutes)]
    stepped = [Edge(start + step * MINUTE, floors[step + 1]) for step in range(minutes) if floors[step + 1] != floors[step]]
    assert edges(of, start, start + minutes * MINUTE) == stepped


def test_no_two_firings_are_due_at_the_same_minute_of_the_week() -> None:
    of = plan(OFFICE, Scheduled(cron="10 20 * * SAT", until="55 20 * * SAT", timezone=BERLIN, instances=1))
    start, every = datetime(2027, 1, 28, 12, tzinfo=UTC), assertions(of)
    assert max(sum(due(each.firing, start + step * MINUTE) for each in every) for step in range(3 * 24 * 60)) == 1


def test_an_office_week_takes_few_firings_and_edges_are_told_apart() -> None:
    found: dict[tuple[int, bool], list[str]] = {(each.floor, each.edge): [] for each in assertions(plan(OFFICE))}
    for each in assertions(plan(OFFICE)):
        found[each.floor, each.edge].append(each.firing.cron)
    assert found == {
        (0, True): ["0 18 ? * MON-FRI *"],
        (0, False): ["0 * ? * SAT,SUN *", "0 0-7,19-23 ? * MON-FRI *", "15,30,45 18 ? * MON-FRI *"],
        (2, True): ["0 8 ? * MON-FRI *"],
        (2, False): ["0,15,30,45 9-17 ? * MON-FRI *", "15,30,45 8 ? * MON-FRI *"],
    }


def test_a_window_with_a_lease_is_asserted_until_then_and_its_end_for_an_hour_after() -> None:
    night = Scheduled(cron="0 22 * * *", until="0 6 * * *", timezone=BERLIN, lease_until=date(2027, 1, 31))
    found = assertions(plan(night))
    assert {each.firing.before for each in found if each.floor == 1} == {lease_end(night)}
    assert {each.firing.before for each in found if each.floor == 0} == {None}
    assert [(each.edge, each.firing.cron) for each in found if each.firing.on] == [
        (True, "0 0 1 2 ? 2027"),
        (False, "15 0 1 2 ? 2027"),
        (False, "30 0 1 2 ? 2027"),
        (False, "45 0 1 2 ? 2027"),
        (False, "0 1 1 2 ? 2027"),
    ]


@pytest.mark.parametrize(
    ("every", "crons"),
    [(30, ["10,40 8-17 ? * MON-FRI *"]), (120, ["10 8,10,12,14,16 ? * MON-FRI *"]), (720, ["10 8 ? * MON-FRI *"])],
)
def test_a_ping_in_a_window_counts_from_the_windows_start(every: int, crons: list[str]) -> None:
    ping = Ping(every_minutes=every, cron="10 8 * * MON-FRI", until="0 18 * * MON-FRI", timezone=BERLIN)
    assert [each.cron for each in ping_firings(ping)] == crons


@settings(max_examples=examples(8, 30), deadline=None)
@given(st.sampled_from([1, 5, 12, 30, 60, 180]), st.integers(0, 1438), st.data())
def test_pings_come_inside_their_windows_only_and_at_their_pace(every: int, start: int, data: st.DataObject) -> None:
    end = data.draw(st.integers(start + 1, 1439))
    ping = Ping(every_minutes=every, cron=f"{start % 60} {start // 60} * * TUE", until=f"{end % 60} {end // 60} * * TUE")
    tuesday, firings = datetime(2027, 1, 26, tzinfo=UTC), ping_firings(ping)
    found = [minute for minute in range(1440) if any(due(each, tuesday + minute * MINUTE) for each in firings)]
    assert found == list(range(start, end, every))


def test_a_ping_without_a_window_has_no_cron() -> None:
    assert ping_firings(Ping(every_minutes=5)) == []
