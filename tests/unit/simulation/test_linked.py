"""Orders that wait for another one, and orders that share a position."""

from collections.abc import Iterable
from decimal import Decimal

from msgspec import structs

from robotrader.model import OrderType, Side, TimeInForce
from robotrader.simulation.costs import BasisPoints
from robotrader.simulation.linked import Happened, LinkedOrders, freed, left_in_group
from robotrader.simulation.venue import FillAt, Venue, VenueFill, VenueOrder
from tests import builders as make
from tests.unit.simulation.test_venue import bar, end, market, start

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


def stop(quantity: int = 100) -> VenueOrder:
    return structs.replace(market(SELL, quantity, "stop"), type=OrderType.STOP, stop_price=D("95.00"),
                           tif=TimeInForce.GTC)  # fmt: skip


def target(quantity: int = 100) -> VenueOrder:
    return structs.replace(market(SELL, quantity, "target"), type=OrderType.LIMIT, limit_price=D("110.00"),
                           tif=TimeInForce.GTC)  # fmt: skip


def told(happened: Iterable[Happened]) -> list[str]:
    """Return what happened, a line each; what belongs together in one."""
    return [
        ", ".join(f"{e.key} fill {e.quantity}" if isinstance(e, VenueFill) else f"{e.key} {e.what} {e.quantity}".strip()
                  for e in together)
        for together in happened
        if together
    ]  # fmt: skip


def desk(participation: float | None = None, fill: FillAt = FillAt.NEXT_OPEN) -> tuple[LinkedOrders, Venue]:
    venue = Venue({make.SPY.id: make.SPY}, BasisPoints(D(0)), fill=fill, half_spread_bps=D(0),
                  participation=participation)  # fmt: skip
    return LinkedOrders(venue), venue


def bracket(orders: LinkedOrders) -> None:
    """Place an entry with its stop and its target."""
    for terms, parent in ((market(), None), (stop(), "m"), (target(), "m")):
        assert told(orders.place(terms, parent=parent, group="g" if parent else None)) == []


def show(orders: LinkedOrders, day: int, *prices: float, volume: float = 1e6) -> list[str]:
    o, h, lo, c = prices
    return told(orders.on_bar(bar(day, o, h, lo, c, volume=volume), start(day)))


def test_children_wait_for_their_parent_and_are_sized_to_what_it_filled() -> None:
    orders, venue = desk(participation=0.1)
    bracket(orders)
    assert list(venue.open_orders) == ["m"], "its children are not at the venue yet"
    assert show(orders, 1, 100, 101, 99, 100, volume=600) == ["m fill 60, stop resized 60, target resized 60"]
    assert {key: o.quantity for key, o in venue.open_orders.items()} == {"m": 40, "stop": 60, "target": 60}
    assert show(orders, 2, 100, 101, 99, 100) == ["m fill 40, stop resized 100, target resized 100"]


def test_what_one_of_a_group_fills_the_other_loses() -> None:
    orders, venue = desk(participation=0.1)
    bracket(orders)
    show(orders, 1, 100, 101, 99, 100)
    assert show(orders, 2, 96, 97, 94, 95, volume=300) == ["stop fill 30, target resized 70", "stop triggered 0"]
    assert show(orders, 3, 96, 97, 94, 95) == ["stop fill 70, target canceled 0"]
    assert venue.idle


def test_an_entry_that_ends_unfilled_takes_its_children_along() -> None:
    for ended in ("canceled", "expired"):
        orders, venue = desk()
        bracket(orders)
        got = [orders.cancel("m")] if ended == "canceled" else orders.end_session(end(1))
        assert told(got) == [f"m {ended} 0, stop canceled 0, target canceled 0"]
        assert venue.idle
        assert orders.cancel("stop") == ()


def test_an_entry_that_ends_half_filled_leaves_them() -> None:
    orders, venue = desk(participation=0.1)
    bracket(orders)
    show(orders, 1, 100, 101, 99, 100, volume=600)
    assert told([orders.cancel("m")]) == ["m canceled 0"]
    assert set(venue.open_orders) == {"stop", "target"}


def test_children_of_an_order_that_filled_at_once_work_at_once() -> None:
    orders, venue = desk(fill=FillAt.THIS_CLOSE)
    show(orders, 0, 100, 101, 99, 100)
    assert told(orders.place(market())) == ["m fill 100"]
    assert told(orders.place(stop(), parent="m", group="g")) == []
    assert show(orders, 1, 98, 99, 94, 95) == ["stop fill 100"]
    assert venue.idle


def test_a_change_sizes_an_open_order_and_nothing_else() -> None:
    orders, venue = desk()
    assert told(orders.place(stop())) == []
    assert told([orders.change(stop(40))]) == ["stop resized 40"]
    assert venue.open_orders["stop"].quantity == 40
    assert orders.change(target()) == (), "an order that ended cannot be changed"


def test_a_child_grows_to_what_was_ordered_and_no_further() -> None:
    assert freed(100, 100, 60, waiting=True) == 60
    assert freed(100, 60, 30, waiting=False) == 90
    assert freed(100, 90, 30, waiting=False) == 100


def test_a_group_leaves_nothing_where_the_rest_has_filled() -> None:
    assert left_in_group(100, 0, 30) == 70
    assert left_in_group(100, 70, 30) is None
    assert left_in_group(100, 0, 100) is None
