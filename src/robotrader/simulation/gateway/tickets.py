"""Orders as the broker keeps them, and what its clients are told of them."""

from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from robotrader.simulation.gateway.record import Execution
from robotrader.simulation.gateway.requests import PlaceOrder
from robotrader.simulation.venue import VenueOrder

PRE_SUBMITTED, SUBMITTED, FILLED = "PreSubmitted", "Submitted", "Filled"
PENDING_CANCEL, CANCELLED, INACTIVE = "PendingCancel", "Cancelled", "Inactive"
CHILD, LOCATE, TRIGGER, UNSENT = "child", "locate", "trigger", "unsent"


class Ticket(Struct, frozen=True, kw_only=True):
    """An order as the broker keeps it; `status` in IBKR's words, `paid` the sum of price × quantity.

    `order` is what the client asked for, `terms` what may trade of it now. `held` is why it does not trade:
    IBKR's whyHeld, or UNSENT as long as it is not to be transmitted.
    """

    client_id: int
    order_id: int
    perm_id: int
    terms: VenueOrder
    order: PlaceOrder
    status: str = PRE_SUBMITTED
    held: str = ""
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


class Preview(Struct, frozen=True):
    """What an order would change (what-if): initial margin, equity with loan value, commission."""

    ticket: Ticket
    margin: tuple[Decimal, Decimal]
    equity: tuple[Decimal, Decimal]
    commission: Decimal

    @property
    def client_id(self) -> int:
        """Return who asked."""
        return self.ticket.client_id


class Report(NamedTuple):
    """What the owner of an order must be told: a message's name and what it is about."""

    name: str
    of: Ticket | Execution | Notice | Preview

    def concerns(self, master: int | None) -> set[int]:
        """Return the clients to tell: the owner, and the master client of whatever happens to any order."""
        owner = self.of.client_id
        return {owner} if master is None or isinstance(self.of, Notice | Preview) else {owner, master}


def status(ticket: Ticket) -> Report:
    """Report an orderStatus message."""
    return Report("orderStatus", ticket)


def opened(ticket: Ticket) -> list[Report]:
    """Report an openOrder message with the status that always follows it."""
    return [Report("openOrder", ticket), status(ticket)]


def notice(ticket: Ticket, code: int, text: str) -> Report:
    """Report an error message about an order."""
    return Report("error", Notice(ticket.client_id, ticket.order_id, code, text))
