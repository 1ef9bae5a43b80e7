"""PostgreSQL behind the same synchronous engines as SQLite: asyncpg on a thread of its own.

The only driver with a licence that fits is asynchronous, while the writer is synchronous on purpose (ADR 0002).
So each call of the driver runs on the loop of one background thread, and its caller waits. Everything above the
driver (statements, transactions, migrations, readers) is then the same code on both databases.
"""

import asyncio
import atexit
import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from threading import Thread, current_thread
from typing import Any
from weakref import finalize

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, Pool, QueuePool
from sqlalchemy.util.concurrency import greenlet_spawn

from robotrader.adapters.sql.engine import BUSY_TIMEOUT_S, Database
from robotrader.adapters.sql.location import checked_url
from robotrader.model import ConfigError

_ANSWER_TIMEOUT_S = 30.0  # a server that is silent for so long is lost
_DURABLE = {
    "synchronous_commit": "on",
    # a writer whose machine vanished must not keep its locks for the two hours of the system's default
    "tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3",
}  # fmt: skip

# Locks are per journal: several may share a database, each in a schema of its own.
_LOCK = "SELECT {}({}, hashtext(current_schema()))"
_BEGIN_IMMEDIATE = _LOCK.format("pg_advisory_xact_lock", 1_380_207_151)
_LEASE = _LOCK.format("pg_advisory_lock", 1_380_207_152)

_ON_CONNECTION = frozenset({"commit", "rollback", "close", "ping", "terminate", "set_isolation_level"})
_ON_CURSOR = frozenset({"execute", "executemany"})


class PostgresDatabase(Database):
    """A journal in PostgreSQL, in the first schema of the search path.

    A write transaction begins with an advisory lock, which is what BEGIN IMMEDIATE is to SQLite: what it reads
    stays true until it commits. A read transaction is REPEATABLE READ: one snapshot, and read only.

    Parameters
    ----------
    url : str
        `postgresql://user@host:port/database?sslmode=verify-full`, without a password: that comes from PGPASSWORD or
        the password file (PGPASSFILE, ~/.pgpass), as for every PostgreSQL client.
    """

    def __init__(self, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = None
        self.place = checked_url(url)
        self.lasting = True
        write = {**_DURABLE, "lock_timeout": f"{busy_timeout_s * 1000:.0f}ms"}
        self.write = _engine(url, write, busy_timeout_s, poolclass=NullPool)
        event.listen(self.write, "begin", lambda connection: connection.exec_driver_sql(_BEGIN_IMMEDIATE))
        self.read = _engine(url, {"default_transaction_read_only": "on"}, busy_timeout_s, poolclass=QueuePool,
                            pool_pre_ping=True, isolation_level="REPEATABLE READ")  # fmt: skip
        finalize(self, _release, self.read, os.getpid()).atexit = False  # readers end without being closed

    def exists(self) -> bool:
        """Ask the server; raises `ConfigError` where it cannot be reached."""
        try:
            self.read.connect().close()
        except DBAPIError as error:
            raise ConfigError(f"the journal at {self.place} cannot be reached: {error.orig}; is the server running, "
                              "and is journal.url right?", place=self.place) from error  # fmt: skip
        return True

    def take_lease(self, connection: Connection) -> None:
        """Hold the journal as long as this connection lives: the server frees it when the process dies."""
        driver = connection.connection  # a transaction of the engine would hold up the batches of the other trader
        try:
            driver.cursor().execute(_LEASE)
            driver.commit()
        except self.write.dialect.loaded_dbapi.Error as error:
            raise ConfigError(f"another trader holds the journal at {self.place}: stop it first ({error})",
                              place=self.place) from error  # fmt: skip

    def size(self) -> int:
        """Return the bytes of the tables with their indexes."""
        tables = text("SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
                      "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace")  # fmt: skip
        with self.read.begin() as connection:
            return int(connection.execute(tables).scalar() or 0)


def _release(engine: Engine, pid: int) -> None:
    """Close what a reader left open; a forked child has its connections, but not the thread that serves them."""
    if os.getpid() == pid:
        engine.dispose()


class BlockingDialect(PGDialect_asyncpg):
    """SQLAlchemy's asyncpg dialect for synchronous callers."""

    is_async = False
    supports_statement_cache = True

    def on_connect(self) -> Callable[[Any], Any]:
        """Return what prepares a new connection; reading the catalog needs it."""
        prepare = super().on_connect()  # type: ignore[no-untyped-call]
        return lambda connection: _wait(self.loaded_dbapi.OperationalError, prepare, connection.target)

    def connect(self, *args: Any, **options: Any) -> Any:
        """Open a connection of the driver on the background loop."""
        failure = self.loaded_dbapi.OperationalError
        return _Blocking(_wait(failure, super().connect, *args, **options), _ON_CONNECTION, failure)


class _Blocking:
    """An object of the driver; its methods of these names run on the background loop until they are done."""

    def __init__(self, target: Any, names: frozenset[str], failure: Callable[..., Exception]) -> None:
        self.__dict__.update(target=target, _names=names, _failure=failure)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.target, name)
        if name == "cursor":
            return lambda *args: _Blocking(found(*args), _ON_CURSOR, self._failure)
        if name not in self._names:
            return found
        if current_thread() is _loop()[1]:  # a forgotten connection is collected there, where nothing may wait
            return self.target.driver_connection.terminate
        return partial(_wait, self._failure, found)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.target, name, value)


def _wait(failure: Callable[..., Exception], function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    try:
        return asyncio.run_coroutine_threadsafe(greenlet_spawn(function, *args, **options), _loop()[0]).result()
    except OSError as error:  # the driver passes on what the network says, and its own timeouts, as they are
        raise failure(str(error) or "no answer in time", error) from error


@cache
def _loop() -> tuple[asyncio.AbstractEventLoop, Thread]:
    """Start the background loop, once a process, and return it with its thread."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="postgresql", daemon=True)
    thread.start()

    def stop() -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    atexit.register(stop)
    return loop, thread


def _engine(
    url: str, settings: Mapping[str, str], timeout_s: float, *, poolclass: type[Pool], **options: Any
) -> Engine:
    arguments = {
        "dsn": url, "server_settings": {"application_name": "robotrader", **settings},
        "timeout": timeout_s, "command_timeout": _ANSWER_TIMEOUT_S,
    }  # fmt: skip
    return create_engine("postgresql+blocking://", connect_args=arguments, poolclass=poolclass, **options)


registry.register("postgresql.blocking", __name__, BlockingDialect.__name__)
