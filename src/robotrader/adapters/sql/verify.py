"""Judge a journal from outside: its file, its chain, its guards, and the invariants of what it says."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import func, select, text

from robotrader.adapters.sql import invariants
from robotrader.adapters.sql.chain import first_break
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.invariants import Facts, InvariantResult, Placed, Replay
from robotrader.adapters.sql.migrate import schema_version
from robotrader.adapters.sql.reader import Look, ReadSession
from robotrader.adapters.sql.schema import FOUND_TRIGGERS, expected_triggers, metadata, runs
from robotrader.model import ConfigError

_UNSAFE = text("SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'")


class VerifyReport(Struct, frozen=True, kw_only=True):
    """What was found. `events` counts the rows of the chain; an invariant with `checked` 0 proves nothing.

    Conflicts are kept, not hidden; they fail the report only where they touch an execution (I5).
    """

    ok: bool
    events: int
    file_ok: bool
    file: str
    chain_ok: bool
    chain: str
    triggers_ok: bool
    triggers: str
    conflicts: int
    invariants: dict[str, InvariantResult]


class Stats(Struct, frozen=True, kw_only=True):
    """Rows of every table, size of the file with its write-ahead log, and the schema version."""

    rows: dict[str, int]
    bytes: int
    schema: str | None


def verify(database: Database, *, replay: Replay | None = None, placed: Sequence[Placed] | None = None) -> VerifyReport:
    """Check everything in one snapshot, read only; the trader may go on writing.

    `placed`: what a gateway's record, read before, says that it received of us.

    Raises
    ------
    ConfigError
        There is no journal, or it has another schema version.
    """
    if schema_version(database) is None:
        raise ConfigError(f"there is no journal at {database.place}: nothing to verify", place=database.place)
    with ReadSession(database).look() as look:
        rows = look.chain(database.path)
        file, triggers, chain = _file(look), _triggers(look), _chain(look, rows)
        facts = Facts(rows, look, chain=chain, placed=placed)
    results = invariants.check(facts, replay)
    broken = file or triggers or chain or not all(result.ok for result in results.values())
    return VerifyReport(
        ok=not broken, events=len(rows), file_ok=not file, file=file, chain_ok=not chain, chain=chain,
        triggers_ok=not triggers, triggers=triggers, conflicts=len(facts.tables["conflicts"]), invariants=results,
    )  # fmt: skip


def stats(database: Database) -> Stats:
    """Return the numbers of `db stats`; of a journal that does not exist, zeros."""
    with ReadSession(database).look() as look:
        rows = look.row_counts()
    return Stats(rows=rows, bytes=database.size(), schema=schema_version(database))


def _file(look: Look) -> str:
    """Return SQLite's own complaint about the file, or what a server's settings put at risk; empty for none."""
    if look.dialect == "postgresql":
        off = [row["name"] for row in look.all(_UNSAFE)]
        return f"the server may lose commits: {', '.join(off)} is off" if off else ""
    found = [row["quick_check"] for row in look.all(text("PRAGMA quick_check"))]
    return "" if found == ["ok"] else "; ".join(found[:3])


def _triggers(look: Look) -> str:
    """Name the append-only triggers that are missing or altered, empty for none."""
    found = {row["name"]: row["sql"] for row in look.all(text(FOUND_TRIGGERS[look.dialect]))}
    wrong = [name for name, sql in expected_triggers(look.dialect).items() if found.get(name) != sql]
    return f"missing or altered: {', '.join(wrong)}" if wrong else ""


def _chain(look: Look, rows: Sequence[Mapping[str, Any]]) -> str:
    """Say where the chain breaks or what is missing at its end, empty for none."""
    broken = first_break(rows)
    if broken is not None:
        return broken
    head = len(rows)
    for run in look.all(select(runs).where(runs.c.last_seq > 0)):
        if run["last_seq"] > head or rows[run["last_seq"] - 1]["row_hash"] != run["last_hash"]:
            return f"run {run['run_id']} ended at seq {run['last_seq']} with another hash"
    for name, table in metadata.tables.items():
        if name != "journal" and "seq" in table.c:
            last = look.value(select(func.max(table.c.seq))) or 0
            if last > head:
                return f"the chain ends at seq {head}, but {name} knows seq {last}"
    return ""
