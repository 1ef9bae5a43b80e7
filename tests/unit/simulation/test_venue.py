"""How the simulated venue matches orders against bars."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec import structs

from robotrader.model import Bar, DataError, InstrumentId, OrderType, Side, TimeInForce
from robotrader.simulation.costs import BasisPoints, CostModel, IbkrFixed
from robotrader.simulation.venue import FillAt, Venue, VenueFill, VenueOrder
from tests import builders as make

D = Decimal
SPY, QQQ = make.SPY.id, make.QQQ.id
BUY, SELL = Side.BUY, Side.SELL
SESSION = 23_400_000_000_000
FREE = BasisPoints(D(0))


def end(day: int) -> int:
    return make.T0 + day * make.DAY


def start(day: int) -> int:
    return end(day) - SESSION


def venue(fill: FillAt = FillAt.NEXT_OPEN, *, bps: str = "0", costs: CostModel = FREE) -> Venue:
    return Venue({i.id: i for i in (make.SPY, make.QQQ)}, costs, fill=fill, half_spread_bps=D(bps))


def bar(
    day: int, opened: float, high: float, low: float, close: float, *, volume: float = 1e6, of: InstrumentId = SPY
) -> Bar:
    return Bar(instrument=of, ts_event=end(day), open=opened, high=high, low=low, close=close, volume=volume)


def market(side: Side = BUY, quantity: int = 100, key: str = "m") -> VenueOrder:
    return VenueOrder(key=key, instrument=SPY, side=side, quantity=quantity)


def limit(side: Side, price: str, *, tif: TimeInForce = TimeInForce.DAY) -> VenueOrder:
    return structs.replace(market(side, key="l"), type=OrderType.LIMIT, limit_price=D(price), tif=tif)


def stop(side: Side, price: str) -> VenueOrder:
    return structs.replace(market(side, key="s"), type=OrderType.STOP, stop_price=D(price))


def show(at: Venue, one: Bar, day: int) -> Sequence[VenueFill]:
    return at.on_bar(one, start(day))


def prices(fills: Sequence[VenueFill]) -> list[tuple[Decimal, int]]:
    return [(f.price, f.ts) for f in fills]


# ---------------------------------------------------------------------------------------------------- market orders
def test_a_market_order_fills_at_the_next_open_at_its_time() -> None:
    at = venue()
    show(at, bar(0, 9, 9, 9, 9), 0)
    assert at.place(market()) == ()
    (fill,) = show(at, bar(1, 10.0, 12.0, 9.0, 11.0), 1)
    assert fill == VenueFill(key="m", number=1, instrument=SPY, side=BUY, quantity=100, price=D("10.00"), ts=start(1),
                             commission=D(0))  # fmt: skip
    assert at.idle


def test_a_market_order_fills_at_the_close_of_the_bar_that_decided_it() -> None:
    at = venue(FillAt.THIS_CLOSE)
    show(at, bar(0, 9.0, 12.0, 9.0, 11.0), 0)
    assert prices(at.place(market())) == [(D("11.00"), end(0))]
    assert at.idle


def test_at_this_close_a_bar_without_volume_fills_nothing() -> None:
    at = venue(FillAt.THIS_CLOSE)
    show(at, bar(0, 9.0, 12.0, 9.0, 11.0, volume=0.0), 0)
    assert at.place(market()) == ()
    assert prices(show(at, bar(1, 10.0, 10.0, 10.0, 10.0), 1)) == [(D("10.00"), start(1))]


def test_a_market_order_fills_at_the_next_close() -> None:
    at = venue(FillAt.NEXT_CLOSE)
    show(at, bar(0, 9, 9, 9, 9), 0)
    at.place(market())
    assert prices(show(at, bar(1, 10.0, 12.0, 9.0, 11.0), 1)) == [(D("11.00"), end(1))]


def test_an_order_is_matched_with_bars_of_its_own_instrument_only() -> None:
    at = venue()
    at.place(market())
    assert not show(at, bar(1, 10, 10, 10, 10, of=QQQ), 1)
    assert not at.idle


def test_orders_fill_in_the_order_in_which_they_came_and_fills_are_numbered() -> None:
    at = venue()
    for key in ("b", "a", "c"):
        at.place(market(key=key))
    assert [(f.key, f.number) for f in show(at, bar(1, 10, 10, 10, 10), 1)] == [("b", 1), ("a", 2), ("c", 3)]


@pytest.mark.parametrize("volume", [0.0, float("nan")])
def test_a_bar_without_volume_fills_nothing(volume: float) -> None:
    at = venue()
    at.place(market())
    at.place(limit(BUY, "99.00"))
    assert not show(at, bar(1, 10, 10, 10, 10, volume=volume), 1)
    assert len(at.open_orders) == 2
    assert len(show(at, bar(2, 10, 10, 10, 10), 2)) == 2


# ----------------------------------------------------------------------------------------------------- limit orders
@pytest.mark.parametrize(
    ("side", "price", "seen", "fill"),
    [
        (BUY, "10.00", (11.0, 12.0, 10.0, 11.0), None),  # a touch is not enough
        (BUY, "10.00", (11.0, 12.0, 9.99, 11.0), (D("10.00"), end(1))),  # through by a tick: at the limit
        (BUY, "10.00", (9.50, 12.0, 9.00, 11.0), (D("9.50"), start(1))),  # the open is better
        (BUY, "10.00", (10.0, 12.0, 10.0, 11.0), (D("10.00"), start(1))),  # the open is at the limit
        (SELL, "10.00", (9.0, 10.0, 8.0, 9.0), None),
        (SELL, "10.00", (9.0, 10.01, 8.0, 9.0), (D("10.00"), end(1))),
        (SELL, "10.00", (10.5, 11.0, 8.0, 9.0), (D("10.50"), start(1))),
        (SELL, "10.00", (10.0, 10.0, 8.0, 9.0), (D("10.00"), start(1))),
    ],
)
def test_a_limit_fills_at_the_open_or_when_traded_through(
    side: Side, price: str, seen: tuple[float, float, float, float], fill: tuple[Decimal, int] | None
) -> None:
    at = venue(bps="50")
    at.place(limit(side, price))
    assert prices(show(at, bar(1, *seen), 1)) == ([] if fill is None else [fill])
    assert at.slippage_cost == 0, "a limit pays no spread"


@pytest.mark.parametrize("fill", list(FillAt))
def test_while_an_instrument_is_halted_nothing_of_it_fills_and_orders_rest(fill: FillAt) -> None:
    at = venue(fill)
    show(at, bar(0, 100, 101, 99, 100), 0)
    at.halted.add(SPY)
    at.place(limit(BUY, "200", tif=TimeInForce.GTC))
    on_close = structs.replace(market(), key="c", type=OrderType.MARKET_ON_CLOSE)
    assert [*at.place(market()), *at.place(on_close), *show(at, bar(1, 100, 101, 99, 100), 1)] == []
    assert list(at.close_auction()) == []
    at.halted.clear()
    assert {f.key for f in [*show(at, bar(2, 105, 106, 104, 105), 2), *at.close_auction()]} == {"l", "m", "c"}


def test_a_limit_is_compared_with_the_open_on_the_grid() -> None:
    at = venue()
    at.place(limit(BUY, "10.00"))
    assert prices(show(at, bar(1, 10.004, 11.0, 10.0, 10.5), 1)) == [(D("10.00"), start(1))]


# ------------------------------------------------------------------------------------------------------ stop orders
@pytest.mark.parametrize(
    ("side", "price", "seen", "fill"),
    [
        (SELL, "10.00", (11.0, 12.0, 10.01, 11.0), None),
        (SELL, "10.00", (11.0, 12.0, 10.0, 11.0), (D("10.00"), end(1))),  # a touch triggers
        (SELL, "10.00", (9.50, 12.0, 9.00, 11.0), (D("9.50"), start(1))),  # a gap fills at the open, not at the stop
        (SELL, "10.00", (10.0, 12.0, 9.00, 11.0), (D("10.00"), start(1))),
        (BUY, "10.00", (9.0, 9.99, 8.0, 9.0), None),
        (BUY, "10.00", (9.0, 10.0, 8.0, 9.0), (D("10.00"), end(1))),
        (BUY, "10.00", (10.5, 11.0, 8.0, 9.0), (D("10.50"), start(1))),
    ],
)
def test_a_stop_fills_at_its_price_or_at_the_open_beyond_it(
    side: Side, price: str, seen: tuple[float, float, float, float], fill: tuple[Decimal, int] | None
) -> None:
    at = venue()
    at.place(stop(side, price))
    assert prices(show(at, bar(1, *seen), 1)) == ([] if fill is None else [fill])


def test_a_triggered_stop_pays_the_spread() -> None:
    at = venue(bps="10")
    at.place(stop(SELL, "100.00"))
    assert prices(show(at, bar(1, 101, 101, 99, 100), 1)) == [(D("99.90"), end(1))]
    at.place(stop(BUY, "100.00"))
    assert prices(show(at, bar(2, 102, 103, 99, 100), 2)) == [(D("102.10"), start(2))]


@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.STOP])
def test_an_order_without_its_price_cannot_be_matched(kind: OrderType) -> None:
    at = venue()
    at.place(structs.replace(market(), type=kind))
    with pytest.raises(DataError, match="needs its price"):
        show(at, bar(1, 10, 10, 10, 10), 1)


# --------------------------------------------------------------------------------------------------------- slippage
def test_slippage_is_paid_against_the_order_on_both_sides() -> None:
    at = venue(bps="10")
    at.place(market(BUY, key="b"))
    at.place(market(SELL, 50, key="s"))
    bought, sold = show(at, bar(1, 100.0, 101, 99, 100), 1)
    assert (bought.price, sold.price) == (D("100.10"), D("99.90"))
    assert at.slippage_cost == D("0.10") * 100 + D("0.10") * 50


def test_slippage_counts_the_multiplier() -> None:
    future = structs.replace(make.SPY, multiplier=D(50))
    at = Venue({SPY: future}, FREE, half_spread_bps=D(10))
    at.place(market(quantity=2))
    show(at, bar(1, 100.0, 101, 99, 100), 1)
    assert at.slippage_cost == D("0.10") * 2 * 50


@pytest.mark.parametrize(
    ("opened", "tick", "price"),
    [
        (10.004, "0.01", "10.00"),
        (10.005, "0.01", "10.00"),  # half to even
        (10.015, "0.01", "10.02"),
        (10.0149, "0.01", "10.01"),
        (10.03, "0.05", "10.05"),
        (10.02, "0.05", "10.00"),
        (1.23456, "0.0001", "1.2346"),
    ],
)
def test_fills_are_on_the_tick_grid(opened: float, tick: str, price: str) -> None:
    at = Venue({SPY: structs.replace(make.SPY, tick=D(tick))}, FREE, half_spread_bps=D(0))
    at.place(market())
    (fill,) = show(at, bar(1, opened, 11, 1, 10), 1)
    assert (fill.price, str(fill.price)) == (D(price), price)


# ------------------------------------------------------------------------------------------- expiry, change, cancel
def test_day_orders_end_with_the_session_and_others_stay() -> None:
    at = venue()
    at.place(limit(BUY, "1.00"))
    at.place(structs.replace(limit(BUY, "1.00", tif=TimeInForce.GTC), key="gtc"))
    assert at.end_session(end(1)) == ["l"]
    assert list(at.open_orders) == ["gtc"]
    assert prices(show(at, bar(2, 0.9, 0.9, 0.9, 0.9), 2)) == [(D("0.90"), start(2))]


def test_new_terms_replace_the_old_ones_under_the_same_key() -> None:
    at = venue()
    at.place(limit(BUY, "1.00"))
    at.place(structs.replace(limit(BUY, "12.00"), quantity=30))
    assert [(o.key, o.quantity, o.limit_price) for o in at.open_orders.values()] == [("l", 30, D("12.00"))]
    (fill,) = show(at, bar(1, 11, 11, 11, 11), 1)
    assert (fill.key, fill.quantity, fill.price) == ("l", 30, D("11.00"))
    assert at.idle


def test_a_canceled_order_does_not_fill() -> None:
    at = venue()
    at.place(market())
    assert at.cancel("m")
    assert not at.cancel("m"), "it is no longer open"
    assert not show(at, bar(1, 10, 10, 10, 10), 1)


def test_a_filled_order_cannot_be_canceled_and_fills_once() -> None:
    at = venue()
    at.place(market())
    assert len(show(at, bar(1, 10, 10, 10, 10), 1)) == 1
    assert not at.cancel("m")
    assert not show(at, bar(2, 10, 10, 10, 10), 2)


# ------------------------------------------------------------------------------------------------------------ costs
def test_an_execution_carries_what_the_order_costs_on_its_utc_date() -> None:
    at = venue(costs=IbkrFixed())
    at.place(market(SELL))
    (fill,) = show(at, bar(1, 25.0, 25, 25, 25), 1)  # 2024-01-03: SEC 27.80 per million, TAF 0.000166, no CAT yet
    assert fill.commission == D("1.00") + D("0.0695") + D("0.0166")
