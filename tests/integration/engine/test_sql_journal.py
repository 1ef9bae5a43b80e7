"""The runner on the real journal: the same record as in memory, and a restart that finds everything in it."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from robotrader.engine.recovery import replay
from robotrader.engine.runner import Runner
from robotrader.model import Action, Order, OrderState
from robotrader.ports import JournalRow, RequestRow, TimeAdvanced
from tests import builders as make
from tests.conformance.journal import Storage
from tests.conformance.journal_sql import SqlStorage
from tests.fakes import MemoryStorage, Script, message, snapshot
from tests.unit.engine.stage import NAN, execution, started
from tests.unit.engine.world import Life

SCRIPT: Script = {1: (1.0, NAN), 2: (0.0, 1.0), 3: ZeroDivisionError("bug"), 4: (1.0, 1.0)}


def at(day: int, *, ended: bool = False) -> TimeAdvanced:
    return TimeAdvanced(ts=make.T0 + day * make.DAY, ended=ended)


def life_on(storage: Storage, run_id: str, day: int) -> Life:
    life = Life(MemoryStorage(), script=SCRIPT, now=make.T0 + day * make.DAY, run=started(run_id=run_id))
    life.journal = storage.open()
    return life


async def two_lives(storage: Storage) -> tuple[list[Life], Sequence[JournalRow]]:
    """Trade two days, die with an order on the wire, start again, fail, and end in order."""
    first = life_on(storage, "run-1", 0)
    runner = first.runner(
        batches=[[at(0)], [at(1)], [at(2)], [at(2, ended=True)]], history=[make.bars_closed(0)],
        live=[make.bars_closed(1), make.bars_closed(2)], warmup_bars=3,
    )  # fmt: skip
    await runner.start()
    _fill_when_sent(first)
    await runner.run()
    await first.journal.close()

    second = life_on(storage, "run-2", 2)
    sold, bought = (order for order, _ in first.broker.submitted[1:])
    heard = [message(make.accepted(bought.id)), message(execution(bought, "50.00"))]
    held = {make.SPY.id: 100, make.QQQ.id: 100}
    second.broker.snapshots = [snapshot(refs=[bought.id], messages=heard, positions=held, next_order_id=9)]
    assert sold.side == "SELL"
    again = second.runner(batches=[[at(2)], [at(3)], [at(4)], [at(4, ended=True)]], live=[make.bars_closed(3)])
    await again.start()
    storage.request(RequestRow(id="w", ts=1, action=Action.HALT, reason="lunch", actor="me"))
    await again.run()
    await again.finish(compare=False)
    rows = await second.journal.rows()
    await second.journal.close()
    return [first, second], rows


def _fill_when_sent(life: Life) -> None:
    """Let the first order be accepted and filled as soon as it goes over the wire."""

    def at_the_write(order: Order) -> None:
        if not life.broker.submitted:
            life.inbox.put(message(make.accepted(order.id)))
            life.inbox.put(message(execution(order, "100.00")))

    life.broker.on_submit = at_the_write


def content(rows: Sequence[JournalRow]) -> list[tuple[object, ...]]:
    return [(r.seq, r.kind, r.type, r.ts, r.payload, r.cause) for r in rows]


@pytest.mark.parametrize("place", [lambda _: None, lambda folder: folder / "journal.sqlite"], ids=["memory", "file"])
def test_the_record_is_the_same_row_by_row_wherever_it_is_kept(
    tmp_path: Path, place: Callable[[Path], Path | None]
) -> None:
    sql = SqlStorage(place(tmp_path))
    try:
        lives, rows = asyncio.run(two_lives(sql))
    finally:
        sql.close()
    others, expected = asyncio.run(two_lives(MemoryStorage()))
    assert content(rows) == content(expected)
    assert len(rows) > 30
    assert [life.broker.sent for life in lives] == [life.broker.sent for life in others]
    assert {"RunStarted", "Submit", "OrderSending", "OrderFilled", "OrderVoided", "TradingHalted", "RunEnded"} <= {
        r.type for r in rows
    }


def test_a_restart_on_a_file_finds_orders_positions_and_the_halt(tmp_path: Path) -> None:
    storage = SqlStorage(tmp_path / "journal.sqlite")
    try:
        lives, rows = asyncio.run(two_lives(storage))
        result = replay(rows, lives[0].source)
        assert result.identical, result.first_difference
        third = life_on(storage, "run-3", 4)
        third.broker.snapshots = [snapshot(positions={make.SPY.id: 100, make.QQQ.id: 100})]
        runner: Runner = third.runner()
        asyncio.run(runner.start())
        trader = runner._replayed.trader
        assert trader.states.of((None, None))[0] == "HALTED"
        assert {w.order.instrument: w.state for w in trader.orders if w.state is OrderState.FILLED} == {
            make.SPY.id: OrderState.FILLED, make.QQQ.id: OrderState.FILLED,
        }  # fmt: skip
        assert third.broker.sent == []
    finally:
        storage.close()
