"""The replayed market: nothing of the future shows, and histories are IBKR's."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.data.panel import Panel
from robotrader.model import Bar, BarSpec
from robotrader.simulation.gateway.history import rows
from robotrader.simulation.gateway.market import Market, part
from robotrader.simulation.gateway.requests import Refused, Request
from tests.unit.simulation.gateway.rig import AAPL, DAY, FIRST_OPEN, SECOND, SESSION, flat, panel

MINUTE = 60 * SECOND


def minutes(days: int = 3, each: int = 390) -> Panel:
    """Minute bars that rise by one a minute."""
    opened = np.concatenate([FIRST_OPEN + d * DAY + MINUTE * np.arange(each, dtype=np.int64) for d in range(days)])
    price = np.arange(1, len(opened) + 1, dtype=np.float64)[:, None]
    return Panel(
        instruments=(AAPL,), spec=BarSpec.MINUTE, opened=opened, ts=opened + MINUTE, open=price, high=price + 1,
        low=price - 0.5, close=price + 0.5, volume=np.full_like(price, 10.0),
    )  # fmt: skip


def asked(market: Market, duration: str = "2 D", size: str = "1 day", end: str = "") -> list[tuple[float, ...]]:
    values = {"end": end, "barSize": size, "duration": duration, "what": "TRADES"}
    return rows(market, AAPL.id, Request("history", values))


def step(market: Market) -> int:
    close = market.next_close
    assert close is not None
    segments = list(market.advance(close))
    assert segments[-1].ends_session
    assert sum(s.ends_session for s in segments) == 1
    return len(segments)


def test_sessions_pass_one_by_one() -> None:
    market = Market(flat(3))
    assert market.now == FIRST_OPEN - 3_600 * SECOND
    assert market.last == {}
    assert step(market) == 1
    assert (market.now, market.last) == (FIRST_OPEN + SESSION, {AAPL.id: 100.5})
    assert step(market) == step(market) == 1
    assert market.next_close is None


def test_intraday_bars_make_one_session_a_day() -> None:
    market = Market(minutes())
    assert len(market.opens) == 3
    assert step(market) == 390
    assert market.now == FIRST_OPEN + SESSION


def test_a_market_can_begin_inside_the_data() -> None:
    market = Market(flat(3), FIRST_OPEN + DAY)
    assert (market.last_close(AAPL.id), market.next_close) == (100.5, FIRST_OPEN + DAY + SESSION)


def test_nights_pass_in_no_time() -> None:
    market = Market(flat(3))
    assert market.after(SECOND) == FIRST_OPEN + SECOND
    assert market.after(SESSION + SECOND) == FIRST_OPEN + DAY + SECOND
    assert market.after(99 * SESSION) == FIRST_OPEN + 2 * DAY + SESSION
    list(market.advance(market.after(SESSION)))
    assert market.now == FIRST_OPEN + SESSION
    assert market.after(SECOND) == FIRST_OPEN + DAY + SECOND


@given(st.lists(st.integers(1, SESSION // 3), min_size=1, max_size=12))
def test_the_parts_of_a_bar_are_the_bar(lengths: list[int]) -> None:
    market = Market(panel((100.0, 103.0, 98.0, 101.0)))
    parts = []
    for length in [*lengths, SESSION * 4]:
        parts += [bar for s in market.advance(market.after(length)) for bar in s.bars]
    assert parts[0].open == 100.0
    assert parts[-1].close == 101.0
    assert (max(b.high for b in parts), min(b.low for b in parts)) == (103.0, 98.0)
    assert sum(b.volume for b in parts) == market.series(AAPL.id).table[0, 4]
    assert all(b.low <= min(b.open, b.close) and b.high >= max(b.open, b.close) for b in parts)
    assert all(earlier.close == pytest.approx(later.open) for earlier, later in pairwise(parts))


def test_the_path_goes_through_the_nearer_extreme_first() -> None:
    ends = FIRST_OPEN + SESSION
    rising = Bar(instrument=AAPL.id, ts_event=ends, open=100, high=103, low=98, close=101, volume=1e6)
    third = part(rising, AAPL, FIRST_OPEN, (FIRST_OPEN, FIRST_OPEN + SESSION // 3))
    assert (third.close, third.high) == (98.0, 100.0)
    falling = Bar(instrument=AAPL.id, ts_event=ends, open=100, high=103, low=98, close=99, volume=1e6)
    third = part(falling, AAPL, FIRST_OPEN, (FIRST_OPEN, FIRST_OPEN + SESSION // 3))
    assert (third.close, third.low, third.volume) == (103.0, 100.0, 333_334.0)


def test_history_ends_now_and_counts_trading_days() -> None:
    market = Market(flat(9))
    assert asked(market) == []
    for _ in range(5):
        step(market)
    assert [row[1] for row in asked(market)] == [FIRST_OPEN + d * DAY + SESSION for d in (3, 4)]
    assert len(asked(market, "365 D")) == len(asked(market, "1 Y")) == len(asked(market, "99999 Y")) == 5
    assert len(asked(market, "99999 W")) == len(asked(market, "2 M")) == 5
    assert [len(asked(market, d)) for d in ("86400 S", "1 W")] == [1, 5]
    assert asked(market, end="20240103-21:00:00") == asked(market, end="20240103 16:00:00 US/Eastern")
    assert [row[1] for row in asked(market, "1 D", end="20240103 16:00:00")] == [FIRST_OPEN + DAY + SESSION]
    assert asked(market, end="19900101 16:00:00") == asked(market, end="00010101 16:00:00") == []


def test_an_instrument_without_bars_has_none() -> None:
    data = flat(4)
    data.close[:2] = np.nan
    market = Market(data)
    step(market)
    step(market)
    assert asked(market, "30 D") == []
    assert market.last == {}
    step(market)
    assert len(asked(market, "30 D")) == 1


def test_the_bar_under_way_shows_only_what_was() -> None:
    market = Market(panel((100.0, 103.0, 98.0, 101.0), (100.0, 103.0, 98.0, 101.0)))
    step(market)
    list(market.advance(FIRST_OPEN + DAY + SESSION // 6))
    closed, forming = asked(market)
    assert list(closed[2:]) == [100.0, 103.0, 98.0, 101.0, 1e6]
    assert list(forming) == [FIRST_OPEN + DAY, market.now, 100.0, 100.0, 99.0, 99.0, 166_667.0]
    list(market.advance(FIRST_OPEN + DAY + SESSION))
    assert asked(market)[1][2:] == closed[2:]


def test_longer_bars_are_made_of_shorter_ones() -> None:
    market = Market(minutes())
    step(market)
    list(market.advance(FIRST_OPEN + DAY + 90 * MINUTE))
    day_one, day_two = asked(market)
    assert list(day_one) == [FIRST_OPEN, FIRST_OPEN + SESSION, 1.0, 391.0, 0.5, 390.5, 3_900.0]
    assert list(day_two) == [FIRST_OPEN + DAY, market.now, 391.0, 481.0, 390.5, 480.5, 900.0]
    hours = asked(market, "1 D", "1 hour")  # the first ends at ten, as hours do on the clock
    assert [(row[0] - FIRST_OPEN - DAY) // MINUTE for row in hours] == [0, 30]
    assert [row[6] for row in hours] == [300.0, 600.0]
    assert len(asked(market, "1 D", "1 min")) == 90
    assert asked(market, "1 D", "5 secs") == []


@pytest.mark.parametrize("duration", ["0 D", "366 D", "-1 D", "1 X", "D", "1000000 D", ""])
def test_durations_that_are_none(duration: str) -> None:
    with pytest.raises(Refused):
        asked(Market(flat(2)), duration)


@pytest.mark.parametrize("end", ["x", "20240230 10:00:00", "20240102 10:00:00 ../x", "20240102 10:00:00 US", "2024"])
def test_end_times_that_are_none(end: str) -> None:
    with pytest.raises(Refused) as refused:
        asked(Market(flat(2)), end=end)
    assert refused.value.code == 10314
