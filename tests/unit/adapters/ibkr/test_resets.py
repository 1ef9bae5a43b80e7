"""Known resets against a brute-force reading of the local clock, minute by minute, changes of time included."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from robotrader.adapters.ibkr.resets import ResetKind, ResetSchedule
from robotrader.model import NANOS_PER_SECOND

NEW_YORK, TOKYO, LONDON = ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/London")
MINUTE = 60 * NANOS_PER_SECOND
FIRST = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * NANOS_PER_SECOND
THREE_YEARS = 3 * 365 * 1440  # minutes
SCHEDULES = [
    ResetSchedule(),
    ResetSchedule(restart=time(5, 30), zone="Asia/Tokyo"),
    ResetSchedule(restart=time(0, 14), zone="Europe/London"),
]


def local(ts: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ts // NANOS_PER_SECOND, zone)


def servers_reset(ts: int) -> bool:
    """Read the clock in New York."""
    here = local(ts, NEW_YORK)
    twice = here.replace(fold=0).utcoffset() != here.replace(fold=1).utcoffset()
    nightly = time(0, 15) <= here.time() < time(1, 45) or (twice and here.fold == 0)  # one window, both 01:00 hours
    weekend = (here.weekday() == 4 and here.hour >= 23) or (here.weekday() == 5 and here.hour < 3)
    return nightly or weekend


def gateway_restarts(schedule: ResetSchedule, ts: int) -> bool:
    """Look back over five minutes for the time of the restart."""
    zone = {"America/New_York": NEW_YORK, "Asia/Tokyo": TOKYO, "Europe/London": LONDON}[schedule.zone]
    here = local(ts, zone)
    return any((here - timedelta(minutes=k)).time() == schedule.restart for k in range(5))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.zone)
def test_windows_are_what_the_local_clocks_say(schedule: ResetSchedule) -> None:
    minutes = [*range(0, THREE_YEARS, 97)]
    for year, month, day in ((2025, 3, 9), (2025, 11, 2), (2026, 3, 8), (2026, 11, 1), (2027, 3, 28), (2027, 11, 7)):
        start = int((datetime(year, month, day, tzinfo=UTC) - datetime(2025, 1, 1, tzinfo=UTC)).total_seconds()) // 60
        minutes += range(start - 120, start + 600)
    seen = set()
    for minute in minutes:
        ts = FIRST + minute * MINUTE
        window = schedule.window(ts)
        assert (window is not None) == (servers_reset(ts) or gateway_restarts(schedule, ts)), local(ts, NEW_YORK)
        if window is not None:
            assert window.start <= ts < window.end
            is_so = servers_reset(ts) if window.kind is ResetKind.SERVER else gateway_restarts(schedule, ts)
            assert is_so
            seen.add(window.kind)
    assert seen == set(ResetKind)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.zone)
def test_the_next_window_is_the_first_one_to_come(schedule: ResetSchedule) -> None:
    for minute in range(0, THREE_YEARS, 9973):
        ts = FIRST + minute * MINUTE
        found = schedule.next_window(ts)
        assert ts < found.start <= ts + 1440 * MINUTE
        assert schedule.window(found.start) is not None
        if schedule.window(ts) is None:
            assert all(schedule.window(t) is None for t in range(ts, found.start, 7 * MINUTE))


def test_of_two_windows_at_once_the_one_that_ends_last_counts() -> None:
    friday = int(datetime(2026, 4, 17, 23, 46, tzinfo=NEW_YORK).timestamp()) * NANOS_PER_SECOND
    window = ResetSchedule().window(friday)
    assert window is not None
    assert window.kind is ResetKind.SERVER
    assert local(window.end, NEW_YORK) == datetime(2026, 4, 18, 3, tzinfo=NEW_YORK)
