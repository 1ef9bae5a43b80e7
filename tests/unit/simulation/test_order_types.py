"""Order types and times in force beyond market, limit and stop: what bars do to them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.model import DataError, OrderType, Side, TimeInForce
from robotrader.simulation.venue import FillAt, Venue, VenueChange, VenueFill, VenueOrder
from tests import builders as make
from tests.unit.simulation.test_venue import BUY, FREE, SELL, SPY, bar, end, start

D = Decimal
QUIET = (10.0, 10.5, 9.5, 10.0)


def venue(participation: float | None = None, *, fill: FillAt = FillAt.NEXT_OPEN, bps: str = "0") -> Venue:
    return Venue({SPY: make.SPY}, FREE, fill=fill, half_spread_bps=D(bps), participation=participation)


def order(side: Side = BUY, quantity: int = 100, **more: Any) -> VenueOrder:
    terms: dict[str, Any] = {"key": "o", "instrument": SPY, "side": side, "quantity": quantity}
    return VenueOrder(**(terms | more))


def stop_limit(side: Side, stop: str, limit: str) -> VenueOrder:
    return order(side, type=OrderType.STOP_LIMIT, stop_price=D(stop), limit_price=D(limit), tif=TimeInForce.GTC)


def trail(side: Side, away: str, **more: Any) -> VenueOrder:
    return order(side, type=OrderType.TRAIL, tif=TimeInForce.GTC, **{"trail": D(away)} | more)


def events(at: Venue, day: int, *prices: float, volume: float = 1e6) -> list[Any]:
    """Return what a bar does: (price, time) of a fill, or what changed."""
    seen = bar(day, *prices, volume=volume)
    happened = at.trade(seen, start(day))
    return [(e.price, e.ts) if isinstance(e, VenueFill) else e.what for e in happened]


# ------------------------------------------------------------------------------------------------------- stop limits
@pytest.mark.parametrize(
    ("side", "stop", "limit", "prices", "seen"),
    [
        (BUY, "11.00", "11.20", (10.0, 10.99, 9.0, 10.5), []),
        (BUY, "11.00", "11.20", (10.0, 11.0, 9.0, 10.5), [(D("11.00"), end(1)), "triggered"]),
        (BUY, "11.00", "11.20", (11.1, 11.5, 11.0, 11.5), [(D("11.10"), start(1)), "triggered"]),  # gap within limit
        (BUY, "11.00", "11.20", (11.5, 11.6, 11.3, 11.5), ["triggered"]),  # gap beyond the limit
        (BUY, "11.00", "11.20", (11.5, 11.6, 11.19, 11.5), [(D("11.20"), end(1)), "triggered"]),  # and back through it
        (BUY, "11.00", "10.80", (10.0, 11.5, 9.0, 11.0), ["triggered"]),  # the low may have been before
        (SELL, "9.00", "8.80", (10.0, 10.5, 9.0, 9.5), [(D("9.00"), end(1)), "triggered"]),
        (SELL, "9.00", "8.80", (8.5, 8.7, 8.0, 8.5), ["triggered"]),
    ],
)
def test_a_stop_limit_is_a_limit_once_it_is_triggered(
    side: Side, stop: str, limit: str, prices: tuple[float, ...], seen: list[Any]
) -> None:
    at = venue(bps="50")
    at.place(stop_limit(side, stop, limit))
    assert events(at, 1, *prices) == seen


def test_a_triggered_stop_limit_rests_as_a_limit() -> None:
    at = venue()
    at.place(stop_limit(BUY, "11.00", "11.20"))
    assert events(at, 1, 11.5, 11.6, 11.3, 11.5) == ["triggered"]
    assert events(at, 2, 11.4, 11.5, 11.2, 11.3) == []  # a touch is not enough
    assert events(at, 3, 10.0, 10.1, 9.9, 10.0) == [(D("10.00"), start(3))]


@pytest.mark.parametrize("missing", ["stop_price", "limit_price"])
def test_a_stop_limit_needs_both_prices(missing: str) -> None:
    at = venue()
    prices: dict[str, Any] = {"stop_price": D(11), "limit_price": D(11)} | {missing: None}
    at.place(order(type=OrderType.STOP_LIMIT, **prices))
    with pytest.raises(DataError, match="needs its price"):
        events(at, 1, 12.0, 12.0, 12.0, 12.0)


# ---------------------------------------------------------------------------------------------------- trailing stops
def test_a_trailing_stop_follows_the_best_price_and_never_back() -> None:
    at = venue()
    events(at, 0, *QUIET)  # closes at 10: the stop stands at 9
    at.place(trail(SELL, "1.00"))
    assert events(at, 1, 10.0, 12.0, 9.5, 11.5) == []  # moves to 11
    assert events(at, 2, 11.5, 11.6, 11.01, 11.2) == []  # 10.60 would be worse
    assert events(at, 3, 11.2, 11.3, 11.0, 11.1) == [(D("11.00"), end(3)), "triggered"]


def test_a_bar_tests_a_trailing_stop_before_it_moves_it() -> None:
    at = venue()
    events(at, 0, *QUIET)
    at.place(trail(BUY, "1.00"))  # at 11
    assert events(at, 1, 10.0, 11.0, 8.0, 10.5) == [(D("11.00"), end(1)), "triggered"]


def test_a_trailing_stop_may_trail_by_percent_and_gap() -> None:
    at = venue()
    events(at, 0, *QUIET)
    at.place(trail(SELL, "0", trail=None, trail_percent=D(10)))
    assert events(at, 1, 10.0, 20.0, 10.0, 19.0) == []  # moves to 18
    assert events(at, 2, 17.0, 17.5, 16.0, 17.0) == [(D("17.00"), start(2)), "triggered"]


def test_a_trailing_stop_begins_where_it_is_told() -> None:
    at = venue()
    events(at, 0, *QUIET)
    at.place(trail(SELL, "1.00", stop_price=D("9.80")))
    assert events(at, 1, 10.0, 10.1, 9.8, 10.0) == [(D("9.80"), end(1)), "triggered"]


def test_without_a_price_a_trailing_stop_begins_behind_the_first_open() -> None:
    at = venue()
    at.place(trail(SELL, "1.00"))
    assert events(at, 1, 10.0, 10.5, 9.0, 9.5) == [(D("9.00"), end(1)), "triggered"]


def test_a_new_quantity_does_not_move_a_trailing_stop_but_a_new_distance_does() -> None:
    at = venue()
    events(at, 0, *QUIET)
    at.place(trail(SELL, "1.00"))
    events(at, 1, 10.0, 12.0, 9.5, 11.9)  # at 11
    at.place(trail(SELL, "1.00", quantity=50))
    assert events(at, 2, 11.9, 11.9, 11.5, 11.9) == []
    at.place(trail(SELL, "0.20", quantity=50))  # at 11.70
    assert events(at, 3, 11.9, 11.9, 11.7, 11.8) == [(D("11.70"), end(3)), "triggered"]


# -------------------------------------------------------------------------------------------- times in force, auctions
@pytest.mark.parametrize("tif", [TimeInForce.IOC, TimeInForce.FOK])
@pytest.mark.parametrize(
    ("limit", "seen"),
    [(None, [(D("10.00"), start(1))]), (D("10.00"), [(D("10.00"), start(1))]), (D("9.99"), ["lapsed"])],
)
def test_the_next_trade_decides_an_immediate_order(tif: TimeInForce, limit: Decimal | None, seen: list[Any]) -> None:
    at = venue()
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    at.place(order(type=kind, limit_price=limit, tif=tif))
    assert events(at, 1, 10.0, 10.5, 5.0, 10.0) == seen
    assert at.idle


def test_ioc_fills_what_there_is_and_fok_all_or_nothing() -> None:
    for tif, filled in ((TimeInForce.IOC, [60]), (TimeInForce.FOK, [])):
        at = venue(0.1)
        at.place(order(tif=tif))
        happened = list(at.trade(bar(1, *QUIET, volume=600.0), start(1)))
        assert [e.quantity for e in happened if isinstance(e, VenueFill)] == filled
        assert happened[-1] == VenueChange("o", "lapsed")
    at = venue(0.1)
    at.place(order(tif=TimeInForce.FOK))
    assert [e.quantity for e in at.on_bar(bar(1, *QUIET, volume=1_000.0), start(1))] == [100]


def test_opg_fills_at_the_open_of_the_next_session_only() -> None:
    at = venue()
    events(at, 0, *QUIET)
    at.place(order(tif=TimeInForce.OPG))
    assert events(at, 1, 10.0, 10.5, 9.5, 10.0) == []  # the session has begun already
    assert at.end_session(end(1)) == []
    assert events(at, 2, 10.2, 10.5, 9.5, 10.0) == [(D("10.20"), start(2))]
    at.end_session(end(2))
    at.place(order(type=OrderType.LIMIT, limit_price=D("9.60"), tif=TimeInForce.OPG))
    assert events(at, 3, 10.0, 10.5, 9.0, 10.0) == ["lapsed"]


@pytest.mark.parametrize(
    ("kind", "limit", "filled"),
    [
        (OrderType.MARKET_ON_CLOSE, None, True),
        (OrderType.LIMIT_ON_CLOSE, D("10.25"), True),
        (OrderType.LIMIT_ON_CLOSE, D("10.24"), False),
    ],
)
def test_orders_on_close_fill_at_the_close_without_a_spread(
    kind: OrderType, limit: Decimal | None, filled: bool
) -> None:
    at = venue(bps="50")
    at.place(order(type=kind, limit_price=limit))
    assert events(at, 1, 10.0, 11.0, 9.0, 10.25) == []
    assert [(f.price, f.ts) for f in at.close_auction()] == ([(D("10.25"), end(1))] if filled else [])
    assert at.end_session(end(1)) == ([] if filled else ["o"])
    assert at.slippage_cost == 0


def test_there_is_no_closing_price_of_an_instrument_that_did_not_trade() -> None:
    at = venue()
    events(at, 0, *QUIET)
    at.end_session(end(0))
    at.place(order(type=OrderType.MARKET_ON_CLOSE))
    assert list(at.close_auction()) == []
    events(at, 1, *QUIET, volume=0.0)
    assert list(at.close_auction()) == []


def test_dated_orders_end_at_their_time() -> None:
    at = venue()
    at.place(order(type=OrderType.LIMIT, limit_price=D(1), tif=TimeInForce.GTD, expires=end(2)))
    assert at.end_session(end(1)) == []
    assert at.expire(end(2) - 1) == []
    assert at.expire(end(2)) == ["o"]
    at.place(order(type=OrderType.LIMIT, limit_price=D(1), tif=TimeInForce.GTD, expires=end(2)))
    assert at.end_session(end(2)) == ["o"]


# ------------------------------------------------------------------------------------------------------ participation
def test_a_share_of_the_volume_is_shared_by_the_orders_of_a_bar() -> None:
    at = venue(0.1)
    at.place(order(key="a", quantity=70, tif=TimeInForce.GTC))
    at.place(order(key="b", quantity=70, tif=TimeInForce.GTC))
    fills = [at.on_bar(bar(day, *QUIET, volume=1_000.0), start(day)) for day in (1, 2)]
    assert [[(f.key, f.quantity) for f in seen] for seen in fills] == [[("a", 70), ("b", 30)], [("b", 40)]]
    assert at.idle


def test_commissions_of_parts_add_up_to_that_of_the_whole() -> None:
    from robotrader.simulation.costs import IbkrFixed

    at = Venue({SPY: make.SPY}, IbkrFixed(), half_spread_bps=D(0), participation=0.1)
    at.place(order(tif=TimeInForce.GTC))
    parts = [f for day in (1, 2) for f in at.on_bar(bar(day, *QUIET, volume=500.0), start(day))]
    assert [p.quantity for p in parts] == [50, 50]
    assert sum(p.commission for p in parts) == at.commission(order(), D(10), end(1)) == D("1.00")


def test_a_triggered_stop_goes_on_as_a_market_order() -> None:
    at = venue(0.1)
    at.place(order(SELL, type=OrderType.STOP, stop_price=D("9.60"), tif=TimeInForce.GTC))
    assert events(at, 1, *QUIET, volume=600.0) == [(D("9.60"), end(1)), "triggered"]
    assert [o.quantity for o in at.open_orders.values()] == [40]
    assert events(at, 2, 12.0, 12.0, 12.0, 12.0) == [(D("12.00"), start(2))]


def test_slippage_is_counted_of_what_fills() -> None:
    at = venue(0.1, bps="100")
    at.place(order(tif=TimeInForce.FOK))
    at.on_bar(bar(1, *QUIET, volume=10.0), start(1))
    assert at.slippage_cost == 0
    at.place(order(tif=TimeInForce.IOC))
    at.on_bar(bar(2, *QUIET, volume=100.0), start(2))
    assert at.slippage_cost == D("0.10") * 10


def test_this_close_gives_no_more_than_the_share_and_nothing_to_opening_orders() -> None:
    at = venue(0.1, fill=FillAt.THIS_CLOSE)
    at.on_bar(bar(0, *QUIET, volume=600.0), start(0))
    assert [f.quantity for f in at.place(order(tif=TimeInForce.GTC))] == [60]
    assert not at.place(order(key="opening", tif=TimeInForce.OPG))


def test_a_fill_made_elsewhere_is_numbered_like_any() -> None:
    at = venue(bps="100")
    made = at.settle(order(), D("9.87"), end(1))
    assert (made.number, made.price, made.quantity, made.ts) == (1, D("9.87"), 100, end(1))
    assert at.idle


# --------------------------------------------------------------------------------------------------------- properties
cents = st.integers(500, 1_500).map(lambda n: n / 100)
bars = st.lists(st.tuples(cents, cents, cents, cents, st.sampled_from([0.0, 300.0, 5_000.0])), min_size=1, max_size=8)
prices = st.integers(500, 1_500).map(lambda n: D(n) / 100)


@st.composite
def orders(draw: st.DrawFn) -> VenueOrder:
    kind = draw(st.sampled_from(OrderType))
    tifs = list(TimeInForce) if kind in {OrderType.MARKET, OrderType.LIMIT} else [TimeInForce.DAY, TimeInForce.GTC]
    limited = kind in {OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_ON_CLOSE}
    stopped = kind in {OrderType.STOP, OrderType.STOP_LIMIT}
    return VenueOrder(
        key=str(draw(st.integers(0, 5))), instrument=SPY, side=draw(st.sampled_from(Side)), type=kind,
        quantity=draw(st.integers(1, 400)), tif=draw(st.sampled_from(tifs)),
        limit_price=draw(prices) if limited else None, stop_price=draw(prices) if stopped else None,
        trail=draw(prices) if kind is OrderType.TRAIL else None,
    )  # fmt: skip


@given(st.lists(orders(), max_size=6, unique_by=lambda o: o.key), bars, st.sampled_from([None, 0.1, 1.0]))
def test_no_fill_is_beyond_its_limit_outside_its_bar_or_more_than_was_asked(
    placed: list[VenueOrder], seen: list[tuple[float, ...]], participation: float | None
) -> None:
    at, asked = venue(participation), {o.key: o for o in placed}
    for one in placed:
        at.place(one)
    done: dict[str, int] = {}
    for day, (*four, volume) in enumerate(seen, 1):
        one_bar = bar(day, four[0], max(four), min(four), four[3], volume=volume)
        fills = [e for e in at.trade(one_bar, start(day)) if isinstance(e, VenueFill)]
        assert participation is None or sum(f.quantity for f in fills) <= volume * participation
        for fill in [*fills, *at.close_auction()]:
            terms = asked[fill.key]
            assert D(repr(one_bar.low)) <= fill.price <= D(repr(one_bar.high))
            assert terms.limit_price is None or (terms.limit_price - fill.price) * fill.side.sign >= 0
            assert terms.tif not in {TimeInForce.IOC, TimeInForce.FOK, TimeInForce.OPG} or fill.ts == start(day)
            done[fill.key] = done.get(fill.key, 0) + fill.quantity
            assert terms.tif is not TimeInForce.FOK or fill.quantity == terms.quantity
        left = {key: o.quantity for key, o in at.open_orders.items()}
        assert all(done.get(key, 0) + left[key] == asked[key].quantity for key in left)
        assert all(quantity <= asked[key].quantity for key, quantity in done.items())
        at.end_session(end(day))
    assert not any(o.tif is TimeInForce.DAY for o in at.open_orders.values())


@given(st.lists(orders(), max_size=6, unique_by=lambda o: o.key), bars)
def test_whoever_cancels_the_others_of_a_group_at_its_first_fill_never_gets_two(
    placed: list[VenueOrder], seen: list[tuple[float, ...]]
) -> None:
    at, filled = venue(), []
    for one in placed:
        at.place(one)

    def book(fill: VenueFill) -> None:
        filled.append(fill)
        for key in list(at.open_orders):
            at.cancel(key)

    for day, (*four, volume) in enumerate(seen, 1):
        one_bar = bar(day, four[0], max(four), min(four), four[3], volume=volume)
        for event in at.trade(one_bar, start(day)):
            if isinstance(event, VenueFill):
                book(event)
        for fill in at.close_auction():
            book(fill)
        at.end_session(end(day))
    assert len(filled) <= 1
