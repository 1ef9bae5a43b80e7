"""A journal with corporate actions: what it shows, how it replays, and what `verify` says of one that was altered."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from msgspec import structs

from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.reader import SqlJournalReader
from robotrader.adapters.sql.verify import VerifyReport, verify
from robotrader.engine.recovery import replay
from robotrader.model import AnyEvent, CorporateActionKind
from tests import builders as make
from tests.conformance.journal_sql import SqlStorage
from tests.fakes import MemoryStorage, Script, scripted
from tests.unit.engine.stage import NAN, orders
from tests.unit.engine.world import Life

SCRIPT: Script = {0: (1.0, -1.0), 1: (NAN, NAN), 2: (NAN, NAN)}
SPLIT, REVERSE = make.split(2), make.split(1, 3, day=2, symbol="QQQ")
PAID = make.dividend("0.10", day=2)
CHANGE = structs.replace(make.split(1, day=3), kind=CorporateActionKind.SYMBOL_CHANGE, successor="NEW")


def later(*, bought: AnyEvent) -> list[AnyEvent]:
    """Return what happens after the first day: 100 SPY are held, and QQQ is short by 100."""
    changed = structs.replace(make.SPY, id="NEW.ARCA", symbol="NEW")
    return [
        bought, make.commission(),
        make.due(SPLIT), make.bars_closed(1, 51.0, 50.0),
        make.due(REVERSE, make.QQQ.id), make.due(PAID), make.bars_closed(2, 52.0, 150.0),
        structs.replace(make.due(CHANGE), successor=changed), make.bars_closed(3, 52.0, 150.0),
    ]  # fmt: skip


async def record(storage: SqlStorage) -> None:
    life = Life(MemoryStorage(), script=SCRIPT)
    life.journal = storage.open()
    path = await life.path()
    spy, qqq = orders(await path.record([make.bars_closed(0)]))
    await path.send([spy, qqq])
    sold = make.filled(qqq, exec_id="0002", price="50.00")
    await path.record([sold])
    for event in later(bought=make.filled(spy, price="100.00")):
        await path.record([event])
    await life.journal.close()


@pytest.fixture
def recorded(storage: SqlStorage) -> SqlStorage:
    asyncio.run(record(storage))
    return storage


def judged(database: Database) -> VerifyReport:
    return verify(database, replay=lambda rows: replay(rows, scripted({make.TREND: SCRIPT})))


def test_the_journal_shows_new_units_and_all_invariants_hold(recorded: SqlStorage) -> None:
    report = judged(recorded.database)
    assert {name: r.detail for name, r in report.invariants.items() if not r.ok} == {}
    assert report.ok
    assert all(report.invariants[name].checked for name in ("I1", "I2", "I10", "I14"))
    reader = SqlJournalReader(recorded.database)
    held = {p.instrument: p.quantity for p in reader.positions() if p.strategy == make.TREND}
    mark = reader.account().mark
    assert held == {make.SPY.id: 0, make.QQQ.id: -33, "NEW.ARCA": 200}
    # bought at 100.00, sold at 50.00, 1.00 paid; a third of a unit of QQQ at 150.00 in lieu; 0.10 on 200 SPY
    assert mark is not None
    assert float(mark.cash) == pytest.approx(100_000 - 10_000 + 5_000 - 1 - 50 + 20)


@pytest.mark.parametrize(
    ("field", "invariant"), [('"quantity":100', "I1"), ('"cash":"20.000000"', "I2")], ids=["units", "cash"]
)
def test_a_posting_that_was_altered_is_found(recorded: SqlStorage, tmp_path: Path, field: str, invariant: str) -> None:
    """The chain breaks as well; this is about the books, which must not add up any more."""
    recorded.database.close()
    with sqlite3.connect(tmp_path / "journal.sqlite") as raw:
        raw.execute("DROP TRIGGER journal_no_update")
        name, _, _ = field.partition(":")
        changed = raw.execute(
            "UPDATE journal SET payload = replace(payload, ?, ?) WHERE type = 'CorporateActionBooked'",
            (field, f'{name}:"1.000000"' if "cash" in name else f"{name}:1"),
        )
        assert changed.rowcount == 4
    assert not judged(recorded.database).invariants[invariant].ok
