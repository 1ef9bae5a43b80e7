"""Answers to what clients ask: a table. Nothing here moves the market or an order."""

from collections.abc import Callable

from robotrader.simulation.gateway import accounts, bars, order_answers, quotes, reference
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.connection import Connection
from robotrader.simulation.gateway.requests import Refused, Request
from robotrader.simulation.gateway.wire import fields_frame


def _managed_accounts(book: Book, to: Connection, _request: Request) -> None:
    to.send(fields_frame(15, 1, book.account.name))


def _next_id(book: Book, to: Connection, _request: Request) -> None:
    to.send(fields_frame(9, 1, book.next_id(to.client_id)))


def _family_codes(book: Book, to: Connection, _request: Request) -> None:
    to.send(fields_frame(78, 1, book.account.name, ""))


def _user_info(_book: Book, to: Connection, request: Request) -> None:
    to.send(fields_frame(107, request.req_id, ""))


def _end(_book: Book, to: Connection, request: Request) -> None:
    kind = request.what.removeprefix("end ")
    if to.unsubscribe(kind, request.req_id):
        return
    if kind == "history":
        raise Refused(366, f"No historical data query found for ticker id:{request.req_id}")
    if kind in {"quotes", "ticks", "real-time bars"}:
        raise Refused(300, f"Can't find EId with tickerId:{request.req_id}")


_OTHERS: dict[str, Callable[[Book, Connection, Request], None]] = {
    "accounts": _managed_accounts, "family codes": _family_codes, "next id": _next_id, "user info": _user_info,
}  # fmt: skip
_SOURCES = (accounts.ANSWERS, bars.ANSWERS, order_answers.ANSWERS, quotes.ANSWERS, reference.ANSWERS)
_STREAMS = (
    "account summary", "account values", "head timestamp", "history", "model positions", "positions", "profit",
    "quotes", "real-time bars", "single profit", "ticks",
)  # fmt: skip

ANSWERS = _OTHERS | {what: answer for part in _SOURCES for what, answer in part.items()}
ANSWERS |= {f"end {kind}": _end for kind in _STREAMS}
