"""What becomes of orders: brackets, groups, what-if, holds, and what the broker does by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.model import ConfigError, Side
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.interventions import intervene
from robotrader.simulation.gateway.messages import Speaker
from robotrader.simulation.gateway.order_answers import ANSWERS
from robotrader.simulation.gateway.record import Execution, Intervention
from robotrader.simulation.gateway.requests import decode
from robotrader.simulation.gateway.tickets import Notice, Preview, Report, Ticket
from robotrader.simulation.gateway.wire import split
from tests.unit.simulation.gateway.rig import AAPL, FIRST_OPEN, SECOND, book, flat, panel, wire_order

D = Decimal


def said(reports: list[Report]) -> list[str]:
    """Return what was told: `id status[ (why)]` of statuses, `id code` of errors, `id fill n` and `id margin`."""
    found = []
    for name, of in reports:
        if isinstance(of, Notice):
            found.append(f"{of.order_id} {of.code}")
        elif isinstance(of, Execution) and name == "execDetails":
            found.append(f"{of.order_id} fill {of.quantity}")
        elif isinstance(of, Preview):
            found.append(f"{of.ticket.order_id} margin")
        elif isinstance(of, Ticket) and name == "orderStatus":
            found.append(f"{of.order_id} {of.status}" + (f" ({of.held})" if of.held else ""))
        elif name == "orderBound":
            assert isinstance(of, Ticket)
            found.append(f"{of.order_id} bound")
    return found


def place(target: Book, order_id: int = 1, *, client: int = 1, **more: Any) -> list[str]:
    return said(target.place(client, wire_order(order_id, **more))[1])


def session(target: Book) -> list[str]:
    close = target.market.next_close
    assert close is not None
    return said(target.advance(close))


def limit(price: float, **more: Any) -> dict[str, Any]:
    return {"order_type": "LMT", "limit": D(str(price)), "tif": "GTC"} | more


def stop(price: float, **more: Any) -> dict[str, Any]:
    return {"order_type": "STP", "aux": D(str(price)), "tif": "GTC"} | more


def do(target: Book, deed: Any, **more: Any) -> list[str]:
    return said(intervene(target, Intervention(deed=deed, **more)))


def bracket(target: Book, quantity: int = 100, entry: float = 99.5) -> list[str]:
    """Place an entry with a profit target and a stop, the last one transmitting all."""
    exits: dict[str, Any] = {"action": "SELL", "quantity": quantity, "parent_id": 1}
    quiet = place(target, 1, quantity=quantity, **limit(entry, transmit=False))
    quiet += place(target, 2, **limit(110, transmit=False), **exits)
    assert quiet == []
    return place(target, 3, **stop(95), **exits)


# ---------------------------------------------------------------------------------------------------------- brackets
def test_nothing_is_told_of_a_bracket_until_its_last_order_transmits_all() -> None:
    target = book(flat(3))
    assert bracket(target) == ["1 PreSubmitted", "1 Submitted", "2 PreSubmitted (child)", "3 PreSubmitted (child)"]
    assert [t.order_id for t in target.open_orders()] == [1, 2, 3]


def test_an_order_that_is_not_transmitted_is_sent_by_its_own_id_or_cancelled() -> None:
    target = book(flat(3))
    assert place(target, 1, **limit(50, transmit=False)) == []
    assert target.idle
    assert session(target) == []
    assert place(target, 1, **limit(51)) == ["1 PreSubmitted", "1 Submitted"]
    assert target.open_orders()[0].terms.limit_price == D(51)
    assert place(target, 2, transmit=False) == []
    assert said(target.cancel(1, 2)) == ["2 Cancelled", "2 202"]


def test_children_come_alive_with_their_parents_fill_and_cancel_each_other() -> None:
    target = book(panel((100.0, 101.0, 99.0, 100.0), (100.0, 105.0, 99.0, 105.0), (108.0, 112.0, 107.0, 112.0)))
    bracket(target)
    assert session(target) == ["1 fill 100", "1 Filled", "3 PreSubmitted (trigger)", "2 Submitted"]
    group = {t.order.oca_group for t in target.open_orders()}
    assert group == {str(target.completed[0].perm_id)}
    assert session(target) == []
    assert session(target) == ["2 fill 100", "2 Filled", "3 Cancelled", "3 202"]
    assert target.idle
    assert target.account.holdings[AAPL.id].quantity == 0


def test_a_bar_that_reaches_both_exits_takes_the_stop() -> None:
    target = book(panel((100.0, 101.0, 99.0, 100.0), (100.0, 120.0, 90.0, 100.0)))
    bracket(target)
    session(target)
    assert session(target) == ["3 fill 100", "3 Filled", "2 Cancelled", "2 202"]


def test_children_are_as_large_as_what_their_parent_has_filled() -> None:
    target = book(flat(5), participation=0.00006)  # 60 shares of a million
    bracket(target)
    assert session(target)[:4] == ["1 fill 60", "1 Submitted", "3 PreSubmitted (trigger)", "2 Submitted"]
    assert [t.terms.quantity for t in target.open_orders()] == [100, 60, 60]
    session(target)
    assert [t.terms.quantity for t in target.open_orders()] == [100, 100]


def test_children_end_with_a_parent_that_never_filled_only() -> None:
    target = book(flat(5))
    bracket(target, entry=50)
    assert said(target.cancel(1, 1)) == ["1 Cancelled", "1 202", "2 Cancelled", "2 202", "3 Cancelled", "3 202"]
    assert place(target, 4, parent_id=1) == ["4 201"]
    partly = book(flat(5), participation=0.00006)
    bracket(partly)
    session(partly)
    assert said(partly.cancel(1, 1)) == ["1 Cancelled", "1 202"]
    assert [(t.order_id, t.terms.quantity) for t in partly.open_orders()] == [(2, 60), (3, 60)]


def test_a_child_of_an_order_that_has_filled_is_alive_at_once() -> None:
    target = book(flat(3))
    place(target, 1, quantity=60)
    session(target)
    assert place(target, 2, action="SELL", parent_id=1, **limit(120)) == ["2 PreSubmitted", "2 Submitted"]
    assert target.open_orders()[0].terms.quantity == 60
    assert place(target, 3, parent_id=9) == ["3 10006"]


def test_day_children_that_wait_end_with_the_session() -> None:
    target = book(flat(3))
    place(target, 1, **limit(50))
    place(target, 2, action="SELL", parent_id=1, order_type="LMT", limit=D(120))
    assert session(target) == ["2 Cancelled"]


def test_a_held_child_can_be_changed() -> None:
    target = book(flat(3))
    bracket(target, entry=50)
    changed = place(target, 2, **limit(111), action="SELL", quantity=100, parent_id=1)
    assert changed == ["2 PreSubmitted (child)"]
    assert target.open_orders()[1].terms.limit_price == D(111)


# -------------------------------------------------------------------------------------------------------- OCA groups
@pytest.mark.parametrize(
    ("oca_type", "heard", "left"),
    [
        (1, ["1 fill 60", "1 Submitted", "2 Cancelled", "2 202"], [(1, 100)]),
        (2, ["1 fill 60", "1 Submitted", "2 Submitted"], [(1, 100), (2, 40)]),
        (3, ["1 fill 60", "1 Submitted", "2 Submitted"], [(1, 100), (2, 40)]),
    ],
)
def test_a_partial_fill_cancels_or_reduces_the_rest_of_its_group(
    oca_type: int, heard: list[str], left: list[tuple[int, int]]
) -> None:
    target = book(flat(5), participation=0.00006)
    for order_id in (1, 2):
        place(target, order_id, oca_group="g", oca_type=oca_type, **limit(100))
    assert session(target) == heard
    assert [(t.order_id, t.terms.quantity) for t in target.open_orders()] == left


def test_a_whole_fill_ends_its_group_and_the_group_takes_no_more() -> None:
    target = book(flat(5))
    place(target, 1, oca_group="g", oca_type=3, **limit(100))
    place(target, 2, oca_group="g", oca_type=3, quantity=80, **limit(99.5))
    place(target, 3, oca_group="h", oca_type=3, **limit(50))
    assert session(target) == ["1 fill 100", "1 Filled", "2 Cancelled", "2 202"]
    assert place(target, 4, oca_group="g", oca_type=3, **limit(50)) == ["4 201"]


specs = st.tuples(
    st.sampled_from(["MKT", "LMT", "STP", "TRAIL", "MOC"]), st.sampled_from(["BUY", "SELL"]), st.integers(90, 110),
    st.integers(1, 200),
)  # fmt: skip
paths = st.lists(st.tuples(*[st.integers(90, 110)] * 4), min_size=1, max_size=5)


@given(st.lists(specs, min_size=2, max_size=5), paths, st.sampled_from([None, 0.00005]), st.sampled_from([1, 2, 3]))
def test_whatever_happens_a_group_of_type_1_fills_one_order_only_and_quantities_add_up(
    wanted: list[tuple[str, str, int, int]], path: list[tuple[int, ...]], share: float | None, oca_type: int
) -> None:
    rows = [(float(a), float(max(a, b, c, d)), float(min(a, b, c, d)), float(d)) for a, b, c, d in path]
    target = book(panel(*rows), participation=share)
    for order_id, (kind, action, price, quantity) in enumerate(wanted, 1):
        prices: dict[str, Any] = {"LMT": {"limit": D(price)}, "STP": {"aux": D(price)}, "TRAIL": {"aux": D(3)}}.get(
            kind, {}
        )
        tif = "DAY" if kind == "MOC" else "GTC"
        place(
            target, order_id, action=action, quantity=quantity, order_type=kind, tif=tif, oca_group="g",
            oca_type=oca_type, **prices,
        )  # fmt: skip
    while target.market.next_close is not None:
        session(target)
    filled: dict[int, int] = {}
    for e in target.executions:
        filled[e.order_id] = filled.get(e.order_id, 0) + e.quantity
    assert oca_type != 1 or len(filled) <= 1
    for ticket in (*target.completed, *target.open_orders()):
        assert filled.get(ticket.order_id, 0) == ticket.filled <= wanted[ticket.order_id - 1][3]
        assert (ticket.status == "Filled") == (ticket.filled == ticket.terms.quantity)
    held = target.account.holdings.get(AAPL.id)
    assert (held.quantity if held else 0) == sum(e.side.sign * e.quantity for e in target.executions)


# ------------------------------------------------------------------------------------- what lapses, waits or is warned
@pytest.mark.parametrize(
    ("tif", "told"), [("IOC", ["1 PendingCancel", "1 Cancelled"]), ("FOK", ["1 Inactive"]), ("OPG", ["1 Cancelled"])]
)
def test_orders_that_cannot_fill_at_once_lapse(tif: str, told: list[str]) -> None:
    target = book(flat(3))
    place(target, 1, **limit(99.5) | {"tif": tif})
    assert session(target) == told
    assert said(target.cancel(1, 1)) == ["1 10148"]
    assert target.completed[0].status == told[-1].split()[1]


def test_a_triggered_stop_limit_is_told_as_a_resting_limit() -> None:
    target = book(panel((100.0, 101.0, 99.0, 100.0), (105.0, 106.0, 104.0, 105.0)))
    told = place(target, 1, order_type="STP LMT", aux=D(103), limit=D("103.5"), tif="GTC")
    assert told == ["1 PreSubmitted (trigger)"]
    session(target)
    assert session(target) == ["1 Submitted"]


@pytest.mark.parametrize("text", ["20240103 16:00:00 US/Eastern", "20240103", "20240103-21:00:00"])
def test_dated_orders_end_when_they_say(text: str) -> None:
    target = book(flat(4))
    place(target, 1, **limit(50) | {"tif": "GTD", "good_till": text})
    assert session(target) == []
    told = session(target)
    if not told:  # a day ends after its session
        told = said(target.advance(target.market.opens[2]))
    assert told == ["1 Cancelled"]
    assert target.completed[0].ended_as == "Cancelled by System"


def test_a_limit_far_through_the_market_is_cancelled_and_a_near_one_is_capped() -> None:
    target = book(flat(3))
    session(target)  # closes at 100.50
    assert place(target, 1, **limit(121)) == ["1 PreSubmitted", "1 Cancelled", "1 202"]
    assert place(target, 2, action="SELL", **limit(80)) == ["2 PreSubmitted", "2 Cancelled", "2 202"]
    assert place(target, 3, **limit(110)) == ["3 PreSubmitted", "3 Submitted", "3 2161"]
    assert place(target, 4, **limit(102)) == ["4 PreSubmitted", "4 Submitted"]
    assert place(target, 5, **limit(10)) == ["5 PreSubmitted", "5 Submitted"]
    assert [t.order_id for t in target.open_orders()] == [3, 4, 5]


def test_orders_wait_for_the_open_and_say_so() -> None:
    target = book(flat(3), tells_hours=True)
    _, reports = target.place(1, wire_order(1, **limit(50)))
    assert said(reports) == ["1 PreSubmitted", "1 399"]
    (warning,) = [r.of.text for r in reports if isinstance(r.of, Notice)]
    assert "2024-01-02 09:30:00 US/Eastern" in warning
    assert place(target, 2, **stop(120)) == ["2 PreSubmitted (trigger)", "2 399"]
    assert place(target, 3) == ["3 PreSubmitted", "3 399"]
    assert said(target.advance(FIRST_OPEN + 60 * SECOND)) == ["1 Submitted", "3 fill 100", "3 Filled"]
    assert place(target, 4, **limit(50)) == ["4 PreSubmitted", "4 Submitted"]


# ------------------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"order_type": "TRAIL"}, 321),
        ({"order_type": "TRAIL", "aux": D(1), "trail_percent": D(1)}, 321),
        ({"order_type": "TRAIL", "aux": D(-1)}, 321),
        ({"order_type": "TRAIL", "trail_percent": D(-1)}, 321),
        ({"order_type": "TRAIL", "aux": D(1), "trail_stop": D("99.995")}, 110),
        ({"order_type": "STP LMT", "aux": D(1)}, 321),
        ({"order_type": "STP LMT", "limit": D(1)}, 321),
        ({"order_type": "LOC"}, 321),
        ({"order_type": "REL"}, 321),
        ({"order_type": "STP", "aux": D(1), "tif": "OPG"}, 111),
        ({"order_type": "LOC", "limit": D(1), "tif": "IOC"}, 111),
        ({"tif": "NEVER"}, 111),
        ({"tif": "GTD"}, 321),
        ({"tif": "GTD", "good_till": "20241399"}, 321),
        ({"quantity": 1_000_001}, 201),
    ],
)
def test_orders_that_make_no_sense_are_refused(wrong: dict[str, Any], code: int) -> None:
    target = book(flat(2))
    assert place(target, 1, **wrong) == [f"1 {code}"]
    assert target.idle


def test_a_change_may_not_take_back_what_has_filled() -> None:
    target = book(flat(4), participation=0.00006)
    place(target, 1, **limit(100))
    session(target)
    for quantity in (59, 60):
        assert place(target, 1, **limit(100), quantity=quantity) == ["1 201"]
    assert place(target, 1, **limit(100), quantity=61) == ["1 Submitted"]
    assert session(target) == ["1 fill 1", "1 Filled"]


def test_a_what_if_order_shows_margins_and_leaves_nothing() -> None:
    target = book(flat(3), costs="ibkr_fixed")
    session(target)
    _, (report,) = target.place(1, wire_order(1, quantity=1_000, what_if=True))
    assert isinstance(report.of, Preview)
    assert (report.name, report.of.client_id) == ("openOrder", 1)
    assert report.of.margin == (D(0), D(50_250))
    assert report.of.equity == (D(100_000), D(99_995))
    assert report.of.commission == D(5)
    assert target.idle
    assert target.next_id(1) == 1
    place(target, 1)
    assert place(target, 2, quantity=900_000, what_if=True) == ["2 margin"]  # too large to place, not to ask
    assert target.open_orders()[0].perm_id == 1_000_000_000  # no permId was spent


# -------------------------------------------------------------------------------------------------------- short sales
def test_a_short_sale_waits_until_shares_are_located() -> None:
    target = book(flat(4))
    do(target, "lend", instrument=AAPL.id, quantity=50)
    assert target.shortable(AAPL.id) == 50
    assert place(target, 1, action="SELL", quantity=50) == ["1 PreSubmitted"]
    assert place(target, 2, action="SELL", quantity=51) == ["2 PreSubmitted (locate)", "2 404"]
    assert session(target) == ["1 fill 50", "1 Filled", "2 Cancelled"]
    assert place(target, 3, action="SELL", quantity=51, tif="GTC") == ["3 PreSubmitted (locate)", "3 404"]
    assert session(target) == []
    assert do(target, "locate", client_id=1, order_id=3) == ["3 PreSubmitted"]
    assert session(target) == ["3 fill 51", "3 Filled"]


def test_shares_that_are_held_need_no_locate() -> None:
    target = book(flat(3))
    do(target, "lend", instrument=AAPL.id, quantity=0)
    place(target, 1)
    session(target)
    assert place(target, 2, action="SELL") == ["2 PreSubmitted"]
    assert place(target, 3, action="SELL", quantity=101) == ["3 PreSubmitted (locate)", "3 404"]
    assert said(target.cancel(1, 3)) == ["3 Cancelled", "3 202"]


# ------------------------------------------------------------------------------------------------------- interventions
def test_a_correction_replaces_an_execution_everywhere() -> None:
    target = book(flat(4), costs="ibkr_fixed")
    place(target, 1)
    session(target)
    place(target, 2, action="SELL", quantity=40)
    session(target)
    first, second = target.executions
    reports = intervene(target, Intervention(deed="correct", exec_id=first.exec_id, price=D(99), quantity=80))
    assert [r.name for r in reports] == ["execDetails", "commissionReport"]
    revised = reports[0].of
    assert isinstance(revised, Execution)
    assert (revised.exec_id, revised.cumulative, revised.average) == ("0000e0d5.00000001.01.02", 80, D(99))
    assert reports[1].of is revised
    held = target.account.holdings[AAPL.id]
    assert held.quantity == 40
    assert target.account.cash == 100_000 - 80 * 99 + 40 * 100 - first.commission - second.commission
    assert (target.completed[0].filled, target.completed[0].average) == (80, D(99))
    again = intervene(target, Intervention(deed="correct", exec_id=revised.exec_id, quantity=0))[0].of
    assert isinstance(again, Execution)
    assert (again.exec_id, again.quantity, again.commission) == ("0000e0d5.00000001.01.03", 0, D(0))
    assert held is not target.account.holdings[AAPL.id]
    assert target.account.holdings[AAPL.id].quantity == -40
    assert target.account.cash == 100_000 + 40 * 100 - second.commission


def test_a_corrected_sale_says_its_profit_anew() -> None:
    target = book(flat(4))
    place(target, 1)
    session(target)
    place(target, 2, action="SELL")
    session(target)
    sale = target.executions[1]
    assert sale.realized == 0
    revised = intervene(target, Intervention(deed="correct", exec_id=sale.exec_id, price=D(103)))[0].of
    assert isinstance(revised, Execution)
    assert revised.realized == 300


def test_manual_orders_are_client_0s_and_are_bound_when_it_asks() -> None:
    target = book(flat(4))
    assert do(target, "order manually", order=wire_order(77, **limit(50), order_ref="")) == [
        "0 PreSubmitted", "0 Submitted",
    ]  # fmt: skip
    assert [t.order_id for t in target.open_orders(0)] == [0]
    bound = do(target, "bind")
    order_id = target.open_orders(0)[0].order_id
    assert order_id < 0
    assert bound == [f"{order_id} bound", f"{order_id} Submitted"]
    assert said(target.cancel(5, order_id)) == [f"{order_id} 10147"]
    assert said(target.cancel(0, order_id)) == [f"{order_id} Cancelled", f"{order_id} 202"]
    later = do(target, "order manually", order=wire_order(77))
    assert later == [f"{order_id - 1} bound", f"{order_id - 1} PreSubmitted"]
    assert session(target) == [f"{order_id - 1} fill 100", f"{order_id - 1} Filled"]


def test_a_liquidation_closes_a_position_without_an_order_of_ours() -> None:
    target = book(flat(4))
    place(target, 1)
    session(target)
    assert do(target, "liquidate", instrument=AAPL.id, quantity=30) == ["0 fill 30", "0 Filled"]
    made = target.executions[-1]
    assert (made.liquidation, made.side, made.price, made.client_id) == (True, Side.SELL, D("100.50"), 0)
    assert target.account.holdings[AAPL.id].quantity == 70
    assert not target.executions[0].liquidation


def test_a_split_changes_what_is_held_pays_the_fraction_and_leaves_orders_as_they_are() -> None:
    """A third for one: 33 whole units, and a third of one at 301.50."""
    target = book(flat(4))
    place(target, 1)
    session(target)
    place(target, 2, **limit(50))
    cash, cost = target.account.cash, target.account.holdings[AAPL.id].cost
    assert do(target, "split", instrument=AAPL.id, new=1, old=3, price=D("301.50")) == []
    holding = target.account.holdings[AAPL.id]
    assert (holding.quantity, target.account.cash - cash, cost - holding.cost) == (33, D("100.50"), D("100.50"))
    assert [t.terms.quantity for t in target.open_orders()] == [100]
    assert target.market.last[AAPL.id] == 301.5
    with pytest.raises(ConfigError, match="after a split"):
        do(target, "correct", exec_id=target.executions[0].exec_id, quantity=90)


def test_an_order_that_was_cancelled_may_still_fill() -> None:
    target = book(flat(4))
    session(target)
    place(target, 1, **limit(50))
    target.cancel(1, 1)
    reports = intervene(target, Intervention(deed="fill late", client_id=1, order_id=1))
    assert [r.name for r in reports] == ["execDetails", "orderStatus", "commissionReport"]
    assert target.account.holdings[AAPL.id].quantity == 100
    assert [(t.order_id, t.filled) for t in target.completed] == [(1, 100)]
    assert target.idle


def test_an_order_may_vanish_expire_or_get_another_perm_id() -> None:
    target = book(flat(4))
    for order_id in (1, 2, 3):
        place(target, order_id, **limit(100))
    assert do(target, "vanish", client_id=1, order_id=1) == []
    assert said(target.cancel(1, 1)) == ["1 10147"]
    assert do(target, "expire", client_id=1, order_id=2) == ["2 Cancelled"]
    before = target.open_orders()[0].perm_id
    assert do(target, "renumber", client_id=1, order_id=3) == ["3 Submitted"]
    assert target.open_orders()[0].perm_id > before
    assert session(target) == ["3 fill 100", "3 Filled"]
    assert [t.order_id for t in target.completed] == [2, 3]


def test_a_restart_loses_what_was_not_sent_and_maybe_the_ids() -> None:
    target = book(flat(4))
    place(target, 1)
    session(target)
    place(target, 2, **limit(50))
    place(target, 3, transmit=False)
    do(target, "restart")
    assert (target.next_id(1), said(target.cancel(1, 3))) == (4, ["3 10147"])
    assert place(target, 1) == ["1 104"]
    do(target, "roll back")
    assert target.next_id(1) == 1
    assert place(target, 1) == ["1 PreSubmitted"]  # an id that had been used
    assert place(target, 2, **limit(51)) == ["2 Submitted"]  # and, by accident, a change of an order that lives on


@pytest.mark.parametrize(
    ("deed", "what"),
    [
        ("correct", {"exec_id": "x.01"}),
        ("vanish", {"client_id": 1, "order_id": 9}),
        ("fill late", {"client_id": 1, "order_id": 1}),
        ("liquidate", {"instrument": AAPL.id}),
        ("split", {"instrument": AAPL.id, "new": 2}),
        ("split", {"instrument": AAPL.id, "new": 0, "price": D(50)}),
        ("order manually", {}),
        ("order manually", {"order": wire_order(order_type="?")}),
    ],
)
def test_deeds_about_nothing_are_refused(deed: Any, what: dict[str, Any]) -> None:
    target = book(flat(3))
    place(target, 1, **limit(50))
    with pytest.raises(ConfigError):
        do(target, deed, **what)


def test_a_global_cancel_takes_parents_children_and_manual_orders() -> None:
    target = book(flat(3))
    bracket(target, entry=50)
    do(target, "order manually", order=wire_order(**limit(50)))
    assert said(target.cancel(9, None)) == [
        "1 Cancelled", "1 202", "2 Cancelled", "2 202", "3 Cancelled", "3 202", "0 Cancelled", "0 202",
    ]  # fmt: skip
    assert target.idle


class Listener:
    """As much of a connection as answers need."""

    def __init__(self, version: int, target: Book) -> None:
        self.speaker = Speaker(version, target.contracts, "DU1")
        self.client_id = 1
        self.messages: list[list[str]] = []

    def send(self, *frames: bytes) -> None:
        self.messages += [split(data[4:].decode()) for data in frames]


@pytest.mark.parametrize(
    ("tail", "found"),
    [
        (["2147483647", "0"], ["1", "2"]), (["1", "0"], ["2"]), (["2", "0"], ["1", "2"]), (["", "0"], ["1", "2"]),
        (["2147483647", "1", "20240102"], ["1"]), (["0", "2", "20240103", "20240102"], ["1", "2"]),
        (["7", "1", "20240101"], []),
    ],
)  # fmt: skip
def test_at_version_200_executions_are_asked_for_by_day(tail: list[str], found: list[str]) -> None:
    target = book(flat(4))
    for order_id in (1, 2):
        place(target, order_id)
        session(target)
    request = decode(["7", "3", "8", "0", "", "", "", "", "", "", *tail], 200)
    to: Any = Listener(200, target)
    ANSWERS["executions"](target, to, request)
    assert [m[2] for m in to.messages if m[0] == "11"] == found
    assert to.messages[-1] == ["55", "1", "8"]
