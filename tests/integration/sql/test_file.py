"""The journal on a real file: durability, locking, guards, migration, several processes."""

import asyncio
import hashlib
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert
from sqlalchemy.exc import DatabaseError

import robotrader.adapters.sql.migrate as migrate_module
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.migrate import migrate, schema_version
from robotrader.adapters.sql.reader import ReadSession, SqlJournalReader
from robotrader.adapters.sql.requests import insert_request
from robotrader.adapters.sql.schema import APPEND_ONLY, HEAD, metadata
from robotrader.model import Action, ConfigError, InvariantViolation, JournalFailure
from robotrader.ports import BrokerMessage, JournalBusy, RequestRow
from tests import builders as make
from tests.conformance.journal import CHECKS, Check, check_journal
from tests.conformance.journal_sql import SqlStorage

FIRST_SCHEMA = "91c1ca9c69999126b6b9b10544494d89403e764d7e2a98ffb316fc6659ee617d"
HALT = RequestRow(id="halt-1", ts=1, action=Action.HALT, reason="test", actor="me")


@pytest.mark.parametrize("check", CHECKS)
def test_conformance(check: Check, storage: SqlStorage) -> None:
    check_journal(check, storage)


async def write_bars(database: Database, days: int, *, run_id: str = "run-1") -> None:
    journal = SqlJournal(database)
    await journal.begin_run(run_id, "code")
    for day in range(days):
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(day))
    await journal.close()


def test_every_commit_is_durable_by_configuration(database: Database) -> None:
    with database.write.begin() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("auto_vacuum", 2)):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value


def test_the_read_engine_cannot_write(database: Database) -> None:
    with database.read.begin() as connection, pytest.raises(DatabaseError, match="readonly"):
        connection.exec_driver_sql(
            "INSERT INTO requests (id, ts, action, reason, actor) VALUES ('a', 1, 'b', 'c', 'd')"
        )


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["UPDATE {} SET seq = seq", "DELETE FROM {}"])
def test_append_only_tables_refuse_change(table: str, statement: str, database: Database) -> None:
    target = metadata.tables[table]
    values = {c.name: "x" if c.type.python_type is str else 1 for c in target.columns}
    with database.write.begin() as connection:
        connection.execute(insert(target).values(values))
    with pytest.raises(DatabaseError, match="append-only"), database.write.begin() as connection:
        connection.exec_driver_sql(statement.format(table))


def test_replace_cannot_pass_the_guards(database: Database) -> None:
    asyncio.run(write_bars(database, 1))
    with pytest.raises(DatabaseError, match="append-only"), database.write.begin() as connection:
        connection.exec_driver_sql("INSERT OR REPLACE INTO journal SELECT * FROM journal")


def test_a_reader_sees_only_whole_batches_while_the_trader_writes(database: Database) -> None:
    reader = SqlJournalReader(database)

    async def run() -> None:
        journal = SqlJournal(database)
        await journal.begin_run("run-1", "code")
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(0))
            tx.raw(BrokerMessage(name="x", fields={}))
            assert reader.head() == 0
        assert reader.head() == 2
        await journal.close()

    asyncio.run(run())


def test_readers_in_threads_never_see_half_a_batch(database: Database) -> None:
    session = ReadSession(database)

    def look(_: int) -> tuple[int, int]:
        with session.look() as look:
            counts = look.row_counts()
        return counts["journal"], counts["bars"]

    with ThreadPoolExecutor(4) as pool:
        looks = pool.map(look, range(200))
        asyncio.run(write_bars(database, 50))
        assert all(2 * journal == bars for journal, bars in looks)
    assert SqlJournalReader(database).head() == 50


def test_a_reader_waits_for_a_journal_that_does_not_exist_yet(tmp_path: Path) -> None:
    with Database(tmp_path / "state" / "journal.sqlite") as database:
        reader = SqlJournalReader(database)
        assert (reader.head(), reader.run(), list(reader.orders())) == (0, None, [])
        assert not (tmp_path / "state").exists(), "reading creates nothing"
        migrate(database)
        asyncio.run(write_bars(database, 2))
        assert reader.head() == 2


def test_a_reader_notices_a_restored_file(tmp_path: Path) -> None:
    old, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    for path, days in ((old, 3), (new, 1)):
        with Database(path) as database:
            migrate(database)
            asyncio.run(write_bars(database, days))
    with Database(old) as database:
        reader = SqlJournalReader(database)
        assert reader.head() == 3
        new.replace(old)
        assert reader.head() == 1


def test_a_journal_of_another_schema_is_refused(database: Database) -> None:
    with database.write.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for use in (lambda: SqlJournal(database), SqlJournalReader(database).head, lambda: migrate(database)):
        with pytest.raises(ConfigError, match="9999"):
            use()


def test_migrating_gives_the_tables_of_this_version(database: Database) -> None:
    with database.read.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        strict = connection.exec_driver_sql("SELECT name FROM pragma_table_list WHERE strict AND schema = 'main'")
        assert {row[0] for row in strict} == set(metadata.tables)
    config = Config()
    config.set_main_option("script_location", str(Path(migrate_module.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_the_first_schema_is_never_changed_in_place(tmp_path: Path) -> None:
    """A table that changes is a new migration; the first one then gets a copy of the tables as they were."""
    first, config = Database(tmp_path / "first.sqlite"), Config()
    config.set_main_option("script_location", str(Path(migrate_module.__file__).parent / "migrations"))
    with first.write.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")  # before any table changed
    with first.read.begin() as connection:
        made = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger' AND tbl_name <> 'archives' "
            "ORDER BY name"
        )
        text = "\n".join(row[0] for row in made)
    first.close()
    assert hashlib.sha256(text.encode()).hexdigest() == FIRST_SCHEMA


def test_migrating_again_changes_nothing(database: Database) -> None:
    asyncio.run(write_bars(database, 1))
    migrate(database)
    assert schema_version(database) == HEAD
    assert SqlJournalReader(database).head() == 1


def test_two_processes_may_migrate_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from robotrader.adapters.sql.engine import Database;"
        "from robotrader.adapters.sql.migrate import migrate; migrate(Database(Path(sys.argv[1])))"
    )
    path = tmp_path / "journal.sqlite"
    running = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    with Database(path) as database:
        assert schema_version(database) == HEAD


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    with Database(tmp_path / "journal.sqlite") as database:
        migrate(database)
    assert (tmp_path / "journal.sqlite").stat().st_mode & 0o077 == 0


def test_paths_with_odd_characters_work(tmp_path: Path) -> None:
    with Database(tmp_path / "a b%20?#ü.sqlite") as database:
        migrate(database)
        asyncio.run(write_bars(database, 1))
        assert SqlJournalReader(database).head() == 1


def test_what_was_committed_survives_a_kill(database: Database) -> None:
    code = """
import asyncio, os, signal, sys
from pathlib import Path
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from tests import builders as make

async def main():
    journal = SqlJournal(Database(Path(sys.argv[1])))
    await journal.begin_run("run-1", "code")
    for day in range(3):
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(day))
    async with journal.transaction() as tx:
        tx.event(make.bars_closed(3))
        tx.flush()
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    killed = subprocess.run([sys.executable, "-c", code, str(database.path)], check=False, cwd=Path.cwd())
    assert killed.returncode == -9
    assert SqlJournalReader(database).head() == 3
    asyncio.run(write_bars(database, 5, run_id="run-2"))
    assert SqlJournalReader(database).head() == 5


def test_a_locked_database_leaves_the_flag_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Database(path, busy_timeout_s=0.05) as database:
        migrate(database)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalBusy, match="flag file"):
            insert_request(database, HALT)
        holder.execute("ROLLBACK")
        holder.close()
        assert insert_request(database, HALT)


def test_a_request_needs_a_journal(tmp_path: Path) -> None:
    with Database(tmp_path / "journal.sqlite") as database, pytest.raises(ConfigError):
        insert_request(database, HALT)
    assert not (tmp_path / "journal.sqlite").exists()


def test_a_locked_database_stops_a_batch_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"

    async def run(database: Database) -> None:
        journal = SqlJournal(database)
        await journal.begin_run("run-1", "code")
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalFailure, match="locked"):
            async with journal.transaction():
                pytest.fail("a batch began without the lock")
        assert await journal.open_requests() == [], "reading goes on"
        holder.execute("ROLLBACK")
        holder.close()
        async with journal.transaction() as tx:
            assert tx.event(make.bars_closed(0)) == 1
        await journal.close()

    with Database(path, busy_timeout_s=0.05) as database:
        migrate(database)
        asyncio.run(run(database))


def test_a_full_disk_leaves_nothing_of_the_batch(database: Database) -> None:
    async def run() -> None:
        journal = SqlJournal(database)
        await journal.begin_run("run-1", "code")
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(0))
        driver = journal._connection.connection.driver_connection
        assert driver is not None
        (pages,) = driver.execute("PRAGMA page_count").fetchone()
        driver.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(JournalFailure, match="full"):
            await write_much(journal)
        driver.execute("PRAGMA max_page_count=1000000")
        async with journal.transaction() as tx:
            assert tx.event(make.bars_closed(1)) == 2
        assert len(await journal.rows()) == 2
        await journal.close()

    async def write_much(journal: SqlJournal) -> None:
        async with journal.transaction() as tx:
            tx.event(make.filled(make.order()))
            tx.raw(BrokerMessage(name="big", fields={"text": "x" * 100_000}))

    asyncio.run(run())


def test_the_slowest_batch_is_its_wait_and_its_commit_without_what_was_thought_between(database: Database) -> None:
    times = iter([0.0] * 4 + [0.0, 1.5, 100.0, 100.25] + [200.0, 200.5, 200.5, 200.5])

    async def run() -> None:
        journal = SqlJournal(database, timer=lambda: next(times))
        await journal.begin_run("run-1", "code")
        for day in range(2):
            async with journal.transaction() as tx:
                tx.event(make.bars_closed(day))
        assert journal.slowest_s() == 1.75
        assert journal.slowest_s() == 0.0
        await journal.close()

    asyncio.run(run())


def test_a_foreign_row_stops_the_writer(database: Database) -> None:
    """Somebody who writes past the journal is noticed at the next batch."""

    async def run() -> None:
        journal = SqlJournal(database)
        await journal.begin_run("run-1", "code")
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(0))
        with database.write.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO journal SELECT 2, run_id, epoch, kind, type, 'other', cause, ts_event, ts_init, payload,"
                "payload_hash, row_hash, 'x' FROM journal"
            )
        with pytest.raises(InvariantViolation, match="something else wrote"):
            async with journal.transaction():
                pass
        with pytest.raises(InvariantViolation, match="chain is broken"):
            await journal.rows()
        await journal.close()

    asyncio.run(run())
