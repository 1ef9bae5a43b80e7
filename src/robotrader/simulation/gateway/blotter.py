"""All orders and executions that the broker knows, and what belongs together."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import count

from msgspec import structs

from robotrader.simulation.gateway.record import Execution
from robotrader.simulation.gateway.requests import PlaceOrder
from robotrader.simulation.gateway.tickets import FILLED, SUBMITTED, UNSENT, Ticket
from robotrader.simulation.venue import VenueFill, VenueOrder

_FIRST_PERM_ID = 1_000_000_000


def key_of(client_id: int, order_id: int) -> str:
    """Return the name of a client's order; a manual one is client 0's, with the negative id that it can be given."""
    return f"{client_id}/{order_id}"


class Blotter:
    """Keep orders by key: the live and untransmitted ones, the open ones, and by permId those that ended."""

    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.open: dict[str, Ticket] = {}
        self.completed: dict[int, Ticket] = {}
        self.executions: list[Execution] = []
        self._families: dict[str, list[str]] = {}
        self._groups: dict[str, list[str]] = {}
        self._next_ids: dict[int, int] = {}
        self._perm_ids = count(_FIRST_PERM_ID)

    def next_id(self, client_id: int) -> int:
        """Return the lowest order id that this client may use."""
        return self._next_ids.get(client_id, 1)

    def use_id(self, client_id: int, order_id: int) -> None:
        """Note that an id has been used."""
        self._next_ids[client_id] = order_id + 1

    def new(self, client_id: int, order: PlaceOrder, terms: VenueOrder) -> Ticket:
        """Return a ticket with a permId of its own, none for a what-if; it is not kept yet."""
        return Ticket(
            client_id=client_id, order_id=order.order_id, terms=terms,
            perm_id=0 if order.what_if else next(self._perm_ids), order=order,
            held=UNSENT,
        )  # fmt: skip

    def keep(self, ticket: Ticket) -> Ticket:
        """Store an order as it is now."""
        key, order = ticket.terms.key, ticket.order
        if key not in self.tickets and order.parent_id:
            self._families.setdefault(key_of(ticket.client_id, order.parent_id), []).append(key)
        if key not in self.tickets and order.oca_group:
            self._groups.setdefault(order.oca_group, []).append(key)
        self.tickets[key] = ticket
        if not ticket.open:
            self.open.pop(key, None)
            self.completed[ticket.perm_id] = ticket
        elif ticket.held != UNSENT:
            self.open[key] = ticket
        return ticket

    def renumber(self, ticket: Ticket) -> Ticket:
        """Give an order another permId."""
        return self.keep(structs.replace(ticket, perm_id=next(self._perm_ids)))

    def forget(self, ticket: Ticket) -> None:
        """Lose an order without a trace."""
        self.tickets.pop(ticket.terms.key, None)
        self.open.pop(ticket.terms.key, None)

    def parent(self, ticket: Ticket) -> Ticket | None:
        """Return the order that this one waits for."""
        return self.tickets.get(key_of(ticket.client_id, ticket.order.parent_id)) if ticket.order.parent_id else None

    def children(self, ticket: Ticket) -> list[Ticket]:
        """Return the orders that wait for this one, also untransmitted ones, and those that it set free."""
        return self._live(self._families.get(ticket.terms.key, ()))

    def group(self, name: str) -> list[Ticket]:
        """Return the orders of an OCA group that can still fill."""
        return self._live(self._groups.get(name, ()))

    def spent(self, name: str) -> bool:
        """Tell whether an order of this OCA group has filled in part or whole."""
        return any(key in self.tickets and self.tickets[key].filled for key in self._groups.get(name, ()))

    def fill(self, fill: VenueFill, realized: Decimal | None, *, liquidation: bool) -> tuple[Ticket, Execution]:
        """Book a fill on its order."""
        ticket = self.tickets[fill.key]
        ticket = structs.replace(
            ticket, filled=ticket.filled + fill.quantity, paid=ticket.paid + fill.price * fill.quantity,
            last_price=fill.price, status=SUBMITTED if ticket.open else ticket.status, held="",
        )  # fmt: skip
        if ticket.filled == ticket.terms.quantity:
            end = {"ended_at": fill.ts, "ended_as": f"Filled Size: {ticket.filled}"}
            ticket = structs.replace(ticket, status=FILLED, **end)
        execution = Execution(
            exec_id=f"0000e0d5.{fill.number:08x}.01.01", client_id=ticket.client_id, order_id=ticket.order_id,
            perm_id=ticket.perm_id, order_ref=ticket.order.order_ref, instrument=fill.instrument, side=fill.side,
            quantity=fill.quantity, price=fill.price, ts=fill.ts, commission=fill.commission, realized=realized,
            cumulative=ticket.filled, average=ticket.average, liquidation=liquidation,
        )  # fmt: skip
        self.executions.append(execution)
        return self.keep(ticket), execution

    def restart(self, *, rollback: bool) -> None:
        """Lose what was not transmitted; with `rollback` also which order ids were used."""
        self.tickets = {k: t for k, t in self.tickets.items() if t.held != UNSENT and (t.open or not rollback)}
        if rollback:
            self._next_ids.clear()

    def _live(self, keys: Iterable[str]) -> list[Ticket]:
        return [t for key in keys if (t := self.tickets.get(key)) is not None and t.open]
