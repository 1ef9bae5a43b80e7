"""Where orders of our own would meet each other or the price, and what they are worth."""

from typing import Any

import pytest
from msgspec import structs

from robotrader.model import NANOS_PER_SECOND, Order, OrderType, Purpose, RiskLimit, Side, StrategyId
from robotrader.risk import checks
from tests.unit.risk.facts import KNOWN, OFF, D, buy, facts, knowing, sell

COLLAR = structs.replace(OFF, price_collar_ratio=D("0.03"))
GUARD = structs.replace(OFF, self_trade_guard=True)


def protecting(order: Order, purpose: Purpose) -> Order:
    return structs.replace(order, purpose=purpose)


@pytest.mark.parametrize(("order", "waits"), [
    (sell(1, stop="99.99"), True), (sell(1, stop="100.00"), False), (sell(1, stop="100.01"), False),
    (buy(1, stop="100.01"), True), (buy(1, stop="100.00"), False), (buy(1, stop="99.99"), False),
])  # fmt: skip
def test_a_stop_that_protects_stands_behind_the_price_however_far(order: Order, waits: bool) -> None:
    found = checks.price_collar(protecting(order, Purpose.STOP_LOSS), KNOWN, COLLAR)
    assert (found.passed, found.reason) == (waits, "" if waits else "it would fill at once")


@pytest.mark.parametrize(("order", "waits"), [
    (sell(1, limit="100.01"), True), (sell(1, limit="100.00"), False), (sell(1, limit="99.99"), False),
    (buy(1, limit="99.99"), True), (buy(1, limit="100.00"), False), (buy(1, limit="100.01"), False),
])  # fmt: skip
def test_a_target_stands_before_the_price(order: Order, waits: bool) -> None:
    assert checks.price_collar(protecting(order, Purpose.TAKE_PROFIT), KNOWN, COLLAR).passed is waits


def test_what_protects_at_no_price_would_fill_at_once() -> None:
    assert not checks.price_collar(protecting(sell(1), Purpose.STOP_LOSS), KNOWN, COLLAR).passed


def test_what_only_shrinks_may_stand_anywhere() -> None:
    at_once = protecting(sell(1, stop="100.00"), Purpose.STOP_LOSS)
    assert checks.price_collar(at_once, structs.replace(KNOWN, shrinks=True), COLLAR).passed


def meets(order: Order, *opposite: Order, limits: RiskLimit = GUARD, **snapshot: Any) -> bool:
    known = knowing("conduct", facts(**snapshot), opposite=opposite)
    found = checks.self_trade(order, known, limits)
    assert found.passed or found.reason == "our own order would match it"
    return not found.passed


@pytest.mark.parametrize(("side", "met"), [(Side.BUY, [False, True, True]), (Side.SELL, [True, True, False])])
def test_an_order_meets_one_of_ours_at_its_price_or_a_better_one(side: Side, met: list[bool]) -> None:
    make, other = (buy, sell) if side is Side.BUY else (sell, buy)
    found = [meets(make(1, limit=limit), other(1, limit="100.00")) for limit in ("99.99", "100.00", "100.01")]
    assert found == met


def test_a_market_order_reaches_as_far_as_the_collar_and_without_one_anywhere() -> None:
    collar = structs.replace(GUARD, price_collar_ratio=D("0.03"))
    assert meets(buy(1), sell(1, limit="103.00"), limits=collar)
    assert not meets(buy(1), sell(1, limit="103.01"), limits=collar)
    assert meets(buy(1), sell(1, limit="103.01"))
    assert meets(buy(1), sell(1, limit="103.01"), limits=collar, reference_price=None)
    assert not meets(sell(1), buy(1, limit="96.99"), limits=collar)


def test_a_limit_reaches_no_further_than_it_says_whatever_is_known_of_the_market() -> None:
    assert not meets(buy(1, limit="100.00"), sell(1, limit="100.01"), reference_price=None)
    collar = structs.replace(GUARD, price_collar_ratio=D("0.03"))
    assert not meets(buy(1, limit="100.00"), sell(1, limit="100.01"), limits=collar)


def test_a_resting_order_at_any_price_is_met_and_one_that_does_not_rest_is_not() -> None:
    assert meets(buy(1, limit="1.00"), structs.replace(sell(1), type=OrderType.MARKET_ON_CLOSE))
    assert not meets(buy(1, limit="900.00"), structs.replace(sell(1, stop="95.00"), type=OrderType.STOP))


def test_the_target_of_the_same_position_is_no_bar_to_adding_to_it_but_that_of_another_strategy_is() -> None:
    target = protecting(sell(1, limit="100.00"), Purpose.TAKE_PROFIT)
    assert not meets(buy(1, limit="100.00"), target)
    assert meets(buy(1, limit="100.00"), structs.replace(target, strategy=StrategyId("another")))


LULD = structs.replace(OFF, luld_bands=True)
LATE = {"executes": (KNOWN.session.closes or 0) - 60 * NANOS_PER_SECOND}


def inside(order: Order, *, late: bool = False, snapshot: dict[str, Any] | None = None, **market: Any) -> bool:
    """Tell whether an order stands within the bands, in the last minutes or not."""
    known = knowing("market", facts(**{"instrument": FINE, **(snapshot or {})}), **market)
    return checks.luld(order, knowing("session", known, **LATE) if late else known, LULD).passed


FINE = structs.replace(KNOWN.snapshot.instrument, tick=D("0.0001"))


def test_a_band_that_the_exchange_gives_takes_the_place_of_the_computed_one_and_the_other_stays_computed() -> None:
    found = [inside(buy(1, limit=p), lower_band=D(99)) for p in ("105.00", "105.01")]
    found += [inside(sell(1, limit=p), lower_band=D(99)) for p in ("99.00", "98.99")]
    found += [inside(buy(1, limit=p), upper_band=D(101)) for p in ("101.00", "101.01")]
    found += [inside(sell(1, limit=p), upper_band=D(101)) for p in ("95.00", "94.99")]
    assert found == [True, False] * 4


def test_a_market_order_sells_at_the_bid() -> None:
    assert inside(sell(1), bid=D("95.00"), ask=D("100.00"))
    assert not inside(sell(1), bid=D("94.99"), ask=D("100.00"))


def test_in_the_last_minutes_the_bands_of_tier_1_are_twice_as_wide() -> None:
    assert [inside(buy(1, limit=p), late=True) for p in ("110.00", "110.01")] == [True, False]
    assert [inside(buy(1, limit=p), late=True, luld_tier=2) for p in ("110.00", "110.01")] == [True, False]


@pytest.mark.parametrize(("price", "limit"), [("3", "4.2"), ("3.01", "3.311"), ("0.75", "1.05"), ("0.74", "1.04")])
def test_of_tier_2_only_what_costs_three_dollars_or_less_is_doubled(price: str, limit: str) -> None:
    at = {"last_close": D(price), "reference_price": D(price)}
    found = [inside(buy(1, limit=p), late=True, snapshot=at, luld_tier=2) for p in (limit, f"{limit}01")]
    assert found == [True, False]


def test_without_a_last_close_the_reference_says_how_wide_the_bands_are() -> None:
    at = {"last_close": None, "reference_price": D(2)}
    assert [inside(buy(1, limit=p), snapshot=at) for p in ("2.40", "2.4001")] == [True, False]


def test_an_order_of_nothing_is_off_the_grid() -> None:
    assert not checks.price_grid(structs.replace(buy(1), quantity=0), KNOWN, OFF).passed


def test_what_an_order_is_worth_counts_the_multiplier() -> None:
    twice = facts(instrument=structs.replace(KNOWN.snapshot.instrument, multiplier=D(2)))
    least = structs.replace(OFF, min_order_notional=D(200))
    assert checks.min_order_notional(buy(1), twice, least).passed
    assert not checks.min_order_notional(buy(1), KNOWN, least).passed
