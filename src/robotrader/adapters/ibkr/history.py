"""One-shot history requests: the daily bars of several instruments for a range of sessions."""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.model import (
    BadTick,
    Bar,
    BrokerUnavailable,
    ConnectionLost,
    DataGap,
    Instrument,
    InstrumentId,
    RoboTraderError,
    SessionTable,
)

_log = logging.getLogger(__name__)

_MAX_OPEN = 40  # IBKR allows 50 historical requests under way
_MAX_DAYS = 365  # longer durations must be asked for in years
_SESSIONS_A_YEAR = 250
_IN_SHARES = 175  # server version from which volumes are in shares; before, in lots of 100

Bars = dict[int, dict[InstrumentId, Bar]]
"""Bars by session close (ns UTC) and instrument."""

Done = Callable[[Bars, RoboTraderError | None], None]


class FeedCounts(Struct, kw_only=True):
    """What did not go as it should; each was logged when it happened.

    `bad_bars` were malformed; `stale` answers came not at all or as an error; `absent` bars were in no answer though
    the instrument had had bars before.
    """

    bad_bars: int = 0
    stale: int = 0
    absent: int = 0


class HistorySource:
    """What every round needs: whom to ask, for what, and the tally."""

    def __init__(
        self,
        connection: IbkrConnection,
        instruments: tuple[Instrument, ...],
        sessions: SessionTable,
        *,
        timeout_s: float,
    ) -> None:
        self.connection = connection
        self.instruments = instruments
        self.sessions = sessions
        self.timeout_s = timeout_s
        self.counts = FeedCounts()
        self.listed: set[InstrumentId] = set()


class HistoryRound:
    """One request an instrument for sessions `first` to `last` (indices), until each has answered.

    `done` is called once, from within the arrival of the last answer, so that bars keep their place among the other
    messages. A late or refused answer leaves its instrument out; with `strict` it ends the round. A lost link always
    does.
    """

    def __init__(self, source: HistorySource, first: int, last: int, done: Done, *, strict: bool = False) -> None:
        self.first = first
        self.last = last
        self._source = source
        self._done = done
        self._strict = strict
        self._bars: Bars = {close: {} for close in source.sessions.closes[first : last + 1]}
        self._waiting = deque(source.instruments)
        self._open: dict[int, asyncio.TimerHandle] = {}
        self._duration = ""

    def start(self, days: int) -> None:
        """Ask for the last `days` sessions.

        Raises
        ------
        ConnectionLost
            There is no session with the gateway.
        """
        years = math.ceil(days / _SESSIONS_A_YEAR)
        self._duration = f"{days} D" if days <= _MAX_DAYS else f"{years} Y"
        self._next()

    def _next(self) -> None:
        source, connection = self._source, self._source.connection
        while self._waiting and len(self._open) < _MAX_OPEN:
            instrument, request_id = self._waiting.popleft(), connection.request_id()
            connection.send(translate.ask_history(request_id, instrument, self._duration))
            connection.pending.open(request_id, partial(self._answered, request_id, instrument))
            late = asyncio.get_running_loop().call_later(source.timeout_s, self._late, request_id)
            self._open[request_id] = late
        if not self._open:
            self._done(self._bars, None)

    def _late(self, request_id: int) -> None:
        connection, waited = self._source.connection, self._source.timeout_s
        if connection.connected:
            connection.send(translate.drop_history(request_id))
        connection.pending.end(request_id, BrokerUnavailable(f"no history within {waited:g} s"))

    def _answered(
        self, request_id: int, instrument: Instrument, rows: list[Any], error: RoboTraderError | None
    ) -> None:
        self._open.pop(request_id).cancel()
        if error is None:
            self._take(instrument, rows)
        elif isinstance(error, DataGap):  # it is known that there is nothing
            self._take(instrument, [])
        elif self._strict or isinstance(error, ConnectionLost):
            self._give_up(error)
            return
        else:
            self._source.counts.stale += 1
            _log.warning("%s is stale, its bars are left out: %s", instrument.id, error)
        self._next()

    def _give_up(self, error: RoboTraderError) -> None:
        for request_id, timer in self._open.items():
            timer.cancel()
            self._source.connection.pending.forget(request_id)
        self._done({}, error)

    def _take(self, instrument: Instrument, rows: list[Any]) -> None:
        source = self._source
        dates, found = source.sessions.dates, {}
        lot = 1 if source.connection.server_version >= _IN_SHARES else 100
        for compact, *prices, volume in rows:
            date = f"{compact[:4]}-{compact[4:6]}-{compact[6:]}"
            if not dates[self.first] <= date <= dates[self.last]:
                continue  # older than asked for, or of a session that has not closed
            try:
                bar = _bar(instrument, date, source.sessions.close_of(date), [*prices, volume * lot])
            except BadTick as error:
                source.counts.bad_bars += 1
                _log.warning("bar dropped: %s", error)
                continue
            found[bar.ts_event] = bar
        for close, row in self._bars.items():
            if close in found:
                row[instrument.id] = found[close]
                source.listed.add(instrument.id)
            elif instrument.id in source.listed:
                source.counts.absent += 1
                _log.warning("%s has no bar for the session that closed at %d", instrument.id, close)


def _bar(instrument: Instrument, date: str, close: int | None, values: list[float]) -> Bar:
    """Return the bar of a row as it was decoded.

    Raises
    ------
    BadTick
        There was no session on that date, or the numbers are not those of a bar.
    """
    if close is None:
        raise BadTick(f"{instrument.id}: there was no session on {date}")
    opened, high, low, last, volume = values
    sound = 0 < low <= min(opened, last) <= max(opened, last) <= high and volume >= 0  # NaN compares false
    if not sound or math.isinf(high) or math.isinf(volume):
        raise BadTick(f"{instrument.id} {date}: expected low <= open, close <= high and a volume, found {values}")
    return Bar(instrument=instrument.id, ts_event=close, open=opened, high=high, low=low, close=last, volume=volume)
