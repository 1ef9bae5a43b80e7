"""Our sessions against a second library, minute by minute over three years, clock changes and half days included.

Ours are exchange_calendars' (mirrored under ISO codes) with special days. The second opinion are the classes that
pandas-market-calendars keeps itself, by rules of its own: `NYSE`, `LSE`, `TSX`, `SIX`, `JPX`.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas_market_calendars as calendars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.adapters.calendar import SPAN, session_table
from robotrader.data.sessions import with_special
from robotrader.model import ConfigError, SessionTable, SpecialDay

pytestmark = pytest.mark.filterwarnings("ignore:Series.dt.weekday")  # in the other library

YEARS = ("2024-01-01", "2026-12-31")
OWN = {"XNYS": "NYSE", "XNAS": "NASDAQ", "XLON": "LSE", "XTSE": "TSX", "XSWX": "SIX", "XTKS": "JPX"}
MINUTE = 60 * 1_000_000_000


def second(name: str, start: str, end: str) -> dict[str, tuple[int, int]]:
    schedule = calendars.get_calendar(name).schedule(start, end)
    assert "mirror" not in type(calendars.get_calendar(name)).__module__  # it would be the same source twice
    return {
        str(day.date()): (int(opened.timestamp()) * 10**9, int(closed.timestamp()) * 10**9)
        for day, opened, closed in zip(schedule.index, schedule.market_open, schedule.market_close, strict=True)
    }


def ours(market: str, start: str, end: str) -> dict[str, tuple[int, int]]:
    table = session_table(start, end, market)
    return dict(zip(table.dates, zip(table.opens, table.closes, strict=True), strict=True))


@pytest.mark.parametrize("market", sorted(OWN))
def test_three_years_of_sessions_are_those_of_a_second_library(market: str) -> None:
    found = ours(market, *YEARS)
    assert len(found) > 700
    assert found == second(OWN[market], *YEARS)


def test_every_minute_of_three_years_is_open_where_the_second_library_says() -> None:
    table, own = session_table(*YEARS), second("NYSE", *YEARS)
    first = int(np.datetime64(YEARS[0], "ns").astype(np.int64))
    minutes = first + np.arange(3 * 366 * 1_440) * MINUTE
    expected = np.zeros(len(minutes), np.bool_)
    for opened, closed in own.values():
        expected[(opened - first) // MINUTE : (closed - first) // MINUTE] = True
    found = np.fromiter((table.is_open(ts) for ts in minutes.tolist()), np.bool_, len(minutes))
    assert np.array_equal(found, expected)
    lengths = {(closed - opened) // MINUTE for opened, closed in own.values()}
    assert lengths == {390, 210}  # half days are among them
    summer = {opened % (24 * 60 * MINUTE) // MINUTE for opened, _ in own.values()}
    assert summer == {13 * 60 + 30, 14 * 60 + 30}  # and both sides of the clock changes


def test_of_all_years_one_day_is_told_apart() -> None:
    found, own = ours("XNYS", *SPAN), second("NYSE", *SPAN)
    assert {day for day in found | own if found.get(day) != own.get(day)} == {"1999-12-31"}
    closed = found["1999-12-31"][1]  # IBM's last trades of that day were at 13:00
    assert np.datetime64(closed, "ns") == np.datetime64("1999-12-31T18:00")


def test_the_american_markets_keep_the_same_hours() -> None:
    assert all(session_table(*YEARS, market) == session_table(*YEARS) for market in ("XNAS", "ARCX", "XASE", "BATS"))


@st.composite
def special(draw: st.DrawFn, table: SessionTable) -> SpecialDay:
    hours = draw(st.sampled_from([(None, None), (None, "13:00"), ("10:30", None), ("11:00", "14:00")]))
    return SpecialDay(draw(st.sampled_from(table.dates)), *hours)


@given(data=st.data())
def test_special_days_change_their_day_and_no_other(data: st.DataObject) -> None:
    table = session_table("2026-03-02", "2026-03-31")  # the clocks change on 8 March
    day = data.draw(special(table))
    found = with_special(table, [day], "America/New_York")
    before, after = ({d: (o, c) for d, o, c in zip(t.dates, t.opens, t.closes, strict=True)} for t in (table, found))
    assert {d: hours for d, hours in after.items() if d != day.date} == {
        d: hours for d, hours in before.items() if d != day.date
    }
    if day.open is None and day.close is None:
        assert day.date not in after
        return
    for moment, hour, usual in zip(after[day.date], (day.open, day.close), before[day.date], strict=True):
        local = datetime.fromtimestamp(moment // 10**9, ZoneInfo("America/New_York"))
        assert moment == usual if hour is None else f"{local:%Y-%m-%d %H:%M}" == f"{day.date} {hour}"


def test_a_day_that_no_library_knows_comes_from_the_settings() -> None:
    mourning = (SpecialDay("2026-03-10"), SpecialDay("2026-03-11", close="13:00"), SpecialDay("2026-03-14"))
    table = session_table("2026-03-09", "2026-03-14", special=mourning)
    assert table.dates == ("2026-03-09", "2026-03-11", "2026-03-12", "2026-03-13")
    assert (table.closes[1] - table.opens[1]) // MINUTE == 210
    for wrong in (SpecialDay("2026-03-10", open="25:00"), SpecialDay("2026-03-10", open="16:30")):
        with pytest.raises(ConfigError, match=r"special day|to open before"):
            session_table("2026-03-09", "2026-03-14", special=(wrong,))
    with pytest.raises(ConfigError, match="special days need a market of"):
        session_table("2026-03-09", "2026-03-14", "XASX", special=mourning)
