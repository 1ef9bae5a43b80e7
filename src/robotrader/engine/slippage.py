"""How far beyond the decision's price orders filled: for a real book and a virtual one, decision by decision."""

from decimal import Decimal
from typing import NamedTuple

from robotrader.model import BarsClosed, Event, Fill, InstrumentId, Order, OrderId, Side


class Intent(NamedTuple):
    """What two books have in common that decided alike: the instrument, the decision's time (ns UTC), and the side."""

    instrument: InstrumentId
    ts: int
    side: Side


class _Asked:
    """An order with the close that it was decided at, and what filled of it."""

    __slots__ = ("close", "intent", "notional", "quantity")

    def __init__(self, intent: Intent, close: float) -> None:
        self.intent, self.close = intent, close
        self.quantity, self.notional = 0, Decimal(0)


class Slippages:
    """Follow the orders of one book; those that protect a position follow no decision, and are left out."""

    def __init__(self) -> None:
        self._asked: dict[OrderId, _Asked] = {}

    def sent(self, order: Order, event: Event) -> None:
        """Note an order that was decided on these bars."""
        closes = {b.instrument: b.close for b in event.bars} if isinstance(event, BarsClosed) else {}
        if not order.purpose.protective and order.instrument in closes:
            intent = Intent(order.instrument, order.ts_event, order.side)
            self._asked[order.id] = _Asked(intent, closes[order.instrument])

    def filled(self, fill: Fill) -> None:
        """Note an execution."""
        asked = self._asked.get(fill.order_id)
        if asked is not None:
            asked.quantity += fill.quantity
            asked.notional += fill.price * fill.quantity

    def __contains__(self, order_id: object) -> bool:
        """Tell whether an order was decided in this book."""
        return order_id in self._asked

    def bps(self) -> dict[Intent, float]:
        """Return what each decision paid beyond its close, in bps of it; those of which something filled."""
        return {
            a.intent: a.intent.side.sign * (float(a.notional) / a.quantity / a.close - 1) * 1e4
            for a in self._asked.values() if a.quantity
        }  # fmt: skip
