"""What every journal keeps to: one check a promise, each on a fresh storage.

A test module of an adapter parametrizes over `CHECKS` and hands `check_journal` its own `Storage`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, Protocol

import pytest

from robotrader.model import Action, InvariantViolation, OrderSending, Position, decode_event
from robotrader.ports import BrokerMessage, Journal, RequestRow
from tests import builders as make


class Storage(Protocol):
    """One place that journals are opened on, again and again."""

    def open(self) -> Journal: ...

    def request(self, row: RequestRow) -> bool:
        """Insert a request as another process does."""


class Interrupted(Exception):
    """What happens to a batch that does not end."""


async def _opened(storage: Storage, run_id: str = "run-1") -> Journal:
    journal = storage.open()
    await journal.begin_run(run_id, "code")
    return journal


async def keeps_order_and_content(storage: Storage) -> None:
    """Events, raw messages and commands come back as they went in, in order, with their cause."""
    journal = await _opened(storage)
    bars, raw, submit = (
        make.bars_closed(),
        BrokerMessage(name="openOrder", fields={"a": [1, "x"]}, ts_init=5),
        make.submit(),
    )
    async with journal.transaction() as tx:
        tx.raw(raw)
        cause = tx.event(bars)
        assert cause is not None
        tx.command(submit, cause)
    rows = await journal.rows()
    assert [(r.seq, r.kind, r.type, r.cause) for r in rows] == [
        (1, "raw", "openOrder", None), (2, "event", "BarsClosed", None), (3, "command", "Submit", 2),
    ]  # fmt: skip
    assert decode_event(rows[1].payload) == bars
    assert [r.seq for r in await journal.rows(after=2)] == [3]
    await journal.close()


async def keeps_an_event_once(storage: Storage) -> None:
    """The same event again changes nothing: in the same batch, in a later one, received at another time."""
    journal = await _opened(storage)
    fill = make.filled(make.order())
    async with journal.transaction() as tx:
        assert tx.event(fill) == 1
        assert tx.event(fill) is None
    async with journal.transaction() as tx:
        assert tx.event(make.filled(make.order(), ts=make.T0 + 2)) is None
        assert tx.event(make.accepted(make.order().id, ts=make.T0)) == 2
        assert tx.event(make.accepted(make.order().id, ts=make.T0 + 99)) is None
    assert [r.type for r in await journal.rows()] == ["OrderFilled", "OrderAccepted"]
    await journal.close()


async def never_replaces_an_event(storage: Storage) -> None:
    """An event with a known key and other content is refused; the first one stands."""
    journal = await _opened(storage)
    order = make.order()
    async with journal.transaction() as tx:
        assert tx.event(make.filled(order, price="100.50")) == 1
    async with journal.transaction() as tx:
        assert tx.event(make.filled(order, price="100.51")) is None
    rows = await journal.rows()
    assert len(rows) == 1
    assert '"price":"100.50"' in rows[0].payload
    await journal.close()


async def keys_are_per_kind(storage: Storage) -> None:
    """An execution and its commission share a key and are two events."""
    journal = await _opened(storage)
    async with journal.transaction() as tx:
        assert tx.event(make.filled(make.order())) == 1
        assert tx.event(make.commission()) == 2
    await journal.close()


async def a_failed_batch_leaves_nothing(storage: Storage) -> None:
    """An error in the block undoes all of it, and the chain goes on where it was."""
    journal = await _opened(storage)
    async with journal.transaction() as tx:
        tx.event(make.bars_closed(0))

    async def interrupted() -> None:
        async with journal.transaction() as tx:
            tx.event(make.filled(make.order()))
            tx.raw(BrokerMessage(name="x", fields={}))
            tx.project_order(make.working(), 1)
            raise Interrupted

    with pytest.raises(Interrupted):
        await interrupted()
    assert [r.seq for r in await journal.rows()] == [1]
    async with journal.transaction() as tx:
        assert tx.event(make.filled(make.order())) == 2, "a key of the lost batch is free again"
    await journal.close()


async def a_broken_batch_leaves_nothing(storage: Storage) -> None:
    """What the database refuses at the end of a batch undoes all of it: an order is submitted once only."""
    journal = await _opened(storage)

    async def submit_on(day: int) -> None:
        async with journal.transaction() as tx:
            cause = tx.event(make.bars_closed(day))
            assert cause is not None
            tx.command(make.submit(), cause)

    await submit_on(0)
    with pytest.raises(InvariantViolation):
        await submit_on(1)
    assert [r.type for r in await journal.rows()] == ["BarsClosed", "Submit"]
    await journal.close()


async def the_chain_goes_on_after_reopening(storage: Storage) -> None:
    """A new process continues the old one's rows, and knows its events."""
    first = await _opened(storage, "run-1")
    async with first.transaction() as tx:
        tx.event(make.bars_closed(0))
    await first.end_run("run-1", "done")
    await first.close()
    second = await _opened(storage, "run-2")
    async with second.transaction() as tx:
        assert tx.event(make.bars_closed(0)) is None
        assert tx.event(make.bars_closed(1)) == 2
    assert [r.seq for r in await second.rows()] == [1, 2]
    await second.close()


async def epochs_rise(storage: Storage) -> None:
    """Every run has a higher epoch than all before it."""
    journal = storage.open()
    assert await journal.begin_run("run-1", "code") == 1
    assert await journal.begin_run("run-2", "code") == 2
    await journal.close()


async def an_old_epoch_cannot_write(storage: Storage) -> None:
    """Once another process began a run, the former one's batches fail, and say why."""
    old = await _opened(storage, "run-1")
    async with old.transaction() as tx:
        tx.event(make.bars_closed(0))
    new = await _opened(storage, "run-2")
    with pytest.raises(InvariantViolation, match="epoch"):
        async with old.transaction() as tx:
            tx.event(make.bars_closed(1))
    async with new.transaction() as tx:
        assert tx.event(make.bars_closed(1)) == 2
    await old.close()
    await new.close()


async def nobody_takes_a_journal_that_grew(storage: Storage) -> None:
    """Who replayed rows that are not the last any more is refused, and does not fence off the writer."""
    first, second = storage.open(), storage.open()
    assert list(await second.rows()) == []
    await first.begin_run("run-1", "code")
    async with first.transaction() as tx:
        tx.event(make.bars_closed(0))
    with pytest.raises(InvariantViolation, match="another trader"):
        await second.begin_run("run-2", "code")
    async with first.transaction() as tx:
        assert tx.event(make.bars_closed(1)) == 2
    assert len(await second.rows()) == 2
    assert await second.begin_run("run-2", "code") == 2
    await first.close()
    await second.close()


async def nobody_writes_without_a_run(storage: Storage) -> None:
    """Rows belong to a run."""
    journal = storage.open()
    with pytest.raises(InvariantViolation, match="begin_run"):
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(0))
    await journal.close()


async def one_batch_at_a_time(storage: Storage) -> None:
    """A batch inside a batch is refused, and the outer one is not harmed by the attempt."""
    journal = await _opened(storage)
    async with journal.transaction() as tx:
        with pytest.raises(InvariantViolation):
            async with journal.transaction():
                pass
        assert await journal.open_requests() == [], "reading inside a batch works"
        tx.event(make.bars_closed(0))
    assert len(await journal.rows()) == 1
    await journal.close()


async def a_request_is_open_until_it_is_copied(storage: Storage) -> None:
    """Requests of other processes are seen at once, oldest first, until the trader has them in the chain."""
    journal = await _opened(storage)
    assert list(await journal.open_requests()) == []
    halt = RequestRow(id="b", ts=7, action=Action.HALT, reason="test", actor="me")
    assert storage.request(halt)
    assert not storage.request(halt), "the same request again is no new one"
    assert storage.request(RequestRow(id="a", ts=6, action=Action.RESUME, reason="go", actor="me", strategy=make.TREND))
    found = await journal.open_requests()
    assert [(r.request_id, r.action, r.strategy, r.ts_event) for r in found] == [
        ("b", Action.HALT, None, 0), ("a", Action.RESUME, make.TREND, 0),
    ]  # fmt: skip
    async with journal.transaction() as tx:
        tx.event(found[0])
    assert [r.request_id for r in await journal.open_requests()] == ["a"]
    async with journal.transaction() as tx:
        tx.event(found[1])
    assert list(await journal.open_requests()) == []
    assert storage.request(RequestRow(id="c", ts=8, action=Action.HALT, reason="again", actor="me"))
    assert [r.request_id for r in await journal.open_requests()] == ["c"]
    await journal.close()


async def a_position_has_an_owner(storage: Storage) -> None:
    """A position without a strategy is refused (I14)."""
    journal = await _opened(storage)
    orphan = Position(instrument=make.SPY.id, quantity=1, average_price=None, realized_pnl=Decimal(0))
    with pytest.raises(InvariantViolation, match="owner"):
        async with journal.transaction() as tx:
            tx.project_position(orphan, 1)
    await journal.close()


async def a_known_order_is_no_new_send(storage: Storage) -> None:
    """SENDING is recorded once an order, whatever broker id comes with it: nothing is ever sent twice."""
    journal = await _opened(storage)
    order_id = make.order().id
    async with journal.transaction() as tx:
        sending = OrderSending(ts_event=1, ts_init=1, order_id=order_id, epoch=1, broker_order_id=5)
        again = OrderSending(ts_event=2, ts_init=2, order_id=order_id, epoch=1, broker_order_id=6)
        assert tx.event(sending) == 1
        assert tx.event(again) is None
    await journal.close()


Check = Callable[[Storage], Coroutine[Any, Any, None]]

CHECKS: tuple[Check, ...] = (
    keeps_order_and_content,
    keeps_an_event_once,
    never_replaces_an_event,
    keys_are_per_kind,
    a_failed_batch_leaves_nothing,
    a_broken_batch_leaves_nothing,
    the_chain_goes_on_after_reopening,
    epochs_rise,
    an_old_epoch_cannot_write,
    nobody_takes_a_journal_that_grew,
    nobody_writes_without_a_run,
    one_batch_at_a_time,
    a_request_is_open_until_it_is_copied,
    a_position_has_an_owner,
    a_known_order_is_no_new_send,
)


def check_journal(check: Check, storage: Storage) -> None:
    """Run one check of the suite."""
    asyncio.run(check(storage))
