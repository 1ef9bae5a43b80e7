"""What the runner makes of its machine: nothing that adds risk is sent while it is unfit, and nothing is forgotten."""

import asyncio
from collections.abc import Coroutine
from itertools import chain, repeat
from typing import Any

import pytest
from msgspec import structs

from robotrader.engine.runner import Runner
from robotrader.model import (
    Action,
    ConditionChanged,
    Deny,
    HostCondition,
    LinkChanged,
    LinkState,
    OrderVoided,
    RequestReceived,
    TradingState,
)
from robotrader.ports import HostFacts, TimeAdvanced
from tests import builders as make
from tests.fakes import FakeLink, MemoryStorage, Script, message
from tests.unit.engine.stage import NAN
from tests.unit.engine.world import Life, commands, of

BUY_THEN_SELL: Script = {0: (1.0, NAN), 1: (0.0, 1.0)}
LOW, FULL, ROOM = HostFacts(disk_free_ratio=0.05), HostFacts(disk_free_ratio=0.02), HostFacts(disk_free_ratio=0.5)
SLOW = HostFacts(commit_s=3.0)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, timeout=10))


def reasons(storage: MemoryStorage) -> list[str]:
    denied = [c.verdict.checks for c in commands(storage) if isinstance(c, Deny)]
    return [check.reason for checks in denied for check in checks if not check.passed]


def effective(runner: Runner) -> tuple[TradingState, str]:
    return runner._replayed.trader.states.effective(make.TREND, make.SPY.id)


def resume(number: int) -> RequestReceived:
    return RequestReceived(ts_event=make.T0, ts_init=make.T0, request_id=f"r{number}", action=Action.RESUME,
                           reason="room", actor="me")  # fmt: skip


def test_while_the_disk_is_low_an_exit_goes_and_an_entry_does_not() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY_THEN_SELL)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        await runner._step([message(make.filled(life.broker.submitted[0][0]))])
        life.measure = lambda: LOW
        await runner._step([TimeAdvanced(ts=make.T0 + make.DAY), make.bars_closed(1)])
        assert [(o.side, o.instrument) for o, _ in life.broker.submitted] == [
            ("BUY", make.SPY.id), ("SELL", make.SPY.id)
        ]  # fmt: skip
        assert reasons(life.storage) == ["trading is REDUCING: 5.0% of the disk is free"]
        assert life.raised == []
        life.measure = lambda: ROOM
        await runner._step([TimeAdvanced(ts=make.T0 + make.DAY + 59 * 10**9)])
        assert [e.state for e in of(life.storage, ConditionChanged) if isinstance(e, ConditionChanged)] == ["REDUCING"]
        await runner._step([TimeAdvanced(ts=make.T0 + make.DAY + 60 * 10**9)])
        assert len(of(life.storage, ConditionChanged)) == 2
        assert runner._replayed.trader.states.conditions[HostCondition.DISK][0] is TradingState.ACTIVE

    run(test())


def test_what_a_slow_batch_decided_is_not_sent() -> None:
    async def test() -> None:
        life = Life(MemoryStorage())
        runner = life.runner()
        await runner.start()
        measured = chain([SLOW], repeat(HostFacts(commit_s=0.0)))
        life.measure = lambda: next(measured)  # looked at when the batch with the entry is written
        await runner._step([make.bars_closed(0)])
        assert life.broker.sent == []
        [voided] = [e for e in of(life.storage, OrderVoided) if isinstance(e, OrderVoided)]
        assert voided.reason == "trading is REDUCING: the journal took 3.0 s for a batch"

    run(test())


def test_a_full_disk_halts_until_a_person_resumes_over_restarts_and_only_where_there_is_room() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        life = Life(storage)
        life.measure = lambda: FULL
        runner = life.runner()
        await runner.start()
        assert life.raised == ["2.0% of the disk is free"]
        await runner._step([resume(1)])
        assert effective(runner)[0] is TradingState.HALTED  # as long as it is so
        await runner._step([make.bars_closed(0)])
        assert life.broker.sent == []

    run(test())


def test_a_halt_of_the_machine_is_latched() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        first = Life(storage)
        first.measure = lambda: FULL
        await first.runner().start()
        again = Life(storage)
        again.measure = lambda: ROOM
        runner = again.runner()
        await runner.start()
        assert effective(runner) == (TradingState.HALTED, "2.0% of the disk is free")
        await runner._step([resume(2)])
        assert effective(runner)[0] is TradingState.ACTIVE
        assert len(of(storage, ConditionChanged)) == 1

    run(test())


@pytest.mark.parametrize(("skew_s", "halts"), [(-2.1, True), (None, False)])
def test_a_clock_that_is_wrong_halts_and_stays_halted_when_it_is_right(skew_s: float | None, halts: bool) -> None:
    async def test() -> None:
        life = Life(MemoryStorage())
        runner = life.runner()
        await runner.start()
        closed = make.link(LinkState.DEGRADED, "this host's clock is 2.1 s behind the broker's: set it")
        wrong = structs.replace(closed, open=False, skew_s=skew_s)
        await runner._step([wrong])
        await runner._step([make.link(LinkState.READY)])
        assert (effective(runner)[0] is TradingState.HALTED) is halts
        assert life.raised == ([wrong.reason] if halts else [])

    run(test())


def test_a_clock_that_is_found_wrong_at_the_start_halts_as_well() -> None:
    class Wrong(FakeLink):
        def synced(self, sync: int) -> LinkChanged:
            ready = super().synced(sync)
            return structs.replace(ready, state=LinkState.DEGRADED, open=False, reason="the clock", skew_s=3.0)

    async def test() -> None:
        life = Life(MemoryStorage())
        life.link = Wrong()
        runner = life.runner()
        await runner.start()
        assert life.raised == ["the clock"]
        assert effective(runner)[0] is TradingState.HALTED

    run(test())
