"""Orders, ids, executions and the account, without a wire."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.model import Instrument, Side, stock
from robotrader.simulation.gateway.account import Account
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.contracts import Contracts
from robotrader.simulation.gateway.record import Execution
from robotrader.simulation.gateway.requests import ContractQuery, PlaceOrder
from robotrader.simulation.gateway.tickets import Notice, Report, Ticket
from robotrader.simulation.venue import FillAt, VenueFill
from tests.unit.simulation.gateway.rig import AAPL, FIRST_OPEN, IBM, SESSION, book, flat, panel, wire_order

D = Decimal


def kinds(reports: list[Report]) -> list[str]:
    return [f"{r.name} {r.of.status}" if isinstance(r.of, Ticket) else r.name for r in reports]


def codes(reports: list[Report]) -> list[int]:
    return [r.of.code for r in reports if isinstance(r.of, Notice)]


def place(target: Book, order: PlaceOrder, client_id: int = 1) -> list[Report]:
    return target.place(client_id, order)[1]


def close_session(target: Book) -> list[Report]:
    close = target.market.next_close
    assert close is not None
    return target.advance(close)


def test_a_market_order_fills_at_the_next_open() -> None:
    target = book(flat(3), costs="ibkr_fixed")
    assert kinds(place(target, wire_order())) == ["openOrder PreSubmitted", "orderStatus PreSubmitted"]
    reports = close_session(target)
    assert kinds(reports) == ["execDetails", "openOrder Filled", "orderStatus Filled", "commissionReport"]
    executed = reports[0].of
    assert isinstance(executed, Execution)
    assert (executed.price, executed.ts, executed.realized) == (D(100), FIRST_OPEN, None)
    assert reports[3].of is executed
    assert target.account.cash == D("89999.000000")
    assert target.idle
    assert target.next_id(1) == 2
    assert target.next_id(2) == 1


def test_a_venue_that_fills_at_this_close_answers_at_once() -> None:
    target = book(flat(3), fill=FillAt.THIS_CLOSE)
    close_session(target)
    reports = place(target, wire_order())
    assert kinds(reports) == [
        "openOrder PreSubmitted", "orderStatus PreSubmitted",
        "execDetails", "openOrder Filled", "orderStatus Filled", "commissionReport",
    ]  # fmt: skip
    assert (target.executions[0].price, target.executions[0].ts) == (D("100.50"), target.market.now)


def test_ids_are_per_client_and_only_grow() -> None:
    target = book(flat(3))
    assert codes(place(target, wire_order(5))) == []
    assert codes(place(target, wire_order(4))) == [103]
    assert codes(place(target, wire_order(4), client_id=2)) == []
    assert codes(place(target, wire_order(0), client_id=3)) == [103]
    perm_ids = [t.perm_id for t in target.open_orders()]
    assert len(set(perm_ids)) == 2
    assert [t.client_id for t in target.open_orders(2)] == [2]


def test_changes_that_make_another_order_are_refused() -> None:
    target = book(flat(3))
    place(target, wire_order(order_type="LMT", limit=D(50), tif="GTC"))
    assert codes(place(target, wire_order(action="SELL", order_type="LMT", limit=D(50)))) == [105]
    changed = place(target, wire_order(quantity=10, order_type="STP", aux=D(500), tif="GTC"))
    assert kinds(changed) == ["openOrder PreSubmitted", "orderStatus PreSubmitted"]
    assert codes(target.cancel(2, 1)) == [10147]  # another client's
    assert kinds(target.cancel(1, 1)) == ["orderStatus Cancelled", "error"]
    assert codes(target.cancel(1, 1)) == [10148]


def test_day_orders_end_with_the_session_and_gtc_orders_stay() -> None:
    target = book(flat(3))
    place(target, wire_order(1, order_type="LMT", limit=D(50)))
    place(target, wire_order(2, order_type="LMT", limit=D(50), tif="GTC"))
    assert kinds(close_session(target)) == ["orderStatus Cancelled"]
    (ended,) = target.completed
    assert (ended.order_id, ended.ended_at, ended.ended_as) == (1, FIRST_OPEN + SESSION, "Cancelled by System")
    assert [t.order_id for t in target.open_orders()] == [2]


def test_margin_is_asked_of_what_adds_to_a_position_only() -> None:
    target = book(flat(4))
    close_session(target)
    assert codes(place(target, wire_order(1, quantity=1_991))) == [201]
    assert codes(place(target, wire_order(2, quantity=1_990))) == []
    close_session(target)
    assert codes(place(target, wire_order(3, quantity=30))) == [201]
    assert codes(place(target, wire_order(4, action="SELL", quantity=3_000))) == []


def test_contracts_are_found_by_any_name_that_fits() -> None:
    other = stock("AAPL", tick=D("0.05"))
    contracts = Contracts((AAPL, IBM, other))

    def find(**query: object) -> list[str]:
        return [i.id for i in contracts.find(ContractQuery(**query))]  # type: ignore[arg-type]

    con_id = contracts.fields[IBM.id]["conId"]
    assert find(con_id=con_id) == find(symbol="IBM", sec_type="STK") == ["IBM.NYSE"]
    assert find(symbol="AAPL", sec_type="STK", exchange="SMART", currency="USD") == ["AAPL.NASDAQ", "AAPL.SMART"]
    assert find(symbol="AAPL", sec_type="STK", primary_exchange="NASDAQ") == ["AAPL.NASDAQ"]
    assert find(symbol="IBM", sec_type="OPT") == find(symbol="IBM", sec_type="STK", currency="EUR") == []
    assert find() == []
    assert contracts.find(ContractQuery(con_id=1)) == []
    assert Contracts((IBM,)).fields[IBM.id]["conId"] == con_id  # whatever else there is


def fill(side: Side, quantity: int, price: str, commission: str = "1") -> VenueFill:
    return VenueFill(
        key="1/1",
        number=1,
        instrument=AAPL.id,
        side=side,
        quantity=quantity,
        price=D(price),
        ts=0,
        commission=D(commission),
    )


def test_cost_and_profit_count_commissions_as_ibkr_does() -> None:
    account = Account("DU1", D(10_000), {AAPL.id: AAPL})
    assert account.apply(fill(Side.BUY, 100, "10")) is None
    held = account.holdings[AAPL.id]
    assert (account.cash, held.average_cost) == (D("8999"), D("10.01"))
    assert account.apply(fill(Side.SELL, 50, "11")) == D("48.5")  # 550 - 500.50 - 1
    assert account.apply(fill(Side.SELL, 100, "12", "2")) == D("98.5")  # closes 50, opens 50 short
    assert (held.quantity, held.average_cost) == (-50, D("11.98"))
    assert account.apply(fill(Side.BUY, 50, "11")) == D("48")
    assert (held.quantity, held.cost) == (0, D(0))
    assert account.equity({AAPL.id: 99.0}) == account.cash == D(10_000) + D("48.5") + D("98.5") + D(48)
    values = account.values({})
    assert (values["RealizedPnL"], values["UnrealizedPnL"], values["BuyingPower"]) == ("195.00", "0.00", "40780.00")


trades = st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 500), st.integers(1, 50_000)), max_size=20)


@given(trades)
def test_equity_is_cash_plus_profit_whatever_is_traded(fills: list[tuple[Side, int, int]]) -> None:
    account = Account("DU1", D(1_000), {AAPL.id: AAPL})
    for side, quantity, cents in fills:
        account.apply(fill(side, quantity, str(D(cents) / 100)))
    spent = sum(((s.sign * q * D(c) / 100) + 1 for s, q, c in fills), D(0))
    assert account.cash == D(1_000) - spent
    for holding in account.holdings.values():
        assert holding.quantity == sum(s.sign * q for s, q, _ in fills)
        # realized profit and open cost explain every cent that left or came
        assert abs(account.cash - (D(1_000) + holding.realized - holding.cost)) < D("0.0001")


def test_prices_keep_to_the_grid_of_their_instrument() -> None:
    half = Instrument(id=AAPL.id, symbol="AAPL", venue=AAPL.venue, tick=D("0.005"))
    target = book(panel((100.0, 101.0, 99.0, 100.0), instruments=(half,)))
    assert codes(place(target, wire_order(order_type="LMT", limit=D("99.995")))) == []
    assert codes(place(target, wire_order(2, order_type="LMT", limit=D("99.996")))) == [110]


@pytest.mark.parametrize("client_id", [0, 3])
def test_the_same_orders_give_the_same_executions(client_id: int) -> None:
    first, second = book(flat(3)), book(flat(3))
    for target in (first, second):
        place(target, wire_order(), client_id)
        close_session(target)
    assert first.executions == second.executions
    assert first.executions[0].exec_id == "0000e0d5.00000001.01.01"
