"""Answers to questions about orders and executions."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from itertools import takewhile

from robotrader.simulation.gateway import order_messages
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.connection import Connection
from robotrader.simulation.gateway.history import parse_end
from robotrader.simulation.gateway.record import Execution
from robotrader.simulation.gateway.requests import Request
from robotrader.simulation.gateway.tickets import opened
from robotrader.simulation.gateway.wire import ZONE, fields_frame, local, nanos

_DAYS_KEPT = 7
"""Days whose executions and completed orders are shown, as TWS does when its trade log is set so."""


def _open_orders(book: Book, to: Connection, request: Request) -> None:
    for ticket in book.open_orders(None if request.what == "all open orders" else to.client_id):
        to.send(*(order_messages.report(to.speaker, item, book.market.now) for item in opened(ticket)))
    to.send(fields_frame(53, 1))


def _since(book: Book, days: int = _DAYS_KEPT) -> int:
    first = local(book.market.now).date() - timedelta(days=days - 1)
    return nanos(datetime.combine(first, time(), ZONE))


def _completed_orders(book: Book, to: Connection, request: Request) -> None:
    since = _since(book)
    recent = list(takewhile(lambda t: (t.ended_at or 0) >= since, reversed(book.completed)))
    shown = (t for t in reversed(recent) if not request.flag("apiOnly") or t.order_id > 0)
    to.send(*(order_messages.completed_order(to.speaker, ticket) for ticket in shown))
    to.send(fields_frame(102))


def _executions(book: Book, to: Connection, request: Request) -> None:
    dated = "lastDays" in request.values  # from version 200
    days = min((request.integer("lastDays") if dated else None) or _DAYS_KEPT, _DAYS_KEPT)
    since = max(_since(book, days), parse_end(request.values["time"], 0))
    dates = request.rest if dated else ()
    for execution in book.executions:
        today = not dates or local(execution.ts).strftime("%Y%m%d") in dates
        if execution.ts >= since and today and _passes(book, execution, request):
            to.send(order_messages.execution_details(to.speaker, execution, request.req_id))
            to.send(order_messages.commission(to.speaker, execution))
    to.send(fields_frame(55, 1, request.req_id))


def _passes(book: Book, execution: Execution, wanted: Request) -> bool:
    fields, filters = book.contracts.fields[execution.instrument], wanted.values
    return (
        wanted.integer("clientId") in {None, 0, execution.client_id}
        and filters["account"] in {"", book.account.name}
        and filters["symbol"] in {"", fields["symbol"]}
        and filters["secType"] in {"", fields["secType"]}
        and filters["exchange"] in {"", "SMART", fields["primaryExchange"]}
        and filters["side"].upper() in {"", execution.side, order_messages.SIDES[execution.side]}
    )


ANSWERS: dict[str, Callable[[Book, Connection, Request], None]] = {
    "all open orders": _open_orders, "completed orders": _completed_orders, "executions": _executions,
    "own open orders": _open_orders,
}  # fmt: skip
