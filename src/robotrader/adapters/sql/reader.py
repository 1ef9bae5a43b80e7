"""The journal as screens and reports read it: each look at it is one consistent snapshot.

`ports.JournalReader` explains the methods.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Executable, Select, Table, and_, func, null, select, text

from robotrader.adapters.sql import schema
from robotrader.adapters.sql.archive import chain_rows
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.migrate import require_current, schema_version
from robotrader.model import (
    Account,
    Bar,
    BreakOpened,
    ConditionChanged,
    Fill,
    InstrumentId,
    LinkChanged,
    Order,
    OrderId,
    OrderState,
    RunStarted,
    TradingState,
    WorkingOrder,
    decode_command,
    decode_event,
)
from robotrader.ports import (
    AccountRow,
    C,
    ConflictRow,
    DecisionRow,
    DenialRow,
    FillRow,
    MarkRow,
    OrderDetail,
    OrderRow,
    OrderStateRow,
    PositionRow,
    RequestRow,
    RunRow,
    TradingStateRow,
)

T = TypeVar("T")

# The lowest and the highest mark of each stretch stay: a chart must not hide a drawdown.
_THINNED = text("""
    WITH stretched AS (SELECT *, ntile(:stretches) OVER (ORDER BY seq) AS stretch FROM account WHERE ts >= :since),
         ranked AS (SELECT *,
             row_number() OVER (PARTITION BY stretch ORDER BY CAST(equity AS FLOAT), seq) AS low,
             row_number() OVER (PARTITION BY stretch ORDER BY CAST(equity AS FLOAT) DESC, seq DESC) AS high
         FROM stretched)
    SELECT * FROM ranked WHERE low = 1 OR high = 1 OR seq = (SELECT max(seq) FROM account) ORDER BY seq
""")


def convert(row: dict[str, Any], type_: type[T]) -> T:
    """Return a row as a value: text becomes a decimal or an enumeration, 0 and 1 become a bool."""
    return msgspec.convert(row, type_, strict=False)


class Look:
    """One snapshot of the journal; of a journal that does not exist yet, an empty one."""

    def __init__(self, connection: Connection | None) -> None:
        self._connection = connection

    @property
    def dialect(self) -> str:
        """Return the name of the database system; of an empty look, SQLite's."""
        return "sqlite" if self._connection is None else self._connection.dialect.name

    def all(self, query: Executable) -> list[dict[str, Any]]:
        """Return all rows of a query."""
        rows = self._connection.execute(query).mappings() if self._connection is not None else ()
        return [{str(k): v for k, v in row.items()} for row in rows]  # plain str: msgspec takes no subclass

    def chain(self, path: Path | None) -> list[Mapping[Any, Any]]:
        """Return the rows of the chain, archived ones included, of the journal at `path`."""
        return [] if self._connection is None else chain_rows(self._connection, path)

    def first(self, query: Executable) -> dict[str, Any] | None:
        """Return the first row of a query."""
        return next(iter(self.all(query)), None)

    def value(self, query: Executable) -> Any:
        """Return the one value that a query asks for; None where it finds none."""
        return None if self._connection is None else self._connection.execute(query).scalar()

    def row_counts(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        return {
            name: self.value(select(func.count()).select_from(t)) or 0 for name, t in schema.metadata.tables.items()
        }


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
        if not self._database.exists():
            return False
        file = self._database.identity()
        if file == self._file:
            return True
        if self._database.lasting:
            self._database.read.dispose()
        if schema_version(self._database) is None:
            return False
        require_current(self._database)
        self._file = file
        return True


class SqlStateReader:
    """Implements `ports.StateReader`."""

    def __init__(self, database: Database) -> None:
        self._session = ReadSession(database)

    def head(self) -> int:
        with self._session.look() as look:
            return look.value(select(func.max(schema.journal.c.seq))) or 0

    def run(self) -> RunRow | None:
        runs = schema.runs.c
        with self._session.look() as look:
            started = _started(look)
            if started is None:
                return None
            ends = look.all(select(runs.ended, runs.reason).where(runs.run_id == started.run_id))
        return RunRow(started=started, **ends[0])

    def trading_state(self) -> Sequence[TradingStateRow]:
        states = schema.trading_states
        latest = select(func.max(states.c.seq)).group_by(states.c.strategy, states.c.instrument)
        query = select(states).where(states.c.seq.in_(latest)).order_by(states.c.seq)
        return self._session.values(TradingStateRow, query)

    def link(self) -> LinkChanged | None:
        journal, runs = schema.journal.c, schema.runs.c
        latest = select(func.max(runs.epoch)).scalar_subquery()
        changes = select(journal.payload).where(journal.type == "LinkChanged", journal.epoch == latest)
        found = self._session.all(changes.order_by(journal.seq.desc()).limit(1))
        event = decode_event(found[0]["payload"]) if found else None
        return event if isinstance(event, LinkChanged) else None

    def breaks(self) -> Sequence[BreakOpened]:
        journal = schema.journal.c
        query = select(journal.type, journal.payload).where(journal.type.in_(("BreakOpened", "BookAdjusted")))
        tickets: dict[str, BreakOpened] = {}
        for row in self._session.all(query.order_by(journal.seq)):
            if row["type"] == "BookAdjusted":
                tickets.pop(msgspec.json.decode(row["payload"])["break_id"], None)
            elif isinstance(event := decode_event(row["payload"]), BreakOpened):
                tickets[event.break_id] = event
        return list(tickets.values())

    def compared(self) -> int:
        journal = schema.journal.c
        with self._session.look() as look:
            return look.value(select(func.max(journal.seq)).where(journal.type == "Recovered")) or 0

    def positions(self) -> Sequence[PositionRow]:
        table, bars = schema.positions, schema.bars
        last = (
            select(bars.c.close)
            .where(bars.c.instrument == table.c.instrument)
            .order_by(bars.c.ts_event.desc(), bars.c.spec.desc(), bars.c.version.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = select(table, last.label("last_price")).order_by(table.c.strategy, table.c.instrument)
        owned = self._session.values(PositionRow, query)
        return [*owned, *_aggregated(owned)]

    def books(self) -> Sequence[MarkRow]:
        books = schema.books
        latest = select(func.max(books.c.id)).group_by(books.c.strategy)
        return self._session.values(MarkRow, select(books).where(books.c.id.in_(latest)).order_by(books.c.strategy))

    def account(self) -> AccountRow:
        account, reports = schema.account, schema.broker_reports
        of_account = select(reports).where(reports.c.instrument.is_(null()))
        with self._session.look() as look:
            mark = look.first(select(account).order_by(account.c.seq.desc()).limit(1))
            report = look.first(of_account.order_by(reports.c.seq.desc()).limit(1))
        return AccountRow(
            mark=None if mark is None else convert(mark, MarkRow),
            broker=None if report is None else convert({**report, "id": report["account"]}, Account),
            reported=None if report is None else report["ts"],
        )

    def equity(self, *, since: int = 0, max_points: int = 1_000) -> Sequence[MarkRow]:
        # two marks a stretch are all marks where there are no more than max_points
        return self._session.values(MarkRow, _THINNED.bindparams(since=since, stretches=max(max_points // 2, 1)))

    def bars(self, instrument: InstrumentId, *, limit: int = 500) -> Sequence[Bar]:
        bars, other = schema.bars, schema.bars.alias()
        latest = select(func.max(other.c.version)).where(
            other.c.instrument == bars.c.instrument, other.c.ts_event == bars.c.ts_event, other.c.spec == bars.c.spec
        )
        query = select(bars).where(bars.c.instrument == instrument, bars.c.version == latest.scalar_subquery())
        return self._session.values(Bar, query.order_by(bars.c.ts_event.desc()).limit(limit))[::-1]

    def last_bar_times(self) -> dict[InstrumentId, int]:
        bars = schema.bars.c
        with self._session.look() as look:
            started = _started(look)
            ends = {
                i.id: look.value(select(func.max(bars.ts_event)).where(bars.instrument == i.id))
                for i in (started.instruments if started else ())
            }
        return {instrument: end for instrument, end in ends.items() if end is not None}


class SqlActivityReader:
    """Implements `ports.ActivityReader`."""

    def __init__(self, database: Database) -> None:
        self._session = ReadSession(database)

    def orders(
        self, *, states: Sequence[OrderState] = (), limit: int = 100, after: int | None = None
    ) -> Sequence[OrderRow]:
        query = _newest(schema.orders, limit, after)
        if states:
            query = query.where(schema.orders.c.state.in_(states))
        return [_order(row) for row in self._session.all(query)]

    def order(self, order_id: OrderId) -> OrderDetail | None:
        orders, states, fills, decisions = schema.orders.c, schema.order_states, schema.fills.c, schema.decisions
        with self._session.look() as look:
            row = look.first(select(schema.orders).where(orders.order_id == order_id))
            if row is None:
                return None
            steps = look.all(select(states).where(states.c.order_id == order_id).order_by(states.c.id))
            executions = look.all(_fills().where(fills.order_id == order_id).order_by(fills.id))
            made = look.all(select(decisions).where(decisions.c.order_id == order_id).order_by(decisions.c.id))
        return OrderDetail(
            order=_order(row),
            states=tuple(convert(step, OrderStateRow) for step in steps),
            fills=tuple(_fill(execution) for execution in executions),
            decisions=tuple(convert(_decoded(decision, "detail"), DecisionRow) for decision in made),
        )

    def fills(self, *, limit: int = 100, after: int | None = None) -> Sequence[FillRow]:
        fills = schema.fills.c
        query = _fills().order_by(fills.id.desc()).limit(limit)
        return [_fill(row) for row in self._session.all(query if after is None else query.where(fills.id < after))]

    def decisions(
        self,
        *,
        order_id: OrderId | None = None,
        instrument: InstrumentId | None = None,
        at: int | None = None,
        limit: int = 100,
    ) -> Sequence[DecisionRow]:
        decisions = schema.decisions.c
        query = _newest(schema.decisions, limit)
        if order_id is not None:
            query = query.where(decisions.order_id == order_id)
        if instrument is not None:
            query = query.where(decisions.instrument == instrument)
        if at is not None:
            query = query.where(decisions.ts_event <= at)
        return [convert(_decoded(row, "detail"), DecisionRow) for row in self._session.all(query)]

    def denials(self, *, limit: int = 100) -> Sequence[DenialRow]:
        rows = self._session.all(_newest(schema.denials, limit))
        return [convert(_decoded(row, "reasons", "checks"), DenialRow) for row in rows]

    def requests(self, *, limit: int = 100) -> Sequence[RequestRow]:
        requests, journal = schema.requests, schema.journal
        copied = and_(journal.c.type == "RequestReceived", journal.c.source_id == requests.c.id)
        query = select(requests, journal.c.seq.label("taken")).join_from(requests, journal, copied, isouter=True)
        return self._session.values(RequestRow, query.order_by(requests.c.number.desc()).limit(limit))

    def conflicts(self, *, limit: int = 100) -> Sequence[ConflictRow]:
        return self._session.values(ConflictRow, _newest(schema.conflicts, limit))

    def conditions(self) -> Sequence[ConditionChanged]:
        journal, runs = schema.journal.c, schema.runs.c
        latest = select(func.max(runs.epoch)).scalar_subquery()
        changes = select(journal.payload).where(journal.type == "ConditionChanged", journal.epoch == latest)
        found = (decode_event(row["payload"]) for row in self._session.all(changes.order_by(journal.seq)))
        last = {event.condition: event for event in found if isinstance(event, ConditionChanged)}
        return [event for event in last.values() if event.state is not TradingState.ACTIVE]

    def commands(self, kind: type[C]) -> Sequence[C]:
        journal = schema.journal.c
        found = self._session.all(select(journal.payload).where(journal.type == kind.__name__).order_by(journal.seq))
        commands = (decode_command(row["payload"]) for row in found)
        return [command for command in commands if isinstance(command, kind)]


class SqlJournalReader(SqlStateReader, SqlActivityReader):
    """Implements `ports.JournalReader`; safe to use from several threads."""


def _newest(table: Table, limit: int, after: int | None = None) -> Select[Any]:
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    return query if after is None else query.where(table.c.id < after)


def _started(look: Look) -> RunStarted | None:
    """Return the latest `RunStarted`: `runs` is tiny and names the run, the journal finds its event by key."""
    journal, runs = schema.journal.c, schema.runs.c
    latest = select(runs.run_id).where(runs.started.is_not(null())).order_by(runs.epoch.desc()).limit(1)
    found = look.value(
        select(journal.payload).where(journal.type == "RunStarted", journal.source_id == latest.scalar_subquery())
    )
    event = None if found is None else decode_event(found)
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


def _order(row: dict[str, Any]) -> OrderRow:
    row = _decoded(row, "perm_ids")
    working = {**row, "order": convert({**row, "id": row["order_id"]}, Order)}
    return convert({**row, "working": convert(working, WorkingOrder)}, OrderRow)


def _fills() -> Select[Any]:
    fills, costs = schema.fills, schema.commissions
    same = and_(costs.c.exec_id == fills.c.exec_id, costs.c.revision == fills.c.revision)
    return select(fills, costs.c.amount.label("commission")).join_from(fills, costs, same, isouter=True)


def _fill(row: dict[str, Any]) -> FillRow:
    return convert({**row, "ts": row["ts_init"], "fill": convert(row, Fill)}, FillRow)


def _decoded(row: dict[str, Any], *fields: str) -> dict[str, Any]:
    """Return the row with these JSON texts as values."""
    return {**row, **{field: msgspec.json.decode(row[field]) for field in fields}}
