"""Journal first, then act: what stands in the record when something goes over the wire, and what may not go."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import (
    Action,
    AnyEvent,
    BarsClosed,
    Cancel,
    InvariantViolation,
    Order,
    OrderCanceled,
    OrderFilled,
    OrderPendingCancel,
    OrderSending,
    OrderState,
    OrderVoided,
    PortfolioMarked,
    RiskLimit,
    RunStarted,
    SetTradingState,
    StrategyId,
    Submit,
    TradingHalted,
    TradingState,
)
from robotrader.ports import BrokerMessage, RequestRow
from tests import builders as make
from tests.fakes import MemoryStorage, Script, message
from tests.unit.engine.stage import D, ask, config, execution, started, the_order
from tests.unit.engine.world import Life, commands, events, of, state_of

NAN = float("nan")
T = TypeVar("T")


def on_path(check: Callable[[Life, WriteAhead], Awaitable[T]], script: Script | None = None, **kwargs: object) -> T:
    """Run a check on a process that has begun its run."""

    async def run() -> T:
        life = Life(MemoryStorage(), script=script or {0: (1.0, NAN)}, **kwargs)  # type: ignore[arg-type]
        return await check(life, await life.path())

    return asyncio.run(run())


async def hold_spy(life: Life, path: WriteAhead, *closes: float) -> None:
    """Let the order of day 0 be sent and filled."""
    await path.carry_out(await path.record([make.bars_closed(0, *closes)]))
    (order,) = (order for order, _ in life.broker.submitted)
    await path.record([message(make.accepted(order.id)), message(execution(order, "100.00"))])
    life.broker.submitted.clear()
    life.broker.wire.clear()


# ------------------------------------------------------------------------------------------------------ T1, T2, wire
def test_an_order_goes_over_the_wire_only_after_its_decision_and_its_sending_are_committed() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        seen: list[tuple[list[str], OrderState]] = []

        def at_the_write(order: Order) -> None:
            rows = [row.type for row in life.storage.rows if order.id in row.payload]
            seen.append((rows, life.storage.orders[order.id].state))

        life.broker.on_submit = at_the_write
        await path.carry_out(await path.record([make.bars_closed(0)]))
        assert seen == [(["Submit", "OrderSending"], OrderState.SENDING)]

    on_path(check)


def test_nothing_leaves_the_process_while_a_batch_is_recorded() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        found = await path.record([make.bars_closed(0)])
        assert [type(c) for c in found] == [Submit, PortfolioMarked]
        assert life.broker.wire == []
        assert state_of(life.storage, the_order(found).id) == OrderState.AUTHORIZED

    on_path(check)


def test_orders_are_numbered_upwards_from_the_brokers_next_id() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        path.next_order_id = 41
        await path.carry_out(await path.record([make.bars_closed(0)]))
        await path.carry_out(await path.record([make.bars_closed(1)]))
        assert [number for _, number in life.broker.submitted] == [41, 42, 43]
        found = of(life.storage, OrderSending)
        assert [e.broker_order_id for e in found if isinstance(e, OrderSending)] == [41, 42, 43]
        assert {e.epoch for e in found if isinstance(e, OrderSending)} == {1}

    on_path(check, {0: (1.0, 1.0), 1: (0.0, NAN)})


def test_cancels_go_first() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        await path.carry_out(await path.record([make.bars_closed(0)]))
        first = life.broker.sent[0]
        found = await path.record([make.bars_closed(1)])
        await path.carry_out([*found, Cancel(ts_event=make.T0, order_id=first, reason="test")])
        assert life.broker.wire == ["submit", "cancel", "submit"]
        assert isinstance(events(life.storage)[-2], OrderPendingCancel)

    on_path(check, {0: (1.0, NAN), 1: (NAN, 1.0)})


def test_a_cancel_of_an_order_that_was_not_sent_voids_it() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        order = the_order(await path.record([make.bars_closed(0)]))
        await path.carry_out([Cancel(ts_event=make.T0, order_id=order.id, reason="changed my mind")])
        assert life.broker.wire == []
        assert state_of(life.storage, order.id) == OrderState.VOIDED
        await path.send([order])
        assert life.broker.wire == [], "a void order cannot be sent"

    on_path(check)


def test_an_order_is_sent_once() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        found = await path.record([make.bars_closed(0)])
        await path.carry_out(found)
        await path.carry_out(found)
        assert life.broker.wire == ["submit"]

    on_path(check)


# --------------------------------------------------------------------------------------------- what T2 looks at again
Between = Callable[[Life], None]


def raise_flag(life: Life) -> None:
    life.flag = "HALT file"


def request(action: Action) -> Between:
    def ask_for_it(life: Life) -> None:
        life.storage.request(RequestRow(id="r", ts=0, action=action, reason="lunch", actor="me"))

    return ask_for_it


@pytest.mark.parametrize(
    ("between", "why"), [(raise_flag, "HALT file"), (request(Action.HALT), "halt requested: lunch")]
)
def test_a_halt_between_decision_and_sending_voids_the_order(between: Between, why: str) -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        found = await path.record([make.bars_closed(0)])
        between(life)
        await path.carry_out(found)
        assert life.broker.wire == []
        (voided,) = of(life.storage, OrderVoided)
        assert isinstance(voided, OrderVoided)
        assert (voided.order_id, voided.proven, voided.reason) == (the_order(found).id, True, why)

    on_path(check)


def test_a_request_to_resume_stops_nothing() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        found = await path.record([make.bars_closed(0)])
        request(Action.RESUME)(life)
        await path.carry_out(found)
        assert life.broker.wire == ["submit"]

    on_path(check)


@pytest.mark.parametrize("stop", [ask(Action.HALT), TradingHalted(ts_event=make.T0, ts_init=make.T0, reason="broken")])
def test_a_halt_in_the_same_batch_stops_the_orders_that_were_decided_before_it(stop: AnyEvent) -> None:
    """Even one that reduces: while HALTED nothing is sent."""

    async def check(life: Life, path: WriteAhead) -> None:
        await hold_spy(life, path)
        await path.carry_out(await path.record([make.bars_closed(1), stop]))
        assert life.broker.wire == []
        assert [e.proven for e in of(life.storage, OrderVoided) if isinstance(e, OrderVoided)] == [True, True]

    on_path(check, {0: (1.0, NAN), 1: (0.0, 1.0)})


@pytest.mark.parametrize("scope", [{}, {"strategy": make.TREND}, {"instrument": make.SPY.id}])
def test_the_trading_state_is_looked_at_again_before_the_wire(scope: dict[str, str]) -> None:
    """What the core allowed when it decided may be forbidden now, whatever became of its cancels (a crash, say)."""

    async def check(life: Life, path: WriteAhead) -> None:
        await hold_spy(life, path)
        found = [c for c in await path.record([make.bars_closed(1)]) if isinstance(c, Submit)]
        await path.record([ask(Action.HALT, **scope)])  # type: ignore[arg-type]
        await path.carry_out(found)
        assert life.broker.wire == []
        assert state_of(life.storage, found[0].order.id) == OrderState.VOIDED

    on_path(check, {0: (1.0, NAN), 1: (0.0, NAN)})


def test_a_halt_elsewhere_does_not_stop_an_order() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        found = await path.record([make.bars_closed(0)])
        await path.record([ask(Action.HALT, strategy=StrategyId("other"))])
        await path.record([ask(Action.HALT, n=2, instrument=make.QQQ.id)])
        await path.carry_out(found)
        assert life.broker.wire == ["submit"]

    on_path(check)


@pytest.mark.parametrize(("age_ns", "wire"), [(make.DAY * 3 // 2, ["submit"]), (make.DAY * 3 // 2 + 1, [])])
def test_a_decision_older_than_a_bar_and_a_half_is_not_sent(age_ns: int, wire: list[str]) -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        found = await path.record([make.bars_closed(0)])
        life.clock.advance(make.T0 + age_ns)
        await path.carry_out(found)
        assert life.broker.wire == wire
        assert len(of(life.storage, OrderVoided)) == 1 - len(wire)

    on_path(check)


def test_only_the_stale_orders_of_a_batch_are_voided() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        old = await path.record([make.bars_closed(0)])
        new = await path.record([make.bars_closed(2)])
        life.clock.advance(make.T0 + 2 * make.DAY)
        await path.carry_out([*old, *new])
        assert life.broker.sent == [the_order(new).id]
        assert state_of(life.storage, the_order(old).id) == OrderState.VOIDED

    on_path(check, {0: (1.0, NAN), 2: (NAN, 1.0)})


def test_a_process_that_lost_the_journal_sends_nothing_and_says_so() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        found = await path.record([make.bars_closed(0)])
        await life.storage.open().begin_run("another", "test")
        rows = len(life.storage.rows)
        with pytest.raises(InvariantViolation, match="epoch 2 began"):
            await path.carry_out(found)
        with pytest.raises(InvariantViolation):
            await path.record([make.bars_closed(1)])
        assert life.broker.wire == []
        assert len(life.storage.rows) == rows

    on_path(check)


# -------------------------------------------------------------------------------------------------------- what arrives
def test_a_message_is_in_the_record_before_what_it_means() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        await path.carry_out(await path.record([make.bars_closed(0)]))
        await path.record([message(make.accepted(life.broker.sent[0]))])
        assert [row.kind for row in life.storage.rows][-2:] == ["raw", "event"]

    on_path(check)


def test_a_message_that_nobody_understands_stays_in_the_record_and_halts() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        before = len(life.storage.rows)
        (halt,) = await path.record([BrokerMessage(name="nonsense", fields={"a": 1})])
        assert isinstance(halt, SetTradingState)
        assert halt.state is TradingState.HALTED
        rows = [(row.kind, row.type) for row in life.storage.rows[before:]]
        assert rows == [("raw", "nonsense"), ("event", "TradingHalted"), ("command", "SetTradingState")]

    on_path(check)


def test_what_arrives_twice_counts_once() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        await path.carry_out(await path.record([make.bars_closed(0)]))
        order = life.broker.submitted[0][0]
        heard = [message(make.accepted(order.id)), message(execution(order, "100.00", quantity=40))]
        await path.record(heard)
        once = [row.type for row in life.storage.rows if row.kind == "event"]
        assert await path.record([*heard, make.bars_closed(0), make.bars_closed(0, 7.0)]) == []
        assert [row.type for row in life.storage.rows if row.kind == "event"] == once
        assert life.storage.orders[order.id].filled == 40

    on_path(check)


def test_events_carry_the_runners_time_of_receipt() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        life.clock.advance(make.T0 + 5)
        await path.record([make.bars_closed(0, ts_init=0)])
        (bars,) = of(life.storage, BarsClosed)
        assert (bars.ts_event, bars.ts_init) == (make.T0, make.T0 + 5)

    on_path(check)


def test_commands_name_the_event_that_led_to_them() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        await path.record([make.bars_closed(0), ask(Action.HALT)])
        told = [(row.type, row.cause) for row in life.storage.rows if row.kind == "command"]
        # 1 RunStarted, 2 BarsClosed, 3 Submit, 4 mark, 5 RequestReceived, 6 state, 7 cancel
        assert told == [("Submit", 2), ("PortfolioMarked", 2), ("SetTradingState", 5), ("Cancel", 5)]

    on_path(check)


def test_warm_up_bars_mark_nothing() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        assert await path.record([make.bars_closed(0, warmup=True)]) == []

    on_path(check)


# ------------------------------------------------------------------------------------------------ failures of the core
def halted_because(life: Life) -> str:
    (halt,) = of(life.storage, TradingHalted)
    assert isinstance(halt, TradingHalted)
    (state,) = (c for c in commands(life.storage) if isinstance(c, SetTradingState))
    assert (state.state, state.reason, state.actor) == (TradingState.HALTED, halt.reason, "trader")
    return halt.reason


def test_a_failure_in_the_core_halts_and_keeps_what_caused_it() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        await path.carry_out(await path.record([make.bars_closed(0)]))
        await path.carry_out(await path.record([make.bars_closed(1)]))
        assert [type(e) for e in events(life.storage)][-3:] == [BarsClosed, TradingHalted, OrderPendingCancel]
        assert halted_because(life) == "BarsClosed: division by zero"
        assert life.broker.canceled == life.broker.sent, "the entry"
        assert await path.record([make.bars_closed(2)]) != [], "and it goes on listening"

    on_path(check, {0: (1.0, NAN), 1: ZeroDivisionError("division by zero")})


def test_what_was_decided_before_the_failure_is_not_sent() -> None:
    """A failure takes back the batch's commands: an order that they held would count as under way for ever.

    The second strategy has a view on what never had a bar.
    """

    async def check(life: Life, path: WriteAhead) -> None:
        await hold_spy(life, path, 100.0)
        await path.carry_out(await path.record([make.bars_closed(1, 100.0)]))
        assert life.broker.wire == []
        assert [w.state for w in life.storage.orders.values()] == [OrderState.FILLED, OrderState.VOIDED]

    second = StrategyId("second")
    run = started(config(), config(second))

    async def main() -> None:
        life = Life(MemoryStorage(), run=run)
        from tests.fakes import scripted

        life.source = scripted({make.TREND: {0: (1.0, NAN), 1: (0.0, NAN)}, second: {1: (NAN, 1.0)}})
        await check(life, await life.path())

    asyncio.run(main())


def test_word_of_an_order_that_was_never_decided_halts() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        await path.record([message(make.accepted(make.order(9).id))])
        assert "never decided" in halted_because(life)

    on_path(check)


def test_a_fill_of_a_strategy_without_a_book_halts() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        stranger = make.order(9)
        fill = execution(Order(**{**_fields(stranger), "strategy": StrategyId("nobody")}), "100.00")  # type: ignore[arg-type]
        await path.record([message(fill)])
        assert len(of(life.storage, OrderFilled)) == 1, "it stays in the record"
        assert "nobody has no book" in halted_because(life)

    on_path(check)


def _fields(order: Order) -> dict[str, object]:
    return {name: getattr(order, name) for name in order.__struct_fields__}


def test_the_journal_shows_every_order_as_the_core_has_it() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        order = the_order(await path.record([make.bars_closed(0)]))
        seen = [state_of(life.storage, order.id)]
        await path.send([order])
        for event in (make.accepted(order.id), OrderCanceled(ts_event=1, ts_init=1, order_id=order.id)):
            seen.append(state_of(life.storage, order.id))
            await path.record([message(event)])
        seen.append(state_of(life.storage, order.id))
        assert seen == ["AUTHORIZED", "SENDING", "ACCEPTED", "CANCELED"]

    on_path(check)


def test_a_denied_order_is_shown_too_and_never_sent() -> None:
    async def check(life: Life, path: WriteAhead) -> None:
        await path.carry_out(await path.record([make.bars_closed(0)]))
        assert [w.state for w in life.storage.orders.values()] == [OrderState.DENIED]
        assert life.broker.wire == []

    limits = RiskLimit(profile="tight", max_order_notional=D(1))
    run: RunStarted = started(limits=limits)
    on_path(check, run=run)
