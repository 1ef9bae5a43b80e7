"""Answers made of bars: history, kept up to date if wanted, real-time bars and the time of the first bar."""

from collections.abc import Callable

from robotrader.model import NANOS_PER_SECOND, Instrument
from robotrader.simulation.gateway import messages
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.connection import Connection, Frames, Sent, State, Stream
from robotrader.simulation.gateway.history import as_shown, check_kind, rows
from robotrader.simulation.gateway.requests import Refused, Request
from robotrader.simulation.gateway.wire import fields_frame, utc

_FIVE_SECONDS = 5 * NANOS_PER_SECOND
_REAL_TIME = frozenset({"TRADES", "MIDPOINT", "BID", "ASK"})


def _begin(book: Book, to: Connection, request: Request) -> Instrument:
    """Return the instrument of a historical request that comes in time and asks for data that there are."""
    what = request.values["what"]
    check_kind(what)
    instrument = book.contracts.one(request.contract)
    asked = tuple(value for name, value in request.values.items() if name != "reqId")
    to.pace((request.what, asked), (instrument.id, what), weight=2 if what == "BID_ASK" else 1)
    return instrument


def _history(book: Book, to: Connection, request: Request) -> None:
    """Send the bars that were asked for, then keep the client up to date if it wants."""
    follow = request.flag("keep")
    if follow and request.values["end"]:
        raise Refused(321, "Error validating request: cause - End Date/Time cannot be set with keepUpToDate")
    instrument = _begin(book, to, request)
    bars = rows(book.market, instrument.id, request)
    if not bars:
        raise Refused(162, _no_data(instrument, request))
    answer = messages.historical_data(to.speaker.version, request, bars)
    if not follow:
        to.send(*answer)
        return
    stream = Stream(lambda: book.market.now, _forming(book, to, request, (instrument, int(bars[-1][0]))))
    stream.news()  # part of the answer
    to.subscribe("history", request.req_id, stream, *answer)


def _no_data(instrument: Instrument, request: Request) -> str:
    text = "Historical Market Data Service error message:HMDS query returned no data: "
    return f"{text}{instrument.symbol}@SMART {request.values['what'].title()}"


def _forming(book: Book, to: Connection, request: Request, last: tuple[Instrument, int]) -> State:
    """Return the state of the bar under way, and of those that ended since it was told last."""
    instrument, since = last

    def state(_sent: Sent) -> Frames:
        nonlocal since
        for row in rows(book.market, instrument.id, request, since):
            since = int(row[0])
            yield None, messages.historical_update(to.speaker.version, request, row)

    return state


def _real_time_bars(book: Book, to: Connection, request: Request) -> None:
    """Start to send a bar every five seconds of trading."""
    what = request.values["what"]
    if what not in _REAL_TIME:
        raise Refused(321, f"Error validating request: cause - What to show: one of {', '.join(sorted(_REAL_TIME))}")
    instrument, market = _begin(book, to, request), book.market
    if to.rules.delayed:
        text = "Invalid Real-time Query:No market data permissions for"
        raise Refused(420, f"{text} {instrument.venue} {instrument.asset_class}")
    since = market.now // _FIVE_SECONDS * _FIVE_SECONDS

    def state(_sent: Sent) -> Frames:
        nonlocal since
        until = market.now // _FIVE_SECONDS * _FIVE_SECONDS
        for start, bar in market.slices(instrument.id, (since, until), _FIVE_SECONDS):
            row = (start, bar.ts_event, bar.open, bar.high, bar.low, bar.close, bar.volume)
            yield None, messages.real_time_bar(to.speaker.version, request.req_id, as_shown(row, what, instrument))
        since = until

    stream = Stream(lambda: market.now // _FIVE_SECONDS, state)
    to.subscribe("real-time bars", request.req_id, stream)


def _head_timestamp(book: Book, to: Connection, request: Request) -> None:
    instrument = _begin(book, to, request)
    opened = book.market.series(instrument.id).opened
    if not len(opened) or opened[0] > book.market.now:
        raise Refused(162, _no_data(instrument, request))
    first = int(opened[0])
    shown = first // NANOS_PER_SECOND if request.values["format"] == "2" else utc(first)
    to.send(fields_frame(88, request.req_id, shown))


ANSWERS: dict[str, Callable[[Book, Connection, Request], None]] = {
    "head timestamp": _head_timestamp, "history": _history, "real-time bars": _real_time_bars,
}  # fmt: skip
