"""A correction of an execution replaces it: in the book, in the order, and in what follows."""

import asyncio

from msgspec import structs

from robotrader.engine.trader import Trader
from robotrader.model import Order, OrderFilled, OrderState, TradingHalted, TradingState
from tests import builders as make
from tests.fakes import MemoryStorage, message
from tests.unit.engine.stage import D, buy_and_fill, cancels, execution, fill, orders, send, states, the_order, trader
from tests.unit.engine.world import Life, of

NAN = float("nan")


def corrected(order: Order, price: str, quantity: int, *, revision: int = 2) -> OrderFilled:
    told = execution(order, price, quantity=quantity)
    return structs.replace(told, fill=structs.replace(told.fill, revision=revision))


def filled(one: Trader, order: Order) -> tuple[OrderState, int]:
    working = one.orders.get(order.id)
    assert working is not None
    return working.state, working.filled


def test_a_correction_changes_book_and_order_and_halts_nothing() -> None:
    one = trader({0: (1.0, NAN)})
    order = buy_and_fill(one)
    assert list(one.handle(corrected(order, "99.00", 60))) == []
    assert filled(one, order) == (OrderState.FILLED, 60)
    assert (one.ledger.quantity(make.SPY.id), one.ledger.book(make.TREND).cash) == (60, D(100_000) - 60 * 99)


def test_an_older_revision_that_comes_late_changes_nothing() -> None:
    one = trader({0: (1.0, NAN)})
    order = the_order(one.handle(make.bars_closed(0)))
    send(one, order)
    one.handle(corrected(order, "99.00", 60, revision=3))
    for late in (execution(order, "100.00"), corrected(order, "98.00", 10)):
        assert list(one.handle(late)) == []
    assert filled(one, order) == (OrderState.PARTIALLY_FILLED, 60)
    assert one.ledger.quantity(make.SPY.id) == 60


def test_a_correction_to_more_than_was_ordered_halts() -> None:
    one = trader({0: (1.0, NAN)})
    order = buy_and_fill(one)
    (halt,) = states(one.handle(corrected(order, "100.00", 120)))
    assert (halt.state, halt.reason) == (TradingState.HALTED, f"overfill: order {order.id}")


def test_an_exit_whose_execution_was_busted_is_planned_anew() -> None:
    one = trader({0: (1.0, NAN), 1: (0.0, NAN), 2: (0.0, NAN)})
    buy_and_fill(one)
    out = the_order(one.handle(make.bars_closed(1)))
    send(one, out, 2)
    fill(one, out, "101.00")
    assert cancels(one.handle(corrected(out, "101.00", 0))) == []
    assert [(order.side, order.quantity) for order in orders(one.handle(make.bars_closed(2)))] == [("SELL", 100)]


def test_an_execution_with_two_contents_halts_once_and_the_first_counts() -> None:
    async def run() -> None:
        storage = MemoryStorage()
        life = Life(storage)
        path = await life.path()
        await path.carry_out(await path.record([make.bars_closed(0)]))
        (order,) = (order for order, _ in life.broker.submitted)
        told = execution(order, "100.00")
        await path.record([message(make.accepted(order.id)), message(told), message(told)])
        assert of(storage, TradingHalted) == []
        await path.record([message(structs.replace(told, fill=structs.replace(told.fill, price=D("100.01"))))])
        (halt,) = of(storage, TradingHalted)
        assert isinstance(halt, TradingHalted)
        assert "came with two contents: 100 at 100.00 is booked, 100 at 100.01 is a conflict" in halt.reason

    asyncio.run(run())
