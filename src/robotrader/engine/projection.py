"""What the tables show after a record: orders and positions as the core has them now."""

from robotrader.engine.trader import Trader
from robotrader.model import (
    AnyCommand,
    AnyEvent,
    BookAdjusted,
    BorrowFeeCharged,
    CorporateActionBooked,
    Crossed,
    Deny,
    ExternalFill,
    Fill,
    OrderEvent,
    OrderFilled,
    OrderId,
    Posting,
    Submit,
)
from robotrader.ports import Transaction


class Projection:
    """Show what a record may have changed; nothing here decides anything."""

    def __init__(self, trader: Trader) -> None:
        self._trader = trader

    def after(self, tx: Transaction, record: AnyEvent | AnyCommand, ts: int) -> None:
        """Show the order and the positions that a record is about."""
        match record:
            case Submit(order=order) | Deny(order=order):
                self._order(tx, order.id, ts)
            case OrderFilled(fill=fill):
                self._order(tx, fill.order_id, ts)
                self._position(tx, fill, ts)
            case ExternalFill(fill=fill):
                self._position(tx, fill, ts)
            case BorrowFeeCharged():
                self._position(tx, record, ts)
            case OrderEvent(order_id=order_id):
                self._order(tx, order_id, ts)
            case BookAdjusted(fills=changes) | Crossed(fills=changes) | CorporateActionBooked(postings=changes):
                for change in changes:
                    self._position(tx, change, ts)
            case _:
                pass

    def _position(self, tx: Transaction, of: Fill | Posting | BorrowFeeCharged, ts: int) -> None:
        held = (p for book in self._trader.ledger.books if book.strategy == of.strategy for p in book.positions())
        for position in (p for p in held if p.instrument == of.instrument):
            tx.project_position(position, ts)

    def _order(self, tx: Transaction, order_id: OrderId, ts: int) -> None:
        working = self._trader.orders.get(order_id)
        if working is not None:
            tx.project_order(working, ts)
