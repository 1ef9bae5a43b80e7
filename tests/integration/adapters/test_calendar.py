"""The New York Stock Exchange's sessions, checked against what is known of it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from bokeh_sampledata import stocks

from robotrader.adapters.calendar import session_table
from robotrader.model import ConfigError

NEW_YORK = ZoneInfo("America/New_York")


def local(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // 1_000_000_000, NEW_YORK):%Y-%m-%d %H:%M}"


def test_an_early_close_is_early_and_holidays_are_none() -> None:
    table = session_table("2012-11-20", "2012-11-27")
    assert table.dates == ("2012-11-20", "2012-11-21", "2012-11-23", "2012-11-26", "2012-11-27")
    assert [local(t) for t in table.opens] == [f"{d} 09:30" for d in table.dates]
    assert [local(t)[-5:] for t in table.closes] == ["16:00", "16:00", "13:00", "16:00", "16:00"]


def test_the_market_follows_new_york_through_clock_changes() -> None:
    table = session_table("2013-03-08", "2013-03-11")
    assert [local(t) for t in table.opens] == ["2013-03-08 09:30", "2013-03-11 09:30"]
    assert table.opens[1] - table.opens[0] == 71 * 3_600 * 1_000_000_000


def test_days_without_trading_in_history() -> None:
    assert session_table("2012-10-29", "2012-10-30").dates == ()  # hurricane Sandy
    assert session_table("2001-09-11", "2001-09-14").dates == ()
    assert session_table("2013-02-02", "2013-02-03").closes == ()  # a weekend


def test_the_sample_has_a_bar_on_every_session() -> None:
    assert session_table("2000-03-01", "2013-03-01").dates == tuple(stocks.IBM["date"])


def test_a_wrong_calendar_or_date_is_refused() -> None:
    for arguments in (
        ("2013-01-02", "2013-01-03", "NOWHERE"),
        ("2013-02-30", "2013-03-01"),
        ("2013-02-02", "2013-01-01"),
    ):
        with pytest.raises(ConfigError, match="no sessions of"):
            session_table(*arguments)
