"""Two engines on one file: one that writes and one that cannot."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Pool, StaticPool, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

from robotrader.model import ConfigError

BUSY_TIMEOUT_S = 5.0

_WRITE_PRAGMAS = (
    "auto_vacuum=INCREMENTAL",  # takes effect before the first table only
    "synchronous=FULL",  # NORMAL may lose the last commits at power loss
    "foreign_keys=ON",
    "cache_size=-16384",  # KiB: with the default, 500 instruments' bars cost twice the time
    "recursive_triggers=ON",  # else REPLACE deletes rows past the append-only triggers
)


class Database:
    """A journal database: a SQLite file, or memory (`path` None), which lives as long as this object.

    `place` names it in messages; a `lasting` one is there for other connections too.

    `write` begins with BEGIN IMMEDIATE: a deferred transaction that reads and then writes fails at once
    when another process wrote in between, whatever the busy timeout. In memory both engines share one
    connection, so nothing may read through `read` inside a write transaction.
    """

    def __init__(self, path: Path | None, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self.place = str(path or "memory")
        self.lasting = path is not None
        self._timeout_s = busy_timeout_s
        self.write = _engine(self._writer, "BEGIN IMMEDIATE", StaticPool if path is None else NullPool)
        self.read = self.write if path is None else _engine(self._reader, "BEGIN", QueuePool)

    def exists(self) -> bool:
        """Tell whether there is anything to read."""
        return self.path is None or self.path.is_file()

    def identity(self) -> int:
        """Return what changes when a restore puts another database in the place of this one."""
        return 0 if self.path is None else self.path.stat().st_ino

    def take_lease(self, connection: Connection) -> None:
        """Hold the journal for the life of a connection; the lock of its state folder already does that for a file."""

    def size(self) -> int:
        """Return the bytes of the file with its write-ahead log."""
        files = () if self.path is None else (Path(f"{self.path}{end}") for end in ("", "-wal", "-shm"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Close all connections; memory is lost."""
        self.write.dispose()
        self.read.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _writer(self) -> sqlite3.Connection:
        name = ":memory:" if self.path is None else str(self.path)
        connection = self._connect(name, uri=False)
        for pragma in _WRITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        wanted = "memory" if self.path is None else "wal"
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != wanted:  # SQLite reports failure by the value only
            raise ConfigError(f"{name}: journal_mode must be {wanted}, found {mode}: use a local disk", path=name)
        return connection

    def _reader(self) -> sqlite3.Connection:
        # mode=rw never creates the file, and unlike ro it can recover the WAL of a killed writer.
        connection = self._connect(f"file:{quote(str(self.path))}?mode=rw", uri=True)
        connection.execute("PRAGMA query_only=ON")
        return connection

    def _connect(self, name: str, *, uri: bool) -> sqlite3.Connection:
        # isolation_level None: the driver begins nothing by itself, the engines do.
        return sqlite3.connect(name, timeout=self._timeout_s, isolation_level=None, check_same_thread=False, uri=uri)


def _engine(connect: Callable[[], sqlite3.Connection], begin: str, pool: type[Pool]) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=pool, paramstyle="named")
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine
