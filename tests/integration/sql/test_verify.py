"""`verify` believes a good journal, and each planted fault fails its own check."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.verify import VerifyReport, stats, verify
from robotrader.execution.lifecycle import transition
from robotrader.model import (
    Action,
    AnyCommand,
    AnyEvent,
    Approved,
    CheckResult,
    ConfigError,
    LinkState,
    OrderEvent,
    OrderSending,
    OrderUnresolved,
    PositionReported,
    Recovered,
    RequestReceived,
    RiskCheck,
    RunEnded,
    SetTradingState,
    StrategyId,
    Submit,
    TradingHalted,
    TradingState,
    WorkingOrder,
)
from tests import builders as make
from tests.conformance.journal_sql import SqlStorage
from tests.integration.sql.recorded import STRENGTHS, Recorder, record_session, replayed


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a good journal, which nobody may change."""
    path = tmp_path_factory.mktemp("session") / "journal.sqlite"
    storage = SqlStorage(path)

    async def run() -> None:
        journal = SqlJournal(storage.database)
        await record_session(journal)
        await journal.close()

    asyncio.run(run())
    storage.close()
    return path


@pytest.fixture
def recorded(session: Path, tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "journal.sqlite"
    shutil.copyfile(session, path)
    with Database(path) as database:
        yield database


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
    assert checked["I3"] == checked["I4"] == checked["I8"] == checked["I9"] == 4
    assert checked["I11"] == report.events
    assert checked["I12"] == report.events - 1 + 4
    assert checked["I14"] == 2 + 8 + 4
    assert checked["I22"] == 1
    assert checked["I19"] == checked["I20"] == 0, "no gateway's record, no halt: nothing is proven of them"
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
    "an edited payload": ({"chain", "I11"}, [
        """UPDATE journal SET payload = replace(payload, '"perm_id":1001', '"perm_id":9999')
           WHERE type = 'OrderAccepted' AND instr(payload, '1001')"""]),
    "an edited payload with its hash": ({"chain", "I11"}, [
        """UPDATE journal SET payload = '{}',
           payload_hash = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
           WHERE seq = (SELECT max(seq) FROM journal WHERE kind = 'raw')"""]),
    "an edited time": ({"chain", "I11"}, ["UPDATE journal SET ts_init = ts_init + 1 WHERE seq = 7"]),
    "a deleted row": ({"chain", "I11"}, [
        "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal WHERE kind = 'raw')"]),
    "a lost tail": ({"chain", "I11"}, ["DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)"]),
    "rows in another order": ({"chain", "I11"}, [
        "UPDATE journal SET seq = -1 WHERE seq = 7", "UPDATE journal SET seq = 7 WHERE seq = 8",
        "UPDATE journal SET seq = 8 WHERE seq = -1"]),
    "a position off by one": ({"I1", "I10"}, [
        "UPDATE positions SET quantity = quantity + 1 WHERE instrument = 'QQQ.NASDAQ'"]),
    "a lost position": ({"I1", "I10"}, ["DELETE FROM positions WHERE quantity <> 0"]),
    "a cash off by a cent": ({"I2", "I14"}, [
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
    "a position of nobody": ({"I1", "I10", "I14"}, ["UPDATE positions SET strategy = 'nobody' WHERE quantity <> 0"]),
    "an execution of nobody": ({"I1", "I14"}, ["UPDATE fills SET strategy = 'nobody' WHERE exec_id = '1a'"]),
    "a book off by a cent": ({"I14"}, [
        """UPDATE books SET cash = printf('%.6f', CAST(cash AS REAL) + 0.01)
           WHERE seq = (SELECT max(seq) FROM books)"""]),
    "a row of an older writer": ({"chain", "I11", "I12"}, ["UPDATE journal SET epoch = 0 WHERE seq = 9"]),
    "an order that ended and went on": ({"I7"}, [
        """INSERT INTO order_states (seq, ts, order_id, state, filled, unresolved, reason)
           SELECT seq, ts, order_id, state, filled, 0, '' FROM order_states
           WHERE order_id = (SELECT order_id FROM orders WHERE id = 1) AND state = 'ACCEPTED'"""]),
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


ALL = tuple(CheckResult(check=check, passed=True) for check in RiskCheck)
NAMED = tuple(structs.replace(c, numbers={"units": 1}) if c.check is RiskCheck.POSITION_LIMIT else c for c in ALL)
KEY: dict[str, Any] = {"ts_event": make.T0 + 9 * make.DAY, "ts_init": make.T0 + 9 * make.DAY}
ORDER = make.order(9, quantity=1)
SENT: dict[str, Any] = {**KEY, "order_id": ORDER.id}
HALT = RequestReceived(**KEY, request_id="h", action=Action.HALT, reason="test", actor="me")
FREED = SetTradingState(ts_event=HALT.ts_event, state=TradingState.ACTIVE, reason="because", actor="me")
RESUME = structs.replace(HALT, request_id="r", action=Action.RESUME)
OUT = TradingHalted(**KEY, reason="test")
END = RunEnded(**KEY, run_id="run-2", reason="done")
LOST = OrderUnresolved(**SENT, reason="no answer")


def state(which: TradingState, strategy: StrategyId | None = None) -> SetTradingState:
    return SetTradingState(ts_event=KEY["ts_event"], state=which, reason="test", actor="me", strategy=strategy)


def sending(*, late: int = 0, epoch: int = 2) -> OrderSending:
    return OrderSending(ts_event=KEY["ts_event"] + late, ts_init=KEY["ts_init"] + late, order_id=ORDER.id, epoch=epoch,
                        broker_order_id=99)  # fmt: skip


def allowed(
    *, limits: str = "none", checks: tuple[CheckResult, ...] = ALL, reserved: int = 1, target: int = 1
) -> Submit:
    made, decided = make.submit(ORDER), make.decision(ORDER)
    decision = structs.replace(decided, target=structs.replace(decided.target, quantity=target))
    verdict = Approved(checks=checks, limits=limits)
    return structs.replace(made, verdict=verdict, reserved=reserved, decision=decision)


PLANTED: dict[str, tuple[set[str], list[AnyEvent | AnyCommand]]] = {
    "nothing": (set(), [allowed(), sending()]),
    "an order that nobody allowed": ({"I3"}, [sending()]),
    "an order allowed under other limits": ({"I3", "I9"}, [allowed(limits="paper"), sending()]),
    "an order on other terms than decided": ({"I3"}, [allowed(target=5), sending()]),
    "an expired decision": ({"I3"}, [allowed(), sending(late=2 * make.DAY)]),
    "a check that was left out": ({"I9"}, [allowed(checks=ALL[1:]), sending()]),
    "a check that failed": ({"I9"}, [allowed(checks=(structs.replace(ALL[0], passed=False), *ALL[1:])), sending()]),
    "no reservation": ({"I9"}, [allowed(reserved=0), sending()]),
    "a position counted at worst case": (set(), [allowed(checks=NAMED), sending()]),
    "an open order that was not counted": ({"I9"}, [
        structs.replace(allowed(), order=make.order(8, quantity=7), reserved=7), allowed(checks=NAMED)]),
    "a second permId": ({"I4"}, [allowed(), sending(), make.accepted(ORDER.id, perm_id=1),
                                 make.accepted(ORDER.id, perm_id=2)]),
    "a second permId that halts": (set(), [allowed(), sending(), make.accepted(ORDER.id, perm_id=1),
                                           make.accepted(ORDER.id, perm_id=2), OUT]),
    "an order sent while halted": ({"I8", "I20"}, [allowed(), state(TradingState.HALTED), sending()]),
    "an order sent while its strategy is halted": ({"I8", "I20"}, [
        allowed(), state(TradingState.HALTED, make.TREND), sending()]),
    "an order sent while another strategy is halted": (set(), [
        allowed(), state(TradingState.HALTED, StrategyId("other")), sending()]),
    "an order that adds while reducing": ({"I8"}, [allowed(), state(TradingState.REDUCING), sending()]),
    "an order sent over a closed link": ({"I8"}, [
        allowed(), make.link(LinkState.DISCONNECTED), sending()]),
    "a halt that a restart forgot": ({"I20"}, [
        HALT, make.run_started("run-2", epoch=2), allowed(), sending()]),
    "a breakdown that a restart forgot": ({"I20"}, [OUT, make.run_started("run-2", epoch=2), allowed(), sending()]),
    "a halt that was lifted": (set(), [HALT, RESUME, FREED, allowed(), sending()]),
    "a halt of which somebody only asked to be freed": ({"I20"}, [HALT, RESUME, allowed(), sending()]),
    "a sender who is not the writer": ({"I12"}, [allowed(), sending(epoch=1)]),
    "an order at the end of which nobody heard": ({"I22"}, [allowed(), sending(), END]),
    "an order at the end that nobody sent": ({"I22"}, [allowed(), END]),
    "an order at the end whose outcome is shown as unknown": (set(), [allowed(), sending(), LOST, END]),
    "an order of which a later run hears": (set(), [allowed(), sending(), END, make.accepted(ORDER.id)]),
}  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_violation_fails_its_own_invariant(plant: str, recorded: Database) -> None:
    expected, records = PLANTED[plant]

    async def write(journal: SqlJournal) -> None:
        orders: dict[str, WorkingOrder] = {}
        async with journal.transaction() as tx:
            cause = tx.event(make.bars_closed(8))
            assert cause is not None
            for record in records:
                if isinstance(record, AnyEvent):
                    tx.event(record)
                else:
                    tx.command(record, cause)
                if isinstance(record, Submit):
                    orders[record.order.id] = make.working(record.order)
                elif isinstance(record, OrderEvent) and record.order_id in orders:
                    orders[record.order_id] = transition(orders[record.order_id], record).working
            for working in orders.values():
                tx.project_order(working, 1)

    assert failed(chained(recorded, write)) == expected


def test_the_gateways_record_is_held_against_the_journal(recorded: Database) -> None:
    with recorded.read.begin() as connection:
        found = connection.exec_driver_sql("SELECT order_id, side, quantity FROM orders").all()
    placed = [(row[0], row[1], row[2]) for row in found]
    report = verify(recorded, placed=placed)
    assert (failed(report), report.invariants["I19"].checked) == (set(), 4)
    (ref, side, quantity), *_ = placed
    for wrong, expected in (
        ([*placed, ("RT-UNKNOWN", "BUY", 1)], {"I19"}),
        ([(ref, side, quantity + 1)], {"I19"}),
        ([*placed, placed[0]], {"I4"}),
    ):
        assert failed(verify(recorded, placed=wrong)) == expected


def test_corrections_and_busts_are_no_faults(database: Database) -> None:
    async def run() -> Recorder:
        journal = SqlJournal(database)
        recorder = await record_session(journal, corrected=True)
        await journal.close()
        return recorder

    recorder = asyncio.run(run())
    report = verify(database, replay=replayed)
    assert failed(report) == set(), report
    assert report.invariants["I5"].checked == 4 + 4 + 11 + 11 + 3
    first, second, *_ = recorder.trader.orders
    assert (first.filled, second.filled) == (20 + 67, 33), "the late lower revision counts for nothing"
    with database.read.begin() as connection:
        found = connection.exec_driver_sql("SELECT order_id, average_price, reason FROM orders ORDER BY id").all()
    assert found[0].average_price == "100.614943"  # (20 x 101.00 + 67 x 100.50) / 87
    assert found[1].reason == "execution 2b was corrected (revision 2): 0 at 100.50, before 67 at 100.50"
    assert "I2" in failed(tamper(database, "UPDATE fills SET price = '101.01' WHERE exec_id = '1a' AND revision = 3"))


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

    assert failed(chained(recorded, write)) == {"I3", "I5"}


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
