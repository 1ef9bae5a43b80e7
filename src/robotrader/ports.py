"""What the engine needs of the world: Protocols, with their values. Adapters implement them.

Every adapter of a port passes that port's conformance suite (`tests/conformance`).
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar

from msgspec import Struct

from robotrader.model import (
    Account,
    AccountReported,
    Action,
    AnyCommand,
    AnyEvent,
    Bar,
    BarsClosed,
    BorrowReported,
    BreakOpened,
    Command,
    ConditionChanged,
    Fill,
    HaltReported,
    InstrumentId,
    LinkChanged,
    MarketDataReported,
    Order,
    OrderId,
    OrderState,
    Position,
    RequestReceived,
    RoboTraderError,
    RunStarted,
    Side,
    StrategyId,
    TradingState,
    WorkingOrder,
)

C = TypeVar("C", bound=Command)


class BrokerMessage(Struct, frozen=True, kw_only=True):
    """One message of the broker as it came, journaled before it is interpreted.

    `ts_init` is the runner clock when it was taken in; `fields` are plain JSON values.
    """

    name: str
    fields: dict[str, Any]
    ts_init: int = 0


class HostFacts(Struct, frozen=True, kw_only=True):
    """What was measured of this machine; None = not measured.

    `disk_free_ratio` is the free part of the disk that the state folder is on, `commit_s` the longest that the journal
    took for a batch since it was asked last, waiting for its lock included.
    """

    disk_free_ratio: float | None = None
    commit_s: float | None = None


class TimeAdvanced(Struct, frozen=True, kw_only=True):
    """The runner clock moved (broker time or system time), ns UTC; not journaled.

    `ended`: the source has no further time (a replay reached its end).
    """

    ts: int
    ended: bool = False


Told = (LinkChanged | AccountReported | BorrowReported | HaltReported | MarketDataReported | BarsClosed
        | RequestReceived)  # fmt: skip
"""Events that adapters make themselves, without times where the source has none."""

Arrival = BrokerMessage | TimeAdvanced | Told
"""What adapters may put into the runner's inbox; anything else is a bug."""


class Inbox(Protocol):
    """The runner's single entrance. `put` never blocks; only time is overtaken, by later time. For the loop only."""

    def put(self, arrival: Arrival) -> None: ...


class Link(Protocol):
    """The supervised connection to the broker; its changes reach the inbox as `LinkChanged`."""

    def synced(self, sync: int) -> LinkChanged:
        """Note that comparison `sync` is done, and return the state from now on; the inbox is not told of it."""

    def sync_failed(self, sync: int, reason: str) -> None:
        """Note that comparison `sync` did not come to an end: it is asked for again, on a new session if need be."""

    def take_unsent(self) -> tuple[int, ...]:
        """Return, once, the broker order ids whose placing never reached the socket; known before the loss is told."""


class Clock(Protocol):
    """The runner's clock, ns UTC: it moves only with processed messages that carry time, or with the system's."""

    def now(self) -> int: ...

    def advance(self, ts: int) -> None:
        """Take over the time of a processed `TimeAdvanced`; never goes back."""

    def pull(self) -> None:
        """Ask for the next time when the runner is idle (lock-step); a system clock ignores it."""

    def reconnected(self) -> None:
        """Forget a question whose answer was lost with the connection; a system clock ignores it."""


class MarketData(Protocol):
    """Source of closed bars."""

    async def warmup(self, until: int, bars: int) -> Sequence[BarsClosed]:
        """Return up to `bars` closed cross-sections that ended at or before `until`, oldest first."""

    async def missing(self, after: int, until: int) -> Sequence[BarsClosed]:
        """Return the closed cross-sections with `after` < end <= `until`, oldest first."""

    def on_time(self, ts: int) -> None:
        """Note that the runner clock is at `ts`: request what closed; `BarsClosed` arrives in the inbox."""

    def pending(self) -> bool:
        """Tell whether a cross-section is under way (lock-step waits for it)."""


class BrokerSnapshot(Struct, frozen=True, kw_only=True):
    """One complete look at the broker: each part was ended by its End marker.

    `executions_ended`: real gateways are known to send no End when there are no executions at all; then what the other
    parts say must leave no room for any.

    `messages` are the raw open orders, completed orders, executions and commissions, in that order.
    `positions` are signed units; `order_refs` every `orderRef` seen in open or completed orders or executions.
    """

    messages: tuple[BrokerMessage, ...]
    order_refs: frozenset[str]
    positions: dict[InstrumentId, int]
    account: Account
    next_order_id: int
    executions_ended: bool = True


class Broker(Protocol):
    """Where orders go. These calls only write to the wire: outcomes arrive in the inbox as `BrokerMessage`s."""

    def submit(self, order: Order, broker_order_id: int, *, transmit: bool = True) -> None:
        """Place an order; without `transmit` it waits for the next one of its family that has it."""

    def replace(self, order: Order) -> None:
        """Give a working order these terms."""

    def cancel(self, order_id: OrderId) -> None: ...

    def preview(self, order: Order, broker_order_id: int) -> None:
        """Ask what an order would need, under an id of its own, and place nothing; one at a time for each order.

        It ends in exactly one `MarginPreviewed`, also where the broker refuses or is silent; `ConnectionLost`: in none.
        """

    def previewing(self) -> bool:
        """Tell whether the answer to a preview is awaited; in lock-step, time must wait for it."""

    def interpret(self, message: BrokerMessage) -> Sequence[AnyEvent]:
        """Turn a raw message into events; pure but for the map of known order ids.

        Raises `DataError` where it cannot be understood; it stays in the journal as it came.
        """

    def bind(self, order: Order, broker_order_id: int) -> None:
        """Tell the interpreter of an order that was sent earlier (recovery), with the terms last known."""

    async def snapshot(self) -> BrokerSnapshot:
        """Ask for everything; raises `BrokerUnavailable` when a part did not complete in time."""


class JournalRow(Struct, frozen=True, kw_only=True):
    """One row of the chain: `event`, `command` or `raw`; `payload` canonical JSON; `cause` the event's seq."""

    seq: int
    kind: Literal["event", "command", "raw"]
    type: str
    ts: int
    payload: str
    cause: int | None = None


class Transaction(Protocol):
    """One atomic write to the journal."""

    def raw(self, message: BrokerMessage) -> None: ...

    def event(self, event: AnyEvent) -> int | None:
        """Append an event and return its seq; None if this very event is already there.

        An event with a known key and another payload is recorded as a conflict and also gives None.
        """

    def command(self, command: AnyCommand, cause: int) -> None:
        """Append a command that event `cause` led to, and update the projections."""

    def project_order(self, working: WorkingOrder, ts: int) -> None:
        """Show this order as the core has it now; call it with every order that a batch touched."""

    def project_position(self, position: Position, ts: int) -> None:
        """Show one strategy's position; raises `InvariantViolation` where it has no owner strategy."""


class Journal(Protocol):
    """The ordered, append-only record. One writer: writing raises `InvariantViolation` once another took it."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open one write transaction; leaving it without an error commits durably."""

    async def rows(self, after: int = 0) -> Sequence[JournalRow]:
        """Return the chain's rows with seq > `after`, in order."""

    async def begin_run(self, run_id: str, code_version: str) -> int:
        """Take the journal for a new run and return its epoch, higher than every earlier one."""

    async def end_run(self, run_id: str, reason: str) -> None: ...

    async def open_requests(self) -> Sequence[RequestReceived]:
        """Return operators' requests not yet copied into the chain, oldest first (times 0)."""

    async def close(self) -> None: ...


class JournalBusy(RoboTraderError):
    """The journal did not take a request in time: use the flag file, which needs no database."""


class RunRow(Struct, frozen=True, kw_only=True):
    """The latest run: what it started with and, when it ended in order, when and why."""

    started: RunStarted
    ended: int | None
    reason: str | None


class TradingStateRow(Struct, frozen=True, kw_only=True):
    """The latest trading state of one scope; no strategy and no instrument means global."""

    seq: int
    ts: int
    state: TradingState
    reason: str
    actor: str
    strategy: StrategyId | None
    instrument: InstrumentId | None


class PositionRow(Struct, frozen=True, kw_only=True):
    """A position, signed units: of one strategy, or of the account (`strategy` None, no average price)."""

    strategy: StrategyId | None
    instrument: InstrumentId
    quantity: int
    average_price: Decimal | None
    realized_pnl: Decimal
    last_price: float | None
    ts: int


class MarkRow(Struct, frozen=True, kw_only=True):
    """One mark: of a strategy's book, or of the account (`strategy` None), the sum of the books."""

    seq: int
    ts: int
    strategy: StrategyId | None = None
    cash: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    commission: Decimal
    gross: Decimal | None = None
    net: Decimal | None = None


class AccountRow(Struct, frozen=True, kw_only=True):
    """Our last mark beside what the broker last said, at `reported`."""

    mark: MarkRow | None
    broker: Account | None
    reported: int | None


class OrderRow(Struct, frozen=True, kw_only=True):
    """One order as it stands since `ts`; `id` counts orders and is the cursor of a listing."""

    id: int
    working: WorkingOrder
    average_price: Decimal | None
    ts: int


class OrderStateRow(Struct, frozen=True, kw_only=True):
    """One step in the life of an order, caused by what stands at `seq` or just before it."""

    seq: int
    ts: int
    state: OrderState
    filled: int
    unresolved: bool
    reason: str


class FillRow(Struct, frozen=True, kw_only=True):
    """One execution, taken in at `ts`, with its commission where that is known yet."""

    id: int
    seq: int
    ts: int
    fill: Fill
    commission: Decimal | None


class DecisionRow(Struct, frozen=True, kw_only=True):
    """One decision and its outcome (`submit`, `deny`, `hold`).

    `detail` holds `decision` (signal, target, inputs) and, where an order came of it, `checks` and `limits`.
    """

    id: int
    seq: int
    ts_event: int
    strategy: StrategyId
    instrument: InstrumentId
    outcome: Literal["submit", "deny", "hold"]
    reason: str
    order_id: OrderId | None
    strength: float
    target: int
    position: int
    working: int
    detail: dict[str, Any]


class DenialRow(Struct, frozen=True, kw_only=True):
    """One order that our gate refused: the names of the failed checks, and all checks with their numbers."""

    id: int
    seq: int
    ts_event: int
    order_id: OrderId
    strategy: StrategyId
    instrument: InstrumentId
    side: Side
    quantity: int
    limits: str
    reasons: tuple[str, ...]
    checks: tuple[dict[str, Any], ...]


class RequestRow(Struct, frozen=True, kw_only=True):
    """An operator's request; `taken` is the seq at which the trader copied it, None while it waits."""

    id: str
    ts: int
    action: Action
    reason: str
    actor: str
    strategy: StrategyId | None = None
    instrument: InstrumentId | None = None
    change: str | None = None
    approver: str | None = None
    taken: int | None = None


class ConflictRow(Struct, frozen=True, kw_only=True):
    """A second, different version of an event that is already in the chain at `seq`."""

    id: int
    seq: int
    type: str
    source_id: str
    payload: str
    ts_init: int


class OrderDetail(Struct, frozen=True, kw_only=True):
    """One order with everything that led to it and came of it, oldest first."""

    order: OrderRow
    states: tuple[OrderStateRow, ...]
    fills: tuple[FillRow, ...]
    decisions: tuple[DecisionRow, ...]


class StateReader(Protocol):
    """How things stand, read from another process. A journal that does not exist yet reads as empty.

    `head` is the last seq, 0 for none, and cheap enough to poll; `run` the latest run; `trading_state` the
    latest of every scope, of which the worst that applies counts; `link` the last change of the link to the broker in
    the latest run; `breaks` the open tickets, oldest first; `compared` the seq of the last whole comparison with the
    broker, 0 for none; `positions` has all, flat ones too: per
    strategy, then the account's; `books` each strategy's last mark; `last_bar_times` each last bar's end.
    """

    def head(self) -> int: ...
    def run(self) -> RunRow | None: ...
    def trading_state(self) -> Sequence[TradingStateRow]: ...
    def link(self) -> LinkChanged | None: ...
    def breaks(self) -> Sequence[BreakOpened]: ...
    def compared(self) -> int: ...
    def positions(self) -> Sequence[PositionRow]: ...
    def books(self) -> Sequence[MarkRow]: ...
    def account(self) -> AccountRow: ...
    def last_bar_times(self) -> dict[InstrumentId, int]: ...

    def equity(self, *, since: int = 0, max_points: int = 1_000) -> Sequence[MarkRow]:
        """Return the marks with ts >= `since`, oldest first.

        Of more than `max_points` marks, the lowest and highest of each stretch and the last one stay.
        """

    def bars(self, instrument: InstrumentId, *, limit: int = 500) -> Sequence[Bar]:
        """Return the last bars in their latest version, oldest first."""


class ActivityReader(Protocol):
    """What happened, newest first; `after` is the `id` that the page before ended with."""

    def orders(
        self, *, states: Sequence[OrderState] = (), limit: int = 100, after: int | None = None
    ) -> Sequence[OrderRow]:
        """Return orders, in one of `states` if any are named."""

    def decisions(
        self,
        *,
        order_id: OrderId | None = None,
        instrument: InstrumentId | None = None,
        at: int | None = None,
        limit: int = 100,
    ) -> Sequence[DecisionRow]:
        """Return decisions, made at or before `at` if that is given."""

    def order(self, order_id: OrderId) -> OrderDetail | None: ...
    def fills(self, *, limit: int = 100, after: int | None = None) -> Sequence[FillRow]: ...
    def denials(self, *, limit: int = 100) -> Sequence[DenialRow]: ...
    def requests(self, *, limit: int = 100) -> Sequence[RequestRow]: ...
    def conflicts(self, *, limit: int = 100) -> Sequence[ConflictRow]: ...
    def conditions(self) -> Sequence[ConditionChanged]:
        """Return how each condition of this machine was last in the latest run, where that restricts trading."""
        ...

    def commands(self, kind: type[C]) -> Sequence[C]:
        """Return all commands of a kind, oldest first."""
        ...


class JournalReader(StateReader, ActivityReader, Protocol):
    """Everything a screen or a report may know: the journal, read only, while the trader writes.

    Every method raises `ConfigError` when the journal has another schema version.
    """
