"""Old rows of the journal in Parquet: written, read again and compared, named in `archives`, and only then taken out.

The chain is the archived segments followed by the database's rows. A job that dies leaves both copies or the first;
the next one finishes. SQLite only: PostgreSQL keeps its rows.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, and_, func, or_, select, text

from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.schema import BULK, HEAD, archives, bars, journal
from robotrader.adapters.sql.statements import run
from robotrader.model import NANOS_PER_SECOND, InvariantViolation

FOLDER = "archive"
"""Beside the journal: the segments, named by their last row's hash; they are never changed or deleted."""

SEGMENT_ROWS = 50_000
CHUNK_ROWS = 2_000  # a trader waits for a chunk at most
_DAY_NS = 86_400 * NANOS_PER_SECOND
_BULK = text(f"({BULK})")
_FULL_BARS = and_(journal.c.type == "BarsClosed", journal.c.payload != "")
_DUE = text("""
    SELECT coalesce((SELECT max(seq) FROM archives WHERE name = 'journal'), 0) + 1 AS first,
           min((SELECT coalesce(min(seq), 1) - 1 FROM journal WHERE epoch = head.epoch),
               (SELECT min(seq) - 1 FROM journal WHERE ts_init > head.ts_init - :age)) AS last
    FROM (SELECT epoch, ts_init FROM journal ORDER BY seq DESC LIMIT 1) AS head
""")

_DUE_BARS = text("""
    SELECT spec, count(*) AS rows, min(id) AS low, max(id) AS high, min(seq) AS first, max(seq) AS seq
    FROM bars WHERE spec <> '1d'
    AND id < (SELECT coalesce(min(id), 9e18) FROM bars WHERE spec <> '1d' AND ts_init > :newest - :age)
    GROUP BY spec
""")

Row = dict[str, Any]


class DueBars(Struct, frozen=True, kw_only=True):
    """Intraday bars of one length that are due: how many, and where."""

    spec: str
    rows: int
    low: int
    high: int
    first: int
    seq: int


class Segment(Struct, frozen=True, kw_only=True):
    """An archived stretch of the chain: rows `first` to `seq`, whose last has `row_hash`, in a file with `sha256`."""

    first: int
    seq: int
    rows: int
    row_hash: str
    file: str
    sha256: str


class Archived(Struct, frozen=True, kw_only=True):
    """What a job moved: chain rows, their segments, and how many rows left the database or lost their payload.

    `bars`: intraday bars that are in the lake instead.
    """

    rows: int
    bars: int = 0
    through: int
    segments: tuple[str, ...]
    thinned: int


def segments(connection: Connection) -> list[Segment]:
    """Return the archived segments in the chain's order."""
    fields = [archives.c[name] for name in Segment.__struct_fields__]
    found = connection.execute(select(*fields).where(archives.c.name == "journal").order_by(archives.c.seq))
    return [Segment(**row) for row in found.mappings()]


def chain_rows(connection: Connection, path: Path | None, after: int = 0) -> list[Mapping[Any, Any]]:
    """Return the rows of the chain with seq > `after`: the archived ones, then the database's at `path`.

    Raises
    ------
    InvariantViolation
        An archived segment is missing or cannot be read.
    """
    found: list[Mapping[Any, Any]] = []
    for segment in segments(connection) if path is not None else ():
        if path is not None and segment.seq > after:
            found += (row for row in read(path.parent / FOLDER / segment.file) if row["seq"] > after)
            after = segment.seq
    return [*found, *run(connection, "chain", {"after": after}).mappings()]


def read(file: Path) -> list[Row]:
    """Return the rows of a segment."""
    import polars as pl  # noqa: PLC0415 - most journals have no archive

    try:
        return list(pl.read_parquet(file, glob=False).iter_rows(named=True))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InvariantViolation(f"the journal's archive {file} cannot be read: {error}; put the file back from "
                                 "a backup", path=str(file)) from error  # fmt: skip


def due(connection: Connection, days: int) -> tuple[int, int]:
    """Return the first and last seq to archive; the last is lower where there is nothing.

    Rows move when all before them are older than `days` before the newest row; those of the last run stay.
    """
    found = connection.execute(_DUE, {"age": days * _DAY_NS}).first()
    return (1, 0) if found is None else (found.first, found.last)


def plan(database: Database, days: int) -> Archived:
    """Say what `archive` would move."""
    with database.read.begin() as connection:
        first, last = due(connection, days)
    return Archived(rows=max(last - first + 1, 0), through=max(first - 1, last), segments=(), thinned=0)


def bars_due(database: Database, days: int) -> list[DueBars]:
    """Return the intraday bars that are older than `days` before the newest row."""
    with database.read.begin() as connection:
        newest = connection.execute(select(journal.c.ts_init).order_by(journal.c.seq.desc())).scalar() or 0
        found = connection.execute(_DUE_BARS, {"newest": newest, "age": days * _DAY_NS}).mappings()
        return [DueBars(**row) for row in found]


def drop_bars(database: Database, due: DueBars) -> int:
    """Take bars out that the lake has; their events stay in the chain."""
    with database.write.begin() as connection:
        known = connection.execute(select(func.max(archives.c.seq)).where(archives.c.name == "bars")).scalar() or 0
        if due.seq > known:
            connection.execute(archives.insert().values(
                name="bars", first=due.first, seq=due.seq, rows=due.rows, row_hash="", file="lake", sha256=""
            ))  # fmt: skip
    dropped = 0
    for low in range(due.low, due.high + 1, CHUNK_ROWS):
        span = bars.c.id.between(low, min(low + CHUNK_ROWS - 1, due.high))
        with database.write.begin() as connection:
            dropped += connection.execute(bars.delete().where(span, bars.c.spec == due.spec)).rowcount
    return dropped


def archive(database: Database, path: Path, days: int) -> Archived:
    """Move the rows that are due out of the journal at `path`, in segments; the trader may go on writing."""
    with database.read.begin() as connection:
        first, last = due(connection, days)
    made = [
        _move(database, path.parent / FOLDER, low, min(low + SEGMENT_ROWS - 1, last))
        for low in range(first, last + 1, SEGMENT_ROWS)
    ]
    thinned = _thin(database, max(first - 1, last))
    _vacuum(database)
    return Archived(
        rows=sum(s.rows for s in made), through=max(first - 1, last), segments=tuple(s.file for s in made),
        thinned=thinned,
    )  # fmt: skip


def _move(database: Database, folder: Path, first: int, last: int) -> Segment:
    rows_of = select(journal).where(journal.c.seq.between(first, last)).order_by(journal.c.seq)
    with database.read.begin() as connection:
        rows = [dict(row) for row in connection.execute(rows_of).mappings()]
    row_hash = rows[-1]["row_hash"]
    file = folder / f"{first:012d}-{last:012d}-{row_hash[:12]}.parquet"
    _write(file, rows)
    _compare(file, rows)
    segment = Segment(first=first, seq=last, rows=len(rows), row_hash=row_hash, file=file.name, sha256=digest(file))
    _record(database, segment)
    return segment


def _write(file: Path, rows: Sequence[Row]) -> None:
    import polars as pl  # noqa: PLC0415 - as above

    from robotrader.adapters.parquet.durable import write_table  # noqa: PLC0415 - as above

    schema = {c.name: pl.Int64 if c.type.python_type is int else pl.String for c in journal.columns}
    write_table(pl.DataFrame(rows, schema=schema, orient="row"), file, {
        "schema": HEAD, "first": str(rows[0]["seq"]), "last": str(rows[-1]["seq"]), "rows": str(len(rows)),
        "prev_hash": rows[0]["prev_hash"], "row_hash": rows[-1]["row_hash"],
    })  # fmt: skip


def _compare(file: Path, rows: Sequence[Row]) -> None:
    if read(file) != rows:
        raise InvariantViolation(f"{file} does not hold the rows that were written to it: nothing was deleted, "
                                 "check the disk", path=str(file))  # fmt: skip


def _record(database: Database, segment: Segment) -> None:
    with database.write.begin() as connection:
        values = {name: getattr(segment, name) for name in Segment.__struct_fields__}
        connection.execute(archives.insert().values(name="journal", **values))


def _thin(database: Database, through: int) -> int:
    """Delete what nobody looks up, and empty the bars, up to an archived row; return how many there were."""
    with database.read.begin() as connection:
        oldest = select(func.min(journal.c.seq)).where(journal.c.seq <= through, or_(_BULK, _FULL_BARS))
        start = connection.execute(oldest).scalar()
    thinned = 0
    for low in range(start, through + 1, CHUNK_ROWS) if start is not None else ():
        span = journal.c.seq.between(low, min(low + CHUNK_ROWS - 1, through))
        with database.write.begin() as connection:
            thinned += connection.execute(journal.update().where(span, _FULL_BARS).values(payload="")).rowcount
            thinned += connection.execute(journal.delete().where(span, _BULK)).rowcount
    return thinned


def _vacuum(database: Database) -> None:
    """Give the free pages back to the disk, a chunk at a time."""
    free = None
    while free != 0:
        with database.write.begin() as connection:
            driver: Any = connection.connection.driver_connection  # SQLAlchemy takes one step only: it sees no rows
            driver.execute(f"PRAGMA incremental_vacuum({CHUNK_ROWS})").fetchall()
            left = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        free = 0 if left == free else left


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
