"""Which orders are at the market, which wait, and what one order's fill or end means for others."""

from bisect import bisect_right
from collections.abc import Iterable
from decimal import Decimal

from msgspec import structs

from robotrader.model import InstrumentId, OrderType, Side, TimeInForce
from robotrader.simulation.gateway.account import Account
from robotrader.simulation.gateway.blotter import Blotter
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.terms import through
from robotrader.simulation.gateway.tickets import (
    CANCELLED,
    CHILD,
    INACTIVE,
    LOCATE,
    PENDING_CANCEL,
    PRE_SUBMITTED,
    SUBMITTED,
    TRIGGER,
    UNSENT,
    Report,
    Ticket,
    notice,
    opened,
    status,
)
from robotrader.simulation.gateway.wire import ZONE_NAME, local
from robotrader.simulation.linked import freed, left_in_group
from robotrader.simulation.matching import STOPS
from robotrader.simulation.venue import Venue, VenueChange, VenueFill, VenueOrder

BY_TRADER, BY_SYSTEM = "Cancelled by Trader", "Cancelled by System"
_PLENTY = 10_000_000
_UNREASONABLE, _CAPPED = Decimal("0.2"), Decimal("0.05")
"""Shares of the market price: a limit so far through it is cancelled, or capped with a warning."""
_LAPSED = {
    TimeInForce.IOC: (PENDING_CANCEL, CANCELLED), TimeInForce.FOK: (INACTIVE,), TimeInForce.OPG: (CANCELLED,),
}  # fmt: skip
_WAITING = frozenset({CHILD, LOCATE})


class Routing:
    """Bring orders to the venue and back; every method returns what to tell whom, in order.

    Attributes
    ----------
    lendable : dict
        Shares that can be borrowed to sell short; an instrument that is not named has plenty.
    located : set
        Keys of orders whose shares were located: they need no others.
    """

    def __init__(self, market: Market, venue: Venue, account: Account, *, tells_hours: bool) -> None:
        self.blotter = Blotter()
        self.lendable: dict[InstrumentId, int] = {}
        self.located: set[str] = set()
        self._market, self._venue, self._account = market, venue, account
        self._tells_hours = tells_hours
        self._at_open: list[str] = []

    def shortable(self, instrument: InstrumentId) -> int:
        """Return how many shares can be borrowed to sell them short."""
        return self.lendable.get(instrument, _PLENTY)

    def release(self, ticket: Ticket, *, told: bool = False) -> list[Report]:
        """Let an order trade unless something holds it; `told`: its owner knows of it."""
        terms, held = ticket.terms, self._hold(ticket)
        ticket = self.blotter.keep(structs.replace(ticket, held=held, status=PRE_SUBMITTED))
        if held in _WAITING:
            self._venue.cancel(terms.key)
            located = [notice(ticket, 404, "Order held while securities are located.")] if held == LOCATE else []
            return opened(ticket) + located
        distance = through(terms, self._market.last.get(terms.instrument))
        if distance >= _UNREASONABLE:
            return opened(ticket) + self.withdraw(ticket, f"The limit is {distance:.0%} through the market", BY_SYSTEM)
        opening = self._opening() if self._tells_hours else None
        rests = terms.type is OrderType.LIMIT and terms.tif is not TimeInForce.OPG and opening is None
        reports = [] if told and rests else opened(ticket)
        if rests:
            ticket = self.blotter.keep(structs.replace(ticket, status=SUBMITTED))
            reports += opened(ticket)
        if opening is not None:
            self._at_open.append(terms.key)
            reports.append(notice(ticket, 399, self._hours_text(ticket, opening)))
        if distance >= _CAPPED:
            reports.append(notice(ticket, 2161, f"The limit price is capped: it is {distance:.0%} through the market."))
        return reports + self._to_venue(terms)

    def withdraw(self, ticket: Ticket, reason: str = "", ended_as: str = BY_TRADER) -> list[Report]:
        """Cancel an order, and the children that wait for it."""
        told, *children = self.end(ticket, CANCELLED, ended_as, self._market.now)
        return [told, notice(ticket, 202, f"Order Canceled - reason:{reason}"), *children]

    def end(self, ticket: Ticket, state: str, ended_as: str, ts: int) -> list[Report]:
        """End an order, and cancel the children that wait for it."""
        self._venue.cancel(ticket.terms.key)
        ended = self.blotter.keep(
            structs.replace(ticket, status=state, held="", ended_at=ts, ended_as=ended_as),
        )
        orphans = [] if ended.filled else self.blotter.children(ended)
        return [status(ended), *(r for child in orphans for r in self.withdraw(child, "Parent ended", BY_SYSTEM))]

    def filled(self, fill: VenueFill, *, liquidation: bool = False) -> list[Report]:
        """Book a fill; it frees the order's children and cancels or reduces the others of its OCA group."""
        realized, was_open = self._account.apply(fill), self.blotter.tickets[fill.key].open
        ticket, execution = self.blotter.fill(fill, realized, liquidation=liquidation)
        told = opened(ticket) if was_open else [status(ticket)]
        reports = [Report("execDetails", execution), *told, Report("commissionReport", execution)]
        for child in sorted(self.blotter.children(ticket), key=lambda t: t.terms.type not in STOPS):
            reports += self._grow(child, fill.quantity)
        for other in self.blotter.group(ticket.order.oca_group):
            if other.terms.key != fill.key and other.held != UNSENT:
                reports += self._shrink(other, fill.quantity, cancel=ticket.order.oca_type == 1)
        return reports

    def happened(self, event: VenueFill | VenueChange) -> list[Report]:
        """Take note of what happened to an order at the venue."""
        if isinstance(event, VenueFill):
            return self.filled(event)
        ticket = self.blotter.open.get(event.key)
        if ticket is None:
            return []
        if event.what == "triggered":
            return opened(self.blotter.keep(structs.replace(ticket, held="", status=SUBMITTED)))
        *before, state = _LAPSED[ticket.terms.tif]
        on_the_way = [status(structs.replace(ticket, status=name)) for name in before]
        return on_the_way + self.end(ticket, state, BY_SYSTEM, self._market.now)

    def expired(self, keys: Iterable[str], ts: int) -> list[Report]:
        """End orders whose time is over."""
        reports = []
        for key in keys:
            if (ticket := self.blotter.open.get(key)) is not None:  # not ended with its parent
                reports += self.end(ticket, CANCELLED, BY_SYSTEM, ts)
        return reports

    def waiting_today(self) -> list[str]:
        """Return the keys of DAY orders that are not at the venue."""
        waiting = (t for t in self.blotter.open.values() if t.held in _WAITING and t.terms.tif is TimeInForce.DAY)
        return [t.terms.key for t in waiting]

    def open_market(self) -> list[Report]:
        """Tell of the limits that come alive with the session."""
        keys, self._at_open = self._at_open, []
        tickets = (self.blotter.open.get(key) for key in keys)
        alive = [t for t in tickets if t is not None and t.terms.type is OrderType.LIMIT]
        resting = (structs.replace(t, status=SUBMITTED) for t in alive if t.terms.tif is not TimeInForce.OPG)
        return [report for ticket in resting for report in opened(self.blotter.keep(ticket))]

    def _hold(self, ticket: Ticket) -> str:
        """Return IBKR's reason why the order cannot trade now, empty when it can."""
        terms, parent = ticket.terms, self.blotter.parent(ticket)
        if parent is not None and not parent.filled:
            return CHILD
        holding = self._account.holdings.get(terms.instrument)
        short = terms.quantity - ticket.filled - max(holding.quantity if holding else 0, 0)
        if terms.side is Side.SELL and short > self.shortable(terms.instrument) and terms.key not in self.located:
            return LOCATE
        return TRIGGER if terms.type in STOPS else ""

    def _grow(self, child: Ticket, quantity: int) -> list[Report]:
        """Size a child by so much more of its parent's fill."""
        if child.held == UNSENT:
            return []
        size = freed(int(child.order.quantity or 0), child.terms.quantity, quantity, waiting=child.held == CHILD)
        return self.release(structs.replace(child, terms=structs.replace(child.terms, quantity=size)), told=True)

    def _shrink(self, other: Ticket, quantity: int, *, cancel: bool) -> list[Report]:
        left = left_in_group(other.terms.quantity, other.filled, quantity)
        if cancel or left is None:
            return self.withdraw(other, "OCA group filled", BY_SYSTEM)
        other = self.blotter.keep(structs.replace(other, terms=structs.replace(other.terms, quantity=left)))
        return opened(other) + ([] if other.held in _WAITING else self._to_venue(other.terms))

    def _to_venue(self, terms: VenueOrder) -> list[Report]:
        return [report for fill in self._venue.place(terms) for report in self.filled(fill)]

    def _opening(self) -> int | None:
        """Return when the market opens, None while it is open and after the last session."""
        market = self._market
        at = bisect_right(market.closes, market.now)
        return market.opens[at] if at < len(market.opens) and market.now < market.opens[at] else None

    def _hours_text(self, ticket: Ticket, opening: int) -> str:
        terms, when = ticket.terms, local(opening).strftime(f"%Y-%m-%d %H:%M:%S {ZONE_NAME}")
        name = self._market.instruments[terms.instrument].symbol
        order = f"{terms.side} {terms.quantity} {name}"
        return f"Order Message:\n{order}\nWarning: your order will not be placed at the exchange until {when}"
