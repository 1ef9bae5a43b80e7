"""The writer: one sync connection, used inline on the event loop, one transaction per batch.

aiosqlite pays seven thread hops a transaction (2-4 ms against 0.5 ms) and its thread breaks seeded replay.
"""

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from robotrader.adapters.sql import projections
from robotrader.adapters.sql.archive import chain_rows
from robotrader.adapters.sql.chain import GENESIS, first_break, payload_hash, row_hash
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.migrate import require_current
from robotrader.adapters.sql.projections import Row, journal_row
from robotrader.adapters.sql.statements import run
from robotrader.model import (
    AnyCommand,
    AnyEvent,
    BarsClosed,
    ConfigError,
    InvariantViolation,
    JournalFailure,
    OrderId,
    Position,
    RequestReceived,
    Submit,
    WorkingOrder,
    encode,
)
from robotrader.ports import BrokerMessage, JournalRow, Transaction

_RAW = msgspec.json.Encoder(order="sorted")

# What a source says of an event is the same whenever we receive it, and whether or not we were warming up.
_NOT_CONTENT = ("ts_event", "ts_init", "warmup", "quotes")


class _Head(NamedTuple):
    seq: int
    row_hash: str


class _Run(NamedTuple):
    run_id: str
    epoch: int


class SqlTransaction:
    """Implements `ports.Transaction`: rows wait in memory and go out in bulk, events with a key go at once."""

    def __init__(self, connection: Connection, run: _Run, head: _Head) -> None:
        self.head = head
        self._connection = connection
        self._run = run
        self._rows: defaultdict[str, list[Row]] = defaultdict(list)
        self._orders: dict[OrderId, tuple[WorkingOrder, int, int]] = {}

    def raw(self, message: BrokerMessage) -> None:
        payload = _RAW.encode(message)
        self._append(self._seal("raw", message.name, payload, ts_event=message.ts_init, ts_init=message.ts_init))

    def event(self, event: AnyEvent) -> int | None:
        row = self._seal("event", type(event).__name__, encode(event), ts_event=event.ts_event,
                         ts_init=event.ts_init, source_id=event.source_id)  # fmt: skip
        if row["source_id"] is None:
            self._append(row)
        elif run(self._connection, "new_event", row).rowcount:
            self.head = _Head(row["seq"], row["row_hash"])
        else:
            self._known(event, row)
            return None
        self._project(projections.rows_of_event(event, self.head.seq))
        return self.head.seq

    def command(self, command: AnyCommand, cause: int) -> None:
        # an order may be submitted once only: its id is the row's key, a second one fails the batch
        key = command.order.id if isinstance(command, Submit) else None
        row = self._seal("command", type(command).__name__, encode(command), ts_event=command.ts_event,
                         ts_init=command.ts_event, source_id=key, cause=cause)  # fmt: skip
        self._append(row)
        self._project(projections.rows_of_command(command, self.head.seq))

    def project_order(self, working: WorkingOrder, ts: int) -> None:
        self._orders[working.order.id] = (working, self.head.seq, ts)
        self._rows["order_states"].append(projections.order_state_row(working, seq=self.head.seq, ts=ts))

    def project_position(self, position: Position, ts: int) -> None:
        if position.strategy is None:
            raise InvariantViolation(f"position in {position.instrument} has no owner strategy",
                                     instrument=position.instrument)  # fmt: skip
        self._rows["positions"].append(projections.row_of(position, seq=self.head.seq, ts=ts))

    def flush(self) -> None:
        """Write what waits; the fills go before the orders, whose average price they give."""
        for name in tuple(self._rows):
            self._write(name)
        self._rows["orders"] = [self._order_row(*entry) for entry in self._orders.values()]
        self._write("orders")

    def _write(self, name: str) -> None:
        rows = self._rows.pop(name, [])
        if rows:
            run(self._connection, name, rows)

    def _order_row(self, working: WorkingOrder, seq: int, ts: int) -> Row:
        average = None
        if working.filled:
            found = run(self._connection, "executions", {"order_id": working.order.id})
            average = projections.average_price((quantity, price) for quantity, price in found)
        return projections.order_row(working, average, seq=seq, ts=ts)

    def _seal(
        self, kind: Literal["event", "command", "raw"], type_: str, payload: bytes, *, ts_event: int, ts_init: int,
        source_id: str | None = None, cause: int | None = None,
    ) -> Row:  # fmt: skip
        """Return the chain's next row."""
        row = {
            "seq": self.head.seq + 1, "run_id": self._run.run_id, "epoch": self._run.epoch, "kind": kind,
            "type": type_, "source_id": source_id, "cause": cause, "ts_event": ts_event, "ts_init": ts_init,
            "payload": payload.decode(), "payload_hash": payload_hash(payload), "prev_hash": self.head.row_hash,
        }  # fmt: skip
        row["row_hash"] = row_hash(self.head.row_hash, row)
        return row

    def _append(self, row: Row) -> None:
        self._rows["journal"].append(row)
        self.head = _Head(row["seq"], row["row_hash"])

    def _project(self, rows: projections.Rows) -> None:
        for name, row in rows:
            self._rows[name].append(row)

    def _known(self, event: AnyEvent, row: Row) -> None:
        """Drop an event that came again; keep it as a conflict if it says something else now."""
        first = run(self._connection, "known", row).one()
        if isinstance(event, BarsClosed):
            self._restate(event, first.seq)
        if not first.payload:  # archived: what the bars say now has been kept
            return
        content = _content(row["payload"])
        if first.payload_hash != row["payload_hash"] and content != _content(first.payload):
            kept = {name: row[name] for name in ("type", "source_id", "payload", "ts_init")}
            self._rows["conflicts"].append({**kept, "seq": first.seq, "payload_hash": payload_hash(content)})

    def _restate(self, event: BarsClosed, seq: int) -> None:
        """Keep restated bars as new versions: never overwritten, never dropped, never decided on again."""
        self._write("bars")  # the versions of this very batch count too
        for bar in event.bars:
            row = projections.bar_row(bar, event, seq=seq, version=1)
            last = run(self._connection, "bar", row).first()
            if last is None:
                self._rows["bars"].append(row)
            elif tuple(last[1:]) != (bar.open, bar.high, bar.low, bar.close, bar.volume):
                self._rows["bars"].append({**row, "version": last.version + 1})


class SqlJournal:
    """The journal of the one trader process that writes it. Implements `ports.Journal`.

    `exclusive`: hold it to the end, so that no other trader, on whatever machine, can open it so. `timer` gives
    seconds that only go forward.

    Raises
    ------
    ConfigError
        At once, where the database does not have the schema of this version, or another trader holds it.
    InvariantViolation
        In use: another process took the journal or wrote to it, or the chain is broken.
    JournalFailure
        The database did not take a batch; nothing of that batch is kept.
    """

    def __init__(
        self, database: Database, *, exclusive: bool = False, timer: Callable[[], float] = time.monotonic
    ) -> None:
        require_current(database)
        self._database = database
        self._connection = database.write.connect()
        if exclusive:
            try:
                database.take_lease(self._connection)
            except ConfigError:
                self._connection.close()
                raise
        self._head = _Head(0, GENESIS)
        self._run: _Run | None = None
        self._read_to: int | None = None
        self._timer = timer
        self._slowest_s = 0.0

    def slowest_s(self) -> float:
        """Return the longest that a batch took since this was asked last, s: its wait for the lock, and its writes."""
        slowest, self._slowest_s = self._slowest_s, 0.0
        return slowest

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        with self._write() as connection:
            transaction = SqlTransaction(connection, self._check_writer(connection), self._head)
            yield transaction
            transaction.flush()
        self._head = transaction.head

    async def rows(self, after: int = 0) -> Sequence[JournalRow]:
        with self._read() as connection:
            found = chain_rows(connection, self._database.path, after)
        broken = first_break(found, seq=after, last=found[0]["prev_hash"] if found and after else GENESIS)
        if broken is not None:
            raise InvariantViolation(f"the journal's chain is broken: {broken}; restore a backup", after=after)
        self._read_to = found[-1]["seq"] if found else after
        return [journal_row(row) for row in found]

    async def begin_run(self, run_id: str, code_version: str) -> int:
        with self._write() as connection:
            head = _head(connection)[1]
            if self._read_to not in {None, head.seq}:
                raise InvariantViolation(f"the journal ends at {head.seq}, but was read up to {self._read_to}: "
                                         "another trader is running; stop one of them", seq=head.seq)  # fmt: skip
            parameters = {"run_id": run_id, "code_version": code_version}
            epoch = int(run(connection, "new_run", parameters).scalar_one())
        self._run, self._head = _Run(run_id, epoch), head
        return epoch

    async def end_run(self, run_id: str, reason: str) -> None:
        with self._write() as connection:
            self._check_writer(connection)
            parameters = {"run_id": run_id, "reason": reason, "seq": self._head.seq, "hash": self._head.row_hash}
            run(connection, "end_run", parameters)

    async def open_requests(self) -> Sequence[RequestReceived]:
        with self._read() as connection:
            found = run(connection, "open_requests").mappings().all()
        times = {"ts_event": 0, "ts_init": 0, "kind": "RequestReceived"}
        return [msgspec.convert({**times, **row}, RequestReceived) for row in found]

    async def close(self) -> None:
        """Close the journal and its database's connections; a database in memory lives on."""
        self._connection.close()
        if self._database.lasting:
            self._database.close()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        if self._connection.in_transaction():
            raise InvariantViolation("the journal is already in a transaction: one batch at a time")
        if self._connection.invalidated:  # a new connection would hold no lease
            raise InvariantViolation(f"the connection to the journal at {self._database.place} was lost: restart")
        began = self._timer()
        failed = "the journal did not take a batch, nothing of it was kept"
        with self._named(failed, JournalFailure), self._connection.begin():
            waited_s = self._timer() - began
            yield self._connection
            began = self._timer()  # what was thought about the batch is no fault of the database
        self._slowest_s = max(self._slowest_s, waited_s + self._timer() - began)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        if self._connection.in_transaction():
            yield self._connection
        else:
            with self._named("the journal cannot be read"), self._database.read.begin() as connection:
                yield connection

    @contextmanager
    def _named(self, failed: str, kind: type[InvariantViolation] = InvariantViolation) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise kind(f"{failed}: {cause}", place=self._database.place) from error

    def _check_writer(self, connection: Connection) -> _Run:
        """Refuse to go on where another process took over: it may hold orders that we do not know."""
        if self._run is None:
            raise InvariantViolation("no run has begun: call begin_run first")
        epoch, head = _head(connection)
        if epoch != self._run.epoch:
            raise InvariantViolation(f"run {self._run.run_id} has epoch {self._run.epoch}, but epoch {epoch} began: "
                                     "another trader took the journal", epoch=epoch)  # fmt: skip
        if head != self._head:
            raise InvariantViolation(f"the journal ends at {head.seq}, expected {self._head.seq}: "
                                     "something else wrote to it", seq=head.seq)  # fmt: skip
        return self._run


def _head(connection: Connection) -> tuple[int, _Head]:
    """Return the highest epoch and the end of the chain."""
    epoch, seq, last_hash = run(connection, "head").one()
    return epoch or 0, _Head(seq or 0, last_hash or GENESIS)


def _content(payload: str) -> bytes:
    """Return what an event says, without what depends on when it was received."""
    fields: dict[str, Any] = msgspec.json.decode(payload)
    return _RAW.encode({name: value for name, value in fields.items() if name not in _NOT_CONTENT})
