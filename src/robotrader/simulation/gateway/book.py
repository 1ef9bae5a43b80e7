"""What clients ask of the broker's orders, and the market's way on. Synchronous and deterministic."""

from decimal import Decimal

from msgspec import structs

from robotrader.model import InstrumentId
from robotrader.simulation.gateway.account import MARGIN, Account
from robotrader.simulation.gateway.blotter import Blotter, key_of
from robotrader.simulation.gateway.contracts import Contracts
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.record import Execution, Placement
from robotrader.simulation.gateway.requests import PlaceOrder, Refused
from robotrader.simulation.gateway.routing import Routing
from robotrader.simulation.gateway.terms import venue_order
from robotrader.simulation.gateway.tickets import FILLED, UNSENT, Notice, Preview, Report, Ticket
from robotrader.simulation.venue import Venue, VenueOrder

_OCA_REDUCE = 3
"""TWS makes the children of an order a group of this type: what one fills, the others lose."""


class Book:
    """Orders of all clients; every method returns what to tell whom, in order.

    `tells_hours`: who orders while the market is closed is told so (399). `binds`: manual orders get an order id
    as they come, because client 0 asked for it. `halts` has tick 49's value of what was halted ever, `limited` what is
    in a limit state.
    """

    def __init__(self, market: Market, venue: Venue, account: Account, *, tells_hours: bool = False) -> None:
        self.market = market
        self.account = account
        self.venue = venue
        self.contracts = Contracts(market.instruments.values())
        self.routing = Routing(market, venue, account, tells_hours=tells_hours)
        self.blotter: Blotter = self.routing.blotter
        self.executions: list[Execution] = self.blotter.executions
        self.binds = False
        self.halts: dict[InstrumentId, int] = {}
        self.limited: set[InstrumentId] = set()

    @property
    def idle(self) -> bool:
        """Tell whether no order is open."""
        return not self.blotter.open

    @property
    def completed(self) -> list[Ticket]:
        """Return the orders that have ended, oldest first."""
        return list(self.blotter.completed.values())

    def next_id(self, client_id: int) -> int:
        """Return the lowest order id that this client may use."""
        return self.blotter.next_id(client_id)

    def open_orders(self, client_id: int | None = None) -> list[Ticket]:
        """Return the open orders of one client, or of all, oldest first."""
        return [t for t in self.blotter.open.values() if client_id in {None, t.client_id}]

    def shortable(self, instrument: InstrumentId) -> int:
        """Return how many shares can be borrowed to sell them short."""
        return self.routing.shortable(instrument)

    def place(self, client_id: int, order: PlaceOrder) -> tuple[Placement, list[Report]]:
        """Take a new order, or new terms of an open one; a what-if order only shows what it would change."""
        known, code = self.blotter.tickets.get(key_of(client_id, order.order_id)), 0
        try:
            self._check_id(client_id, order, known)
            ticket = self._ticket(client_id, order, known)
            reports = [self._preview(ticket)] if order.what_if else self._take(ticket, known)
        except Refused as refused:
            code = refused.code
            reports = [Report("error", Notice(client_id, order.order_id, code, refused.text))]
        return Placement(client_id=client_id, order=order, modify=bool(known), code=code), reports

    def cancel(self, client_id: int, order_id: int | None) -> list[Report]:
        """Cancel one order of this client; None cancels every open order of the account, whoever placed it."""
        if order_id is None:
            still_open = (t for t in self.open_orders() if t.terms.key in self.blotter.open)
            return [report for ticket in still_open for report in self.routing.withdraw(ticket)]
        ticket = self.blotter.tickets.get(key_of(client_id, order_id))
        if ticket is None:
            code, text = 10147, f"OrderId {order_id} that needs to be cancelled is not found."
        elif ticket.status == FILLED:
            code, text = 161, f"Cancel attempted when order is not in a cancellable state. permId = {ticket.perm_id}"
        elif not ticket.open:
            code, text = 10148, f"OrderId {order_id} cannot be cancelled, state: {ticket.status}."
        else:
            return self.routing.withdraw(ticket)
        return [Report("error", Notice(client_id, order_id, code, text))]

    def advance(self, until: int) -> list[Report]:
        """Let the market trade until that time: fills and expiries on the way."""
        reports: list[Report] = []
        routing, venue = self.routing, self.venue
        for segment in self.market.advance(until):
            reports += routing.expired(venue.expire(segment.opened), segment.opened) + routing.open_market()
            for bar in segment.bars:
                for event in venue.trade(bar, segment.opened):
                    reports += routing.happened(event)
            if segment.ends_session:
                reports += [report for fill in venue.close_auction() for report in routing.filled(fill)]
                reports += routing.expired([*venue.end_session(segment.ts), *routing.waiting_today()], segment.ts)
        return reports + routing.expired(venue.expire(until), until)

    def _check_id(self, client_id: int, order: PlaceOrder, known: Ticket | None) -> None:
        if known is not None and known.status == FILLED:
            raise Refused(104, "Cannot modify a filled order.")
        if (known is None and order.order_id < self.next_id(client_id)) or (known is not None and not known.open):
            raise Refused(103, "Duplicate order id")
        if known is None and not order.what_if:
            self.blotter.use_id(client_id, order.order_id)

    def _ticket(self, client_id: int, order: PlaceOrder, known: Ticket | None) -> Ticket:
        """Return the order as it would be; refuse what cannot be."""
        instrument = self.contracts.one(order.contract)
        terms = venue_order(order, key_of(client_id, order.order_id), instrument, self.account.name)
        if order.parent_id:
            parent = self._parent(client_id, order.parent_id)
            terms = structs.replace(terms, quantity=min(terms.quantity, parent.filled or terms.quantity))
            if not order.oca_group:
                order = structs.replace(order, oca_group=str(parent.perm_id), oca_type=_OCA_REDUCE)
        if not order.what_if:
            self._check_margin(terms)
        if known is None:
            return self.blotter.new(client_id, order, terms)
        if (terms.instrument, terms.side) != (known.terms.instrument, known.terms.side):
            raise Refused(105, "Order being modified does not match original order")
        if terms.quantity <= known.filled:
            raise Refused(201, f"Order rejected - reason:{known.filled} of the order have filled already")
        return structs.replace(known, order=order, terms=terms)

    def _parent(self, client_id: int, parent_id: int) -> Ticket:
        parent = self.blotter.tickets.get(key_of(client_id, parent_id))
        if parent is None:
            raise Refused(10006, "Missing parent order")
        if not parent.open and not parent.filled:
            raise Refused(201, "Order rejected - reason:Parent order has ended")
        return parent

    def _take(self, ticket: Ticket, known: Ticket | None) -> list[Report]:
        if known is not None and known.held != UNSENT:
            return self.routing.release(ticket, told=True)
        group = ticket.order.oca_group
        if group and not ticket.order.parent_id and self.blotter.spent(group):
            raise Refused(201, "Order rejected - reason:OCA group is already filled")
        self.blotter.keep(ticket)
        if not ticket.order.transmit:
            return []
        parent = self.blotter.parent(ticket)
        family = [ticket] if parent is None else [parent, *self.blotter.children(parent)]
        return [report for t in family if t.held == UNSENT for report in self.routing.release(t)]

    def _check_margin(self, order: VenueOrder) -> None:
        """Refuse what adds to a position and needs more initial margin than there is equity."""
        prices = self.market.last
        if order.instrument in prices:
            more = self.account.added(order, prices)
            required, equity = (self.account.gross(prices) + more) * MARGIN, self.account.equity(prices)
            if more > 0 and required > equity:
                text = f"Order rejected - reason:Insufficient funds: initial margin {required:.2f}, equity {equity:.2f}"
                raise Refused(201, text)

    def _preview(self, ticket: Ticket) -> Report:
        prices, terms = self.market.last, ticket.terms
        raw = prices.get(terms.instrument)
        price = Decimal(repr(raw)) if raw is not None else terms.limit_price or Decimal(0)
        cost, gross = self.venue.commission(terms, price, self.market.now), self.account.gross(prices)
        margin, equity = gross * MARGIN, self.account.equity(prices)
        after = max(gross + (self.account.added(terms, prices) if raw is not None else 0), Decimal(0)) * MARGIN
        return Report("openOrder", Preview(ticket, (margin, after), (equity, equity - cost), cost))
