"""What sizing and risk checks may know of the market."""

from decimal import Decimal

import pytest
from msgspec import structs

from robotrader.engine.market import ADV_SESSIONS, MarketFacts
from robotrader.model import Bar, BarSpec, CorporateActionKind, InstrumentId, Quote
from robotrader.portfolio.sizing import ATR_BARS, CLOSES
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


def quote(age_s: float, bid: float = 103.0, ask: float = 103.05) -> Quote:
    ts = make.T0 - round(age_s * 10**9)
    return Quote(instrument=SPY, ts_event=ts, bid=bid, ask=ask, bid_size=100.0, ask_size=100.0)


def test_the_reference_is_the_middle_of_a_quote_of_the_last_seconds_else_the_last_close() -> None:
    facts = market(bar(0))
    close = (Decimal("100.00"), 0, make.DAY)
    assert facts.reference(SPY, make.T0) == close
    facts.hear([quote(5), structs.replace(quote(0), instrument=InstrumentId("ZZZ.SMART"))])
    assert facts.reference(SPY, make.T0) == (Decimal("103.02"), 5 * 10**9, make.DAY)
    assert facts.reference(SPY, make.T0 + 1) == (Decimal("100.00"), 1, make.DAY)
    facts.hear([quote(0)])
    facts.convert(make.due(make.split(2)))
    assert facts.reference(SPY, make.T0) == (Decimal("50.00"), 0, make.DAY)
    assert market().reference(SPY, make.T0) is None


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


def test_the_atr_forgets_what_is_older_than_its_length() -> None:
    wide = structs.replace(bar(0), high=200.0)
    assert market(wide, *[bar(n + 1) for n in range(ATR_BARS + 1)]).atr(SPY) == 2


@pytest.mark.parametrize(
    ("spec", "bars_a_year"), [(BarSpec.DAY, 252), (BarSpec.HOUR, 252 * 6.5), (BarSpec.MINUTE, 98_280)]
)
def test_returns_need_63_closes_and_are_of_a_year(spec: BarSpec, bars_a_year: float) -> None:
    bars = [bar(n, spec=spec, close=101.0 if n % 2 else 100.0) for n in range(CLOSES)]
    assert market(*bars[:-1]).returns(SPY) is None
    found = market(bar(-1, spec=spec, close=1.0), *bars).returns(SPY)  # the oldest is forgotten
    up, down = 1 / 100, -1 / 101  # 31 of each
    assert found is not None
    assert float(found.mean) == pytest.approx((up + down) / 2 * bars_a_year)
    assert float(found.volatility) ** 2 == pytest.approx(((up - down) / 2) ** 2 * 62 / 61 * bars_a_year)


def test_a_split_is_no_return() -> None:
    one = market(*[bar(n, close=100.0) for n in range(CLOSES - 1)])
    one.update((bar(CLOSES - 1, close=50.0),))
    one.convert(make.due(make.split(2, day=CLOSES - 1)))
    found = one.returns(SPY)
    assert found is not None
    assert found.mean == found.volatility == 0


def test_bars_of_unknown_instruments_are_ignored() -> None:
    facts = market(structs.replace(bar(0), instrument=make.QQQ.id))
    assert not facts.bars(make.QQQ.id)
    assert not facts.bars(SPY)


def test_a_split_brings_the_bars_from_before_it_into_new_units_and_no_others() -> None:
    one = MarketFacts()
    one.define((make.SPY,))
    for day in range(20):
        one.update(make.bars_closed(day, 100.0).bars)
    one.update(make.bars_closed(20, 50.0).bars)  # the split of day 20 becomes known after its bar
    one.convert(make.due(make.split(2, day=20)))
    assert one.close(make.SPY.id) == Decimal("50.00")
    assert one.atr(make.SPY.id) == pytest.approx(Decimal("1.0714"), abs=Decimal("0.0001"))  # 13 x 1, and 2
    one.convert(make.due(make.split(5, day=21)))
    assert one.close(make.SPY.id) == Decimal("10.00")
    adv = one.average_daily_volume(make.SPY.id)
    assert adv == pytest.approx((19 * 10e6 + 5e6) / 20)


def test_a_successor_takes_the_bars_over_unless_it_has_its_own() -> None:
    one = MarketFacts()
    one.define((make.SPY, make.QQQ))
    one.update(make.bars_closed(0, 100.0, 50.0).bars)
    change = structs.replace(make.split(1), kind=CorporateActionKind.SYMBOL_CHANGE)
    new = structs.replace(make.SPY, id=InstrumentId("NEW.ARCA"), symbol="NEW")
    one.define((new,))
    one.convert(structs.replace(make.due(change), successor=new))
    assert one.close(new.id) == Decimal("100.00")
    one.convert(structs.replace(make.due(change), successor=make.QQQ))
    assert one.close(make.QQQ.id) == Decimal("50.00")


def test_a_delisting_leaves_prices_as_they_are() -> None:
    one = MarketFacts()
    one.define((make.SPY,))
    one.update(make.bars_closed(0, 100.0).bars)
    one.convert(make.due(structs.replace(make.split(2), kind=CorporateActionKind.DELISTING)))
    assert one.close(make.SPY.id) == Decimal("100.00")
