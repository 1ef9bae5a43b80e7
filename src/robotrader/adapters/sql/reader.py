"""How things stand: positions, books, trading state, bars. Implements `ports.JournalReader` with `activity`."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import func, null, select, text

from robotrader.adapters.sql import schema
from robotrader.adapters.sql.activity import SqlActivityReader
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.session import Look, ReadSession, convert, row_counts
from robotrader.model import Account, Bar, InstrumentId, RunStarted, decode_event
from robotrader.ports import AccountRow, MarkRow, PositionRow, RunRow, TradingStateRow

# The lowest and the highest mark of each stretch stay: a chart must not hide a drawdown.
_THINNED = text("""
    WITH stretched AS (SELECT *, ntile(:stretches) OVER (ORDER BY seq) AS stretch FROM account WHERE ts >= :since),
         ranked AS (SELECT *,
             row_number() OVER (PARTITION BY stretch ORDER BY CAST(equity AS REAL), seq) AS low,
             row_number() OVER (PARTITION BY stretch ORDER BY CAST(equity AS REAL) DESC, seq) AS high
         FROM stretched)
    SELECT * FROM ranked WHERE low = 1 OR high = 1 OR seq = (SELECT max(seq) FROM account) ORDER BY seq
""")


class SqlStateReader:
    """Implements `ports.StateReader`."""

    def __init__(self, database: Database) -> None:
        self._session = ReadSession(database)

    def head(self) -> int:
        """Return the last seq, 0 for none."""
        with self._session.look() as look:
            found = look.first(select(func.max(schema.journal.c.seq).label("seq")))
        return (found and found["seq"]) or 0

    def run(self) -> RunRow | None:
        """Return the latest run."""
        with self._session.look() as look:
            started = _started(look)
            if started is None:
                return None
            runs = schema.runs.c
            ends = look.first(select(runs.ended, runs.reason).where(runs.run_id == started.run_id))
        return RunRow(started=started, **(ends or {"ended": None, "reason": None}))

    def trading_state(self) -> Sequence[TradingStateRow]:
        """Return the latest state of every scope."""
        states = schema.trading_states
        latest = select(func.max(states.c.seq)).group_by(states.c.strategy, states.c.instrument)
        return self._session.rows(
            TradingStateRow, select(states).where(states.c.seq.in_(latest)).order_by(states.c.seq)
        )

    def positions(self) -> Sequence[PositionRow]:
        """Return all positions: per strategy, then the account's."""
        table, bars = schema.positions, schema.bars
        last = (
            select(bars.c.close)
            .where(bars.c.instrument == table.c.instrument)
            .order_by(bars.c.ts_event.desc(), bars.c.spec.desc(), bars.c.version.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = select(table, last.label("last_price")).order_by(table.c.strategy, table.c.instrument)
        owned = self._session.rows(PositionRow, query)
        return [*owned, *_aggregated(owned)]

    def books(self) -> Sequence[MarkRow]:
        """Return each strategy's last mark."""
        books = schema.books
        latest = select(func.max(books.c.id)).group_by(books.c.strategy)
        return self._session.rows(MarkRow, select(books).where(books.c.id.in_(latest)).order_by(books.c.strategy))

    def account(self) -> AccountRow:
        """Return the last mark and the broker's last report."""
        account, reports = schema.account, schema.broker_reports
        with self._session.look() as look:
            mark = look.first(select(account).order_by(account.c.seq.desc()).limit(1))
            query = select(reports).where(reports.c.instrument.is_(null())).order_by(reports.c.seq.desc()).limit(1)
            report = look.first(query)
        return AccountRow(
            mark=None if mark is None else convert(mark, MarkRow),
            broker=None if report is None else convert({**report, "id": report["account"]}, Account),
            reported=None if report is None else report["ts"],
        )

    def equity(self, *, since: int = 0, max_points: int = 1_000) -> Sequence[MarkRow]:
        """Return the marks with ts >= `since`, oldest first, thinned to about `max_points`."""
        account = schema.account
        recent = account.c.ts >= since
        with self._session.look() as look:
            found = look.first(select(func.count().label("marks")).select_from(account).where(recent))
            if found is not None and found["marks"] > max_points:
                thinned = _THINNED.bindparams(since=since, stretches=max(max_points // 2, 1))
                return [convert(row, MarkRow) for row in look.all(thinned)]
            marks = look.all(select(account).where(recent).order_by(account.c.seq))
        return [convert(row, MarkRow) for row in marks]

    def bars(self, instrument: InstrumentId, *, limit: int = 500) -> Sequence[Bar]:
        """Return the last bars in their latest version, oldest first."""
        bars, other = schema.bars, schema.bars.alias()
        latest = select(func.max(other.c.version)).where(
            other.c.instrument == bars.c.instrument, other.c.ts_event == bars.c.ts_event, other.c.spec == bars.c.spec
        )
        query = select(bars).where(bars.c.instrument == instrument, bars.c.version == latest.scalar_subquery())
        return self._session.rows(Bar, query.order_by(bars.c.ts_event.desc()).limit(limit))[::-1]

    def last_bar_times(self) -> dict[InstrumentId, int]:
        """Return the end of the last bar of each instrument of the latest run."""
        bars = schema.bars.c
        found: dict[InstrumentId, int] = {}
        with self._session.look() as look:
            started = _started(look)
            for instrument in started.instruments if started else ():
                row = look.first(select(func.max(bars.ts_event).label("ts")).where(bars.instrument == instrument.id))
                if row is not None and row["ts"] is not None:
                    found[instrument.id] = row["ts"]
        return found

    def counts(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        with self._session.look() as look:
            return row_counts(look)


class SqlJournalReader(SqlStateReader, SqlActivityReader):
    """Implements `ports.JournalReader`; safe to use from several threads."""


def _started(look: Look) -> RunStarted | None:
    """Return the latest `RunStarted`."""
    journal = schema.journal.c
    query = select(journal.payload).where(journal.type == "RunStarted")
    # runs is tiny and tells the latest run; the journal then finds its event by key.
    latest = select(schema.runs.c.run_id).where(schema.runs.c.started.is_not(null()))
    run_id = latest.order_by(schema.runs.c.epoch.desc()).limit(1).scalar_subquery()
    row = look.first(query.where(journal.source_id == run_id))
    if row is None:
        return None
    event = decode_event(row["payload"])
    return event if isinstance(event, RunStarted) else None


def _aggregated(owned: Sequence[PositionRow]) -> list[PositionRow]:
    """Return the account's positions: the sum over the strategies."""
    by_instrument: defaultdict[InstrumentId, list[PositionRow]] = defaultdict(list)
    for row in owned:
        by_instrument[row.instrument].append(row)
    return [
        PositionRow(
            strategy=None,
            instrument=instrument,
            quantity=sum(row.quantity for row in rows),
            average_price=None,
            realized_pnl=sum((row.realized_pnl for row in rows), Decimal(0)),
            last_price=rows[0].last_price,
            ts=max(row.ts for row in rows),
        )
        for instrument, rows in sorted(by_instrument.items())
    ]
