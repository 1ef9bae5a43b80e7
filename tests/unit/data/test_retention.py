"""Which backups stay: the newest of each day, week and month, as many as the policy says."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from robotrader.data.retention import RetentionPolicy, kept

POLICY = RetentionPolicy(daily_backups=7, weekly_backups=4, monthly_backups=12)
LAST = datetime(2026, 11, 23, 2, tzinfo=UTC)  # a Monday
MOMENTS = st.lists(st.integers(0, 50_000).map(lambda hours: LAST - timedelta(hours=hours)), max_size=60)


def test_a_year_of_nights_leaves_days_weeks_and_months() -> None:
    nights = [LAST - timedelta(days=n) for n in range(500)]
    stay = sorted(kept(nights, POLICY), reverse=True)
    assert stay[:7] == nights[:7]
    assert [t.date().isoformat() for t in stay[7:9]] == ["2026-11-15", "2026-11-08"]  # Sundays end their weeks
    months = [t.date().isoformat() for t in stay[9:]]
    assert months == ["2026-10-31", "2026-09-30", "2026-08-31", "2026-07-31", "2026-06-30", "2026-05-31", "2026-04-30",
                      "2026-03-31", "2026-02-28", "2026-01-31", "2025-12-31"]  # fmt: skip


def test_several_backups_of_a_day_count_once() -> None:
    hours = [LAST + timedelta(hours=n) for n in range(10)]
    assert kept(hours, POLICY) == {hours[-1]}


@given(MOMENTS)
def test_the_newest_stays_and_what_was_kept_once_is_kept_again(taken: list[datetime]) -> None:
    stay = kept(taken, POLICY)
    assert stay <= set(taken)
    assert not taken or max(taken) in stay
    assert kept(stay, POLICY) == stay
    assert len(stay) <= 7 + 4 + 12
