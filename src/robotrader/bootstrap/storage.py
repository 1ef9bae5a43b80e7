"""The journal of a state folder, and what operators ask for."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robotrader.adapters import halt_file
from robotrader.adapters.sql import location
from robotrader.adapters.sql.location import POINTER, check_place, remember, remembered_url
from robotrader.model import Action, ConfigError, InstrumentId, StrategyId

if TYPE_CHECKING:
    from robotrader.adapters.sql.engine import Database
    from robotrader.adapters.sql.verify import Stats, VerifyReport
    from robotrader.ports import JournalReader, JournalRow
    from robotrader.web.requests import RequestAck

JOURNAL = location.JOURNAL

REQUEST_TIMEOUT_S = 1.0
"""How long an operator's request waits for a locked journal; a halt stands by its flag meanwhile."""


def database(state: Path, *, url: str = "", busy_timeout_s: float = 5.0) -> "Database":
    """Return the journal's database of a state folder, or of `url`; nothing is opened yet."""
    from robotrader.adapters.sql.engine import Database

    url = url or remembered_url(state)
    if not url:
        return Database(state / JOURNAL, busy_timeout_s=busy_timeout_s)
    try:
        from robotrader.adapters.sql.postgres import PostgresDatabase

        return PostgresDatabase(url, busy_timeout_s=busy_timeout_s)
    except ModuleNotFoundError as error:
        raise ConfigError(f"a journal in PostgreSQL needs {error.name}: install robotrader[postgres]") from error


def migrate(state: Path, url: str = "") -> None:
    """Bring the journal of a state folder to the current schema, creating it if need be.

    `url` (`journal.url`): the PostgreSQL server that keeps it; the folder remembers it for every other process.
    """
    from robotrader.adapters.sql.migrate import migrate as upgrade

    state.mkdir(parents=True, exist_ok=True)
    if url:
        check_place(state, url)
    with database(state, url=url) as journal:
        upgrade(journal)
    if url:
        remember(state, url)


def has_journal(state: Path) -> bool:
    """Tell whether a state folder has a journal, be it out of reach now."""
    return any((state / name).exists() for name in (JOURNAL, POINTER))


def journal_place(state: Path) -> str:
    """Return where the journal of a state folder is: a path or a URL without secrets."""
    return remembered_url(state) or str(state / JOURNAL)


def reader(state: Path) -> "JournalReader":
    """Return a reader of the journal; one that does not exist reads as empty."""
    from robotrader.adapters.sql.reader import SqlJournalReader

    return SqlJournalReader(database(state))


def verify(state: Path) -> "VerifyReport":
    """Judge the journal of a state folder: file, chain, triggers, invariants, replay, a gateway's record beside it."""
    from robotrader.adapters.sql.verify import verify as judge
    from robotrader.engine.recovery import replay
    from robotrader.simulation.gateway.record import LOG_NAME, GatewayRecord
    from robotrader.strategy.loading import trailing_source

    # read before the journal: what the gateway received by then must be in it
    record = GatewayRecord.read(state) if (state / LOG_NAME).exists() else None
    placed = None if record is None else [
        (p.order_ref, p.order.action, int(p.order.quantity or 0))
        for p in record.placements if not p.modify and p.order_ref.startswith("RT-")
    ]  # fmt: skip
    with database(state) as journal:
        return judge(journal, replay=lambda rows: replay(rows, trailing_source), placed=placed)


def stats(state: Path) -> "Stats":
    """Return rows per table and the size of the journal."""
    from robotrader.adapters.sql.verify import stats as count

    with database(state) as journal:
        return count(journal)


async def journal_rows(state: Path) -> "Sequence[JournalRow]":
    """Return the whole chain of a state folder's journal."""
    from robotrader.adapters.sql.journal import SqlJournal

    journal = SqlJournal(database(state))
    try:
        return await journal.rows()
    finally:
        await journal.close()


def request(
    state: Path, action: Action, reason: str, actor: str, *, console: bool = False, about: InstrumentId | None = None,
    strategy: StrategyId | None = None, limit: tuple[str, str | None] = ("", None),
) -> "RequestAck":  # fmt: skip
    """Make an operator's request durable: a row for the trader, and for a halt also the flag file.

    The flag is raised first and lowered last, so that a failure in between leaves trading halted. Only the
    console lowers it: to resume, or to go from halted to reducing. `about` is the instrument of a ticket to resolve, or
    the one instrument to halt or resume, `strategy` the one strategy, `limit` a change of one and who approved it.
    A request about a stage has what it says in the change's place.

    Raises
    ------
    JournalBusy
        The journal did not take the row; a halt still stands as a flag.
    """
    from robotrader.adapters.sql.requests import insert_request
    from robotrader.ports import JournalBusy, RequestRow
    from robotrader.web.requests import RequestAck

    now = time.time_ns()
    row = RequestRow(
        id=f"{action}-{now}-{os.getpid()}", ts=now, action=action, reason=reason, actor=actor, instrument=about,
        strategy=strategy, change=limit[0] or None, approver=limit[1],
    )  # fmt: skip
    all_of_it = about is None and strategy is None
    halting = action in {Action.HALT, Action.LOCK} and all_of_it
    if halting:
        halt_file.raise_flag(state, reason)
    try:
        with database(state, busy_timeout_s=REQUEST_TIMEOUT_S) as journal:
            recorded = journal.exists() and insert_request(journal, row)
    except (JournalBusy, ConfigError):
        if not halting:
            raise
        recorded = False  # the flag stands, whatever is wrong with the journal
    if console and all_of_it and action in {Action.REDUCE, Action.RESUME}:
        halt_file.lower_flag(state)
    return RequestAck(request_id=row.id, action=action, recorded=recorded, flagged=halting)
