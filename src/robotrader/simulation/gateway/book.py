"""The broker's side of the account: orders, ids, executions. Synchronous and deterministic."""

from decimal import Decimal

from msgspec import Struct, structs

from robotrader.model import Instrument, OrderType
from robotrader.simulation.gateway import screening
from robotrader.simulation.gateway.account import Account
from robotrader.simulation.gateway.contracts import Contracts
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.record import Execution, Placement
from robotrader.simulation.gateway.requests import PlaceOrder, Refused
from robotrader.simulation.venue import Venue, VenueFill, VenueOrder

_FIRST_PERM_ID = 1_000_000_000
PRE_SUBMITTED, SUBMITTED, FILLED, CANCELLED = "PreSubmitted", "Submitted", "Filled", "Cancelled"


class Ticket(Struct, frozen=True, kw_only=True):
    """An order as the broker keeps it; `status` in IBKR's words, `paid` the sum of price × quantity."""

    client_id: int
    order_id: int
    perm_id: int
    terms: VenueOrder
    order_ref: str
    outside_rth: bool
    status: str = PRE_SUBMITTED
    filled: int = 0
    paid: Decimal = Decimal(0)
    last_price: Decimal = Decimal(0)
    ended_at: int | None = None
    ended_as: str = ""

    @property
    def open(self) -> bool:
        """Tell whether the order can still fill."""
        return self.ended_at is None

    @property
    def average(self) -> Decimal:
        """Return the mean fill price, 0 before the first fill."""
        return round(self.paid / self.filled, 8) if self.filled else Decimal(0)


class Opened(Struct, frozen=True):
    """Report: an openOrder message."""

    ticket: Ticket


class Status(Struct, frozen=True):
    """Report: an orderStatus message."""

    ticket: Ticket


class Executed(Struct, frozen=True):
    """Report: an execDetails message."""

    execution: Execution


class Charged(Struct, frozen=True):
    """Report: a commission message."""

    execution: Execution


class Notice(Struct, frozen=True):
    """Report: an error message about an order."""

    client_id: int
    order_id: int
    code: int
    text: str


Report = Opened | Status | Executed | Charged | Notice


class Book:
    """Orders of all clients; every method returns what to tell whom, in order.

    Parameters
    ----------
    margin_ratio : Decimal or None
        Initial margin as a share of gross position value; None accepts any size.
    """

    def __init__(self, market: Market, venue: Venue, account: Account, *, margin_ratio: Decimal | None) -> None:
        self.market = market
        self.account = account
        self.contracts = Contracts(tuple(market.instruments.values()))
        self.executions: list[Execution] = []
        self.completed: list[Ticket] = []
        self._venue = venue
        self._margin_ratio = margin_ratio
        self._tickets: dict[str, Ticket] = {}
        self._open: dict[str, Ticket] = {}
        self._next_ids: dict[int, int] = {}

    @property
    def idle(self) -> bool:
        """Tell whether no order is open."""
        return not self._open

    def next_id(self, client_id: int) -> int:
        """Return the lowest order id that this client may use."""
        return self._next_ids.get(client_id, 1)

    def open_orders(self, client_id: int | None = None) -> list[Ticket]:
        """Return the open orders of one client, or of all, oldest first."""
        return [t for t in self._open.values() if client_id in {None, t.client_id}]

    def place(self, client_id: int, order: PlaceOrder) -> tuple[Placement, list[Report]]:
        """Take a new order, or new terms of an open one."""
        key = f"{client_id}/{order.req_id}"
        known = self._tickets.get(key)
        instrument, code, reports = None, 0, list[Report]()
        try:
            self._check_id(client_id, order.req_id, known)
            found = self.contracts.find(order.contract)
            instrument = found[0].id if len(found) == 1 else None
            terms = self._terms(order, key, found)
            reports = self._modify(known, terms) if known else self._accept(client_id, order, terms)
        except Refused as refused:
            code = refused.code
            reports = [Notice(client_id, order.req_id, code, refused.text)]
        ticket = self._tickets.get(key)
        perm_id = ticket.perm_id if ticket else 0
        placement = Placement(
            client_id=client_id, order=order, instrument=instrument, perm_id=perm_id, modify=bool(known), code=code
        )
        return placement, reports

    def cancel(self, client_id: int, order_id: int | None) -> list[Report]:
        """Cancel one order of this client; None cancels every open order of the account, whoever placed it."""
        if order_id is None:
            return [report for t in self.open_orders() for report in self.cancel(t.client_id, t.order_id)]
        ticket = self._tickets.get(f"{client_id}/{order_id}")
        if ticket is None:
            return [Notice(client_id, order_id, 10147, f"OrderId {order_id} that needs to be cancelled is not found.")]
        if ticket.status == FILLED:
            text = "Cancel attempted when order is not in a cancellable state."
            return [Notice(client_id, order_id, 161, f"{text} Order permId = {ticket.perm_id}")]
        if not ticket.open:
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {ticket.status}."
            return [Notice(client_id, order_id, 10148, text)]
        self._venue.cancel(ticket.terms.key)
        ended = self._end(ticket, CANCELLED, "Cancelled by Trader", self.market.now)
        return [Status(ended), Notice(client_id, order_id, 202, "Order Canceled - reason:")]

    def advance(self, until: int) -> list[Report]:
        """Let the market trade until that time: fills and expiries on the way."""
        reports: list[Report] = []
        for segment in self.market.advance(until):
            for bar in segment.bars:
                for fill in self._venue.on_bar(bar, segment.opened):
                    reports += self._filled(fill)
            if segment.ends_session:
                for key in self._venue.end_session(segment.ts):
                    reports.append(Status(self._end(self._open[key], CANCELLED, "Cancelled by System", segment.ts)))
        return reports

    def _check_id(self, client_id: int, order_id: int, known: Ticket | None) -> None:
        if known is not None and known.status == FILLED:
            raise Refused(104, "Cannot modify a filled order.")
        if (known is None and order_id < self.next_id(client_id)) or (known is not None and not known.open):
            raise Refused(103, "Duplicate order id")
        if known is None:
            self._next_ids[client_id] = order_id + 1

    def _terms(self, order: PlaceOrder, key: str, found: tuple[Instrument, ...]) -> VenueOrder:
        instrument = screening.contract(found)
        if order.account not in {"", self.account.name}:
            raise Refused(321, f"Error validating request: cause - Invalid account code {order.account!r}")
        terms = screening.terms(order, key, instrument)
        screening.margin(terms, self.account, self.market.last, self._margin_ratio)
        return terms

    def _accept(self, client_id: int, order: PlaceOrder, terms: VenueOrder) -> list[Report]:
        ticket = Ticket(
            client_id=client_id, order_id=order.req_id, perm_id=_FIRST_PERM_ID + len(self._tickets), terms=terms,
            order_ref=order.order_ref, outside_rth=order.outside_rth,
        )  # fmt: skip
        reports: list[Report] = [Opened(ticket), Status(ticket)]
        if terms.type is OrderType.LIMIT:  # a limit rests at the exchange; others wait for the open or their trigger
            ticket = structs.replace(ticket, status=SUBMITTED)
            reports += [Opened(ticket), Status(ticket)]
        self._tickets[terms.key] = self._open[terms.key] = ticket
        return reports + self._to_venue(terms)

    def _modify(self, known: Ticket, terms: VenueOrder) -> list[Report]:
        if (terms.instrument, terms.side) != (known.terms.instrument, known.terms.side):
            raise Refused(105, "Order being modified does not match original order")
        if terms.quantity <= known.filled:
            raise Refused(201, f"Order rejected - reason:{known.filled} of the order are filled already")
        status = SUBMITTED if terms.type is OrderType.LIMIT else PRE_SUBMITTED
        ticket = structs.replace(known, terms=terms, status=status)
        self._tickets[terms.key] = self._open[terms.key] = ticket
        return [Opened(ticket), Status(ticket), *self._to_venue(terms)]

    def _to_venue(self, terms: VenueOrder) -> list[Report]:
        return [report for fill in self._venue.place(terms) for report in self._filled(fill)]

    def _filled(self, fill: VenueFill) -> list[Report]:
        realized = self.account.apply(fill)
        ticket = self._open[fill.key]
        ticket = structs.replace(
            ticket, filled=ticket.filled + fill.quantity, paid=ticket.paid + fill.price * fill.quantity,
            last_price=fill.price, status=SUBMITTED,
        )  # fmt: skip
        self._tickets[fill.key] = self._open[fill.key] = ticket
        if ticket.filled == ticket.terms.quantity:
            ticket = self._end(ticket, FILLED, f"Filled Size: {ticket.filled}", fill.ts)
        execution = Execution(
            exec_id=f"0000e0d5.{fill.number:08x}.01.01", client_id=ticket.client_id, order_id=ticket.order_id,
            perm_id=ticket.perm_id, order_ref=ticket.order_ref, instrument=fill.instrument, side=fill.side,
            quantity=fill.quantity, price=fill.price, ts=fill.ts, commission=fill.commission, realized=realized,
            cumulative=ticket.filled, average=ticket.average,
        )  # fmt: skip
        self.executions.append(execution)
        return [Executed(execution), Opened(ticket), Status(ticket), Charged(execution)]

    def _end(self, ticket: Ticket, status: str, ended_as: str, at: int) -> Ticket:
        ended = structs.replace(ticket, status=status, ended_at=at, ended_as=ended_as)
        del self._open[ticket.terms.key]
        self._tickets[ticket.terms.key] = ended
        self.completed.append(ended)
        return ended
