"""How closing orders are sized and priced, and what the kill path remembers of what it hears."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.adapters.ibkr.kill import Heard, OpenOrder, collared, share_out
from robotrader.model import InstrumentId, Quote, Side, Venue, stock
from robotrader.ports import BrokerMessage

SPY = stock("SPY", Venue.ARCA)
QUOTE = Quote(instrument=SPY.id, ts_event=0, bid=99.98, ask=100.02, bid_size=1, ask_size=1)


def order(
    quantity: int, group: str = "A", *, side: Side = Side.SELL, tif: str = "GTC", filled: int = 0, ref: str = "RT-X"
) -> OpenOrder:
    return OpenOrder(
        client_id=1, order_id=1, perm_id=1, ref=ref, instrument=InstrumentId("SPY.ARCA"), side=side, quantity=quantity,
        filled=filled, tif=tif, group=group,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("units", "orders", "expected"),
    [
        (100, [], {"": 100}),
        (100, [order(100), order(100)], {"A": 100}),  # stop and target are one group
        (150, [order(100), order(50, "B")], {"A": 100, "B": 50}),
        (150, [order(100)], {"A": 100, "": 50}),
        (50, [order(100)], {"": 50}),  # a stop larger than what is held must go, or both would sell
        (100, [order(100, filled=40)], {"A": 60, "": 40}),
        (100, [order(100, side=Side.BUY)], {"": 100}),
        (-100, [order(100, side=Side.BUY)], {"A": 100}),
        (100, [order(100, tif="DAY")], {"": 100}),  # no protection: an exit that joined the group
        (100, [order(100, "")], {"": 100}),
        (0, [order(100)], {}),
    ],
)
def test_closing_orders_join_the_groups_of_what_protects(
    units: int, orders: list[OpenOrder], expected: dict[str, int]
) -> None:
    assert share_out(units, orders) == expected


def test_a_group_that_had_a_fill_takes_no_closing_order() -> None:
    assert share_out(100, [order(100)], {"A"}) == {"": 100}


@given(
    st.integers(-500, 500),
    st.lists(st.tuples(st.integers(1, 300), st.sampled_from("ABC"), st.sampled_from(Side)), max_size=6),
)
def test_closing_orders_and_the_stops_that_stay_never_close_more_than_is_held(
    units: int, stops: list[tuple[int, str, Side]]
) -> None:
    orders = [order(quantity, group, side=side) for quantity, group, side in stops]
    shares = share_out(units, orders)
    assert sum(shares.values()) == abs(units)
    assert all(quantity > 0 for quantity in shares.values())
    closing = Side.SELL if units > 0 else Side.BUY
    kept = [o for o in orders if o.group in shares and o.side is closing]
    assert all(o.quantity <= shares[o.group] for o in kept)


def test_a_closing_order_takes_the_quote_and_a_collar_beyond() -> None:
    assert collared(Side.SELL, QUOTE, SPY, Decimal("0.03")) == Decimal("96.98")
    assert collared(Side.BUY, QUOTE, SPY, Decimal("0.03")) == Decimal("103.02")


def test_ours_are_the_traders_orders_and_those_of_a_kill_before() -> None:
    assert [order(1, ref=ref).is_ours for ref in ("RT-X", "KILL-1-2", "", "mine RT-X", "KILLER")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_fills_only_grow_and_only_a_group_that_is_filled_is_spent() -> None:
    heard = Heard()
    told: list[tuple[str, dict[str, Any]]] = [
        ("execDetails", {"clientId": 1, "orderId": 7, "cumQty": 40.0}),
        ("orderStatus", {"clientId": 1, "orderId": 7, "filled": 10.0, "status": "Submitted"}),
        ("orderStatus", {"clientId": 1, "orderId": 8, "filled": 0.0, "status": "Cancelled"}),
        ("error", {"orderId": 9, "code": 201, "text": "Order rejected - reason:OCA group is already filled"}),
        ("error", {"orderId": 10, "code": 201, "text": "Order rejected - reason:something else"}),
        ("error", {"orderId": 11, "code": 399, "text": "a warning"}),
    ]
    for name, fields in told:
        heard.put(BrokerMessage(name=name, fields=fields))
    assert heard.filled == {(1, 7): 40, (1, 8): 0}
    assert (heard.ended, heard.spent) == ({8, 9, 10}, {9})
