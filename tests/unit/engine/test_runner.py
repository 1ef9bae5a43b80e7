"""The loop: time in arrival order, batches, operators' requests, and the ways to end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from robotrader.engine import runner as runner_module
from robotrader.model import (
    Action,
    BarsClosed,
    ConnectionLost,
    LinkState,
    OrderAccepted,
    OrderFilled,
    RequestReceived,
    RunEnded,
    SetTradingState,
    TradingState,
)
from robotrader.ports import RequestRow, TimeAdvanced
from tests import builders as make
from tests.fakes import MemoryStorage, Script, message, snapshot
from tests.unit.engine.stage import NAN, execution
from tests.unit.engine.world import Life, commands, events, of

STEPS: Script = {1: (1.0, NAN), 2: (0.0, 1.0)}


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, timeout=10))


def at(day: int, *, ended: bool = False) -> TimeAdvanced:
    return TimeAdvanced(ts=make.T0 + day * make.DAY, ended=ended)


def halt(n: str = "r1", action: Action = Action.HALT) -> RequestRow:
    return RequestRow(id=n, ts=0, action=action, reason="lunch", actor="me")


def test_a_run_in_lock_step_from_the_first_bar_to_the_end() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage, script=STEPS)
        runner = life.runner(
            batches=[[at(0)], [at(1)], [at(2)], [at(3, ended=True)]],
            history=[make.bars_closed(0)], live=[make.bars_closed(1), make.bars_closed(2)], warmup_bars=5,
        )  # fmt: skip
        life.broker.on_submit = lambda order: life.inbox.put(message(make.filled(order, exec_id=order.id)))
        await runner.start()
        assert await runner.run() == "the source of time ended"
        await runner.finish(compare=False)
        assert [e.warmup for e in of(storage, BarsClosed) if isinstance(e, BarsClosed)] == [True, False, False]
        assert [(o.side, o.instrument) for o, _ in life.broker.submitted] == [
            ("BUY", make.SPY.id), ("SELL", make.SPY.id), ("BUY", make.QQQ.id),
        ]  # fmt: skip
        last = events(storage)[-1]
        assert isinstance(last, RunEnded)
        assert (last.run_id, last.reason) == ("run-1", "the source of time ended")

    run(test())


def test_time_moves_in_the_order_of_arrival() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage, script={0: (1.0, 1.0)})
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        first, second = (message(make.accepted(i, ts=make.T0)) for i in life.broker.sent)
        await runner._step([first, at(1), second])
        found = [e for e in of(storage, OrderAccepted) if isinstance(e, OrderAccepted)]
        assert [e.ts_init for e in found] == [make.T0, make.T0 + make.DAY]

    run(test())


def test_a_request_to_stop_ends_the_run() -> None:
    async def test() -> None:
        life = Life(MemoryStorage())
        runner = life.runner()
        await runner.start()
        runner.stop("asked to")
        assert await runner.run() == "asked to"

    run(test())


def test_no_execution_is_received_before_it_happened() -> None:
    """It carries a later time than the runner's clock, which stands until the next answer."""

    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        order = life.broker.submitted[0][0]
        await runner._step([message(execution(order, "100.00"))])
        (filled,) = of(storage, OrderFilled)
        assert filled.ts_event == filled.ts_init == make.T0 + 1_000_000_000

    run(test())


def test_the_first_reason_to_end_is_kept() -> None:
    async def test() -> None:
        runner = Life(MemoryStorage()).runner()
        runner.stop("first")
        runner.stop("second")
        await runner.start()
        assert await runner.run() == "first"

    run(test())


def test_a_request_is_carried_out_once() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        storage.request(halt())
        for day in (1, 2):
            await runner._step([at(day)])
        (asked,) = of(storage, RequestReceived)
        assert asked.ts_event == make.T0 + make.DAY
        (state,) = (c for c in commands(storage) if isinstance(c, SetTradingState))
        assert (state.state, state.actor) == (TradingState.HALTED, "me")
        assert life.broker.canceled == life.broker.sent

    run(test())


def test_a_flag_file_halts_and_a_halted_trader_does_not_note_it_again() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage)
        runner = life.runner()
        await runner.start()
        life.flag = "HALT file"
        for day in (1, 2):
            await runner._step([at(day)])
        (asked,) = of(storage, RequestReceived)
        assert isinstance(asked, RequestReceived)
        assert (asked.action, asked.reason, asked.actor) == (Action.HALT, "HALT file", "flag file")

    run(test())


def test_a_request_that_waited_is_heard_at_the_start() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        storage.request(halt())
        await Life(storage).runner().start()
        (state,) = (c for c in commands(storage) if isinstance(c, SetTradingState))
        assert (state.state, state.actor) == (TradingState.HALTED, "me")

    run(test())


def test_resuming_under_a_flag_does_not_last() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage)
        runner = life.runner()
        await runner.start()
        life.flag = "HALT file"
        await runner._step([at(1)])
        storage.request(halt("r2", Action.RESUME))
        await runner._step([at(2)])
        await runner._step([at(3)])
        assert [c.state for c in commands(storage) if isinstance(c, SetTradingState)] == [
            TradingState.HALTED, TradingState.ACTIVE, TradingState.HALTED,
        ]  # fmt: skip

    run(test())


def test_a_request_wakes_a_runner_to_whom_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "WATCH_S", 0.001)

    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage)
        runner = life.runner()
        await runner.start()
        running = asyncio.create_task(runner.run())
        storage.request(halt())
        while not commands(storage):  # noqa: ASYNC110 - nothing tells when; the runner must wake by itself
            await asyncio.sleep(0)
        runner.stop("done")
        assert await running == "done"
        assert isinstance(commands(storage)[0], SetTradingState)

    run(test())


def test_a_clock_that_stands_at_zero_is_waited_for_and_nothing_that_arrives_meanwhile_is_lost() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        first = Life(storage)
        path = await first.path()
        await path.carry_out(await path.record([make.bars_closed(0)]))
        order = first.broker.submitted[0][0]
        second = Life(storage, now=0)
        heard = message(make.accepted(order.id, ts=make.T0))
        second.broker.snapshots = [snapshot(refs=[order.id])]
        runner = second.runner(batches=[[heard, at(0)]])
        await runner.start()
        assert [e.ts_init for e in of(storage, OrderAccepted)] == [make.T0]

    run(test())


def test_a_gateway_that_hangs_up_before_it_says_the_time_cannot_be_traded_with() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), now=0)
        runner = life.runner(batches=[[make.link(LinkState.DISCONNECTED)]])
        with pytest.raises(ConnectionLost):
            await runner.start()
        assert life.storage.rows == []

    run(test())


def test_a_failure_while_catching_up_cancels_the_entries_at_the_broker() -> None:
    script: Script = {0: (1.0, NAN), 1: ZeroDivisionError("bug")}

    async def test() -> None:
        storage = MemoryStorage()
        first = Life(storage, script=script)
        path = await first.path()
        await path.carry_out(await path.record([make.bars_closed(0)]))
        order = first.broker.submitted[0][0]
        second = Life(storage, script=script, now=make.T0 + 2 * make.DAY)
        second.broker.snapshots = [snapshot(refs=[order.id], messages=[message(make.accepted(order.id))])]
        await second.runner(history=[make.bars_closed(1), make.bars_closed(2)]).start()
        assert second.broker.canceled == [order.id]

    run(test())


def test_the_end_of_a_run_can_compare_with_the_broker_once_more() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage)
        runner = life.runner()
        await runner.start()
        life.broker.snapshots = [snapshot(positions={make.SPY.id: 5})]
        runner.stop("done")
        await runner.run()
        await runner.finish(compare=True)
        assert [c.state for c in commands(storage) if isinstance(c, SetTradingState)] == [TradingState.HALTED]

    run(test())
