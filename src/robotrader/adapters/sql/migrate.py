"""Bring a journal to the schema of this version."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import inspect

from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.schema import HEAD
from robotrader.model import ConfigError

_LOCK_TIMEOUT_S = 60.0


def schema_version(database: Database) -> str | None:
    """Return the last migration that the database has seen, None where there is no schema yet."""
    if not database.exists():
        return None
    with database.read.begin() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def require_current(database: Database) -> None:
    """Raise `ConfigError` for a database that this version cannot read: its schema is missing, older or newer."""
    found = schema_version(database)
    if found != HEAD:
        raise ConfigError(f"journal {database.place} has schema {found}, expected {HEAD}: run `robotrader db migrate`, "
                          "or use the release that wrote it if it is newer", place=database.place)  # fmt: skip


def migrate(database: Database) -> None:
    """Create the schema or bring it up to date, in one transaction; a second process waits its turn.

    Raises
    ------
    ConfigError
        A newer release wrote this database.
    """
    with _exclusive(database.path):  # a server serializes write transactions by itself
        found = schema_version(database)
        if found is None or found < HEAD:
            _upgrade(database)
        else:
            require_current(database)


def _upgrade(database: Database) -> None:
    # Alembic takes half a second to import; only the process that migrates pays for it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with database.write.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _exclusive(path: Path | None) -> Iterator[None]:
    """Hold the lock file. SQLite's own lock works on every platform and ends with its process."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # positions and account ids are nobody else's business
    lock = sqlite3.connect(path.with_name(path.name + ".lock"), timeout=_LOCK_TIMEOUT_S, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        lock.close()
