"""The journal on PostgreSQL: the same promises, the same record, and what only a server can do to it."""

import asyncio
import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError

from robotrader import bootstrap
from robotrader.adapters import halt_file
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.migrate import migrate, schema_version
from robotrader.adapters.sql.postgres import PostgresDatabase
from robotrader.adapters.sql.reader import SqlJournalReader
from robotrader.adapters.sql.requests import insert_request
from robotrader.adapters.sql.schema import APPEND_ONLY, HEAD, metadata
from robotrader.adapters.sql.verify import VerifyReport, stats, verify
from robotrader.config import load_settings
from robotrader.model import Action, ConfigError, InvariantViolation, OrderState
from robotrader.ports import BrokerMessage, JournalBusy, JournalReader, RequestRow
from tests import builders as make
from tests.conformance.journal import CHECKS, Check, check_journal
from tests.conformance.journal_sql import SqlStorage
from tests.conformance.postgres import PostgresServer, PostgresStorage
from tests.fakes import MemoryStorage
from tests.integration.engine.test_sql_journal import at, content, life_on, two_lives
from tests.integration.sql.recorded import record_session, replayed
from tests.integration.system.running import eventually

HALT = RequestRow(id="halt-1", ts=1, action=Action.HALT, reason="test", actor="me")
PASSING = "CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$"
COUNTED = {"id", "number"}  # keys that the database counts: PostgreSQL also counts what came to nothing


@pytest.mark.parametrize("check", CHECKS)
def test_conformance(check: Check, postgres: PostgresStorage) -> None:
    check_journal(check, postgres)


async def write_bars(journal: SqlJournal, days: range, *, run_id: str = "run-1") -> int:
    epoch = await journal.begin_run(run_id, "code")
    for day in days:
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(day))
    return epoch


def recorded(database: Database) -> None:
    async def run() -> None:
        journal = SqlJournal(database)
        await record_session(journal, corrected=True)
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(9, 100 / 3, 1e-7))  # no digit of a price may be lost
        await journal.close()

    asyncio.run(run())
    insert_request(database, HALT)


def rows(database: Database, table: str) -> list[dict[str, object]]:
    with database.read.begin() as connection:
        found = connection.execute(select(metadata.tables[table])).mappings().all()
    plain = [{str(k): v for k, v in row.items() if k not in COUNTED} for row in found]
    return sorted(plain, key=lambda row: str(sorted(row.items(), key=str)))


def everything(reader: JournalReader) -> dict[str, object]:
    """Return the answers of all methods, without the keys that the database counts."""
    order_ids = [row.working.order.id for row in reversed(reader.orders())]
    return {
        "head": reader.head(), "run": reader.run(), "states": reader.trading_state(), "link": reader.link(),
        "breaks": reader.breaks(), "compared": reader.compared(), "positions": reader.positions(),
        "books": reader.books(), "account": reader.account(), "bar times": reader.last_bar_times(),
        "equity": reader.equity(), "thinned": reader.equity(since=make.T0 + 1, max_points=2),
        "bars": reader.bars(make.SPY.id, limit=3),
        "orders": [(row.working, row.average_price, row.ts) for row in reader.orders(states=[OrderState.FILLED])],
        "steps": [(d.states, [f.fill for f in d.fills], len(d.decisions)) for d in map(reader.order, order_ids) if d],
        "decisions": [(r.seq, r.detail) for r in reader.decisions(instrument=make.SPY.id, at=make.T0 + 2 * make.DAY)],
        "denials": reader.denials(), "fills": [(row.fill, row.commission) for row in reader.fills(limit=5)],
        "requests": reader.requests(), "conflicts": [(row.seq, row.payload) for row in reader.conflicts()],
    }  # fmt: skip


def test_the_same_events_give_the_same_chain_projections_and_answers(
    postgres: PostgresStorage, storage: SqlStorage
) -> None:
    for database in (postgres.database, storage.database):
        recorded(database)
    chain = rows(storage.database, "journal")
    assert len(chain) > 70
    for table in metadata.tables:
        assert rows(postgres.database, table) == rows(storage.database, table), table
    here, there = SqlJournalReader(storage.database), SqlJournalReader(postgres.database)
    expected = everything(here)
    assert expected["steps"], expected["thinned"]
    assert everything(there) == expected


def test_the_runners_record_is_the_same_row_by_row(postgres: PostgresStorage) -> None:
    lives, found = asyncio.run(two_lives(postgres))
    others, expected = asyncio.run(two_lives(MemoryStorage()))
    assert content(found) == content(expected)
    assert [life.broker.sent for life in lives] == [life.broker.sent for life in others]


def test_migrating_gives_the_tables_of_this_version(postgres: PostgresStorage) -> None:
    with postgres.database.read.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    migrate(postgres.database)
    assert schema_version(postgres.database) == HEAD
    assert stats(postgres.database).bytes > 0


def test_two_processes_may_migrate_at_once(server: PostgresServer) -> None:
    code = (
        "import sys; from robotrader.adapters.sql.postgres import PostgresDatabase;"
        "from robotrader.adapters.sql.migrate import migrate; migrate(PostgresDatabase(sys.argv[1]))"
    )
    url = server.url()
    running = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    with PostgresDatabase(url) as database:
        assert schema_version(database) == HEAD


def test_every_commit_is_durable_by_configuration(postgres: PostgresStorage) -> None:
    with postgres.database.write.begin() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"


def test_the_read_engine_cannot_write(postgres: PostgresStorage) -> None:
    with pytest.raises(DBAPIError, match="read-only"), postgres.database.read.begin() as connection:
        connection.exec_driver_sql("DELETE FROM requests")


def test_append_only_tables_refuse_change_even_to_a_replica(postgres: PostgresStorage) -> None:
    for name in APPEND_ONLY:
        table = metadata.tables[name]
        values = {c.name: "x" if c.type.python_type is str else 1 for c in table.columns}
        with postgres.database.write.begin() as connection:
            connection.execute(insert(table).values(values))
        for statement in ("UPDATE {} SET seq = seq", "DELETE FROM {}", "TRUNCATE {}"):
            with postgres.database.write.begin() as connection:
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
                with pytest.raises(DBAPIError, match="append-only"):
                    connection.exec_driver_sql(statement.format(name))


def failed(report: VerifyReport) -> set[str]:
    checks = {"file": report.file_ok, "chain": report.chain_ok, "triggers": report.triggers_ok}
    return {name for name, ok in checks.items() if not ok} | {n for n, r in report.invariants.items() if not r.ok}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], set()),
        (["DROP TRIGGER journal_no_update ON journal"], {"triggers"}),
        (["ALTER TABLE fills DISABLE TRIGGER fills_no_delete"], {"triggers"}),
        ([PASSING], {"triggers"}),
        (["ALTER TABLE fills DISABLE TRIGGER fills_no_update",
          "UPDATE fills SET quantity = quantity + 1 WHERE exec_id = '1a' AND revision = 3",
          "ALTER TABLE fills ENABLE ALWAYS TRIGGER fills_no_update"], {"I1", "I2", "I6"}),
        (["ALTER TABLE journal DISABLE TRIGGER journal_no_update",
          "UPDATE journal SET ts_init = ts_init + 1 WHERE seq = 5",
          "ALTER TABLE journal ENABLE ALWAYS TRIGGER journal_no_update"], {"chain", "I11"}),
    ],
    ids=["nothing", "a missing guard", "a guard switched off", "a guard that lets pass", "a fill", "a row"],
)  # fmt: skip
def test_what_somebody_did_past_the_journal_is_found(
    statements: list[str], expected: set[str], postgres: PostgresStorage
) -> None:
    recorded(postgres.database)
    for statement in statements:
        with postgres.database.write.begin() as connection:
            assert connection.exec_driver_sql(statement).rowcount != 0
    found = failed(verify(postgres.database, replay=replayed))
    assert expected <= found, found
    assert bool(found) == bool(expected)


def test_what_was_committed_survives_a_kill_and_the_next_trader_takes_over(postgres: PostgresStorage) -> None:
    code = """
import asyncio, os, signal, sys
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.postgres import PostgresDatabase
from tests import builders as make

async def main():
    journal = SqlJournal(PostgresDatabase(sys.argv[1]), exclusive=True)
    assert await journal.begin_run("run-1", "code") == 1
    for day in range(3):
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(day))
    async with journal.transaction() as tx:
        tx.event(make.bars_closed(3))
        tx.flush()
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    killed = subprocess.run([sys.executable, "-c", code, postgres.url], check=False, cwd=Path.cwd())
    assert killed.returncode == -9
    assert SqlJournalReader(postgres.database).head() == 3
    journal = SqlJournal(postgres.database, exclusive=True)
    assert asyncio.run(write_bars(journal, range(5), run_id="run-2")) == 2
    assert SqlJournalReader(postgres.database).head() == 5
    asyncio.run(journal.close())


def waiting(postgres: PostgresStorage) -> bool:
    with postgres.database.read.begin() as connection:
        locks = connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(locks.scalar_one())


def test_one_trader_at_a_time_holds_the_journal(postgres: PostgresStorage) -> None:
    async def run() -> None:
        first = SqlJournal(PostgresDatabase(postgres.url, busy_timeout_s=0.2), exclusive=True)
        await first.begin_run("run-1", "code")
        with PostgresDatabase(postgres.url, busy_timeout_s=2) as other, ThreadPoolExecutor() as pool:
            second_try = pool.submit(SqlJournal, other, exclusive=True)
            assert eventually(lambda: waiting(postgres))
            async with first.transaction() as tx:
                assert tx.event(make.bars_closed(0)) == 1, "who waits for the journal does not hold up its trader"
            assert insert_request(other, HALT), "an operator may always ask"
            with pytest.raises(ConfigError, match="another trader holds"):
                second_try.result()
        await first.close()
        with PostgresDatabase(postgres.url) as other:
            second = SqlJournal(other, exclusive=True)
            assert await second.begin_run("run-2", "code") == 2
            await second.close()

    asyncio.run(run())


def forget(readers: list[SqlJournalReader]) -> None:
    readers.clear()
    gc.collect()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_leaves_the_connections_of_its_parent_alone(postgres: PostgresStorage) -> None:
    readers = [SqlJournalReader(PostgresDatabase(postgres.url))]
    assert readers[0].head() == 0
    child = get_context("fork").Process(target=forget, args=(readers,))
    child.start()
    child.join(20)
    child.kill()
    child.join()
    assert child.exitcode == 0
    assert readers[0].head() == 0


def test_a_batch_waits_its_turn_and_a_request_says_that_it_could_not(postgres: PostgresStorage) -> None:
    async def run() -> None:
        journal = postgres.open()
        await journal.begin_run("run-1", "code")
        with PostgresDatabase(postgres.url, busy_timeout_s=0.05) as other:
            async with journal.transaction():
                with pytest.raises(JournalBusy, match="flag file"):
                    insert_request(other, HALT)
            assert insert_request(other, HALT)
        await journal.close()

    asyncio.run(run())


def terminate(server: PostgresServer, journal: SqlJournal) -> None:
    """Cut the writer's connection, as a server does that restarts or a network that fails."""
    pid = journal._connection.connection.driver_connection.get_server_pid()  # type: ignore[union-attr]
    server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")


def test_a_lost_connection_stops_the_trader_and_is_not_taken_up_again(
    server: PostgresServer, postgres: PostgresStorage
) -> None:
    async def cut_off_in_a_batch(journal: SqlJournal) -> None:
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(2))
            terminate(server, journal)
            tx.raw(BrokerMessage(name="x", fields={}))

    async def run() -> None:
        journal = SqlJournal(postgres.database, exclusive=True)
        await write_bars(journal, range(2))
        with pytest.raises(InvariantViolation, match="nothing of it was kept"):
            await cut_off_in_a_batch(journal)
        with pytest.raises(InvariantViolation, match="was lost"):
            async with journal.transaction():
                pytest.fail("a batch began without the lease")
        assert SqlJournalReader(postgres.database).head() == 2
        await journal.close()
        again = SqlJournal(postgres.database, exclusive=True)
        assert len(await again.rows()) == 2
        assert await again.begin_run("run-2", "code") == 2
        await again.close()

    asyncio.run(run())


def test_a_connection_lost_while_trading_ends_the_run_before_anything_more_is_sent(
    server: PostgresServer, postgres: PostgresStorage
) -> None:
    async def run() -> None:
        first = life_on(postgres, "run-1", 0)
        journal = first.journal
        assert isinstance(journal, SqlJournal)
        first.broker.on_submit = lambda _: terminate(server, journal)
        runner = first.runner(
            batches=[[at(0)], [at(1)], [at(2)], [at(2, ended=True)]], history=[make.bars_closed(0)],
            live=[make.bars_closed(1), make.bars_closed(2)], warmup_bars=3,
        )  # fmt: skip
        await runner.start()
        with pytest.raises(InvariantViolation, match="journal"):
            await runner.run()
        assert len(first.broker.sent) == 1
        await journal.close()
        second = life_on(postgres, "run-2", 2)
        found = await second.journal.rows()
        assert [row.type for row in found][-1] == "OrderSending", "what may have reached the broker is on record"
        await second.journal.close()

    asyncio.run(run())


def test_readers_connect_anew_after_the_server_cut_them_off(server: PostgresServer, postgres: PostgresStorage) -> None:
    reader = SqlJournalReader(postgres.database)
    assert reader.head() == 0
    server.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                   "WHERE application_name = 'robotrader' AND pid <> pg_backend_pid()")  # fmt: skip
    assert reader.head() == 0


def test_a_password_comes_from_the_environment_and_is_never_shown(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.admin.replace("postgres@", f"{server.GUARDED}@")
    with PostgresDatabase(url) as database, pytest.raises(ConfigError, match="cannot be reached") as caught:
        database.exists()
    monkeypatch.setenv("PGPASSWORD", server.PASSWORD)
    with PostgresDatabase(url) as database:
        assert database.exists()
        shown = (database.place, database.read, database.read.url, vars(database), caught.value, caught.value.context)
    assert server.PASSWORD not in repr(shown)


@pytest.mark.parametrize("url", ["postgresql://me:open-sesame@db/x", "postgresql://db/x?password=open-sesame"])
def test_a_url_with_a_password_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match="PGPASSWORD") as caught:
        load_settings(environ={"ROBOTRADER__JOURNAL__URL": url})
    assert "open-sesame" not in f"{caught.value}{caught.value.context}"


def test_a_state_folder_remembers_its_server_and_keeps_to_it(server: PostgresServer, tmp_path: Path) -> None:
    url = server.url()
    bootstrap.migrate(tmp_path, url)
    assert bootstrap.journal_place(tmp_path) == url
    assert not (tmp_path / bootstrap.JOURNAL).exists()
    ack = bootstrap.request(tmp_path, Action.HALT, "test", "me")
    assert (ack.recorded, ack.flagged) == (True, True)
    assert [row.reason for row in bootstrap.reader(tmp_path).requests()] == ["test"]
    assert bootstrap.verify(tmp_path).ok
    with pytest.raises(ConfigError, match="set it back"):
        bootstrap.migrate(tmp_path, server.url())
    other = tmp_path / "other"
    bootstrap.migrate(other)
    with pytest.raises(ConfigError, match="set it back"):
        bootstrap.migrate(other, url)


def test_a_server_that_cannot_be_reached_is_named_and_a_halt_stands_all_the_same(tmp_path: Path) -> None:
    nowhere = f"postgresql://me@/journal?host={tmp_path}"
    with pytest.raises(ConfigError, match="cannot be reached"):
        bootstrap.migrate(tmp_path, nowhere)
    assert not (tmp_path / "journal.url").exists()
    (tmp_path / "journal.url").write_text(nowhere)
    ack = bootstrap.request(tmp_path, Action.HALT, "test", "me")
    assert (ack.recorded, ack.flagged) == (False, True)
    assert halt_file.read_flag(tmp_path) is not None
