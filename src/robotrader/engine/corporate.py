"""Corporate actions in the trader: the books, the last prices and the open orders in one step, before the open."""

from collections.abc import Iterable, Iterator, Sequence, Set
from decimal import Decimal
from typing import Protocol

from robotrader.data.adjust import near_split
from robotrader.engine.breaks import Breaks
from robotrader.engine.market import MarketFacts
from robotrader.engine.orders import WorkingOrders
from robotrader.model import (
    NANOS_PER_SECOND,
    AnyCommand,
    BarsClosed,
    Cancel,
    CorporateActionBooked,
    CorporateActionDue,
    CorporateActionKind,
    Instrument,
    InstrumentId,
    InvariantViolation,
    OrderState,
    Posting,
    StrategyId,
    WorkingOrder,
)
from robotrader.portfolio.ledger import Conversion, Ledger

_BROKER_LAG_NS = 16 * 3_600 * NANOS_PER_SECOND  # from midnight to the close: by then the broker has booked it too


class Runtime(Protocol):
    """A strategy that must hear of an action; `stopped` are the strategies whose orders in old units are canceled."""

    def on_action(self, event: CorporateActionDue, stopped: Set[StrategyId]) -> None: ...


class CorporateActions:
    """Carry actions out on the trader's state; a successor becomes one of its `instruments`."""

    def __init__(
        self, instruments: dict[InstrumentId, Instrument], *, ledger: Ledger, market: MarketFacts,
        orders: WorkingOrders, breaks: Breaks,
    ) -> None:  # fmt: skip
        self._instruments = instruments
        self._ledger = ledger
        self._market = market
        self._orders = orders
        self._breaks = breaks

    def take_effect(self, event: CorporateActionDue, runtimes: Iterable[Runtime]) -> Sequence[AnyCommand]:
        """Book an action, bring the last prices into new units, and cancel the orders that are in old ones.

        Raises
        ------
        InvariantViolation
            Something is to be paid and neither the action nor a bar says at what price.
        """
        action, iid = event.action, event.instrument
        stale: list[WorkingOrder] = []
        if action.kind is CorporateActionKind.DIVIDEND:
            postings = self._ledger.earn(iid, action.cash or Decimal(0))
        else:
            postings = self._convert(event)
            stale = [w for w in self._orders.open_orders()
                     if w.order.instrument == iid and w.state is not OrderState.PENDING_CANCEL]  # fmt: skip
        for runtime in runtimes:
            runtime.on_action(event, {w.order.strategy for w in stale})
        booked = CorporateActionBooked(ts_event=event.ts_event, action=action.key, postings=postings)
        why = f"{action.key}: its terms are of before"
        explained = self._breaks.explain(iid, f"{action.key} explains it", event.ts_event)
        return [booked, *explained, *(Cancel(ts_event=event.ts_event, order_id=w.order.id, reason=why) for w in stale)]

    def _convert(self, event: CorporateActionDue) -> tuple[Posting, ...]:
        action, iid, target = event.action, event.instrument, event.instrument
        if event.successor is not None:
            target = event.successor.id
            self._instruments[target] = event.successor
            self._market.define((event.successor,))
        held = self._ledger.quantity(iid)
        price = action.cash if action.cash is not None else _fair_price(event, self._market, held=held)
        self._breaks.excuse(iid, held, action.ex_at + _BROKER_LAG_NS)
        everything = action.kind is CorporateActionKind.DELISTING
        postings = self._ledger.convert(Conversion(iid, target, action.ratio, price, all_paid=everything))
        self._market.convert(event)
        return postings


def _fair_price(event: CorporateActionDue, market: MarketFacts, *, held: int) -> Decimal:
    """Return the last close in new units: what a fraction is worth where nobody says it."""
    close = market.close(event.instrument)
    if close is None and held:
        text = f"{event.action.key}: expected a price for what is left over, but {event.instrument} never had a bar"
        raise InvariantViolation(text, instrument=event.instrument)
    return (close or Decimal(0)) * event.action.old / event.action.new


def unexplained_splits(
    event: BarsClosed, market: MarketFacts, tolerance: float | None
) -> Iterator[tuple[InstrumentId, str]]:
    """Yield each instrument that opens as if it had split since its last bar, and why that is held; None: no look.

    Known actions have brought the last bar into new units by then, so that they are no jump; nor is what lies within
    the history that a new journal begins with.
    """
    market.trading = market.trading or not event.warmup
    if tolerance is None or not market.trading:
        return
    for bar in event.bars:
        before = market.bars(bar.instrument)
        split = near_split(before[-1].close, bar.open, tolerance) if before else None
        if split is not None:
            text = f"{bar.instrument} opened at {bar.open:g} after {before[-1].close:g}, like an unknown split"
            remedy = "import it with `robotrader data actions import`, or resume the symbol"
            yield bar.instrument, f"{text} {split[0]}:{split[1]}: {remedy}"
