"""The broker's side of the account: orders, ids, executions. Synchronous and deterministic."""

from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct, structs

from robotrader.model import Instrument, OrderType, Side, TimeInForce
from robotrader.simulation.gateway.account import MARGIN, Account
from robotrader.simulation.gateway.contracts import Contracts
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.record import Execution, Placement
from robotrader.simulation.gateway.requests import PlaceOrder, Refused
from robotrader.simulation.venue import Venue, VenueFill, VenueOrder

_FIRST_PERM_ID = 1_000_000_000
_VALIDATION = "Error validating request: cause - "
_TIF = {"": TimeInForce.DAY} | {t.value: t for t in TimeInForce}
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


class Notice(Struct, frozen=True):
    """An error message about an order."""

    client_id: int
    order_id: int
    code: int
    text: str


class Report(NamedTuple):
    """What the owner of an order must be told: a message's name and what it is about."""

    name: str
    of: Ticket | Execution | Notice


def status(ticket: Ticket) -> Report:
    """Report an orderStatus message."""
    return Report("orderStatus", ticket)


def opened(ticket: Ticket) -> list[Report]:
    """Report an openOrder message with the status that always follows it."""
    return [Report("openOrder", ticket), status(ticket)]


class Book:
    """Orders of all clients; every method returns what to tell whom, in order."""

    def __init__(self, market: Market, venue: Venue, account: Account) -> None:
        self.market = market
        self.account = account
        self.contracts = Contracts(market.instruments.values())
        self.executions: list[Execution] = []
        self.completed: list[Ticket] = []
        self._venue = venue
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
        key = f"{client_id}/{order.order_id}"
        known, code = self._tickets.get(key), 0
        try:
            self._check_id(client_id, order.order_id, known)
            terms = _terms(order, key, self.contracts.one(order.contract), self.account.name)
            self._check_margin(terms)
            reports = self._modify(known, terms) if known else self._accept(client_id, order, terms)
        except Refused as refused:
            code = refused.code
            reports = [Report("error", Notice(client_id, order.order_id, code, refused.text))]
        return Placement(client_id=client_id, order=order, modify=bool(known), code=code), reports

    def cancel(self, client_id: int, order_id: int | None) -> list[Report]:
        """Cancel one order of this client; None cancels every open order of the account, whoever placed it."""
        if order_id is None:
            return [report for t in self.open_orders() for report in self.cancel(t.client_id, t.order_id)]
        ticket = self._tickets.get(f"{client_id}/{order_id}")
        if ticket is None:
            code, text = 10147, f"OrderId {order_id} that needs to be cancelled is not found."
        elif ticket.status == FILLED:
            code, text = 161, f"Cancel attempted when order is not in a cancellable state. permId = {ticket.perm_id}"
        elif not ticket.open:
            code, text = 10148, f"OrderId {order_id} cannot be cancelled, state: {ticket.status}."
        else:
            code, text = 202, "Order Canceled - reason:"
        notice = Report("error", Notice(client_id, order_id, code, text))
        if ticket is None or not ticket.open:
            return [notice]
        self._venue.cancel(ticket.terms.key)
        return [status(self._end(ticket, CANCELLED, "Cancelled by Trader", self.market.now)), notice]

    def advance(self, until: int) -> list[Report]:
        """Let the market trade until that time: fills and expiries on the way."""
        reports: list[Report] = []
        for segment in self.market.advance(until):
            for bar in segment.bars:
                for fill in self._venue.on_bar(bar, segment.opened):
                    reports += self._filled(fill)
            if segment.ends_session:
                for key in self._venue.end_session(segment.ts):
                    reports.append(status(self._end(self._open[key], CANCELLED, "Cancelled by System", segment.ts)))
        return reports

    def _check_id(self, client_id: int, order_id: int, known: Ticket | None) -> None:
        if known is not None and known.status == FILLED:
            raise Refused(104, "Cannot modify a filled order.")
        if (known is None and order_id < self.next_id(client_id)) or (known is not None and not known.open):
            raise Refused(103, "Duplicate order id")
        if known is None:
            self._next_ids[client_id] = order_id + 1

    def _check_margin(self, order: VenueOrder) -> None:
        """Refuse what adds to a position and needs more initial margin than there is equity."""
        prices, account = self.market.last, self.account
        price = prices.get(order.instrument)
        if price is None:
            return
        holding = account.holdings.get(order.instrument)
        held = holding.quantity if holding else 0
        more = (abs(held + order.side.sign * order.quantity) - abs(held)) * Decimal(repr(price))
        required, equity = (account.gross(prices) + more) * MARGIN, account.equity(prices)
        if more > 0 and required > equity:
            text = f"Order rejected - reason:Insufficient funds: initial margin {required:.2f}, equity {equity:.2f}"
            raise Refused(201, text)

    def _accept(self, client_id: int, order: PlaceOrder, terms: VenueOrder) -> list[Report]:
        ticket = Ticket(
            client_id=client_id, order_id=order.order_id, perm_id=_FIRST_PERM_ID + len(self._tickets), terms=terms,
            order_ref=order.order_ref, outside_rth=order.outside_rth,
        )  # fmt: skip
        reports = opened(ticket)
        if terms.type is OrderType.LIMIT:  # a limit rests at the exchange; others wait for the open or their trigger
            ticket = structs.replace(ticket, status=SUBMITTED)
            reports += opened(ticket)
        return reports + self._to_venue(ticket)

    def _modify(self, known: Ticket, terms: VenueOrder) -> list[Report]:
        if (terms.instrument, terms.side) != (known.terms.instrument, known.terms.side):
            raise Refused(105, "Order being modified does not match original order")
        state = SUBMITTED if terms.type is OrderType.LIMIT else PRE_SUBMITTED
        ticket = structs.replace(known, terms=terms, status=state)
        return opened(ticket) + self._to_venue(ticket)

    def _to_venue(self, ticket: Ticket) -> list[Report]:
        self._tickets[ticket.terms.key] = self._open[ticket.terms.key] = ticket
        return [report for fill in self._venue.place(ticket.terms) for report in self._filled(fill)]

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
        return [Report("execDetails", execution), *opened(ticket), Report("commissionReport", execution)]

    def _end(self, ticket: Ticket, state: str, ended_as: str, at: int) -> Ticket:
        ended = structs.replace(ticket, status=state, ended_at=at, ended_as=ended_as)
        del self._open[ticket.terms.key]
        self._tickets[ticket.terms.key] = ended
        self.completed.append(ended)
        return ended


def _terms(order: PlaceOrder, key: str, instrument: Instrument, account: str) -> VenueOrder:
    """Return the order for the venue, or refuse what is missing, wrong or not simulated."""
    if order.account not in {"", account}:
        raise Refused(321, f"{_VALIDATION}Invalid account code {order.account!r}")
    if order.unsupported:
        raise Refused(321, f"{_VALIDATION}this simulator does not support {order.unsupported}")
    if order.action not in set(Side) or order.order_type not in set(OrderType):
        raise Refused(321, f"{_VALIDATION}Invalid order action or type: {order.action} {order.order_type}")
    if order.tif not in _TIF:
        raise Refused(111, f"The time-in-force {order.tif} and the order type {order.order_type} are incompatible.")
    if order.quantity is None or order.quantity <= 0:
        raise Refused(434, "The order size cannot be zero.")
    if order.quantity % instrument.lot:
        raise Refused(10243, "Fractional-sized order cannot be placed via API. Please use desktop version.")
    kind = OrderType(order.order_type)
    return VenueOrder(
        key=key, instrument=instrument.id, side=Side(order.action), quantity=int(order.quantity), type=kind,
        limit_price=_price(order.limit, instrument) if kind is OrderType.LIMIT else None,
        stop_price=_price(order.aux, instrument) if kind is OrderType.STOP else None, tif=_TIF[order.tif],
    )  # fmt: skip


def _price(price: Decimal | None, instrument: Instrument) -> Decimal:
    if price is None:
        raise Refused(321, f"{_VALIDATION}the order needs its price")
    if not instrument.on_grid(price):
        raise Refused(110, "The price does not conform to the minimum price variation for this contract.")
    return instrument.price(price)
