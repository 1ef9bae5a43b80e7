"""What sizing and risk checks may know of the market."""

from decimal import Decimal

from msgspec import structs

from robotrader.engine.market import ADV_SESSIONS, ATR_BARS, MarketFacts
from robotrader.model import Bar, BarSpec
from tests import builders as make

SPY = make.SPY.id
MINUTE = BarSpec.MINUTE.nanos


def bar(n: int, *, volume: float = 1_000.0, spec: BarSpec = BarSpec.DAY, day: int = 0, close: float = 100.0) -> Bar:
    ts = make.T0 + (n * make.DAY if spec is BarSpec.DAY else day * make.DAY - (300 - n) * MINUTE)
    return Bar(instrument=SPY, ts_event=ts, open=close, high=close + 1, low=close - 1, close=close, volume=volume,
               spec=spec)  # fmt: skip


def market(*bars: Bar) -> MarketFacts:
    facts = MarketFacts()
    facts.define((make.SPY,))
    for one in bars:
        facts.update((one,))
    return facts


def test_the_close_is_on_the_tick_grid() -> None:
    assert market(bar(0, close=100.004)).close(SPY) == Decimal("100.00")
    assert market().close(SPY) is None


def test_average_volume_needs_twenty_sessions_and_is_the_mean_of_the_last_twenty() -> None:
    days = [bar(n, volume=100.0 + n) for n in range(ADV_SESSIONS + 5)]
    assert market(*days[: ADV_SESSIONS - 1]).average_daily_volume(SPY) is None
    assert market(*days[:ADV_SESSIONS]).average_daily_volume(SPY) == 109.5  # mean of 100 to 119
    assert market(*days).average_daily_volume(SPY) == 114.5  # mean of 105 to 124


def test_the_running_day_of_short_bars_does_not_count_yet() -> None:
    minutes = [bar(n, volume=10.0, spec=BarSpec.MINUTE, day=day) for day in range(ADV_SESSIONS + 1) for n in range(3)]
    assert market(*minutes[:-3]).average_daily_volume(SPY) is None, "20 days, the last of them still running"
    assert market(*minutes[:-2]).average_daily_volume(SPY) == 30.0


def test_the_atr_needs_a_bar_more_than_its_length() -> None:
    days = [bar(n) for n in range(ATR_BARS + 1)]
    assert market(*days[:-1]).atr(SPY) is None
    assert market(*days).atr(SPY) == 2


def test_bars_of_unknown_instruments_are_ignored() -> None:
    facts = market(structs.replace(bar(0), instrument=make.QQQ.id))
    assert facts.last(make.QQQ.id) is None
    assert facts.last(SPY) is None
