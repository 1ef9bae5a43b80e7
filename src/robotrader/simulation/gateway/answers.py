"""Answers to questions about contracts, the account and its orders. Nothing here changes any state of the market."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import takewhile
from typing import Any

from robotrader.simulation.gateway import messages, quotes
from robotrader.simulation.gateway.book import Book, Opened, Status
from robotrader.simulation.gateway.connection import Connection
from robotrader.simulation.gateway.history import parse_end
from robotrader.simulation.gateway.record import Execution
from robotrader.simulation.gateway.requests import (
    AccountSummary,
    AccountUpdates,
    ContractDetails,
    Executions,
    History,
    MarketData,
    MarketDataType,
    Refused,
    Request,
    Simple,
)
from robotrader.simulation.gateway.wire import ZONE, fields_frame, local, nanos

_MARGIN_SHOWN = Decimal("0.5")
_NO_CURRENCY = frozenset({"AccountCode", "AccountReady", "AccountType"})
_DAYS_KEPT = 7
"""Days whose executions and completed orders are shown, as TWS does when its trade log is set so."""
_HOURS_SHOWN = 6


def answer(book: Book, to: Connection, request: Request) -> None:
    """Answer one request on its connection.

    Raises
    ------
    Refused
        The request cannot be done.
    """
    _ANSWERS[request.what if isinstance(request, Simple) else type(request)](book, to, request)


def refresh(book: Book, to: Connection) -> None:
    """Tell a client what changed of its subscriptions to account and positions."""
    if to.subscriptions.positions:
        _positions(book, to)
    if to.subscriptions.account:
        _account(book, to)


def _managed_accounts(book: Book, to: Connection, _request: Simple) -> None:
    to.send(fields_frame(15, 1, book.account.name))


def _next_id(book: Book, to: Connection, _request: Simple) -> None:
    to.send(fields_frame(9, 1, book.next_id(to.client_id or 0)))


def _account_updates(book: Book, to: Connection, request: AccountUpdates) -> None:
    to.subscriptions.account = request.subscribe
    if request.subscribe:
        to.subscriptions.told = {k: v for k, v in to.subscriptions.told.items() if k[0] != "account"}
        _account(book, to)
        to.send(fields_frame(54, 1, book.account.name))


def _account(book: Book, to: Connection) -> None:
    """Send the account values and portfolio lines that changed, then the time."""
    account, news, changed = book.account, to.subscriptions.news, False
    for key, value, currency in _values(book):
        if news(("account", key), value):
            to.send(fields_frame(6, 2, key, value, currency, account.name))
            changed = True
    for iid, holding in account.holdings.items():
        price = book.market.last.get(iid)
        worth = account.value(iid, price)
        line = {
            "position": holding.quantity, "price": price, "value": worth, "averageCost": holding.average_cost,
            "unrealized": worth - holding.cost, "realized": holding.realized,
        }  # fmt: skip
        if news(("account", iid), line):
            to.send(messages.portfolio(to.speaker, iid, line))
            changed = True
    if changed:
        to.send(fields_frame(8, 1, local(book.market.now).strftime("%H:%M")))


def _values(book: Book) -> Iterable[tuple[str, str, str]]:
    for key, value in book.account.values(book.market.last, _MARGIN_SHOWN).items():
        yield key, value, "" if key in _NO_CURRENCY else "USD"


def _account_values(book: Book, to: Connection, request: Simple) -> None:
    for key, value, currency in _values(book):
        to.send(fields_frame(73, 1, request.req_id, book.account.name, "", key, value, currency))
    to.send(fields_frame(74, 1, request.req_id))


def _account_summary(book: Book, to: Connection, request: AccountSummary) -> None:
    active = to.subscriptions.summaries
    if len(active | {request.req_id}) > 2:
        raise Refused(322, "Maximum number of account summary requests exceeded")
    active.add(request.req_id)
    for key, value, currency in _values(book):
        if key in request.tags or any(tag.startswith("$LEDGER") for tag in request.tags):
            to.send(fields_frame(63, 1, request.req_id, book.account.name, key, value, currency))
    to.send(fields_frame(64, 1, request.req_id))


def _all_positions(book: Book, to: Connection, _request: Simple) -> None:
    to.subscriptions.positions = True
    to.subscriptions.told = {k: v for k, v in to.subscriptions.told.items() if k[0] != "position"}
    _positions(book, to)
    to.send(fields_frame(62, 1))


def _positions(book: Book, to: Connection) -> None:
    for iid, holding in book.account.holdings.items():
        key, state = ("position", iid), (holding.quantity, holding.average_cost)
        known = holding.quantity or key in to.subscriptions.told  # a flat one is news only to who knew another
        if known and to.subscriptions.news(key, state):
            to.send(messages.position(to.speaker, iid, *state))


def _end(_book: Book, to: Connection, request: Simple) -> None:
    subscriptions, req_id = to.subscriptions, request.req_id
    match request.what:
        case "end positions":
            subscriptions.positions = False
        case "end summary":
            subscriptions.summaries.discard(req_id)
        case "end history" if subscriptions.histories.pop(req_id, None) is None:
            raise Refused(366, f"No historical data query found for ticker id:{req_id}")
        case "end quotes" if subscriptions.quotes.pop(req_id, None) is None:
            raise Refused(300, f"Can't find EId with tickerId:{req_id}")


def _contract_details(book: Book, to: Connection, request: ContractDetails) -> None:
    found = book.contracts.find(request.contract)
    if not found:
        raise Refused(200, "No security definition has been found for the request")
    hours = _trading_hours(book)
    for instrument in found:
        to.send(messages.contract_details(to.speaker, request.req_id, instrument.id, hours))
    to.send(fields_frame(52, 1, request.req_id))


def _trading_hours(book: Book) -> str:
    """Return the session under way and the next ones, `20260413:0930-20260413:1600;...`."""
    market = book.market
    shown = slice(first := bisect_right(market.closes, market.now), first + _HOURS_SHOWN)
    sessions = zip(market.opens[shown], market.closes[shown], strict=True)
    return ";".join("-".join(local(t).strftime("%Y%m%d:%H%M") for t in span) for span in sessions)


def _open_orders(book: Book, to: Connection, request: Simple) -> None:
    for ticket in book.open_orders(None if request.what == "all open orders" else to.client_id):
        to.send(*(messages.report(to.speaker, item, book.market.now) for item in (Opened(ticket), Status(ticket))))
    to.send(fields_frame(53, 1))


def _bind_orders(_book: Book, to: Connection, _request: Simple) -> None:
    """Do nothing for client 0: there are no manual orders that could be bound."""
    if to.client_id != 0:
        raise Refused(321, "Error validating request: cause - Only the default client (0) can auto bind orders.")


def _since(book: Book, days: int) -> int:
    first = local(book.market.now).date() - timedelta(days=days - 1)
    return nanos(datetime.combine(first, time(), ZONE))


def _completed_orders(book: Book, to: Connection, _request: Simple) -> None:
    since = _since(book, _DAYS_KEPT)
    recent = list(takewhile(lambda t: (t.ended_at or 0) >= since, reversed(book.completed)))
    to.send(*(messages.completed_order(to.speaker, ticket) for ticket in reversed(recent)))
    to.send(fields_frame(102))


def _executions(book: Book, to: Connection, request: Executions) -> None:
    since = max(_since(book, request.last_days or _DAYS_KEPT), parse_end(request.time, 0))
    recent = list(takewhile(lambda e: e.ts >= since, reversed(book.executions)))
    for execution in reversed(recent):
        if _passes(book, execution, request):
            to.send(messages.execution_details(to.speaker, execution, request.req_id))
            to.send(messages.commission(to.speaker, execution))
    to.send(fields_frame(55, 1, request.req_id))


def _passes(book: Book, execution: Execution, wanted: Executions) -> bool:
    fields = book.contracts.fields[execution.instrument]
    return (
        wanted.client_id in {0, execution.client_id}
        and wanted.symbol in {"", fields["symbol"]}
        and wanted.exchange in {"", "SMART", fields["primaryExchange"]}
        and wanted.side in {"", execution.side, "BOT" if execution.side.sign > 0 else "SLD"}
    )


_ANSWERS: dict[object, Callable[[Book, Connection, Any], None]] = {
    "account values": _account_values, "accounts": _managed_accounts, "all open orders": _open_orders,
    "bind orders": _bind_orders, "completed orders": _completed_orders, "end account values": _end, "end history": _end,
    "end positions": _end, "end quotes": _end, "end summary": _end, "next id": _next_id,
    "own open orders": _open_orders, "positions": _all_positions,
    AccountSummary: _account_summary, AccountUpdates: _account_updates, ContractDetails: _contract_details,
    Executions: _executions, History: quotes.history, MarketData: quotes.market_data,
    MarketDataType: quotes.market_data_type,
}  # fmt: skip
