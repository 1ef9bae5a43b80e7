"""The SQL journal as a `Storage` of the conformance suite: on a file, or in memory."""

from pathlib import Path

from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.migrate import migrate
from robotrader.adapters.sql.requests import insert_request
from robotrader.ports import RequestRow


class SqlStorage:
    """One database; requests come through a connection of their own where there can be one."""

    def __init__(self, path: Path | None) -> None:
        self.database = Database(path)
        migrate(self.database)

    def open(self) -> SqlJournal:
        return SqlJournal(self.database)

    def request(self, row: RequestRow) -> bool:
        if self.database.path is None:
            return insert_request(self.database, row)
        with Database(self.database.path) as other:
            return insert_request(other, row)

    def close(self) -> None:
        self.database.close()
