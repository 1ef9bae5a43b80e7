"""The one thing that another process may write: an operator's request."""

from msgspec import structs
from sqlalchemy.exc import DBAPIError

from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.migrate import require_current
from robotrader.adapters.sql.statements import run
from robotrader.ports import JournalBusy, RequestRow


def insert_request(database: Database, request: RequestRow) -> bool:
    """Leave a request for the trader; False if a request of this id is already there.

    Raises
    ------
    JournalBusy
        The database stayed locked for the busy timeout, or cannot be written: the flag file still works.
    ConfigError
        There is no journal of this schema: no trader ever ran on this state.
    """
    try:
        require_current(database)
        with database.write.begin() as connection:
            return run(connection, "requests", structs.asdict(request)).rowcount == 1
    except DBAPIError as error:
        raise JournalBusy(f"the request was not taken by {database.place}: {error.orig}; use the flag file",
                          request=request.id) from error  # fmt: skip
