"""Start is recovery: what is sent, given up, adopted or stopped when a process finds another's journal."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from robotrader.engine.recovery import replay
from robotrader.engine.runner import Runner
from robotrader.engine.trader import Trader
from robotrader.model import (
    BarsClosed,
    BreakOpened,
    InvariantViolation,
    Order,
    OrderAccepted,
    OrderId,
    OrderSending,
    OrderState,
    OrderVoided,
    Recovered,
    RunStarted,
    Submit,
    TradingHalted,
    TradingState,
)
from robotrader.ports import BrokerSnapshot
from tests import builders as make
from tests.fakes import FakeBroker, MemoryStorage, Script, message, snapshot
from tests.unit.engine.stage import NAN, execution, orders
from tests.unit.engine.world import BUY_ON_DAY_0, Life, commands, events, of, state_of

SECOND = 1_000_000_000
LONG_AND_OUT: Script = {0: (1.0, NAN), 1: (0.0, NAN)}
HALTED = TradingHalted(ts_event=make.T0, ts_init=make.T0, reason="operator")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def decided(storage: MemoryStorage, script: Script = BUY_ON_DAY_0) -> tuple[Life, Order]:
    """Live until the order of day 0 is decided (T1), and die there."""
    life = Life(storage, script=script)
    (order,) = orders(await (await life.path()).record([make.bars_closed(0)]))
    return life, order


async def sending(storage: MemoryStorage, script: Script = BUY_ON_DAY_0) -> tuple[Life, Order]:
    """Live until the order of day 0 may have gone over the wire (T2), and die there."""
    life = Life(storage, script=script)
    path = await life.path()
    await path.carry_out(await path.record([make.bars_closed(0)]))
    return life, life.broker.submitted[0][0]


async def filled(storage: MemoryStorage, script: Script = LONG_AND_OUT) -> tuple[Life, Order]:
    """Live until 100 SPY are held, and die there."""
    life = Life(storage, script=script)
    path = await life.path()
    await path.carry_out(await path.record([make.bars_closed(0)]))
    order = life.broker.submitted[0][0]
    await path.record([message(make.accepted(order.id)), message(execution(order, "100.00"))])
    return life, order


def recovered(storage: MemoryStorage) -> Recovered:
    last = of(storage, Recovered)[-1]
    assert isinstance(last, Recovered)
    return last


def trader_of(runner: Runner) -> Trader:
    return runner._replayed.trader


def global_state(runner: Runner) -> TradingState:
    return trader_of(runner).states.of((None, None))[0]


# -------------------------------------------------------------------------------------------------- decided, not sent
def test_an_unsent_order_whose_decision_stands_is_sent_once() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        _, order = await decided(storage)
        second = Life(storage, now=make.T0 + 60 * SECOND)
        await second.runner().start()
        assert second.broker.sent == [order.id]
        assert state_of(storage, order.id) == OrderState.SENDING
        assert (recovered(storage).resent, recovered(storage).voided) == ((order.id,), ())
        third = Life(storage, now=make.T0 + 61 * SECOND)
        third.broker.snapshots = [snapshot(refs=[order.id], messages=[message(make.accepted(order.id))])]
        await third.runner().start()
        assert third.broker.sent == []

    run(test())


@pytest.mark.parametrize(("age_s", "sent"), [(900, 1), (901, 0)])
def test_a_decision_stands_for_fifteen_minutes(age_s: int, sent: int) -> None:
    async def test() -> None:
        storage = MemoryStorage()
        _, order = await decided(storage)
        second = Life(storage, now=make.T0 + age_s * SECOND)
        await second.runner().start()
        assert len(second.broker.sent) == sent
        assert len(recovered(storage).resent) == sent
        if not sent:
            (void,) = of(storage, OrderVoided)
            assert isinstance(void, OrderVoided)
            assert (void.order_id, void.proven) == (order.id, True)
            assert recovered(storage).voided == (order.id,)

    run(test())


def test_a_decision_of_an_earlier_bar_is_past() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage)
        path = await life.path()
        (order,) = orders(await path.record([make.bars_closed(0)]))
        await path.record([make.bars_closed(1)])
        second = Life(storage, now=make.T0 + 60 * SECOND)
        await second.runner().start()
        assert second.broker.sent == []
        assert state_of(storage, order.id) == OrderState.VOIDED

    run(test())


def test_an_unsent_order_is_not_sent_while_the_flag_is_up() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        _, order = await decided(storage)
        second = Life(storage)
        second.flag = "HALT file"
        runner = second.runner()
        await runner.start()
        assert second.broker.sent == []
        assert state_of(storage, order.id) == OrderState.VOIDED
        assert (recovered(storage).resent, recovered(storage).voided) == ((), (order.id,))

    run(test())


def test_a_flag_that_goes_up_while_the_broker_answers_stops_the_order_and_nobody_says_it_was_sent() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        _, order = await decided(storage)
        second = Life(storage)

        class Slow(FakeBroker):
            async def snapshot(self) -> BrokerSnapshot:
                second.flag = "HALT file"
                return await super().snapshot()

        second.broker = Slow()
        await second.runner().start()
        assert second.broker.sent == []
        assert (recovered(storage).resent, recovered(storage).voided) == ((), (order.id,))

    run(test())


@pytest.mark.parametrize("script", [BUY_ON_DAY_0, LONG_AND_OUT])
def test_an_unsent_order_is_not_sent_when_the_journal_ends_in_a_halt(script: Script) -> None:
    """The halt was in the order's own batch and the process died before it carried out the cancel."""

    async def test() -> None:
        storage = MemoryStorage()
        if script is LONG_AND_OUT:  # the order only reduces: a halt would leave it alone, had it been sent
            await filled(storage, script)
        life = Life(storage, script=script)
        path = await life.path()
        path._trader = replay(await life.journal.rows(), life.source).trader
        day = 1 if script is LONG_AND_OUT else 0
        (order,) = orders(await path.record([make.bars_closed(day), HALTED]))
        second = Life(storage, script=script, now=make.T0 + day * make.DAY)
        second.broker.snapshots = [snapshot(positions={make.SPY.id: 100} if day else {})]
        runner = second.runner()
        await runner.start()
        assert second.broker.sent == []
        assert state_of(storage, order.id) == OrderState.VOIDED
        assert global_state(runner) is TradingState.HALTED

    run(test())


# -------------------------------------------------------------------------------------------------------- may be sent
def test_an_order_that_two_snapshots_do_not_know_is_given_up_and_never_sent_again() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        _, order = await sending(storage)
        second = Life(storage)
        runner = second.runner()
        await runner.start()
        assert second.broker.sent == []
        (void,) = of(storage, OrderVoided)
        assert isinstance(void, OrderVoided)
        assert (void.order_id, void.proven) == (order.id, False)
        assert recovered(storage).voided == (order.id,)
        assert trader_of(runner).orders.unresolved(make.SPY.id) is None, "the instrument is free again"

    run(test())


def test_an_order_that_the_broker_knows_is_adopted() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        _, order = await sending(storage)
        second = Life(storage)
        second.broker.snapshots = [snapshot(refs=[order.id], messages=[message(make.accepted(order.id))])]
        await second.runner().start()
        assert second.broker.bound == {order.id: 1}
        assert state_of(storage, order.id) == OrderState.ACCEPTED
        assert recovered(storage).adopted == (order.id,)
        assert of(storage, OrderVoided) == []

    run(test())


def test_one_snapshot_that_misses_an_order_proves_nothing() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        _, order = await sending(storage)
        second = Life(storage)
        second.broker.snapshots = [
            snapshot(), snapshot(refs=[order.id], messages=[message(make.accepted(order.id))]),
        ]  # fmt: skip
        await second.runner().start()
        assert state_of(storage, order.id) == OrderState.ACCEPTED

    run(test())


def test_snapshots_that_never_agree_stop_the_start() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        await sending(storage)
        second = Life(storage)
        second.broker.snapshots = [snapshot(positions={make.QQQ.id: n}) for n in range(7)]
        with pytest.raises(InvariantViolation, match="snapshots"):
            await second.runner().start()
        assert of(storage, OrderVoided) == []

    run(test())


def test_order_ids_go_on_from_the_highest_ever_used() -> None:
    async def test() -> None:
        for brokers, expected in ((1, 8), (20, 20)):  # the gateway may have forgotten, or counted on
            storage = MemoryStorage()
            life = Life(storage, script={0: (1.0, NAN), 1: (NAN, 1.0)})
            path = await life.path()
            path.next_order_id = 7
            await path.carry_out(await path.record([make.bars_closed(0)]))
            order = life.broker.submitted[0][0]
            second = Life(storage, script={0: (1.0, NAN), 1: (NAN, 1.0)}, now=make.T0 + make.DAY)
            second.broker.snapshots = [snapshot(refs=[order.id], next_order_id=brokers)]
            await second.runner(history=[make.bars_closed(1)]).start()
            assert [number for _, number in second.broker.submitted] == [expected]

    run(test())


def test_a_zombie_that_shows_up_after_it_was_given_up_halts_and_is_canceled() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        _, order = await sending(storage)
        await Life(storage).runner().start()
        third = Life(storage)
        third.broker.snapshots = [snapshot(refs=[order.id], messages=[message(make.accepted(order.id))])]
        runner = third.runner()
        await runner.start()
        assert global_state(runner) is TradingState.HALTED
        assert third.broker.canceled == [order.id]

    run(test())


# ---------------------------------------------------------------------------------------------------------- positions
@pytest.mark.parametrize("positions", [{}, {make.SPY.id: 99}, {make.SPY.id: 100, make.QQQ.id: -1}])
def test_a_position_that_the_fills_do_not_explain_halts(positions: dict[Any, int]) -> None:
    async def test() -> None:
        storage = MemoryStorage()
        await filled(storage)
        second = Life(storage, script=LONG_AND_OUT)
        second.broker.snapshots = [snapshot(positions=positions)]
        runner = second.runner()
        await runner.start()
        assert global_state(runner) is TradingState.HALTED
        tickets = [e for e in of(storage, BreakOpened) if isinstance(e, BreakOpened)]
        assert [f"{t.instrument}: broker holds {t.broker}, ledger {t.ledger}" for t in tickets] == [
            *recovered(storage).breaks
        ]
        assert tickets

    run(test())


def test_positions_that_agree_halt_nothing() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        await filled(storage)
        second = Life(storage, script=LONG_AND_OUT)
        second.broker.snapshots = [snapshot(positions={make.SPY.id: 100, make.QQQ.id: 0})]
        runner = second.runner()
        await runner.start()
        assert global_state(runner) is TradingState.ACTIVE
        assert recovered(storage).breaks == ()

    run(test())


def test_what_filled_meanwhile_is_booked_before_positions_are_compared() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        _, order = await sending(storage)
        second = Life(storage)
        heard = [message(make.accepted(order.id)), message(execution(order, "100.00"))]
        second.broker.snapshots = [snapshot(refs=[order.id], messages=heard, positions={make.SPY.id: 100})]
        runner = second.runner()
        await runner.start()
        assert trader_of(runner).ledger.quantity(make.SPY.id) == 100
        assert recovered(storage).breaks == ()
        third = Life(storage)  # the same executions again, as every later start today will hear them
        third.broker.snapshots = second.broker.snapshots
        again = third.runner()
        await again.start()
        assert trader_of(again).ledger.quantity(make.SPY.id) == 100
        assert global_state(again) is TradingState.ACTIVE

    run(test())


def test_an_unsent_order_is_not_sent_on_a_position_that_nobody_can_explain() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        _, order = await decided(storage)
        second = Life(storage)
        second.broker.snapshots = [snapshot(positions={make.SPY.id: 100})]
        runner = second.runner()
        await runner.start()
        assert global_state(runner) is TradingState.HALTED
        assert second.broker.sent == []
        assert recovered(storage).resent == ()
        assert state_of(storage, order.id) == OrderState.VOIDED

    run(test())


# --------------------------------------------------------------------------------------------------------------- bars
def sections(storage: MemoryStorage) -> list[tuple[int, bool]]:
    """Return (day, warm-up) of the journaled cross-sections."""
    return [
        ((e.ts_event - make.T0) // make.DAY, e.warmup) for e in of(storage, BarsClosed) if isinstance(e, BarsClosed)
    ]


def test_of_the_bars_that_were_missed_only_the_last_one_decides() -> None:
    script: Script = {0: (1.0, NAN), 1: (0.5, NAN), 2: (0.1, NAN), 3: (0.7, NAN)}

    async def test() -> None:
        storage = MemoryStorage()
        _, first = await filled(storage, script)
        second = Life(storage, script=script, now=make.T0 + 3 * make.DAY)
        second.broker.snapshots = [snapshot(positions={make.SPY.id: 100})]
        await second.runner(history=[make.bars_closed(day) for day in range(5)]).start()
        assert sections(storage) == [(0, False), (1, True), (2, True), (3, False)]
        (last,) = (o for o, _ in second.broker.submitted)
        assert (last.ts_event, last.side, last.quantity) == (make.T0 + 3 * make.DAY, "SELL", 30)
        assert [c.order.id for c in commands(storage) if isinstance(c, Submit)] == [first.id, last.id]

    run(test())


def test_an_empty_journal_is_warmed_up_and_decides_nothing() -> None:
    script: Script = dict.fromkeys(range(4), (1.0, NAN))

    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage, script=script, now=make.T0 + 2 * make.DAY)
        await life.runner(history=[make.bars_closed(day) for day in range(4)], warmup_bars=2).start()
        assert sections(storage) == [(1, True), (2, True)]
        assert commands(storage) == []

    run(test())


def test_a_bar_that_warmed_up_is_not_decided_on_when_it_comes_again() -> None:
    script: Script = {0: (1.0, NAN)}

    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage, script=script)
        runner = life.runner(history=[make.bars_closed(0)], warmup_bars=5)
        await runner.start()
        await runner._step([make.bars_closed(0)])
        assert life.broker.sent == []

    run(test())


# ------------------------------------------------------------------------------------------------------------- replay
def test_a_journal_that_this_code_would_not_write_is_refused_before_anything_is_written() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        await decided(storage, {0: (1.0, NAN)})
        rows, epoch = list(storage.rows), storage.epoch
        with pytest.raises(InvariantViolation, match="not written by this code"):
            await Life(storage, script={0: (0.5, NAN)}).runner().start()
        assert (storage.rows, storage.epoch) == (rows, epoch)

    run(test())


@pytest.mark.parametrize("script", [{0: (NAN, NAN)}, {0: (1.0, 1.0)}])
def test_missing_and_additional_commands_are_differences_too(script: Script) -> None:
    async def test() -> None:
        storage = MemoryStorage()
        life, _ = await decided(storage, {0: (1.0, NAN)})
        result = replay(await life.journal.rows(), Life(storage, script=script).source)
        assert not result.identical
        assert result.first_difference

    run(test())


def test_replay_gives_the_very_state_back() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        life, order = await filled(storage)
        path = await life.path()  # a second run: the journal goes on
        path._trader = replay(await life.journal.rows(), life.source).trader
        await path.carry_out(await path.record([make.bars_closed(1, 101.5, 51.0)]))
        await path.record([HALTED])
        result = replay(await life.journal.rows(), life.source)
        assert result.identical, result.first_difference
        assert make.digest(result.trader) == make.digest(path._trader)
        assert (result.events, result.commands) == (len(events(storage)), len(commands(storage)))
        assert result.last_bars_ts == make.T0 + make.DAY
        assert result.positions == {(make.TREND, make.SPY.id): 100}
        assert result.orders[order.id].state is OrderState.FILLED

    run(test())


def test_a_failure_of_the_core_replays_as_it_happened() -> None:
    script: Script = {0: (1.0, NAN), 1: ZeroDivisionError("bug"), 2: (0.5, NAN)}

    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage, script=script)
        path = await life.path()
        for day in range(3):
            await path.carry_out(await path.record([make.bars_closed(day)]))
        assert replay(await life.journal.rows(), Life(storage, script=script).source).identical

    run(test())


# ------------------------------------------------------------------------------------------------- crashes on the way
class Crash(BaseException):
    """The process is gone; no `except Exception` sees it."""


@pytest.mark.parametrize("point", ["after T1", "before the wire", "after the wire"])
def test_wherever_the_process_dies_an_order_goes_over_the_wire_at_most_once(point: str) -> None:
    async def test() -> None:
        storage = MemoryStorage()
        first = Life(storage)
        path = await first.path()
        found = await path.record([make.bars_closed(0)])

        def die(_: Order) -> None:
            raise Crash

        if point == "before the wire":
            first.broker.on_submit = die
            with pytest.raises(Crash):
                await path.carry_out(found)
        elif point == "after the wire":
            await path.carry_out(found)
        arrived = list(first.broker.sent)
        lives = [Life(storage, now=make.T0 + n * SECOND) for n in range(1, 4)]
        for life in lives:
            life.broker.snapshots = [snapshot(refs=arrived, messages=_acknowledged(arrived))]
            await life.runner().start()
            arrived += life.broker.sent
        assert len(arrived) == (0 if point == "before the wire" else 1)
        ends = {w.state for w in storage.orders.values()}
        assert ends == {OrderState.VOIDED if point == "before the wire" else OrderState.ACCEPTED}

    run(test())


def _acknowledged(ids: Sequence[OrderId]) -> list[Any]:
    return [message(OrderAccepted(ts_event=1, ts_init=1, order_id=i, perm_id=9)) for i in ids]


def test_every_life_has_its_own_epoch_in_the_record() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        await decided(storage)
        await Life(storage).runner().start()
        started = of(storage, RunStarted)
        assert [e.epoch for e in started if isinstance(e, RunStarted)][-1] == storage.epoch == 2
        (sent,) = of(storage, OrderSending)
        assert isinstance(sent, OrderSending)
        assert sent.epoch == 2

    run(test())
