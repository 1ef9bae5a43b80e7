"""Orders that wait for another one, and orders that share a position: what the fill of one means for the others."""

from collections.abc import Iterator, Sequence

from msgspec import structs

from robotrader.model import Bar
from robotrader.simulation.venue import Venue, VenueChange, VenueFill, VenueOrder

Happened = Sequence[VenueFill | VenueChange]
"""What belongs together: a fill or a change, then what follows from it for other orders."""


def freed(ordered: int, size: int, quantity: int, *, waiting: bool) -> int:
    """Return the size of a child after so much more of its parent has filled: never more than was ordered."""
    return min(ordered, quantity if waiting else size + quantity)


def left_in_group(size: int, filled: int, quantity: int) -> int | None:
    """Return the size of an order after another one of its group filled; None when nothing is left to fill."""
    return size - quantity if size - quantity > filled else None


class _Order:
    """An open order; `ordered` is its size as its owner knows it, `terms.quantity` the one that counts."""

    __slots__ = ("filled", "group", "ordered", "parent", "terms", "waiting")

    def __init__(self, terms: VenueOrder, parent: str | None, group: str | None) -> None:
        self.terms = terms
        self.ordered = terms.quantity
        self.parent = parent
        self.group = group
        self.filled = 0
        self.waiting = False


class LinkedOrders:
    """The orders of a venue with their families and groups (IB's parentId, and ocaType 2: reduce with block).

    A child is at the venue from the first fill of its parent on, sized to what has filled; what one order of a group
    fills, the others lose.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._open: dict[str, _Order] = {}
        self._filled: dict[str, int] = {}

    def place(self, terms: VenueOrder, *, parent: str | None = None, group: str | None = None) -> Iterator[Happened]:
        """Take a new order; yield what happens at once."""
        order = self._open[terms.key] = _Order(terms, parent, group)
        order.waiting = parent is not None and not self._filled.get(parent)
        if parent is None:
            for fill in self._venue.place(terms):
                yield self._after(fill)
        elif not order.waiting:
            yield self._resize(order, freed(order.ordered, 0, self._filled[parent], waiting=True))

    def change(self, terms: VenueOrder) -> Happened:
        """Give an open order other terms; nothing for one that has ended."""
        order = self._open.get(terms.key)
        if order is None:
            return ()
        before, order.terms, order.ordered = order.terms, terms, terms.quantity
        self._resize(order, terms.quantity)
        return () if before == terms else (VenueChange(terms.key, "resized", terms.quantity),)

    def cancel(self, key: str) -> Happened:
        """Take an order out, with the children that wait for it; nothing for one that has ended."""
        order = self._open.get(key)
        return () if order is None else self._end(order, VenueChange(key, "canceled"))

    def on_bar(self, bar: Bar, opened_at: int) -> Iterator[Happened]:
        """Match the open orders of the bar's instrument; what a caller places meanwhile counts at once."""
        for event in self._venue.trade(bar, opened_at):
            yield self._after(event)

    def end_session(self, ts: int) -> Iterator[Happened]:
        """Expire the orders that are for this session only, and cancel the children that wait for them."""
        for key in self._venue.end_session(ts):
            yield self._end(self._open[key], VenueChange(key, "expired"))

    def _after(self, event: VenueFill | VenueChange) -> Happened:
        """Return an event with what follows from it."""
        order = self._open.get(event.key)
        if order is None:  # its last fill was also its trigger
            return ()
        if isinstance(event, VenueChange):
            return self._end(order, event) if event.what == "lapsed" else (event,)
        self._filled[event.key] = order.filled = order.filled + event.quantity
        if order.filled == order.terms.quantity:
            del self._open[event.key]
        return (event, *self._follow(order, event.quantity))

    def _follow(self, order: _Order, quantity: int) -> Iterator[VenueFill | VenueChange]:
        """Size the children of an order of which so much filled, and the others of its group."""
        for child in [o for o in self._open.values() if o.parent == order.terms.key]:
            size = freed(child.ordered, child.terms.quantity, quantity, waiting=child.waiting)
            child.waiting = False
            yield from self._resize(child, size)
        others = [o for o in self._open.values() if o.group == order.group and o is not order] if order.group else []
        for other in others:
            size_left = left_in_group(other.terms.quantity, other.filled, quantity)
            if size_left is None:
                yield from self._end(other, VenueChange(other.terms.key, "canceled"))
            else:
                yield from self._resize(other, size_left)

    def _resize(self, order: _Order, quantity: int) -> Happened:
        same = quantity == order.terms.quantity
        order.terms = structs.replace(order.terms, quantity=quantity)
        if not order.waiting:
            self._venue.place(order.terms)  # no market order: what is a child or changes its size never fills at once
        return () if same else (VenueChange(order.terms.key, "resized", quantity),)

    def _end(self, order: _Order, event: VenueChange) -> Happened:
        self._venue.cancel(order.terms.key)
        del self._open[order.terms.key]
        waiting = [] if order.filled else [o for o in self._open.values() if o.parent == order.terms.key]
        return (event, *(e for o in waiting for e in self._end(o, VenueChange(o.terms.key, "canceled"))))
