"""What happens to orders and executions without any client's request: the broker's deeds, and TWS's own orders."""

from collections.abc import Callable
from decimal import Decimal

from msgspec import structs

from robotrader.model import ConfigError, OrderType, Side
from robotrader.simulation.gateway.blotter import key_of
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.record import Execution, Intervention, effective
from robotrader.simulation.gateway.requests import ContractQuery, PlaceOrder, Refused
from robotrader.simulation.gateway.routing import BY_SYSTEM
from robotrader.simulation.gateway.terms import venue_order
from robotrader.simulation.gateway.tickets import CANCELLED, Report, Ticket, opened
from robotrader.simulation.venue import VenueOrder


def intervene(book: Book, intervention: Intervention) -> list[Report]:
    """Do a deed and return what to tell whom; ConfigError when what it is about does not exist."""
    try:
        return _DEEDS[intervention.deed](book, intervention)
    except Refused as refused:
        raise ConfigError(f"the broker refuses to {intervention.deed}: {refused.text} ({refused.code})") from refused


def _correct(book: Book, i: Intervention) -> list[Report]:
    """Replace an execution's price or quantity by a next revision of it; 0 shares make it void."""
    stem = i.exec_id.rpartition(".")[0]
    old = effective(book.executions).get(stem)
    if old is None:
        raise ConfigError(f"there is no execution {i.exec_id!r} to correct: give the exec_id of one that was reported")
    if book.account.split_once:
        raise ConfigError(f"{i.exec_id!r} cannot be corrected: what that means after a split is not known")
    quantity = old.quantity if i.quantity is None else i.quantity
    revised = structs.replace(
        old, exec_id=f"{stem}.{int(old.exec_id.rpartition('.')[2]) + 1:02d}", quantity=quantity,
        price=old.price if i.price is None else i.price, commission=old.commission if quantity else Decimal(0),
    )  # fmt: skip
    latest = effective([*book.executions, revised])
    realized = dict(zip(latest, book.account.rebuild(latest.values()), strict=True))[stem]
    mine = [e for e in latest.values() if e.perm_id == old.perm_id]
    so_far = _sums(mine[: mine.index(revised) + 1])
    average = round(so_far[1] / so_far[0], 8) if so_far[0] else Decimal(0)
    revised = structs.replace(revised, realized=realized, cumulative=so_far[0], average=average)
    book.executions.append(revised)
    ticket = next((t for t in _all(book) if t.perm_id == old.perm_id), None)
    if ticket is not None:
        filled, paid = _sums(mine)
        book.blotter.keep(structs.replace(ticket, filled=filled, paid=paid))
    return [Report("execDetails", revised), Report("commissionReport", revised)]


def _order_manually(book: Book, i: Intervention) -> list[Report]:
    """Take an order that a person typed into TWS: client 0's, without an order id until it is bound."""
    if i.order is None:
        raise ConfigError("a manual order needs its terms: give `order`")
    instrument = book.contracts.one(i.order.contract)
    ticket = _of_tws(book, i.order, venue_order(i.order, "", instrument, book.account.name))
    bound = _bound(book, ticket) if book.binds else []
    return bound[:1] + book.routing.release(book.blotter.tickets[ticket.terms.key])


def _liquidate(book: Book, i: Intervention) -> list[Report]:
    """Close a part of a position at the last price, as a broker does that wants its money back."""
    raw, holding = book.market.last.get(i.instrument), book.account.holdings.get(i.instrument)
    if raw is None or holding is None or not holding.quantity:
        raise ConfigError(f"nothing of {i.instrument!r} can be liquidated: it has no position or no price")
    order = PlaceOrder(
        order_id=0, contract=ContractQuery(), action=Side.SELL if holding.quantity > 0 else Side.BUY,
        quantity=Decimal(i.quantity or abs(holding.quantity)), order_type=OrderType.MARKET, limit=None, aux=None,
        tif="DAY", account="", order_ref="",
    )  # fmt: skip
    terms = VenueOrder(key="", instrument=i.instrument, side=Side(order.action), quantity=int(order.quantity or 0))
    ticket = _of_tws(book, order, terms)
    price = book.market.instruments[i.instrument].price(raw)
    return book.routing.filled(book.venue.settle(ticket.terms, price, book.market.now), liquidation=True)


def _fill_late(book: Book, i: Intervention) -> list[Report]:
    """Fill what was left of an order that has ended, at `price` or the last one."""
    ticket = _find(book, i, ended=True)
    left = structs.replace(ticket.terms, quantity=ticket.terms.quantity - ticket.filled)
    raw = i.price or book.market.last.get(left.instrument)
    if not left.quantity or raw is None:
        raise ConfigError(f"order {ticket.terms.key} cannot fill late: it has filled whole, or there is no price yet")
    price = book.market.instruments[left.instrument].price(raw)
    return book.routing.filled(book.venue.settle(left, price, book.market.now))


def _vanish(book: Book, i: Intervention) -> list[Report]:
    ticket = _find(book, i)
    book.venue.cancel(ticket.terms.key)
    book.blotter.forget(ticket)
    return []


def _expire(book: Book, i: Intervention) -> list[Report]:
    return book.routing.end(_find(book, i), CANCELLED, BY_SYSTEM, book.market.now)


def _locate(book: Book, i: Intervention) -> list[Report]:
    """Find the shares that a held short sale waits for."""
    ticket = _find(book, i)
    book.routing.located.add(ticket.terms.key)
    return book.routing.release(ticket, told=True)


def _lend(book: Book, i: Intervention) -> list[Report]:
    """Set how many shares of an instrument can be borrowed."""
    book.routing.lendable[i.instrument] = i.quantity or 0
    return []


def _halt(book: Book, i: Intervention) -> list[Report]:
    """Stop trading in an instrument, or let it go on: orders rest, and expire as ever."""
    book.halts[i.instrument] = i.quantity or 0
    (book.venue.halted.add if i.quantity else book.venue.halted.discard)(i.instrument)
    return []


def _limit_state(book: Book, i: Intervention) -> list[Report]:
    """Mark an instrument's quotes as past their limit, or no longer: it goes on trading."""
    (book.limited.add if i.quantity else book.limited.discard)(i.instrument)
    return []


def _split(book: Book, i: Intervention) -> list[Report]:
    """Give `new` units for `old` ones, at `price` a new unit; orders stay as they are: their owner has to know."""
    if i.price is None or min(i.new, i.old) < 1:
        raise ConfigError(f"a split of {i.instrument!r} needs a price, and new units for old ones: {i.new} for {i.old}")
    book.market.last[i.instrument] = float(i.price)
    book.account.split(i)
    return []


def _bind(book: Book, _: Intervention) -> list[Report]:
    """Give manual orders an order id, now and from now on."""
    book.binds = True
    unbound = [t for t in book.open_orders(0) if not t.order_id]
    return [report for ticket in unbound for report in _bound(book, ticket)]


def _restart(book: Book, i: Intervention) -> list[Report]:
    book.blotter.restart(rollback=i.deed == "roll back")
    book.binds = False
    return []


def _renumber(book: Book, i: Intervention) -> list[Report]:
    """Give an order another permId, as happens when it is changed in an outage."""
    return opened(book.blotter.renumber(_find(book, i)))


def _find(book: Book, i: Intervention, *, ended: bool = False) -> Ticket:
    ticket = book.blotter.tickets.get(key_of(i.client_id, i.order_id))
    if ticket is None or ticket.open is ended:
        state = "ended" if ended else "open"
        raise ConfigError(f"client {i.client_id} has no {state} order {i.order_id}: it is needed to {i.deed}")
    return ticket


def _of_tws(book: Book, order: PlaceOrder, terms: VenueOrder) -> Ticket:
    """Store an order of client 0 without an order id; its key holds the id that it gets when it is bound."""
    ticket = book.blotter.new(0, structs.replace(order, order_id=0), terms)
    key = key_of(0, -(ticket.perm_id % 1_000_000) - 1)
    return book.blotter.keep(structs.replace(ticket, terms=structs.replace(terms, key=key)))


def _bound(book: Book, ticket: Ticket) -> list[Report]:
    order_id = int(ticket.terms.key.rpartition("/")[2])
    bound = book.blotter.keep(structs.replace(ticket, order_id=order_id))
    return [Report("orderBound", bound), *opened(bound)]


def _all(book: Book) -> list[Ticket]:
    return [*book.blotter.tickets.values(), *book.completed]


def _sums(executions: list[Execution]) -> tuple[int, Decimal]:
    """Return quantity and price × quantity of executions."""
    return sum(e.quantity for e in executions), sum((e.price * e.quantity for e in executions), Decimal(0))


_DEEDS: dict[str, Callable[[Book, Intervention], list[Report]]] = {
    "bind": _bind, "correct": _correct, "expire": _expire, "fill late": _fill_late, "halt": _halt,
    "lend": _lend, "limit state": _limit_state, "liquidate": _liquidate, "locate": _locate,
    "order manually": _order_manually, "renumber": _renumber, "restart": _restart, "roll back": _restart,
    "split": _split, "vanish": _vanish,
}  # fmt: skip
