"""Answers about contracts: details, symbol search and price increments."""

from bisect import bisect_right
from collections.abc import Callable

from robotrader.simulation.gateway import messages
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.connection import Connection
from robotrader.simulation.gateway.contracts import NO_SECURITY
from robotrader.simulation.gateway.requests import Refused, Request
from robotrader.simulation.gateway.wire import fields_frame, local

_HOURS_SHOWN = 6
_SYMBOLS_SHOWN = 16
_TYPES = frozenset({"", "STK", "OPT", "FUT", "IND", "FOP", "CASH", "BAG", "WAR", "BOND", "CMDTY", "NEWS", "FUND",
                    "CRYPTO", "CFD", "CONTFUT"})  # fmt: skip


def _details(book: Book, to: Connection, request: Request) -> None:
    if request.values["secType"] not in _TYPES:
        raise Refused(321, "Error validating request: cause - Please enter a valid security type")
    found = [] if request.values["secId"] else book.contracts.find(request.contract)
    if not found:
        raise Refused(200, NO_SECURITY)
    shown = {
        "reqId": request.req_id, "exchange": request.contract.exchange or "SMART", "tradingHours": _trading_hours(book)
    }  # fmt: skip
    to.send(*(messages.contract_details(to.speaker, i.id, shown) for i in found), fields_frame(52, 1, request.req_id))


def _trading_hours(book: Book) -> str:
    """Return the session under way and the next ones, `20260413:0930-20260413:1600;...`."""
    market = book.market
    shown = slice(first := bisect_right(market.closes, market.now), first + _HOURS_SHOWN)
    sessions = zip(market.opens[shown], market.closes[shown], strict=True)
    return ";".join("-".join(local(t).strftime("%Y%m%d:%H%M") for t in span) for span in sessions)


def _symbols(book: Book, to: Connection, request: Request) -> None:
    pattern = request.values["pattern"].upper()
    found = [f for f in book.contracts.fields.values() if str(f["symbol"]).startswith(pattern)][:_SYMBOLS_SHOWN]
    to.send(messages.symbol_samples(to.speaker.version, request.req_id, found if pattern else []))


def _market_rule(book: Book, to: Connection, request: Request) -> None:
    rule = request.required("rule")
    if rule not in book.contracts.rules:
        raise Refused(321, f"Error validating request: cause - Invalid market rule id {rule}")
    to.send(fields_frame(93, rule, 1, 0, book.contracts.rules[rule]))


ANSWERS: dict[str, Callable[[Book, Connection, Request], None]] = {
    "contract details": _details, "market rule": _market_rule, "symbols": _symbols,
}  # fmt: skip
