"""The last quote of each instrument, and the conditions that come with it."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.conditions import Conditions
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.streams import Ended, Stream, Streams, Subscribe
from robotrader.data.live_gate import judge_quote
from robotrader.model import Instrument, InstrumentId, Quote

_log = logging.getLogger(__name__)

_LIVE = 1
_SIDES = {0: "bid_size", 1: "bid", 2: "ask", 3: "ask_size"}  # IB's tick types; delayed ones have others
_SIZE_OF = {1: "bid_size", 2: "ask_size"}


async def _at_once(_: Instrument, subscribe: Subscribe) -> Ended:
    return await subscribe()


class LiveQuotes:
    """Take ticks in and keep the last of each side: however many come, nothing piles up.

    Parameters
    ----------
    now : callable
        Tells the time, ns UTC: ticks come without one.
    """

    def __init__(self, connection: IbkrConnection, instruments: Sequence[Instrument], now: Callable[[], int]) -> None:
        self.delayed: set[InstrumentId] = set()
        self.conditions = Conditions()
        self._now = now
        self._sides: dict[InstrumentId, dict[str, float]] = {}
        self._heard: dict[InstrumentId, int] = {}
        self._bad: set[InstrumentId] = set()
        stream = Stream(self._watch, translate.drop_quotes, self._take, _at_once, "has no quotes")
        self._streams = Streams(connection, instruments, stream, name="quotes")

    def known(self) -> tuple[Quote, ...]:
        """Return the last quotes, at the time of their last tick; one that breaks a rule is left out, aloud."""
        whole = [(iid, sides) for iid, sides in self._sides.items() if len(sides) == len(_SIDES)]
        quotes = [Quote(instrument=iid, ts_event=self._heard[iid], **sides) for iid, sides in whole]
        return tuple(quote for quote in quotes if self._fit(quote))

    def _fit(self, quote: Quote) -> bool:
        found = judge_quote(quote)
        if found and quote.instrument not in self._bad:
            _log.warning("%s: %s", found[0].rule, found[0].detail)
        (self._bad.add if found else self._bad.discard)(quote.instrument)
        return not found

    def _watch(self, request_id: int, instrument: Instrument) -> translate.Send:
        self._sides.pop(instrument.id, None)  # what was told before it begins anew is history
        self.conditions.forget(instrument.id)
        return translate.watch_quotes(request_id, instrument)

    def _take(self, instrument: Instrument, tick: Any) -> None:
        """Take (type, price, size, attributes), (type, size), or the market data type alone."""
        if isinstance(tick, tuple):
            self.conditions.hear(instrument.id, tick[0], tick[1], *tick[3:])
            self._heard[instrument.id] = self._now()  # IBKR sends what changed: while anything comes, the rest stands
        match tick:
            case (kind, price, size, _) if kind in _SIZE_OF:
                values = {_SIDES[kind]: price, _SIZE_OF[kind]: size}
            case (kind, size) if kind in _SIDES:
                values = {_SIDES[kind]: size}
            case int():
                self.conditions.hear_type(instrument.id, tick)
                (self.delayed.discard if tick == _LIVE else self.delayed.add)(instrument.id)
                self._sides.pop(instrument.id, None)
                return
            case _:
                return
        self._sides.setdefault(instrument.id, {}).update(values)
