"""Start = recovery: replay the journal, ask the broker, compare; only then trade.

The journal gives back every decision; the broker says what became of what was sent. What was decided and
provably never sent passes T2 again while its decision is in force; what may have been sent is never sent
again.
"""

from collections.abc import Sequence

from msgspec import Struct

from robotrader.engine.response import respond
from robotrader.engine.staged import StagedTrader
from robotrader.engine.trader import Trader
from robotrader.execution.lifecycle import OPEN
from robotrader.model import (
    NANOS_PER_SECOND,
    BarsClosed,
    Cancel,
    InstrumentId,
    Order,
    OrderId,
    OrderState,
    WorkingOrder,
    decode_event,
    encode,
)
from robotrader.ports import BrokerSnapshot, JournalRow
from robotrader.strategy.contract import SourceFactory


class ReplayResult(Struct, frozen=True, kw_only=True):
    """A journal fed through today's code.

    `identical`: every command came out byte for byte as journaled; `first_difference` says where not.
    `last_bars_ts`, `last_bars_ns`: end and length of the last bars. `cancels`: what was to be canceled, and why.
    """

    trader: Trader
    events: int
    commands: int
    identical: bool
    first_difference: str | None
    last_bars_ts: int | None
    last_bars_ns: int
    cancels: dict[OrderId, str]

    @property
    def orders(self) -> dict[OrderId, WorkingOrder]:
        """Return the orders after the last event."""
        return {w.order.id: w for w in self.trader.orders}

    @property
    def positions(self) -> dict[tuple[str, InstrumentId], int]:
        """Return signed units by strategy and instrument, flat ones left out."""
        return {(b.strategy, i): q for b in self.trader.ledger.books for i, q in b.held()}


def replay(rows: Sequence[JournalRow], source: SourceFactory) -> ReplayResult:
    """Feed a journal's events through a new trader and compare the commands.

    An event on which the core failed when it was recorded fails again and is passed over, as then.
    """
    trader = StagedTrader(source)
    made: list[str] = []
    told: list[JournalRow] = []
    events, last, length = 0, None, 0
    cancels: dict[OrderId, str] = {}
    for row in rows:
        if row.kind == "command":
            told.append(row)
        if row.kind != "event":
            continue
        event = decode_event(row.payload)
        events += 1
        if isinstance(event, BarsClosed):
            last = event.ts_event
            length = event.bars[0].spec.nanos if event.bars else length
        commands = respond(trader, event).commands
        cancels |= {c.order_id: c.reason for c in commands if isinstance(c, Cancel)}
        made += [encode(c).decode() for c in commands]
    difference = _first_difference(told, made)
    return ReplayResult(
        trader=trader, events=events, commands=len(told), identical=difference is None,
        first_difference=difference, last_bars_ts=last, last_bars_ns=length, cancels=cancels,
    )  # fmt: skip


def _first_difference(told: Sequence[JournalRow], made: Sequence[str]) -> str | None:
    for row, text in zip(told, made, strict=False):
        if row.payload != text:
            return f"seq {row.seq}: journal has {row.payload[:300]}, today's code gives {text[:300]}"
    if len(told) != len(made):
        return f"journal has {len(told)} commands, today's code gives {len(made)}"
    return None


class Unsettled(Struct, frozen=True, kw_only=True):
    """Orders whose fate must be settled.

    `unsent` never reached T2, `absent` may have been sent, `lost` were with the broker, which knows them no more.
    """

    unsent: tuple[Order, ...]
    absent: tuple[Order, ...]
    lost: tuple[Order, ...]


def unsettled(trader: Trader, first: BrokerSnapshot, second: BrokerSnapshot) -> Unsettled:
    """Sort out the open orders that neither of two complete snapshots of the broker knows."""
    seen = first.order_refs | second.order_refs
    open_orders = [w for w in trader.orders if w.state in OPEN]
    gone = [w for w in open_orders if w.state is not OrderState.AUTHORIZED and w.order.id not in seen]
    return Unsettled(
        unsent=tuple(w.order for w in open_orders if w.state is OrderState.AUTHORIZED),
        absent=tuple(w.order for w in gone if w.state is OrderState.SENDING),
        lost=tuple(w.order for w in gone if w.state is not OrderState.SENDING),
    )


IN_FORCE_NS = 900 * NANOS_PER_SECOND


def in_force(order: Order, last_bars_ts: int | None, now: int) -> bool:
    """Tell whether an unsent order's decision still stands: of the last bar, and at most 15 minutes old."""
    return order.ts_event == last_bars_ts and now - order.ts_event <= IN_FORCE_NS


def position_breaks(trader: Trader, snapshot: BrokerSnapshot) -> list[tuple[InstrumentId, int, int]]:
    """Return (instrument, the broker's units, the ledger's) wherever they disagree.

    What is not configured is nobody's business here: we could neither price nor trade it.
    """
    held = {iid for book in trader.ledger.books for iid, _ in book.held()}
    return [
        (iid, theirs, ours)
        for iid in sorted(held | (set(snapshot.positions) & trader.instruments))
        if (theirs := snapshot.positions.get(iid, 0)) != (ours := trader.ledger.quantity(iid))
    ]
