"""Market data for clients: historical bars, level 1 ticks, and their updates."""

from msgspec import structs

from robotrader.model import Instrument
from robotrader.simulation.gateway import messages, screening
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.connection import Connection
from robotrader.simulation.gateway.history import date_text, is_daily, rows
from robotrader.simulation.gateway.requests import History, MarketData, MarketDataType, Refused
from robotrader.simulation.gateway.wire import fields_frame

_LINES = 100
"""Market data lines of a plain account."""
_TRADES = frozenset({"TRADES", "ADJUSTED_LAST"})
_BID, _ASK, _LAST, _CLOSE, _LAST_TIME, _SHORTABLE, _HALTED, _SHORTABLE_SHARES = 1, 2, 4, 9, 45, 46, 49, 89
_SIZE = 100.0
"""Shares shown on each side: the bars do not know any."""


def history(book: Book, to: Connection, request: History) -> None:
    """Send the bars that were asked for, then keep the client up to date if it wants."""
    instrument = screening.contract(book.contracts.find(request.contract))
    if request.keep_up_to_date and request.end:
        raise Refused(321, "Error validating request: cause - End Date/Time cannot be set with keepUpToDate")
    bars = rows(book.market, instrument.id, request)
    if not bars:
        text = "Historical Market Data Service error message:HMDS query returned no data: "
        raise Refused(162, f"{text}{instrument.symbol}@{request.contract.exchange or 'SMART'} {request.what.title()}")
    if request.what not in _TRADES:
        bars = [(*bar[:6], -1.0) for bar in bars]  # quotes have no volume
    to.send(
        *messages.historical_data(to.version, request.req_id, bars, daily=is_daily(request), epoch=request.epoch_dates)
    )
    if request.keep_up_to_date:
        to.subscriptions.histories[request.req_id] = instrument, structs.replace(request, duration="1 D")


def market_data_type(_book: Book, to: Connection, request: MarketDataType) -> None:
    """Note which kind of market data the client can do with."""
    to.subscriptions.quote_type = request.kind


def market_data(book: Book, to: Connection, request: MarketData) -> None:
    """Start a level 1 subscription, or send one snapshot."""
    instrument, req_id = screening.contract(book.contracts.find(request.contract)), request.req_id
    if len(to.subscriptions.quotes) >= _LINES:
        raise Refused(101, "Max number of tickers has been reached")
    frozen = to.subscriptions.quote_type in {2, 4} and not book.market.is_open
    to.send(fields_frame(58, 1, req_id, 2 if frozen else 1), fields_frame(81, req_id, instrument.tick, "9c0001", 3))
    to.send(fields_frame(45, 6, req_id, _HALTED, 0.0))
    if "236" in request.generics:
        to.send(fields_frame(45, 6, req_id, _SHORTABLE, 3.0), fields_frame(2, 6, req_id, _SHORTABLE_SHARES, 1_000_000))
    close = book.market.last_close(instrument.id)
    if close is not None:
        to.send(fields_frame(1, 6, req_id, _CLOSE, close, 0, 0))
    to.subscriptions.told.pop(("quote", req_id), None)
    _ticks(book, to, req_id, instrument)
    if request.snapshot:
        to.send(fields_frame(57, 1, req_id))
    else:
        to.subscriptions.quotes[req_id] = instrument


def refresh(book: Book, to: Connection, *, bars: bool) -> None:
    """Send the ticks that changed, and the forming bars if `bars`."""
    for req_id, instrument in to.subscriptions.quotes.items():
        _ticks(book, to, req_id, instrument)
    if not bars:
        return
    for req_id, (instrument, request) in to.subscriptions.histories.items():
        last = rows(book.market, instrument.id, request)[-1:]
        if last and to.subscriptions.news(("bar", req_id), last):
            when = date_text(last[0], daily=is_daily(request), epoch=request.epoch_dates, version=to.version)
            to.send(messages.historical_update(to.version, req_id, last[0], when=when))


def _ticks(book: Book, to: Connection, req_id: int, instrument: Instrument) -> None:
    """Send bid, ask and last, a tick apart, and the time of the last trade."""
    raw = book.market.last.get(instrument.id)
    if raw is None or not to.subscriptions.news(("quote", req_id), raw):
        return
    last, size = instrument.price(raw), messages.shares(_SIZE, to.version, 159)
    for tick, price in ((_BID, last - instrument.tick), (_ASK, last + instrument.tick), (_LAST, last)):
        to.send(fields_frame(1, 6, req_id, tick, price, size, 0))
    to.send(fields_frame(46, 6, req_id, _LAST_TIME, messages.seconds(book.market.now)))
