"""A cancel does not wait for the journal."""

import asyncio

import pytest

from robotrader.model import Cancel, InvariantViolation
from tests import builders as make
from tests.fakes import MemoryJournal, MemoryStorage
from tests.unit.engine.world import Life


def test_a_cancel_leaves_although_the_journal_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(_: MemoryJournal) -> None:
        raise InvariantViolation("the journal is locked")

    async def run() -> None:
        life = Life(MemoryStorage(), script={0: (1.0, float("nan"))})
        path = await life.path()
        await path.carry_out(await path.record([make.bars_closed(0)]))
        (order,) = life.broker.sent
        monkeypatch.setattr(MemoryJournal, "transaction", locked)
        with pytest.raises(InvariantViolation, match="locked"):
            await path.carry_out([Cancel(ts_event=make.T0, order_id=order, reason="test")])
        assert life.broker.wire == ["submit", "cancel"]

    asyncio.run(run())
