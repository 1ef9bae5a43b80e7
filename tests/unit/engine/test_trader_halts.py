"""What stops trading, what a stop does to open orders, and what the broker says that cannot be."""

import pytest

from robotrader.model import (
    Action,
    AnyEvent,
    InvariantViolation,
    OrderCanceled,
    OrderExpired,
    OrderPendingCancel,
    OrderRejected,
    OrderSending,
    OrderState,
    OrderUnresolved,
    OrderVoided,
    RiskCheck,
    Side,
    TradingHalted,
    TradingState,
)
from tests import builders as make
from tests.unit.engine.stage import (
    NAN,
    SECOND_STRATEGY,
    ask,
    buy_and_fill,
    cancels,
    config,
    denied,
    execution,
    fill,
    orders,
    send,
    states,
    the_order,
    trader,
)

HALTED = TradingHalted(ts_event=make.T0, ts_init=make.T0, reason="invariant broke")


def unknown(order_id: str) -> OrderUnresolved:
    return OrderUnresolved(ts_event=make.T0, ts_init=make.T0, order_id=order_id, reason="no answer")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------ halts
def test_a_halt_cancels_entries_and_keeps_orders_that_only_reduce() -> None:
    one = trader({0: (1.0, NAN), 1: (0.0, 1.0)})
    buy_and_fill(one)
    leaving, entering = orders(one.handle(make.bars_closed(1)))
    send(one, leaving, 2)
    send(one, entering, 3)
    commands = one.handle(ask(Action.HALT))
    assert [(s.state, s.reason, s.actor) for s in states(commands)] == [(TradingState.HALTED, "because", "me")]
    assert cancels(commands) == [entering.id]


def test_an_order_that_would_go_through_zero_is_no_protection() -> None:
    one = trader({0: (1.0, NAN), 1: (-1.0, NAN)})
    buy_and_fill(one)
    through = the_order(one.handle(make.bars_closed(1)))
    send(one, through, 2)
    assert cancels(one.handle(HALTED)) == [through.id]


def test_two_exits_that_together_go_through_zero_are_both_canceled() -> None:
    one = trader({make.TREND: {0: (1.0, NAN), 1: (0.0, NAN)}, SECOND_STRATEGY: {1: (-0.01, NAN)}},
                 config(), config(SECOND_STRATEGY))  # fmt: skip
    buy_and_fill(one)
    both = orders(one.handle(make.bars_closed(1)))
    for n, order in enumerate(both, start=2):
        send(one, order, n)
    assert cancels(one.handle(HALTED)) == [o.id for o in both]


@pytest.mark.parametrize("stop", [ask(Action.HALT), HALTED])
def test_nothing_is_approved_while_halted(stop: AnyEvent) -> None:
    one = trader({0: (1.0, NAN), 1: (0.0, 1.0)})
    buy_and_fill(one)
    one.handle(stop)
    commands = one.handle(make.bars_closed(1))
    assert orders(commands) == []
    assert [d.verdict.reasons for d in denied(commands)] == [(RiskCheck.TRADING_STATE,)] * 2


def test_reducing_lets_only_reducing_orders_through() -> None:
    one = trader({0: (1.0, NAN), 1: (0.0, 1.0)})
    buy_and_fill(one)
    one.handle(ask(Action.REDUCE))
    commands = one.handle(make.bars_closed(1))
    assert [(o.side, o.instrument) for o in orders(commands)] == [(Side.SELL, make.SPY.id)]
    assert [d.order.instrument for d in denied(commands)] == [make.QQQ.id]


def test_reducing_counts_open_orders_at_worst_case() -> None:
    scripts = {make.TREND: {0: (1.0, NAN), 1: (0.0, NAN)}, SECOND_STRATEGY: {1: (-0.01, NAN)}}
    one = trader(scripts, config(), config(SECOND_STRATEGY))
    buy_and_fill(one)
    one.handle(ask(Action.REDUCE))
    commands = one.handle(make.bars_closed(1))
    assert [o.quantity for o in orders(commands)] == [100]
    assert [d.order.quantity for d in denied(commands)] == [1], "100 of 100 are being sold already"


def test_reducing_cancels_entries_too() -> None:
    one = trader({0: (1.0, NAN)})
    entry = the_order(one.handle(make.bars_closed(0)))
    send(one, entry)
    assert cancels(one.handle(ask(Action.REDUCE))) == [entry.id]


def test_resume_lets_orders_through_again_and_the_refused_exit_is_not_forgotten() -> None:
    one = trader({0: (1.0, NAN), 1: (0.0, NAN), 2: (0.0, NAN), 3: (0.0, NAN)})
    buy_and_fill(one)
    one.handle(ask(Action.HALT))
    assert len(denied(one.handle(make.bars_closed(1)))) == 1
    assert len(denied(one.handle(make.bars_closed(2)))) == 1
    (active,) = states(one.handle(ask(Action.RESUME, n=2)))
    assert active.state is TradingState.ACTIVE
    leaving = the_order(one.handle(make.bars_closed(3)))
    assert (leaving.side, leaving.quantity) == (Side.SELL, 100)


def test_a_refused_entry_is_not_tried_again() -> None:
    one = trader({0: (1.0, NAN), 1: (1.0, NAN)})
    one.handle(ask(Action.HALT))
    assert len(denied(one.handle(make.bars_closed(0)))) == 1
    one.handle(ask(Action.RESUME, n=2))
    assert one.handle(make.bars_closed(1)) == ()


@pytest.mark.parametrize("end", [OrderCanceled, OrderExpired])
def test_an_exit_that_came_to_nothing_is_planned_anew_at_the_next_bar(end: type[OrderExpired]) -> None:
    one = trader({0: (1.0, NAN), 1: (0.0, NAN), 2: (0.0, NAN), 3: (0.0, NAN)})
    buy_and_fill(one)
    first = the_order(one.handle(make.bars_closed(1)))
    send(one, first, 2)
    fill(one, first, "100.00", quantity=30)
    one.handle(end(ts_event=make.T0, ts_init=make.T0, order_id=first.id))
    second = the_order(one.handle(make.bars_closed(2)))
    assert (second.side, second.quantity) == (Side.SELL, 70)
    assert second.id != first.id
    assert one.handle(make.bars_closed(3)) == (), "it is asked for once, not at every bar"


def test_a_halt_asked_for_twice_happens_once() -> None:
    one = trader({0: (1.0, NAN)})
    entry = the_order(one.handle(make.bars_closed(0)))
    send(one, entry)
    assert cancels(one.handle(ask(Action.HALT))) == [entry.id]
    assert one.handle(ask(Action.HALT, n=2)) == ()
    assert one.handle(HALTED) == ()


def test_an_order_whose_cancel_is_under_way_is_not_canceled_again() -> None:
    one = trader({0: (1.0, NAN)})
    entry = the_order(one.handle(make.bars_closed(0)))
    send(one, entry)
    one.handle(OrderPendingCancel(ts_event=make.T0, ts_init=make.T0, order_id=entry.id))
    assert cancels(one.handle(HALTED)) == []


def test_a_halt_of_one_strategy_or_instrument_leaves_the_others_alone() -> None:
    scripts = {make.TREND: {0: (1.0, 1.0), 1: (0.5, 0.5)}, SECOND_STRATEGY: {0: (1.0, 1.0), 1: (0.5, 0.5)}}
    one = trader(scripts, config(), config(SECOND_STRATEGY))
    sent = orders(one.handle(make.bars_closed(0)))
    for n, order in enumerate(sent, start=1):
        send(one, order, n)
    assert cancels(one.handle(ask(Action.HALT, strategy=make.TREND))) == [sent[0].id, sent[1].id]
    assert cancels(one.handle(ask(Action.HALT, n=2, instrument=make.QQQ.id))) == [sent[1].id, sent[3].id]
    commands = one.handle(make.bars_closed(1))
    assert [(o.strategy, o.instrument) for o in orders(commands)] == [(SECOND_STRATEGY, make.SPY.id)]
    assert len(denied(commands)) == 3


def test_a_halt_of_one_scope_is_part_of_the_state() -> None:
    for scope in ({"strategy": make.TREND}, {"instrument": make.SPY.id}, {}):
        one, other = trader({}), trader({})
        one.handle(ask(Action.HALT, **scope))
        assert make.digest(one) != make.digest(other)


def test_an_order_that_was_not_sent_yet_is_canceled_by_a_halt_whatever_it_does() -> None:
    """It could not be sent any more, and must not count as under way."""
    one = trader({0: (1.0, NAN), 1: (0.0, NAN), 2: (0.0, NAN)})
    buy_and_fill(one)
    leaving = the_order(one.handle(make.bars_closed(1)))
    assert cancels(one.handle(HALTED)) == [leaving.id]
    one.handle(OrderVoided(ts_event=make.T0, ts_init=make.T0, order_id=leaving.id, proven=True, reason="halted"))
    one.handle(ask(Action.RESUME))
    assert the_order(one.handle(make.bars_closed(2))).quantity == 100


# ----------------------------------------------------------------------------------------------- what the broker says
def test_an_order_whose_outcome_is_unknown_blocks_its_instrument_only() -> None:
    one = trader({0: (1.0, NAN), 1: (0.5, 1.0), 2: (0.25, 1.0)})
    lost = the_order(one.handle(make.bars_closed(0)))
    one.handle(OrderSending(ts_event=make.T0, ts_init=make.T0, order_id=lost.id, epoch=1, broker_order_id=1))
    one.handle(unknown(lost.id))
    commands = one.handle(make.bars_closed(1))
    assert [o.instrument for o in orders(commands)] == [make.QQQ.id]
    (deny,) = denied(commands)
    assert deny.verdict.reasons == (RiskCheck.TRADING_STATE,)
    assert lost.id in next(c.reason for c in deny.verdict.checks if not c.passed)
    one.handle(make.accepted(lost.id))
    assert [o.instrument for o in orders(one.handle(make.bars_closed(2)))] == [make.SPY.id]


def test_an_unknown_order_counts_at_worst_case() -> None:
    one = trader({0: (1.0, NAN)})
    lost = the_order(one.handle(make.bars_closed(0)))
    one.handle(OrderSending(ts_event=make.T0, ts_init=make.T0, order_id=lost.id, epoch=1, broker_order_id=1))
    one.handle(unknown(lost.id))
    assert one.orders.open_quantity(make.SPY.id, Side.BUY) == 100


def test_an_execution_reported_twice_counts_once() -> None:
    one = trader({0: (1.0, NAN)})
    entry = the_order(one.handle(make.bars_closed(0)))
    send(one, entry)
    fill(one, entry, "100.00", quantity=40, exec_id="a")
    before = make.digest(one)
    assert fill(one, entry, "100.00", quantity=40, exec_id="a") == ()
    assert make.digest(one) == before
    assert one.ledger.quantity(make.SPY.id) == 40


@pytest.mark.parametrize("event", [
    make.accepted(make.order(9).id),
    OrderCanceled(ts_event=1, ts_init=1, order_id=make.order(9).id),
    OrderRejected(ts_event=1, ts_init=1, order_id=make.order(9).id, code=201, reason="no"),
    execution(make.order(9), "100.00"),
])  # fmt: skip
def test_word_of_an_order_that_was_never_decided_cannot_be(event: AnyEvent) -> None:
    with pytest.raises(InvariantViolation, match="never decided"):
        trader({}).handle(event)


def test_a_zombie_halts_and_is_canceled() -> None:
    one = trader({0: (1.0, NAN)})
    entry = the_order(one.handle(make.bars_closed(0)))
    send(one, entry)
    one.handle(OrderCanceled(ts_event=make.T0, ts_init=make.T0, order_id=entry.id))
    commands = one.handle(make.accepted(entry.id, perm_id=99))
    (halt,) = states(commands)
    assert (halt.state, halt.actor) == (TradingState.HALTED, "trader")
    assert "zombie" in halt.reason
    assert cancels(commands) == [entry.id]


def test_a_zombie_is_canceled_even_when_trading_is_halted_already() -> None:
    one = trader({0: (1.0, NAN)})
    entry = the_order(one.handle(make.bars_closed(0)))
    send(one, entry)
    one.handle(OrderCanceled(ts_event=make.T0, ts_init=make.T0, order_id=entry.id))
    one.handle(HALTED)
    assert cancels(one.handle(make.accepted(entry.id, perm_id=99))) == [entry.id]


def test_an_overfill_is_booked_and_halts() -> None:
    one = trader({0: (1.0, NAN)})
    entry = buy_and_fill(one)
    commands = fill(one, entry, "100.00", quantity=5, exec_id="more")
    assert [s.state for s in states(commands)] == [TradingState.HALTED]
    assert one.ledger.quantity(make.SPY.id) == 105


def test_a_late_fill_of_a_canceled_order_is_booked() -> None:
    one = trader({0: (1.0, NAN)})
    entry = the_order(one.handle(make.bars_closed(0)))
    send(one, entry)
    one.handle(OrderCanceled(ts_event=make.T0, ts_init=make.T0, order_id=entry.id))
    fill(one, entry, "100.00", quantity=40)
    assert one.ledger.quantity(make.SPY.id) == 40
    kept = one.orders.get(entry.id)
    assert kept is not None
    assert (kept.state, kept.filled) == (OrderState.CANCELED, 40)
    assert one.orders.net(make.TREND, make.SPY.id) == 0
