"""The world of a runner, in memory: each fake keeps its port's promises and does nothing else.

`MemoryJournal` passes the journal's conformance suite. The others say what a test tells them.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from math import nan

import msgspec
from msgspec import structs

from robotrader.model import (
    Account,
    AnyCommand,
    AnyEvent,
    BarsClosed,
    BarSpec,
    DataError,
    Instrument,
    InstrumentId,
    InvariantViolation,
    LinkChanged,
    LinkState,
    Manifest,
    Order,
    OrderId,
    Position,
    RequestReceived,
    Resize,
    StrategyConfig,
    StrategyId,
    Submit,
    WorkingOrder,
    decode_event,
    encode,
)
from robotrader.ports import Arrival, BrokerMessage, BrokerSnapshot, Inbox, JournalRow, RequestRow, Transaction
from robotrader.strategy.contract import SignalSource, SourceFactory
from tests.builders import DAY, T0


class MemoryStorage:
    """What journals share, as processes share a file."""

    def __init__(self) -> None:
        self.rows: list[JournalRow] = []
        self.keys: dict[tuple[str, str], str] = {}
        self.orders: dict[OrderId, WorkingOrder] = {}
        self.requests: dict[str, RequestRow] = {}
        self.epoch = 0

    def open(self) -> "MemoryJournal":
        return MemoryJournal(self)

    def request(self, row: RequestRow) -> bool:
        new = row.id not in self.requests
        self.requests.setdefault(row.id, row)
        return new


class MemoryTransaction:
    """One batch; nothing of it is in the storage before the journal commits it."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.rows, self.keys, self.orders = list(storage.rows), dict(storage.keys), dict(storage.orders)

    def _append(self, row: JournalRow) -> int:
        self.rows.append(row)
        return row.seq

    def raw(self, message: BrokerMessage) -> None:
        payload = msgspec.json.encode(message, order="sorted").decode()
        self._append(
            JournalRow(seq=len(self.rows) + 1, kind="raw", type=message.name, ts=message.ts_init, payload=payload)
        )

    def event(self, event: AnyEvent) -> int | None:
        key = (type(event).__name__, event.source_id or "")
        if event.source_id is not None and key in self.keys:
            return None
        payload = encode(event).decode()
        self.keys[key] = payload
        return self._append(
            JournalRow(seq=len(self.rows) + 1, kind="event", type=key[0], ts=event.ts_init, payload=payload)
        )

    def command(self, command: AnyCommand, cause: int) -> None:
        if isinstance(command, Submit):
            if ("Submit", command.order.id) in self.keys:
                raise InvariantViolation("an order is submitted once only")
            self.keys["Submit", command.order.id] = ""
        row = JournalRow(
            seq=len(self.rows) + 1, kind="command", type=type(command).__name__, ts=command.ts_event,
            payload=encode(command).decode(), cause=cause,
        )  # fmt: skip
        self._append(row)

    def project_order(self, working: WorkingOrder, ts: int) -> None:
        self.orders[working.order.id] = working

    def project_position(self, position: Position, ts: int) -> None:
        if position.strategy is None:
            raise InvariantViolation("a position has no owner strategy")


class MemoryJournal:
    """The record of one process, on a storage that others may open too."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.storage = storage
        self._epoch = 0
        self._open = False
        self._read: int | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        if not self._epoch:
            raise InvariantViolation("no run has begun: call begin_run first")
        if self._open:
            raise InvariantViolation("one batch at a time")
        if self._epoch != self.storage.epoch:
            raise InvariantViolation(f"epoch {self.storage.epoch} began")
        self._open = True
        try:
            transaction = MemoryTransaction(self.storage)
            yield transaction
            self.storage.rows, self.storage.keys = transaction.rows, transaction.keys
            self.storage.orders = transaction.orders
        finally:
            self._open = False

    async def rows(self, after: int = 0) -> Sequence[JournalRow]:
        self._read = len(self.storage.rows)
        return [row for row in self.storage.rows if row.seq > after]

    async def begin_run(self, run_id: str, code_version: str) -> int:
        if self._read not in {None, len(self.storage.rows)}:
            raise InvariantViolation("another trader wrote since these rows were read")
        self.storage.epoch += 1
        self._epoch = self.storage.epoch
        return self._epoch

    async def end_run(self, run_id: str, reason: str) -> None:
        pass

    async def open_requests(self) -> Sequence[RequestReceived]:
        return [
            RequestReceived(ts_event=0, ts_init=0, request_id=r.id, action=r.action, reason=r.reason, actor=r.actor,
                            strategy=r.strategy, instrument=r.instrument)
            for r in self.storage.requests.values()
            if ("RequestReceived", r.id) not in self.storage.keys
        ]  # fmt: skip

    async def close(self) -> None:
        pass


class FakeBroker:
    """A broker that notes what it is asked. Its messages are events in plain sight; its snapshots are handed in.

    `on_submit` is called at the moment of the socket write.
    """

    def __init__(self) -> None:
        self.submitted: list[tuple[Order, int]] = []
        self.transmitted: list[bool] = []
        self.replaced: list[Order] = []
        self.canceled: list[OrderId] = []
        self.previewed: list[tuple[Order, int]] = []
        self.wire: list[str] = []
        self.bound: dict[OrderId, int] = {}
        self.snapshots: list[BrokerSnapshot] = [snapshot()]
        self.on_submit: Callable[[Order], None] = lambda _: None

    @property
    def sent(self) -> list[OrderId]:
        """Return the ids of the orders that went over the wire, in order."""
        return [order.id for order, _ in self.submitted]

    def submit(self, order: Order, broker_order_id: int, *, transmit: bool = True) -> None:
        self.on_submit(order)
        self.wire.append("submit")
        self.submitted.append((order, broker_order_id))
        self.transmitted.append(transmit)

    def replace(self, order: Order) -> None:
        self.wire.append("replace")
        self.replaced.append(order)

    def cancel(self, order_id: OrderId) -> None:
        self.wire.append("cancel")
        self.canceled.append(order_id)

    def preview(self, order: Order, broker_order_id: int) -> None:
        self.wire.append("preview")
        self.previewed.append((order, broker_order_id))

    def previewing(self) -> bool:
        return False

    def interpret(self, message: BrokerMessage) -> Sequence[AnyEvent]:
        if message.name == "nonsense":
            raise DataError("not understood")
        return [structs.replace(decode_event(message.fields["event"]), ts_init=message.ts_init)]

    def bind(self, order: Order, broker_order_id: int) -> None:
        self.bound[order.id] = broker_order_id

    async def snapshot(self) -> BrokerSnapshot:
        """Return the next snapshot; the last one for ever."""
        return self.snapshots.pop(0) if len(self.snapshots) > 1 else self.snapshots[0]


class FakeLink:
    """A link that is ready as soon as it is settled with, and notes what it is told."""

    def __init__(self) -> None:
        self.synced_with: list[int] = []
        self.failed: list[str] = []
        self.unsent: tuple[int, ...] = ()

    def synced(self, sync: int) -> LinkChanged:
        self.synced_with.append(sync)
        return LinkChanged(ts_event=T0, ts_init=T0, state=LinkState.READY, open=True, reason="settled", sync=sync)

    def sync_failed(self, sync: int, reason: str) -> None:
        self.failed.append(reason)

    def take_unsent(self) -> tuple[int, ...]:
        taken, self.unsent = self.unsent, ()
        return taken


def message(event: AnyEvent) -> BrokerMessage:
    """Make the broker message that means this event."""
    return BrokerMessage(name="event", fields={"event": encode(event).decode()})


def snapshot(
    *, messages: Sequence[BrokerMessage] = (), refs: Sequence[OrderId] = (),
    positions: Mapping[InstrumentId, int] | None = None, next_order_id: int = 1, executions_ended: bool = True,
) -> BrokerSnapshot:  # fmt: skip
    """Make a complete look at the broker; empty unless told."""
    return BrokerSnapshot(
        messages=tuple(messages), order_refs=frozenset(refs), positions=dict(positions or {}),
        account=Account(id="DU1"), next_order_id=next_order_id, executions_ended=executions_ended,
    )  # fmt: skip


class ScriptedFeed:
    """Bars that are known beforehand: `history` on request, `live` ones when the clock has passed their end."""

    def __init__(self, inbox: Inbox, *, history: Sequence[BarsClosed] = (), live: Sequence[BarsClosed] = ()) -> None:
        self._inbox = inbox
        self._history = list(history)
        self._live = list(live)

    async def warmup(self, until: int, bars: int) -> Sequence[BarsClosed]:
        return [s for s in self._history if s.ts_event <= until][-bars:] if bars else []

    async def missing(self, after: int, until: int) -> Sequence[BarsClosed]:
        return [s for s in self._history if after < s.ts_event <= until]

    def on_time(self, ts: int) -> None:
        while self._live and self._live[0].ts_event <= ts:
            self._inbox.put(self._live.pop(0))

    def pending(self) -> bool:
        return False


class Pulled:
    """The source of time of a lock-step world: each pull puts the next batch of arrivals into the inbox."""

    def __init__(self, inbox: Inbox, batches: Sequence[Sequence[Arrival]]) -> None:
        self._inbox = inbox
        self._batches = list(batches)

    def __call__(self) -> None:
        for arrival in self._batches.pop(0):
            self._inbox.put(arrival)


class ScriptedSource:
    """A strategy that says what the test tells it; NaN on every other day."""

    def __init__(self, script: Mapping[int, Sequence[float] | Exception], width: int) -> None:
        self._script = script
        self._width = width
        self.seen: list[BarsClosed] = []
        self.splits: list[tuple[InstrumentId, float, int]] = []

    def on_bars(self, event: BarsClosed) -> Sequence[float]:
        self.seen.append(event)
        said = self._script.get((event.ts_event - T0) // DAY, (nan,) * self._width)
        if isinstance(said, Exception):
            raise said
        return said

    def on_split(self, instrument: InstrumentId, ratio: float, ex_at: int) -> None:
        self.splits.append((instrument, ratio, ex_at))

    def compared(self) -> tuple[int, int]:
        return 0, 0


Script = Mapping[int, Sequence[float] | Exception]
"""Strengths by day, one per instrument of the universe; an exception is raised."""


def scripted(
    scripts: Mapping[StrategyId, Script], *, resize: Resize = Resize.ON_CHANGE, made: list[ScriptedSource] | None = None
) -> SourceFactory:
    """Make the strategies of these scripts, by strategy id; `made` collects them as they are built."""

    def source(config: StrategyConfig, instruments: tuple[Instrument, ...]) -> tuple[Manifest, SignalSource]:
        manifest = Manifest(
            id=config.id, version="1", hypothesis="", bar_spec=BarSpec.DAY, warmup_bars=1, resize=resize
        )
        one = ScriptedSource(scripts[config.id], len(instruments))
        if made is not None:
            made.append(one)
        return manifest, one

    return source
