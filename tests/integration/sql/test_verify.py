"""`verify` believes a good journal, and each planted fault fails its own check."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.verify import VerifyReport, stats, verify
from robotrader.model import (
    ConfigError,
    OrderSending,
    PositionReported,
    Recovered,
    SetTradingState,
    TradingState,
)
from tests import builders as make
from tests.integration.sql.recorded import STRENGTHS, record_session, replayed


@pytest.fixture
def recorded(database: Database) -> Database:
    async def run() -> None:
        journal = SqlJournal(database)
        await record_session(journal)
        await journal.close()

    asyncio.run(run())
    return database


def tamper(database: Database, *statements: str) -> VerifyReport:
    """Change the file behind the journal's back, as somebody with sqlite3 would, put the guards back, and verify."""
    assert database.path is not None
    raw = sqlite3.connect(database.path, isolation_level=None)
    guards = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in guards:
        raw.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert raw.execute(statement).rowcount != 0, f"changed nothing: {statement}"
    for _, sql in guards:
        raw.execute(sql)
    raw.close()
    return verify(database, replay=replayed)


def failed(report: VerifyReport) -> set[str]:
    """Return the names of the failed checks."""
    checks = {"file": report.file_ok, "chain": report.chain_ok, "triggers": report.triggers_ok}
    checks |= {name: result.ok for name, result in report.invariants.items()}
    assert report.ok == all(checks.values())
    return {name for name, ok in checks.items() if not ok}


def test_a_good_journal_verifies_and_says_how_much_it_checked(recorded: Database) -> None:
    report = verify(recorded, replay=replayed)
    assert failed(report) == set()
    assert report.ok
    checked = {name: result.checked for name, result in report.invariants.items()}
    # 4 orders (SPY long, QQQ long, SPY short, SPY flat) and 1 hold, 8 fills, 4 marks, 2 positions, 1 comparison
    assert checked["I1"] == 2
    assert checked["I2"] == 4
    assert checked["I5"] == 4 + 4 + 8 + 8 + 3
    assert checked["I6"] == 4
    assert checked["I7"] == 4 * 5
    assert checked["I10"] == (4 + 1 + 4) + 4 + 2
    assert checked["I13"] == 1
    assert report.events == stats(recorded).rows["journal"] > 50


def test_without_replay_nothing_is_claimed_of_it(recorded: Database) -> None:
    report = verify(recorded)
    assert report.ok
    assert report.invariants["I10"].checked == 0


def test_an_empty_journal_proves_nothing(database: Database) -> None:
    report = verify(database, replay=replayed)
    assert report.ok
    assert report.events == 0
    assert {result.checked for result in report.invariants.values()} == {0}


ILLEGAL_STEP = """INSERT INTO order_states (seq, ts, order_id, state, filled, unresolved, reason)
                  SELECT seq, ts, order_id, 'ACCEPTED', filled, 0, '' FROM orders WHERE id = 1"""

FAULTS: dict[str, tuple[set[str], list[str]]] = {
    "an edited payload": ({"chain"}, [
        """UPDATE journal SET payload = replace(payload, '"perm_id":1001', '"perm_id":9999')
           WHERE type = 'OrderAccepted' AND instr(payload, '1001')"""]),
    "an edited payload with its hash": ({"chain"}, [
        """UPDATE journal SET payload = '{}',
           payload_hash = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
           WHERE seq = (SELECT max(seq) FROM journal WHERE kind = 'raw')"""]),
    "an edited time": ({"chain"}, ["UPDATE journal SET ts_init = ts_init + 1 WHERE seq = 7"]),
    "a deleted row": ({"chain"}, ["DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal WHERE kind = 'raw')"]),
    "a lost tail": ({"chain"}, ["DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)"]),
    "rows in another order": ({"chain"}, [
        "UPDATE journal SET seq = -1 WHERE seq = 7", "UPDATE journal SET seq = 7 WHERE seq = 8",
        "UPDATE journal SET seq = 8 WHERE seq = -1"]),
    "a position off by one": ({"I1", "I10"}, [
        "UPDATE positions SET quantity = quantity + 1 WHERE instrument = 'QQQ.NASDAQ'"]),
    "a lost position": ({"I1", "I10"}, ["DELETE FROM positions WHERE quantity <> 0"]),
    "a cash off by a cent": ({"I2"}, [
        """UPDATE account SET cash = printf('%.6f', CAST(cash AS REAL) + 0.01)
           WHERE seq = (SELECT max(seq) FROM account)"""]),
    "a commission off by a cent": ({"I2"}, ["UPDATE commissions SET amount = '0.360000' WHERE exec_id = '1a'"]),
    "an execution price off by a tick": ({"I2", "I6"}, ["UPDATE fills SET price = '100.26' WHERE exec_id = '1a'"]),
    "an order with more filled": ({"I6", "I7", "I10"}, ["UPDATE orders SET filled = filled + 1 WHERE id = 1"]),
    "an order with less filled": ({"I6", "I7", "I10"}, ["UPDATE orders SET filled = filled - 1 WHERE id = 1"]),
    "an average price off by a tick": ({"I6"}, ["UPDATE orders SET average_price = '100.426700' WHERE id = 1"]),
    "a state that is not the last": ({"I7", "I10"}, ["UPDATE orders SET state = 'ACCEPTED' WHERE id = 1"]),
    "an illegal transition": ({"I7"}, [ILLEGAL_STEP]),
    "a missing end": ({"I7"}, ["DELETE FROM order_states WHERE id = (SELECT max(id) FROM order_states)"]),
    "a lost order": ({"I7", "I10"}, ["DELETE FROM orders WHERE id = 1"]),
    "an execution twice": ({"I5"}, [
        "DROP INDEX uq_fills",
        """INSERT INTO fills SELECT NULL, seq, ts_event, ts_init, exec_id, revision, order_id, strategy, instrument,
           side, quantity, price FROM fills WHERE exec_id = '2b'"""]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails_its_own_check(fault: str, recorded: Database) -> None:
    expected, statements = FAULTS[fault]
    report = tamper(recorded, *statements)
    assert failed(report) == expected, report


def chained(database: Database, write: Callable[[SqlJournal], Coroutine[Any, Any, None]]) -> VerifyReport:
    """Let a faulty program write through the journal itself, so that the chain holds, and verify."""

    async def run() -> None:
        journal = SqlJournal(database)
        await journal.begin_run("run-2", "faulty")
        await write(journal)
        await journal.close()

    asyncio.run(run())
    return verify(database)


def test_an_execution_with_two_contents_is_found(recorded: Database) -> None:
    order = make.order(0)

    async def write(journal: SqlJournal) -> None:
        async with journal.transaction() as tx:
            assert tx.event(make.filled(order, exec_id="1a", quantity=34)) is None

    report = chained(recorded, write)
    assert report.conflicts == 1
    assert "I5" in failed(report)


def test_a_broker_id_that_falls_is_found(recorded: Database) -> None:
    async def write(journal: SqlJournal) -> None:
        sending = OrderSending(ts_event=1, ts_init=1, order_id=make.order(9).id, epoch=2, broker_order_id=2)
        async with journal.transaction() as tx:
            tx.event(sending)

    assert failed(chained(recorded, write)) == {"I5"}


def test_an_unnamed_break_with_the_broker_is_found(recorded: Database) -> None:
    async def write(journal: SqlJournal) -> None:
        async with journal.transaction() as tx:
            tx.event(PositionReported(ts_event=1, ts_init=1, account="DU1", instrument=make.SPY.id, quantity=1))
            tx.event(Recovered(ts_event=1, ts_init=1, replayed=0))

    assert failed(chained(recorded, write)) == {"I13"}


@pytest.mark.parametrize(("state", "expected"), [("ACTIVE", {"I13"}), ("HALTED", set())])
def test_a_named_break_needs_a_halt(state: str, expected: set[str], recorded: Database) -> None:
    async def write(journal: SqlJournal) -> None:
        async with journal.transaction() as tx:
            cause = tx.event(Recovered(ts_event=1, ts_init=1, replayed=0, breaks=("SPY: 1 or 0",)))
            assert cause is not None
            tx.command(SetTradingState(ts_event=1, state=TradingState(state), reason="t", actor="t"), cause)

    assert failed(chained(recorded, write)) == expected


@pytest.mark.parametrize("name", ["journal_no_update", "fills_no_delete"])
def test_a_missing_trigger_is_found(name: str, recorded: Database) -> None:
    assert recorded.path is not None
    with sqlite3.connect(recorded.path) as raw:
        raw.execute(f"DROP TRIGGER {name}")
    raw.close()
    report = verify(recorded, replay=replayed)
    assert failed(report) == {"triggers"}
    assert name in report.triggers


def test_an_altered_trigger_is_found(recorded: Database) -> None:
    assert recorded.path is not None
    raw = sqlite3.connect(recorded.path)
    raw.execute("DROP TRIGGER journal_no_update")
    raw.execute("CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT 1; END")
    raw.commit()
    raw.close()
    assert failed(verify(recorded, replay=replayed)) == {"triggers"}


def test_another_decision_is_found_by_replay(recorded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRENGTHS, 1, (1.0, -1.0))
    report = verify(recorded, replay=replayed)
    assert failed(report) == {"I10"}


def test_no_journal_is_said_plainly(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite"
    with Database(path) as database:
        with pytest.raises(ConfigError, match="no journal"):
            verify(database)
        assert stats(database).bytes == 0
        assert not path.exists()
