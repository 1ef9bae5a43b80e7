"""Reading while somebody else writes: each look is one consistent snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Executable, func, select

from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.migrate import require_current, schema_version
from robotrader.adapters.sql.schema import metadata

T = TypeVar("T")


def convert(row: dict[str, Any], type_: type[T]) -> T:
    """Return a row as a value: text becomes a decimal or an enumeration, 0 and 1 become a bool."""
    return msgspec.convert(row, type_, strict=False)


class Look:
    """One snapshot of the journal; of a journal that does not exist yet, an empty one."""

    def __init__(self, connection: Connection | None) -> None:
        self._connection = connection

    def all(self, query: Executable) -> list[dict[str, Any]]:
        """Return all rows of a query."""
        rows = self._connection.execute(query).mappings() if self._connection is not None else ()
        return [{str(k): v for k, v in row.items()} for row in rows]  # plain str: msgspec takes no subclass

    def first(self, query: Executable) -> dict[str, Any] | None:
        """Return the first row of a query."""
        return next(iter(self.all(query)), None)

    def value(self, query: Executable) -> Any:
        """Return the one value that a query asks for; None where it finds none."""
        return None if self._connection is None else self._connection.execute(query).scalar()

    def row_counts(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        return {name: self.value(select(func.count()).select_from(t)) or 0 for name, t in metadata.tables.items()}


class ReadSession:
    """Where looks come from; each raises `ConfigError` when the journal has another schema version."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._file: int | None = None

    @contextmanager
    def look(self) -> Iterator[Look]:
        """Open one snapshot."""
        if not self._readable():
            yield Look(None)
            return
        with self._database.read.begin() as connection:
            yield Look(connection)

    def all(self, query: Executable) -> list[dict[str, Any]]:
        """Return all rows of a query, from a look of their own."""
        with self.look() as look:
            return look.all(query)

    def values(self, type_: type[T], query: Executable) -> list[T]:
        """Return all rows of a query as values."""
        return [convert(row, type_) for row in self.all(query)]

    def _readable(self) -> bool:
        """Tell whether there is a journal; notice that a restore put another file in its place."""
        path = self._database.path
        if not self._database.exists():
            return False
        file = 0 if path is None else path.stat().st_ino
        if file == self._file:
            return True
        if path is not None:
            self._database.read.dispose()
        if schema_version(self._database) is None:
            return False
        require_current(self._database)
        self._file = file
        return True
