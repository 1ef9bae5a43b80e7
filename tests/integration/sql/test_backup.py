"""A backup is whole or is not there; what is torn is refused; a restored journal halts and fences what was before."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from robotrader.adapters.sql import archive as job
from robotrader.adapters.sql import backup
from robotrader.adapters.sql.backup import EPOCH_LEAP, Manifest, Restored, back_up, manifest_of, named, restore, rotate
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.migrate import migrate, schema_version
from robotrader.adapters.sql.reader import SqlJournalReader
from robotrader.adapters.sql.schema import HEAD
from robotrader.adapters.sql.verify import verify
from robotrader.data.retention import RetentionPolicy
from robotrader.model import Action, ConfigError, DataError, InvariantViolation
from robotrader.ports import RequestRow
from tests import builders as make
from tests.conformance.journal_sql import SqlStorage
from tests.integration.sql.recorded import record_session, replayed
from tests.integration.sql.test_archive import two_runs

HALT = RequestRow(id="restore-1", ts=7, action=Action.HALT, reason="restored", actor="restore")
NOW = 1_795_408_983_000_000_000


@pytest.fixture
def recorded(storage: SqlStorage) -> SqlStorage:
    asyncio.run(record_session(storage.open()))
    return storage


def copied(storage: SqlStorage, tmp_path: Path) -> Path:
    file = tmp_path / "backups" / "b.sqlite"
    back_up(storage.database, file, taken=NOW)
    return file


def put_back(file: Path, place: Path) -> Restored:
    return restore(file, place, halt=HALT, aside=place.parent / "replaced")


def begun(place: Path) -> int:
    """Start a run and return its epoch."""

    async def begin() -> int:
        journal = SqlJournal(database)
        epoch = await journal.begin_run("next", "test")
        await journal.close()
        return epoch

    with Database(place) as database:
        return asyncio.run(begin())


def test_a_backup_is_the_journal_and_its_manifest_says_so(recorded: SqlStorage, tmp_path: Path) -> None:
    file = copied(recorded, tmp_path)
    with Database(file) as copy:
        report = verify(copy, replay=replayed)
        assert report.ok, report
        head = SqlJournalReader(copy).head()
    assert head == SqlJournalReader(recorded.database).head()
    manifest = msgspec.json.decode(manifest_of(file).read_bytes(), type=Manifest)
    assert (manifest.seq, manifest.schema, manifest.taken, manifest.epoch) == (head, HEAD, NOW, 1)
    assert manifest.sha256 == job.digest(file)
    assert manifest.rows["journal"] == head
    assert {f.name for f in file.parent.iterdir()} == {"b.sqlite", "b.sqlite.json"}, "and nothing else is left"
    assert file.stat().st_mode & 0o077 == 0


def test_a_backup_taken_in_the_middle_of_a_batch_has_the_batches_before(recorded: SqlStorage, tmp_path: Path) -> None:
    async def trade() -> Manifest:
        journal = recorded.open()
        await journal.rows()
        await journal.begin_run("run-2", "test")
        async with journal.transaction() as tx:
            tx.event(make.bars_closed(10))
            made = back_up(recorded.database, tmp_path / "b.sqlite", taken=NOW)
        await journal.close()
        return made

    made = asyncio.run(trade())
    assert made.seq == SqlJournalReader(recorded.database).head() - 1
    assert put_back(tmp_path / "b.sqlite", tmp_path / "other" / "journal.sqlite").seq == made.seq


@pytest.mark.parametrize("step", ["_examine", "_bring", "_sync"])
def test_a_backup_that_dies_leaves_the_one_before(
    step: str, recorded: SqlStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = copied(recorded, tmp_path)
    before = file.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(backup, step, full)
        with pytest.raises(OSError, match="No space"):
            back_up(recorded.database, file, taken=NOW + 1)
    assert file.read_bytes() == before
    assert put_back(file, tmp_path / "other" / "journal.sqlite").seq > 0


def test_a_journal_whose_chain_is_broken_is_not_backed_up(recorded: SqlStorage, tmp_path: Path) -> None:
    _tamper(recorded.database.path)
    with pytest.raises(DataError, match="chain is broken"):
        back_up(recorded.database, tmp_path / "b.sqlite", taken=NOW)
    assert not (tmp_path / "b.sqlite").exists()


def _tamper(path: Path | None) -> None:
    assert path is not None
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DROP TRIGGER journal_no_update")
        other.execute("UPDATE journal SET payload = replace(payload, '100.25', '100.26') WHERE type = 'OrderFilled'")


def test_a_restored_journal_is_halted_and_the_one_before_is_kept(recorded: SqlStorage, tmp_path: Path) -> None:
    file, place = copied(recorded, tmp_path), recorded.database.path
    assert place is not None
    asyncio.run(_more(recorded))
    replaced_head = SqlJournalReader(recorded.database).head()
    recorded.close()
    done = put_back(file, place)
    assert (done.checked_by_manifest, done.replaced) == (True, place.parent / "replaced" / place.name)
    with Database(place) as now, Database(place.parent / "replaced" / place.name) as then:
        assert SqlJournalReader(now).head() == done.seq == replaced_head - 1
        assert SqlJournalReader(then).head() == replaced_head
        assert verify(now, replay=replayed).ok
        (asked,) = asyncio.run(SqlJournal(now).open_requests())
        assert (asked.action, asked.actor) == (Action.HALT, "restore")


async def _more(storage: SqlStorage) -> None:
    journal = storage.open()
    await journal.rows()
    await journal.begin_run("run-2", "test")
    async with journal.transaction() as tx:
        tx.event(make.bars_closed(10))
    await journal.close()


def test_the_next_epoch_is_above_every_one_before(recorded: SqlStorage, tmp_path: Path) -> None:
    """A trader of the replaced journal that still lives somewhere must never pass for the new one."""
    file, place = copied(recorded, tmp_path), recorded.database.path
    assert place is not None
    recorded.close()
    for run in range(5):
        with Database(place) as database:
            asyncio.run(_begin(database, f"run-{run + 2}"))
    assert put_back(file, place).epoch == 7
    assert begun(place) == 8
    shutil.rmtree(place.parent / "replaced")
    assert put_back(file, place).epoch == 9


def test_a_trader_of_the_replaced_journal_is_fenced(recorded: SqlStorage, tmp_path: Path) -> None:
    """Its lock was deleted, it was frozen, and wakes up after the restore: it neither writes nor sends."""
    file, place = copied(recorded, tmp_path), recorded.database.path
    assert place is not None

    async def outlive() -> None:
        zombie = recorded.open()
        await zombie.rows()
        epoch = await zombie.begin_run("zombie", "test")
        done = put_back(file, place)
        assert done.epoch > epoch
        with pytest.raises(InvariantViolation, match="another trader took the journal"):
            async with zombie.transaction():
                pass
        await zombie.close()

    asyncio.run(outlive())


async def _begin(database: Database, run_id: str) -> None:
    journal = SqlJournal(database)
    await journal.rows()
    await journal.begin_run(run_id, "test")
    await journal.close()


@pytest.mark.parametrize("before", ["none", "broken"])
def test_where_nobody_knows_the_last_epoch_it_leaps(before: str, recorded: SqlStorage, tmp_path: Path) -> None:
    file, place = copied(recorded, tmp_path), tmp_path / "other" / "journal.sqlite"
    if before == "broken":
        place.parent.mkdir()
        place.write_bytes(b"no database at all " * 400)
        _with_log(recorded, lambda live: shutil.copyfile(f"{live}-wal", f"{place}-wal"))
    done = put_back(file, place)
    assert begun(place) == done.epoch + 1 == 1 + EPOCH_LEAP + 1
    with Database(place) as database:
        assert verify(database, replay=replayed).ok
    kept = place.parent / "replaced"
    assert sorted(f.name for f in kept.glob("*")) == ([] if before == "none" else ["journal.sqlite",
                                                                                 "journal.sqlite-wal"])  # fmt: skip


def test_a_log_of_the_replaced_journal_is_not_played_into_the_new_one(recorded: SqlStorage, tmp_path: Path) -> None:
    """The trader was killed: its log is still there."""
    file, place = copied(recorded, tmp_path), tmp_path / "killed" / "journal.sqlite"
    place.parent.mkdir()
    asyncio.run(_more(recorded))
    _with_log(recorded, lambda live: [shutil.copyfile(f"{live}{s}", f"{place}{s}") for s in ("", "-wal")])
    assert place.with_name("journal.sqlite-wal").stat().st_size > 0
    head = SqlJournalReader(recorded.database).head()
    done = put_back(file, place)
    with Database(place) as now, Database(place.parent / "replaced" / place.name) as then:
        assert SqlJournalReader(now).head() == done.seq < head
        assert SqlJournalReader(then).head() == head


def _with_log(storage: SqlStorage, use: Callable[[Path], object]) -> None:
    """Hand over the journal's path while its last writes are in its log only."""
    live = storage.database.path
    assert live is not None
    with closing(sqlite3.connect(live)) as holds:  # keeps the log from being folded in
        holds.execute("SELECT 1 FROM journal").fetchone()
        asyncio.run(_again(storage))
        use(live)


async def _again(storage: SqlStorage) -> None:
    journal = storage.open()
    await journal.rows()
    await journal.begin_run("run-3", "test")
    async with journal.transaction() as tx:
        tx.event(make.bars_closed(11))
    await journal.close()


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: -3 * 4096])


def _bare(harm: Callable[[Path], object]) -> Callable[[Path], object]:
    def harmed(file: Path) -> None:
        manifest_of(file).unlink()
        harm(file)

    return harmed


def _newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other, other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")


def _in_use(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA journal_mode=WAL")


HARMS: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "truncated": (_truncate, DataError, "truncated or altered"),
    "truncated, no manifest": (_bare(_truncate), DataError, "is damaged"),
    "one byte": (lambda f: f.write_bytes(f.read_bytes()[:-1] + b"\1"), DataError, "truncated or altered"),
    "a row changed, no manifest": (_bare(_tamper), DataError, "chain is broken"),
    "copied without its log": (_bare(_in_use), DataError, "without its write-ahead log"),
    "newer schema": (_bare(_newer), ConfigError, "9999"),
    "no database": (_bare(lambda f: f.write_bytes(b"text")), DataError, "no SQLite database"),
    "empty": (_bare(lambda f: f.write_bytes(b"")), DataError, "no SQLite database"),
    "missing": (lambda f: f.unlink(), DataError, "there is no backup"),
    "torn manifest": (lambda f: manifest_of(f).write_bytes(b'{"schema"'), DataError, "no manifest"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_not_whole_is_refused_and_changes_nothing(harm: str, recorded: SqlStorage, tmp_path: Path) -> None:
    harming, error, said = HARMS[harm]
    file, place = copied(recorded, tmp_path), recorded.database.path
    assert place is not None
    recorded.close()
    before = place.read_bytes()
    harming(file)
    with pytest.raises(error, match=said):
        put_back(file, place)
    assert place.read_bytes() == before
    assert not (place.parent / "replaced").exists()
    assert not list(place.parent.glob(".*.tmp*"))


def test_a_copy_of_a_journal_in_use_is_refused(recorded: SqlStorage, tmp_path: Path) -> None:
    """The main file alone: what was written last is in the log that was left behind."""
    live = recorded.database.path
    assert live is not None
    shutil.copyfile(live, tmp_path / "copy.sqlite")
    with pytest.raises(DataError, match="without its write-ahead log"):
        put_back(tmp_path / "copy.sqlite", tmp_path / "other" / "journal.sqlite")


def test_a_backup_of_an_older_release_is_brought_up_to_date(tmp_path: Path) -> None:
    """The first schema had no archives, and requests that changed no limits."""
    old = tmp_path / "old.sqlite"
    with Database(old) as database:
        migrate(database)
        asyncio.run(_begin(database, "run-1"))
        with database.write.begin() as connection:
            for column in ("change", "approver"):
                connection.exec_driver_sql(f"ALTER TABLE requests DROP COLUMN {column}")
            connection.exec_driver_sql("DROP TABLE archives")
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with closing(sqlite3.connect(old)) as other:
        assert other.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    put_back(old, tmp_path / "journal.sqlite")
    with Database(tmp_path / "journal.sqlite") as database:
        assert schema_version(database) == HEAD
        assert verify(database).ok


def test_archived_rows_come_along(storage: SqlStorage, tmp_path: Path) -> None:
    asyncio.run(two_runs(storage))
    assert storage.database.path is not None
    (segment,) = job.archive(storage.database, storage.database.path, 365).segments
    file, place = copied(storage, tmp_path), tmp_path / "new" / "journal.sqlite"
    put_back(file, place)
    assert (place.parent / job.FOLDER / segment).exists()
    with Database(place) as database:
        report = verify(database, replay=replayed)
    assert report.ok, report
    torn = file.parent / job.FOLDER / segment
    torn.write_bytes(torn.read_bytes()[:-9])
    with pytest.raises(DataError, match="missing or altered"):
        put_back(file, tmp_path / "newer" / "journal.sqlite")


def test_a_folder_keeps_what_the_policy_says_and_nothing_else_goes(tmp_path: Path) -> None:
    day = 86_400 * 10**9
    for night in range(40):
        file = named(tmp_path, NOW - night * day)
        file.touch()
        manifest_of(file).touch()
    (tmp_path / "journal-mine.sqlite").touch()
    gone = rotate(tmp_path, RetentionPolicy(daily_backups=3, weekly_backups=2, monthly_backups=2))
    left = sorted(f.name for f in tmp_path.glob("*.sqlite"))
    assert len(gone) + len(left) == 41
    assert "journal-mine.sqlite" in left
    assert [name[8:16] for name in left[:-1]] == ["20261031", "20261121", "20261122", "20261123"]
    assert len(list(tmp_path.glob("*.json"))) == 4
    taken = datetime.fromtimestamp(NOW // 10**9, UTC)
    assert left[-2] == f"journal-{taken:%Y%m%dT%H%M%SZ}.sqlite"


def test_a_reader_that_holds_the_log_is_named(
    recorded: SqlStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, place = copied(recorded, tmp_path), recorded.database.path
    assert place is not None
    monkeypatch.setattr(backup, "_LOCK_S", 0.0)
    with closing(sqlite3.connect(place, isolation_level=None)) as dashboard:
        dashboard.execute("BEGIN")
        dashboard.execute("SELECT count(*) FROM journal").fetchone()
        asyncio.run(_more(recorded))
        with pytest.raises(ConfigError, match="another process holds"):
            put_back(file, place)
    migrate(recorded.database)
    assert put_back(file, place).seq > 0
