"""What the invariants are judged by: the decoded chain, the projections, and how things stood at each record."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from msgspec import Struct, structs
from sqlalchemy import select

from robotrader.adapters.sql.projections import journal_row
from robotrader.adapters.sql.reader import Look
from robotrader.adapters.sql.schema import metadata
from robotrader.engine.orders import WorkingOrders
from robotrader.execution.lifecycle import transition
from robotrader.model import (
    AnyCommand,
    AnyEvent,
    BarsClosed,
    BookAdjusted,
    ConditionChanged,
    CorporateActionBooked,
    Crossed,
    DataError,
    Deny,
    ExternalFill,
    ExternalOrder,
    Fill,
    InstrumentId,
    InvariantViolation,
    LinkChanged,
    OrderEvent,
    OrderFilled,
    OrderId,
    OrderState,
    OrderVoided,
    Replace,
    RiskLimit,
    RunStarted,
    SetLimits,
    SetTradingState,
    Submit,
    WorkingOrder,
    decode_command,
    decode_event,
)
from robotrader.ports import JournalRow
from robotrader.risk.halt import TradingStates

_TABLES = ("orders", "order_states", "fills", "commissions", "positions", "account", "books", "conflicts")
_SHOWN = 3

Row = dict[str, Any]
Record = AnyEvent | AnyCommand
Findings = Iterator[str | None]
"""One finding a case: None where the invariant held, else what is wrong."""


class InvariantResult(Struct, frozen=True, kw_only=True):
    """Whether an invariant held in all `checked` cases; 0 checked is no proof. `detail` names the first failures."""

    ok: bool
    checked: int
    detail: str = ""


class Replayed(Protocol):
    """What a replay of the journal gives back (`engine.recovery.ReplayResult`)."""

    @property
    def identical(self) -> bool: ...

    @property
    def first_difference(self) -> str | None: ...

    @property
    def orders(self) -> Mapping[OrderId, WorkingOrder]: ...

    @property
    def positions(self) -> Mapping[tuple[str, InstrumentId], int]: ...


Replay = Callable[[Sequence[JournalRow]], Replayed]
"""Feed a journal through today's code (`engine.recovery.replay` with its strategies)."""

Placed = tuple[str, str, int]
"""An order as the gateway received it: `orderRef`, side, units."""


class Facts:
    """The decoded chain and the projections, from one snapshot, and what a gateway's record says (None: no record).

    `bookings`: the fills that counted when they came, in order, each with the one it replaced. `executions` are the
    fills as they count at last: of each execution the highest revision. `chain` says where the chain breaks.
    """

    def __init__(
        self, rows: Sequence[Mapping[Any, Any]], look: Look, *, chain: str = "", placed: Sequence[Placed] | None = None
    ) -> None:
        self.rows = [journal_row(row) for row in rows]
        self.epochs = {row["seq"]: row["epoch"] for row in rows}
        self.chain = chain
        self.placed = placed
        self.tables = {name: look.all(select(metadata.tables[name])) for name in _TABLES}
        self.records: list[tuple[int, Record]] = []
        for row in self.rows:
            with suppress(DataError):  # what cannot be decoded is a broken chain's business
                if row.kind != "raw":
                    decode = decode_event if row.kind == "event" else decode_command
                    self.records.append((row.seq, decode(row.payload)))
        self.bookings: list[tuple[Row, Row | None]] = []
        latest: dict[str, Row] = {}
        for fill in sorted(self.tables["fills"], key=lambda row: row["seq"]):
            known = latest.get(fill["exec_id"])
            if known is None or fill["revision"] > known["revision"]:
                self.bookings.append((fill, known))
                latest[fill["exec_id"]] = fill
        self.executions = list(latest.values())


class Standing:
    """Orders, positions and trading states as the records so far leave them; what the core refused changed nothing."""

    def __init__(self) -> None:
        self.orders = WorkingOrders()
        self.held: defaultdict[str, int] = defaultdict(int)
        self.states = TradingStates()
        self.limits: RiskLimit | None = None
        self.submits: defaultdict[str, list[Submit]] = defaultdict(list)
        self.bar_ns = 0
        self._booked: dict[str, Fill] = {}

    def take(self, record: Record) -> WorkingOrder | None:
        """Take one record in; return the order that it concerns as it is then, None if it concerns none."""
        match record:
            case RunStarted() | LinkChanged() | ConditionChanged() | SetTradingState() | SetLimits() | BarsClosed():
                self._frame(record)
            case BookAdjusted(fills=fills) | Crossed(fills=fills):
                for fill in fills:
                    self._book(fill)
            case CorporateActionBooked(postings=postings):
                for posting in postings:
                    self.held[posting.instrument] += posting.quantity
            case ExternalFill(fill=fill):
                self._book(fill)
            case ExternalOrder():
                self.orders.foreign(record)
            case _:
                return self._order(record)
        return None

    def _frame(
        self, record: RunStarted | LinkChanged | ConditionChanged | SetTradingState | SetLimits | BarsClosed
    ) -> None:
        match record:
            case RunStarted():
                self.limits = record.limits
                self.states.begin()
            case SetLimits():
                self.limits = record.limits
            case LinkChanged():
                self.states.link = record.trading, f"the link is {record.state}"
            case ConditionChanged():
                self.states.conditions[record.condition] = record.state, record.detail
            case SetTradingState():
                self.states.set((record.strategy, record.instrument), record.state, record.reason)
            case BarsClosed():
                self.bar_ns = record.bars[0].spec.nanos if record.bars else self.bar_ns
                self.orders.release(record.ts_event)

    def increases(self, working: WorkingOrder) -> bool:
        """Tell whether an order may add to the position, if all other open orders of its side fill first."""
        if working.order.purpose.protective:
            return False  # I3 holds it to what it protects
        side, iid = working.order.side, working.order.instrument
        others = self.orders.open_quantity(iid, side) - (working.leaves if working.order.id in self.orders else 0)
        return working.leaves > -side.sign * self.held[iid] - others

    def position(self, strategy: str, instrument: str) -> int:
        """Return a strategy's signed units."""
        mine = (f for f in self._booked.values() if f.strategy == strategy and f.instrument == instrument)
        return sum(f.side.sign * f.quantity for f in mine)

    def _order(self, record: Record) -> WorkingOrder | None:
        if isinstance(record, Submit):
            self.submits[record.order.id].append(record)
            after: WorkingOrder | None = WorkingOrder(order=record.order, state=OrderState.AUTHORIZED)
        elif isinstance(record, Replace):
            working = self.orders.get(record.order.id)
            after = None if working is None else structs.replace(working, replacing=record.order)
        elif isinstance(record, Deny):
            known = record.order.id in self.orders
            after = None if known else WorkingOrder(order=record.order, state=OrderState.DENIED)
        else:
            after = self._moved(record) if isinstance(record, OrderEvent | OrderFilled) else None
        if after is not None:
            self.orders.put(after)
        if after is not None and isinstance(record, OrderVoided) and record.until is not None:
            self.orders.reserve(after, record.until)
        return after

    def _moved(self, event: OrderEvent | OrderFilled) -> WorkingOrder | None:
        replaced = None
        if isinstance(event, OrderFilled):
            replaced = self._booked.get(event.fill.exec_id)
            if not self._book(event.fill):
                return None
        working = self.orders.get(event.fill.order_id if isinstance(event, OrderFilled) else event.order_id)
        with suppress(InvariantViolation):
            return None if working is None else transition(working, event, replaced).working
        return None

    def _book(self, fill: Fill) -> bool:
        known = self._booked.get(fill.exec_id)
        if known is not None and fill.revision <= known.revision:
            return False
        self.held[fill.instrument] += fill.side.sign * (fill.quantity - (known.quantity if known else 0))
        self._booked[fill.exec_id] = fill
        return True


def course(facts: Facts) -> Iterator[tuple[int, Record, Standing]]:
    """Yield seq, record, and how things stood before it."""
    standing = Standing()
    for seq, record in facts.records:
        yield seq, record, standing
        standing.take(record)


def judge(findings: Iterable[str | None]) -> InvariantResult:
    """Count the cases, and name the first that failed."""
    all_findings = list(findings)
    failures = [finding for finding in all_findings if finding is not None]
    return InvariantResult(ok=not failures, checked=len(all_findings), detail="; ".join(failures[:_SHOWN]))


def expect(what: str, found: object, expected: object) -> str | None:
    """Return what is wrong, None where both are equal."""
    return None if found == expected else f"{what} is {found}, expected {expected}"
