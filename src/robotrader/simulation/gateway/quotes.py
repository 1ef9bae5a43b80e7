"""Level 1 quotes and tick-by-tick data, made from the replayed bars: bid and ask are a tick from the last price."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache

from robotrader.model import NANOS_PER_SECOND, Instrument
from robotrader.simulation.gateway import messages
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.connection import Connection, Frames, Sent, State, Stream
from robotrader.simulation.gateway.market import Quote
from robotrader.simulation.gateway.requests import Refused, Request
from robotrader.simulation.gateway.wire import fields_frame, frame

_LATE = 900 * NANOS_PER_SECOND
_LIVE_TYPES = frozenset({1, 2})
_DELAYED = {0: 69, 1: 66, 2: 67, 3: 70, 4: 68, 5: 71, 6: 72, 7: 73, 8: 74, 9: 75, 14: 76, 45: 88, 49: 90}
"""Tick types of delayed data by those of live data."""
_PRICE, _SIZE, _GENERIC, _TEXT = "1\x006\x00", "2\x006\x00", "45\x006\x00", "46\x006\x00"
_IN_SHARES = 159
_EXECUTABLE, _PAST_LIMIT = 1, 2
"""Bits of a price tick's attributes: fit for automatic execution; beyond the day's limit."""
_RT_VOLUME, _SHORTABLE = "233", "236"
_EASY_TO_BORROW = 1_000
_GENERIC_TICK = re.compile(r"mdoff|[0-9]{3}(:[A-Z+]+)?")
_TICK_KINDS = {"Last": 1, "AllLast": 2, "BidAsk": 3, "MidPoint": 4}
_VALIDATION = "Error validating request: cause - "


def _size(price: Decimal, tick: Decimal, version: int) -> str:
    """Return the size shown beside a price: made up, but always the same."""
    return messages.shares(100.0 * (1 + int(price / tick) % 9), version, _IN_SHARES)


@lru_cache(4096)
def ticks(
    quote: Quote, tick: Decimal, version: int, *, delayed: bool, limited: bool = False
) -> tuple[tuple[str, str], ...]:
    """Return the messages of a quote, each as what stands before its ticker id and what stands after."""

    def row(kind: str, number: int, *values: object) -> tuple[str, str]:
        return kind, "\0".join(map(str, (_DELAYED[number] if delayed else number, *values, "")))

    found = []
    shown = _EXECUTABLE | (_PAST_LIMIT if limited else 0)
    sides = ((1, 0, quote.last - tick, shown), (2, 3, quote.last + tick, shown), (4, 5, quote.last, 0))
    for number, size_number, price, mask in sides:
        size = _size(price, tick, version)
        found += [row(_PRICE, number, format(price, "f"), size, mask), row(_SIZE, size_number, size)]
    session = ((6, quote.high), (7, quote.low), (9, quote.previous), (14, quote.open))
    found += [row(_PRICE, number, price, 0, 0) for number, price in session if price is not None]
    found += [
        row(_SIZE, 8, messages.shares(quote.volume, version, _IN_SHARES)),
        row(_TEXT, 45, quote.ts // NANOS_PER_SECOND),
        row(_GENERIC, 49, 0),
    ]
    return tuple(found)


def _trade(quote: Quote, tick: Decimal, version: int) -> str:
    """Return the real-time volume of the last trade: price, size, time in ms, day's volume and average, one trade."""
    volume = messages.shares(quote.volume, version, _IN_SHARES)
    price, time = format(quote.last, "f"), quote.ts // 1_000_000
    return f"48\0{price};{_size(quote.last, tick, version)};{time};{volume};{quote.average};true\0"


def _quotes(book: Book, to: Connection, request: Request) -> None:
    """Start a level 1 subscription, or send one snapshot."""
    instrument, req_id = book.contracts.one(request.contract), request.req_id
    generics, once = _generics(request), request.flag("snapshot")
    late = to.rules.delayed
    if once and generics:
        raise Refused(321, f"{_VALIDATION}Snapshot market data subscription is not applicable to generic ticks")
    if late and to.data_type in _LIVE_TYPES:
        raise Refused(354, "Requested market data is not subscribed. Delayed market data is available.")
    if not once and to.count("quotes") >= to.rules.lines:
        raise Refused(101, "Max number of tickers has been reached")

    def moment() -> object:
        limited = instrument.id in book.limited
        shown = book.market.now if late else book.market.traded
        return shown, book.shortable(instrument.id), book.halts.get(instrument.id), limited

    stream = Stream(moment, _level_one(book, to, req_id, (instrument, generics)))
    opening = [fields_frame(58, 1, req_id, 3 if late else 1), fields_frame(81, req_id, instrument.tick, "9c0001", 3)]
    if late:
        text = "Requested market data is not subscribed. Displaying delayed market data."
        opening.insert(0, messages.error(to.speaker.version, req_id, 10167, text, now=book.market.now))
    if once:
        to.send(*opening, *stream.news(), fields_frame(57, 1, req_id))
    else:
        to.subscribe("quotes", req_id, stream, *opening)


def _generics(request: Request) -> frozenset[str]:
    wanted = frozenset(request.values["generics"].replace(" ", "").split(",")) - {""}
    if not all(_GENERIC_TICK.fullmatch(g) for g in wanted):
        raise Refused(321, f"{_VALIDATION}Incorrect generic tick list of {request.values['generics'][:80]}")
    return wanted


def _level_one(book: Book, to: Connection, req_id: int, wanted: tuple[Instrument, frozenset[str]]) -> State:
    (instrument, generics), late, version = wanted, to.rules.delayed, to.speaker.version

    def rows() -> Iterator[tuple[str, str]]:
        quote, halted = book.market.quote(instrument.id, _LATE if late else 0), book.halts.get(instrument.id, 0)
        if halted:  # the tape stands still
            yield _GENERIC, f"{_DELAYED[49] if late else 49}\0{halted}\0"
        elif quote is not None:
            limited = instrument.id in book.limited
            yield from ticks(quote, instrument.tick, version, delayed=late, limited=limited)
            if _RT_VOLUME in generics and not late:
                yield _TEXT, _trade(quote, instrument.tick, version)
        if _SHORTABLE in generics:
            free = book.shortable(instrument.id)
            yield _GENERIC, f"46\0{3.0 if free >= _EASY_TO_BORROW else 2.0 if free > 0 else 1.0}\0"
            yield _SIZE, f"89\0{free}\0"

    def state(_sent: Sent) -> Frames:
        for kind, rest in rows():
            yield kind + rest.partition("\0")[0], frame(f"{kind}{req_id}\0{rest}")

    return state


def _market_data_type(_book: Book, to: Connection, request: Request) -> None:
    kind = request.required("kind")
    if kind not in {1, 2, 3, 4}:
        raise Refused(321, f"{_VALIDATION}Invalid market data type {kind}: 1 live, 2 frozen, 3 delayed, 4 both")
    to.data_type = kind


def _tick_by_tick(book: Book, to: Connection, request: Request) -> None:
    """Start to tell each trade or quote; one a market step, the first with the next step."""
    instrument, req_id = book.contracts.one(request.contract), request.req_id
    kind = _TICK_KINDS.get(request.values["kind"], 0)
    if to.rules.delayed or not kind:
        why = f"Invalid tick type {request.values['kind'][:20]!r}" if not kind else "No market data permissions"
        raise Refused(10189, f"Failed to request tick-by-tick data. {why} for {instrument.venue} {instrument.symbol}")
    if to.count("ticks") >= max(3, to.rules.lines // 20):
        raise Refused(10190, "Max number of tick-by-tick requests has been reached")
    version, tick = to.speaker.version, instrument.tick

    def moment() -> object:
        quote = book.market.quote(instrument.id)
        return quote and (quote.ts if kind <= 2 else quote.last)

    def state(_sent: Sent) -> Frames:
        quote = book.market.quote(instrument.id)
        if quote is None:
            return
        last = quote.last
        trade = (last, _size(last, tick, version), 0, instrument.venue, "")
        sides = (last - tick, last + tick, *(_size(p, tick, version) for p in (last - tick, last + tick)), 0)
        shown = trade if kind <= 2 else sides if kind == 3 else (last,)
        yield None, fields_frame(99, req_id, kind, quote.ts // NANOS_PER_SECOND, *shown)

    stream = Stream(moment, state)
    stream.news()  # what happened before is no tick
    to.subscribe("ticks", req_id, stream)


ANSWERS: dict[str, Callable[[Book, Connection, Request], None]] = {
    "market data type": _market_data_type, "quotes": _quotes, "ticks": _tick_by_tick,
}  # fmt: skip
