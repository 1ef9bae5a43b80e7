"""Answers to questions about contracts, prices, the account and its orders: nothing here moves the market."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from itertools import takewhile

from robotrader.model import NANOS_PER_SECOND, Instrument
from robotrader.simulation.gateway import messages
from robotrader.simulation.gateway.book import Book, opened
from robotrader.simulation.gateway.connection import Connection
from robotrader.simulation.gateway.contracts import NO_SECURITY
from robotrader.simulation.gateway.history import parse_end, rows
from robotrader.simulation.gateway.record import Execution
from robotrader.simulation.gateway.requests import Refused, Request
from robotrader.simulation.gateway.wire import ZONE, fields_frame, local, nanos

_NO_CURRENCY = frozenset({"AccountCode", "AccountReady", "AccountType"})
_DAYS_KEPT = 7
"""Days whose executions and completed orders are shown, as TWS does when its trade log is set so."""
_HOURS_SHOWN = 6
_BID, _ASK, _LAST, _CLOSE, _LAST_TIME = 1, 2, 4, 9, 45
_SIZE = 100.0
"""Shares shown on each side: the bars do not know any."""


def refresh(book: Book, to: Connection, *, bars: bool) -> None:
    """Tell a client what changed of what it subscribed to, the forming bars if `bars`."""
    if to.positions:
        _positions(book, to)
    if to.account:
        _account(book, to)
    for req_id, instrument in to.quotes.items():
        if to.news("quote", req_id, book.market.last.get(instrument.id)):
            _ticks(book, to, req_id, instrument)
    if not bars:
        return
    for req_id, (instrument, request) in to.histories.items():
        last = rows(book.market, instrument.id, request)[-1:]
        if last and to.news("bar", req_id, last):
            to.send(messages.historical_update(to.speaker.version, request, last[0]))


def _ids(book: Book, to: Connection, request: Request) -> None:
    accounts = request.what == "accounts"
    to.send(fields_frame(15, 1, book.account.name) if accounts else fields_frame(9, 1, book.next_id(to.client_id)))


def _account_updates(book: Book, to: Connection, request: Request) -> None:
    to.account = request.flag("subscribe")
    if to.account:
        to.forget("account")
        _account(book, to)
        to.send(fields_frame(54, 1, book.account.name))


def _account(book: Book, to: Connection) -> None:
    """Send the account values and portfolio lines that changed, then the time."""
    account, frames = book.account, []
    for key, value, currency in _values(book):
        if to.news("account", key, value):
            frames.append(fields_frame(6, 2, key, value, currency, account.name))
    for iid, holding in account.holdings.items():
        price = book.market.last.get(iid)
        worth = account.value(iid, price)
        line = {
            "position": holding.quantity, "price": price, "value": worth, "averageCost": holding.average_cost,
            "unrealized": worth - holding.cost, "realized": holding.realized,
        }  # fmt: skip
        if to.news("account", iid, line):
            frames.append(messages.portfolio(to.speaker, iid, line))
    if frames:
        to.send(*frames, fields_frame(8, 1, local(book.market.now).strftime("%H:%M")))


def _values(book: Book) -> Iterator[tuple[str, str, str]]:
    for key, value in book.account.values(book.market.last).items():
        yield key, value, "" if key in _NO_CURRENCY else "USD"


def _account_values(book: Book, to: Connection, request: Request) -> None:
    for key, value, currency in _values(book):
        to.send(fields_frame(73, 1, request.req_id, book.account.name, "", key, value, currency))
    to.send(fields_frame(74, 1, request.req_id))


def _all_positions(book: Book, to: Connection, _request: Request) -> None:
    to.positions = True
    to.forget("position")
    _positions(book, to)
    to.send(fields_frame(62, 1))


def _positions(book: Book, to: Connection) -> None:
    for iid, holding in book.account.holdings.items():
        state = (holding.quantity, holding.average_cost)
        known = holding.quantity or ("position", iid) in to.told  # a flat one is news only to who knew another
        if known and to.news("position", iid, state):
            to.send(messages.position(to.speaker, iid, *state))


def _end(_book: Book, to: Connection, request: Request) -> None:
    if request.what == "end positions":
        to.positions = False
    elif request.what == "end history":
        to.histories.pop(request.req_id, None)
    elif request.what == "end quotes":
        to.quotes.pop(request.req_id, None)


def _contract_details(book: Book, to: Connection, request: Request) -> None:
    found = book.contracts.find(request.contract)
    if not found:
        raise Refused(200, NO_SECURITY)
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


def _open_orders(book: Book, to: Connection, request: Request) -> None:
    for ticket in book.open_orders(None if request.what == "all open orders" else to.client_id):
        to.send(*(messages.report(to.speaker, item, book.market.now) for item in opened(ticket)))
    to.send(fields_frame(53, 1))


def _since(book: Book) -> int:
    first = local(book.market.now).date() - timedelta(days=_DAYS_KEPT - 1)
    return nanos(datetime.combine(first, time(), ZONE))


def _completed_orders(book: Book, to: Connection, _request: Request) -> None:
    since = _since(book)
    recent = list(takewhile(lambda t: (t.ended_at or 0) >= since, reversed(book.completed)))
    to.send(*(messages.completed_order(to.speaker, ticket) for ticket in reversed(recent)))
    to.send(fields_frame(102))


def _executions(book: Book, to: Connection, request: Request) -> None:
    since = max(_since(book), parse_end(request.values["time"], 0))
    recent = list(takewhile(lambda e: e.ts >= since, reversed(book.executions)))
    for execution in reversed(recent):
        if _passes(book, execution, request):
            to.send(messages.execution_details(to.speaker, execution, request.req_id))
            to.send(messages.commission(to.speaker, execution))
    to.send(fields_frame(55, 1, request.req_id))


def _passes(book: Book, execution: Execution, wanted: Request) -> bool:
    return (
        wanted.integer("clientId") in {None, 0, execution.client_id}
        and wanted.values["symbol"] in {"", book.contracts.fields[execution.instrument]["symbol"]}
        and wanted.values["side"] in {"", execution.side}
    )


def _history(book: Book, to: Connection, request: Request) -> None:
    """Send the bars that were asked for, then keep the client up to date if it wants."""
    instrument, follow = book.contracts.one(request.contract), request.flag("keep")
    if follow and request.values["end"]:
        raise Refused(321, "Error validating request: cause - End Date/Time cannot be set with keepUpToDate")
    bars = rows(book.market, instrument.id, request)
    if not bars:
        text = "Historical Market Data Service error message:HMDS query returned no data: "
        raise Refused(162, f"{text}{instrument.symbol}@SMART {request.values['what'].title()}")
    to.send(*messages.historical_data(to.speaker.version, request, bars))
    if follow:
        to.histories[request.req_id] = instrument, request._replace(values={**request.values, "duration": "1 D"})


def _quotes(book: Book, to: Connection, request: Request) -> None:
    """Start a level 1 subscription, or send one snapshot."""
    instrument, req_id = book.contracts.one(request.contract), request.req_id
    to.send(fields_frame(58, 1, req_id, 1), fields_frame(81, req_id, instrument.tick, "9c0001", 3))
    close = book.market.last_close(instrument.id)
    if close is not None:
        to.send(fields_frame(1, 6, req_id, _CLOSE, close, 0, 0))
    _ticks(book, to, req_id, instrument)
    if request.flag("snapshot"):
        to.send(fields_frame(57, 1, req_id))
    else:
        to.quotes[req_id] = instrument


def _ticks(book: Book, to: Connection, req_id: int, instrument: Instrument) -> None:
    """Send bid, ask and last, a tick apart, and the time of the last trade."""
    raw = book.market.last.get(instrument.id)
    if raw is None:
        return
    last, size = instrument.price(raw), messages.shares(_SIZE, to.speaker.version, 159)
    for tick, price in ((_BID, last - instrument.tick), (_ASK, last + instrument.tick), (_LAST, last)):
        to.send(fields_frame(1, 6, req_id, tick, price, size, 0))
    to.send(fields_frame(46, 6, req_id, _LAST_TIME, book.market.now // NANOS_PER_SECOND))


ANSWERS: dict[str, Callable[[Book, Connection, Request], None]] = {
    "account updates": _account_updates, "account values": _account_values, "accounts": _ids,
    "all open orders": _open_orders, "completed orders": _completed_orders, "contract details": _contract_details,
    "executions": _executions, "history": _history, "next id": _ids, "own open orders": _open_orders,
    "positions": _all_positions, "quotes": _quotes,
    "end history": _end, "end positions": _end, "end quotes": _end,
    # There are no manual orders to bind and no other kind of market data; account values are sent once.
    "bind orders": _end, "market data type": _end, "end account values": _end,
}  # fmt: skip
