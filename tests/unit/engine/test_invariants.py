"""The invariants after every batch: a sound core breaks none, each planted fault is named."""

from collections.abc import Callable

import pytest
from msgspec import structs

from robotrader.engine.invariants import violations
from robotrader.engine.trader import Trader
from robotrader.model import Action, Order, OrderId, OrderSending, OrderState, Side, StrategyId, WorkingOrder
from tests import builders as make
from tests.unit.engine.stage import ask, buy_and_fill, execution, fill, send, the_order, trader

S = OrderState
NAN = float("nan")


def bought() -> tuple[Trader, Order]:
    one = trader({0: (1.0, NAN), 1: (0.0, NAN)})
    return one, buy_and_fill(one)


def touched(order: Order, before: OrderState | None = None) -> dict[OrderId, OrderState | None]:
    return {order.id: before}


def test_a_sound_life_of_an_order_breaks_nothing() -> None:
    one = trader({0: (1.0, NAN), 1: (0.0, NAN)})
    order = the_order(one.handle(make.bars_closed(0)))
    assert violations(one, touched(order)) == ()
    send(one, order)
    assert violations(one, touched(order, S.AUTHORIZED)) == ()
    fill(one, order, "100.00", quantity=40)
    assert violations(one, touched(order, S.ACCEPTED)) == ()
    fill(one, order, "100.00", quantity=60, exec_id="rest")
    assert violations(one, touched(order, S.PARTIALLY_FILLED)) == ()
    one.handle(structs.replace(execution(order, "100.00"), fill=structs.replace(
        execution(order, "100.00", quantity=0, exec_id="rest").fill, revision=2)))  # fmt: skip
    assert violations(one, touched(order, S.FILLED)) == ()


def test_an_exit_may_be_sent_while_reducing() -> None:
    one, _ = bought()
    one.handle(ask(Action.REDUCE))
    order = the_order(one.handle(make.bars_closed(1)))
    one.handle(OrderSending(ts_event=1, ts_init=1, order_id=order.id, epoch=1, broker_order_id=2))
    assert violations(one, touched(order, S.AUTHORIZED)) == ()


def put(**changes: object) -> Callable[[Trader, Order], None]:
    def change(one: Trader, order: Order) -> None:
        working = one.orders.get(order.id)
        assert working is not None
        one.orders.put(structs.replace(working, **changes))

    return change


def lose_units(one: Trader, order: Order) -> None:
    """Book a sale in a book that the account does not see."""
    sale = structs.replace(execution(order, "100.00", exec_id="lost").fill, side=Side.SELL)
    one.ledger.book(order.strategy).trade(sale, make.SPY.multiplier)


FAULTS: dict[str, tuple[str, OrderState, Callable[[Trader, Order], None]]] = {
    "a second permId": ("I4: order ", S.FILLED, put(perm_ids=(1, 2))),
    "more filled than its executions": ("I6: order ", S.FILLED, put(filled=101)),
    "less filled than its executions": ("I6: order ", S.FILLED, put(filled=99)),
    "an end that was another": ("I7: order ", S.CANCELED, put()),
    "an order that ended and is open": ("I7: order ", S.FILLED, put(state=S.PENDING_CANCEL)),
    "an open order that is full": ("I7: order ", S.ACCEPTED, put(state=S.PARTIALLY_FILLED)),
    "units that left a book unseen": ("I14: order ", S.FILLED, lose_units),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(fault: str) -> None:
    expected, before, plant = FAULTS[fault]
    one, order = bought()
    plant(one, order)
    found = violations(one, touched(order, before))
    assert [text.startswith(expected) for text in found] == [True], found


def test_an_order_without_an_owner_is_named() -> None:
    one, order = bought()
    stray = structs.replace(order, id=OrderId("RT-STRAY"), strategy=StrategyId("nobody"))
    one.orders.put(WorkingOrder(order=stray, state=S.ACCEPTED))
    (found,) = violations(one, touched(stray))
    assert found == "I14: order RT-STRAY is of nobody, which has no book"


@pytest.mark.parametrize(("action", "wrong"), [(Action.HALT, True), (Action.REDUCE, True), (Action.RECONCILE, False)])
def test_what_may_not_be_sent_is_named_when_it_is(action: Action, wrong: bool) -> None:
    one = trader({0: (1.0, NAN)})
    order = the_order(one.handle(make.bars_closed(0)))
    one.handle(ask(action))
    one.handle(OrderSending(ts_event=1, ts_init=1, order_id=order.id, epoch=1, broker_order_id=1))
    found = violations(one, touched(order, S.AUTHORIZED))
    assert [text.startswith("I8: order ") for text in found] == [True] * wrong
