"""Copies of a journal that can be trusted, and putting one in the journal's place. SQLite only."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select

from robotrader.adapters.parquet.durable import sync_folder
from robotrader.adapters.sql.archive import FOLDER, Segment, digest, segments
from robotrader.adapters.sql.chain import GENESIS, first_break
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.migrate import migrate, require_current, schema_version
from robotrader.adapters.sql.requests import insert_request
from robotrader.adapters.sql.schema import HEAD, journal, metadata, runs
from robotrader.data.retention import RetentionPolicy, kept
from robotrader.model import ConfigError, DataError
from robotrader.ports import RequestRow

EPOCH_LEAP = 1_000_000
"""How far the epoch jumps where nobody knows how often traders started since the copy was made."""

_STAMP = "journal-%Y%m%dT%H%M%SZ.sqlite"
_LOCK_S = 10.0
_MAGIC = b"SQLite format 3\0"


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup holds: written beside it, as `FILE.json`. `taken`: ns UTC; `archives`: the segments it needs."""

    schema: str
    seq: int
    row_hash: str
    epoch: int
    rows: dict[str, int]
    archives: tuple[str, ...]
    sha256: str
    taken: int


class Restored(Struct, frozen=True, kw_only=True):
    """A journal that was put in place: its head and epoch, and where the one before is; None if there was none."""

    seq: int
    epoch: int
    checked_by_manifest: bool
    replaced: Path | None


def manifest_of(file: Path) -> Path:
    """Return where the manifest of a backup is."""
    return file.with_name(f"{file.name}.json")


def named(folder: Path, taken: int) -> Path:
    """Return the backup of a moment (ns UTC) in a folder that rotates."""
    return folder / datetime.fromtimestamp(taken // 10**9, UTC).strftime(_STAMP)


def rotate(folder: Path, policy: RetentionPolicy) -> tuple[str, ...]:
    """Remove the backups of a folder that the policy does not keep; return their names."""
    found = {}
    for file in folder.glob("journal-*.sqlite"):
        with contextlib.suppress(ValueError):  # not one of ours
            found[datetime.strptime(file.name, _STAMP).replace(tzinfo=UTC)] = file
    gone = [file for taken, file in sorted(found.items()) if taken not in kept(found, policy)]
    for file in gone:
        file.unlink()
        manifest_of(file).unlink(missing_ok=True)
    return tuple(file.name for file in gone)


def back_up(database: Database, file: Path, *, taken: int) -> Manifest:
    """Copy the journal while its trader writes, check the copy, and only then give it its name.

    Archived segments that the copy needs go to `archive/` beside it, each once.

    Raises
    ------
    DataError
        The copy is not what was copied, or its chain is broken: nothing is left of it, look at the journal.
    """
    if database.path is None:
        raise ConfigError("only a journal in a file can be copied: back PostgreSQL up with its own tools")
    require_current(database)
    file.parent.mkdir(parents=True, exist_ok=True)
    with _draft(file) as draft:
        with database.read.begin() as connection, closing(sqlite3.connect(draft)) as copy:
            counted = _counts(connection)
            source: Any = connection.connection.driver_connection
            source.backup(copy)  # in one step, from this snapshot: in several, each write of the trader starts it over
            copy.execute("PRAGMA journal_mode=DELETE")  # one file; and what has a log is no backup, see `_refuse_torn`
        made = _examine(draft, database.path.parent / FOLDER, taken=taken)
        if made.rows != counted:
            raise DataError(f"the copy has {made.rows} rows, the journal {counted}: nothing was kept, try again")
        _bring(made.archives, database.path.parent / FOLDER, file.parent / FOLDER)
        _sync(draft)
        manifest_of(file).unlink(missing_ok=True)  # it must not speak for another file
        draft.replace(file)
    with _draft(manifest_of(file)) as draft:
        draft.write_bytes(msgspec.json.encode(made))
        _sync(draft)
        draft.replace(manifest_of(file))
    sync_folder(file.parent)
    return made


def copy_trials(ledger: Path, target: Path) -> None:
    """Copy a trial ledger while it is written; what was there before stays until the copy is whole. None is none."""
    if not ledger.exists() or ledger.resolve() == target.resolve():
        return
    with _draft(target) as draft:
        with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(draft)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            _integrity(copy, ledger)
        _sync(draft)
        draft.replace(target)
    sync_folder(target.parent)


def restore(file: Path, place: Path, *, halt: RequestRow, aside: Path) -> Restored:
    """Put a backup in the journal's `place`, with `halt` in it; the journal before it is kept in the folder `aside`.

    The next epoch is above every one that a trader of the journal before had. The caller keeps traders away.

    Raises
    ------
    DataError
        The file is torn, altered or broken, or archived rows that it needs are missing; nothing has changed.
    ConfigError
        A newer release wrote it, or another process reads the journal and does not let go.
    """
    checked = _refuse_torn(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    with _draft(place) as draft:
        shutil.copyfile(file, draft)
        with closing(sqlite3.connect(draft)) as copy:
            _integrity(copy, file)
        with Database(draft) as prepared:
            if schema_version(prepared) is None:
                raise DataError(f"{file} is no journal: it has no schema")
            migrate(prepared)
            found = _examine(draft, file.parent / FOLDER, place.parent / FOLDER, taken=halt.ts)
            known = _checkpoint(place)
            epoch = max(found.epoch, known or 0) + (1 if known is not None else EPOCH_LEAP)
            _begin(draft, epoch, halt)
            insert_request(prepared, halt)
        _checkpoint(draft)
        if known is not None:
            with contextlib.suppress(sqlite3.DatabaseError):  # too broken to be written: by its trader neither
                _begin(place, epoch, halt)  # its trader, if one lives after all, sends nothing any more
            _checkpoint(place)
        _bring(found.archives, file.parent / FOLDER, place.parent / FOLDER)
        _sync(draft)
        kept_as = _set_aside(place, aside)
        draft.replace(place)
        sync_folder(place.parent)
    return Restored(seq=found.seq, epoch=epoch, checked_by_manifest=checked, replaced=kept_as)


def _refuse_torn(file: Path) -> bool:
    """Refuse what `back_up` did not make; tell whether a manifest vouches for it."""
    if not file.is_file():
        raise DataError(f"there is no backup {file}")
    head = _head(file)
    manifest = None
    with contextlib.suppress(FileNotFoundError):
        try:
            manifest = msgspec.json.decode(manifest_of(file).read_bytes(), type=Manifest)
        except msgspec.MsgspecError as error:
            raise DataError(f"{manifest_of(file)} is no manifest of a backup: {error}; take another backup") from error
    if manifest is not None and digest(file) != manifest.sha256:
        raise DataError(f"{file} is not the backup that its manifest names: truncated or altered; take another backup")
    if head[:16] != _MAGIC:
        raise DataError(f"{file} is no SQLite database: take another backup")
    if head[18:20] != b"\x01\x01":
        raise DataError(f"{file} is the copy of a journal in use, without its write-ahead log or torn from it: what "
                        "was written last is missing; restore what `robotrader db backup` made")  # fmt: skip
    return manifest is not None


def _examine(file: Path, *archived: Path, taken: int) -> Manifest:
    """Read a copy to its end and return what it holds; `archived` are the folders where its segments may be."""
    with closing(sqlite3.connect(file)) as copy:
        _integrity(copy, file)
    with Database(file) as database, database.read.begin() as connection:
        moved, counted = segments(connection), _counts(connection)
        seq, row_hash = _follow(connection, moved)
        epoch = connection.execute(select(func.max(runs.c.epoch))).scalar() or 0
    for segment in moved:
        _whole(segment, archived)
    return Manifest(
        schema=HEAD, seq=seq, row_hash=row_hash, epoch=epoch, rows=counted, archives=tuple(s.file for s in moved),
        sha256=digest(file), taken=taken,
    )  # fmt: skip


def _follow(connection: Connection, moved: Sequence[Segment]) -> tuple[int, str]:
    """Follow the chain from its last archived row to its end, and return that."""
    seq, row_hash = (moved[-1].seq, moved[-1].row_hash) if moved else (0, GENESIS)
    hot = connection.execute(select(journal).where(journal.c.seq > seq).order_by(journal.c.seq)).mappings().all()
    broken = first_break(hot, seq=seq, last=row_hash)
    if broken is not None:
        raise DataError(f"the backup's chain is broken: {broken}; take another backup")
    return (hot[-1]["seq"], hot[-1]["row_hash"]) if hot else (seq, row_hash)


def _integrity(copy: sqlite3.Connection, file: Path) -> None:
    try:
        found = [row[0] for row in copy.execute("PRAGMA integrity_check(3)")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found != ["ok"]:
        raise DataError(f"{file} is damaged: {'; '.join(found)}; take another backup")


def _counts(connection: Connection) -> dict[str, int]:
    return {
        name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in metadata.tables.items()
    }


def _whole(segment: Segment, folders: Sequence[Path]) -> None:
    found = [folder / segment.file for folder in folders if (folder / segment.file).exists()]
    if not any(digest(file) == segment.sha256 for file in found):
        raise DataError(f"archived rows {segment.first} to {segment.seq} are missing or altered: expected "
                        f"{segment.file} in {' or '.join(map(str, folders))}")  # fmt: skip


def _bring(names: Sequence[str], source: Path, target: Path) -> None:
    """Copy the archived segments that are not there yet."""
    for name in names:
        if not (target / name).exists():
            target.mkdir(parents=True, exist_ok=True)
            with _draft(target / name) as draft:
                shutil.copyfile(source / name, draft)
                _sync(draft)
                draft.replace(target / name)


def _checkpoint(place: Path) -> int | None:
    """Write a journal's log into its file; return its highest epoch, None where there is no readable journal."""
    if not place.exists() or _head(place)[:16] != _MAGIC:  # SQLite would delete the log of what it cannot read
        return None
    try:
        with closing(sqlite3.connect(place, timeout=_LOCK_S)) as journal_:
            (busy, *_) = journal_.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            (epoch,) = journal_.execute("SELECT max(epoch) FROM runs").fetchone()
    except sqlite3.DatabaseError as error:
        if "locked" not in str(error):
            return None  # broken: perhaps why it is replaced
        busy, epoch = 1, 0
    if busy:
        raise ConfigError(f"another process holds {place}: stop it (the dashboard, a report), then restore again")
    return epoch or 0


def _begin(file: Path, epoch: int, halt: RequestRow) -> None:
    """Take a journal: no run with a lower epoch may write or send."""
    with closing(sqlite3.connect(file, timeout=_LOCK_S)) as taken, taken:
        taken.execute("INSERT INTO runs (epoch, run_id, code_version, reason) VALUES (?, ?, 'restore', ?)",
                      (epoch, f"restore-{epoch}", halt.reason))  # fmt: skip


def _head(file: Path) -> bytes:
    with file.open("rb") as content:
        return content.read(20)


def _set_aside(place: Path, aside: Path) -> Path | None:
    """Give the journal a second name, with its log; the first one stays until the new file takes it."""
    there = place.exists()
    log = place.with_name(f"{place.name}-wal")
    if there:
        aside.mkdir(parents=True)
        os.link(place, aside / place.name)
        if log.exists():
            shutil.copyfile(log, aside / log.name)
    for suffix in ("-wal", "-shm"):  # a log of the old file would be played into the new one
        place.with_name(f"{place.name}{suffix}").unlink(missing_ok=True)
    return aside / place.name if there else None


@contextlib.contextmanager
def _draft(file: Path) -> Iterator[Path]:
    """Give a name to write to, readable by its owner only; nothing of it is left behind."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    draft.touch(mode=0o600)
    try:
        yield draft
    finally:
        for suffix in ("", "-wal", "-shm", "-journal", ".lock"):
            draft.with_name(f"{draft.name}{suffix}").unlink(missing_ok=True)


def _sync(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())
