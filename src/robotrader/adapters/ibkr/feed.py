"""The market data port over IBKR for daily bars, requested at the close.

That is how a daily strategy lives on IBKR: a daily subscription tells of partial days and never of a close.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import Any

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.pacing import HistoryGate, HistoryRequest
from robotrader.model import (
    NANOS_PER_SECOND,
    BadTick,
    Bar,
    BarsClosed,
    BrokerUnavailable,
    ConnectionLost,
    DataGap,
    Instrument,
    InstrumentId,
    RoboTraderError,
    SessionTable,
)
from robotrader.ports import Inbox

_log = logging.getLogger(__name__)

_MAX_DAYS = 365  # longer durations must be asked for in years
_SESSIONS_A_YEAR = 250
_IN_SHARES = 175  # server version from which volumes are in shares; before, in lots of 100


class IbkrFeed:
    """Daily bars of some instruments; floats exactly as decoded.

    Parameters
    ----------
    sessions : SessionTable
        The market's sessions: a daily bar ends at its session's close.
    deliver_after : int or None
        Sessions that closed at or before this time (ns UTC) are never delivered; None: those that had closed at the
        first time seen. `warmup` and `missing` move it on: what they returned does not come again.
    grace_s : float
        Time that a closed bar is given to become final.
    timeout_s : float
        How long one history request may take.
    """

    def __init__(
        self,
        connection: IbkrConnection,
        inbox: Inbox,
        instruments: Sequence[Instrument],
        sessions: SessionTable,
        *,
        deliver_after: int | None = None,
        grace_s: float = 0.0,
        timeout_s: float = 30.0,
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._instruments = instruments
        self._sessions = sessions
        self._grace_ns = round(grace_s * NANOS_PER_SECOND)
        self._timeout_s = timeout_s
        self._delivered = None if deliver_after is None else self._index(deliver_after)
        self._gate = HistoryGate(paced=not connection.lock_step)
        self._now = 0
        self._round: asyncio.Future[None] | None = None
        self._listed: set[InstrumentId] = set()

    def pending(self) -> bool:
        """Tell whether a cross-section is under way."""
        return self._round is not None and self._connection.connected

    def on_time(self, ts: int) -> None:
        """Request the sessions that closed since the last delivered one; one `BarsClosed` each reaches the inbox.

        A session without any bar gives an empty one, so that whoever waits for it goes on.
        """
        last = self._last(ts)
        if self._delivered is None:
            self._delivered = last
        if last > self._delivered and self._round is None and self._connection.connected:
            self._round = asyncio.ensure_future(self._deliver(self._delivered, last))

    async def warmup(self, until: int, bars: int) -> Sequence[BarsClosed]:
        """Return up to `bars` cross-sections that ended at or before `until`, oldest first, none of them empty.

        RoboTraderError: a request failed or timed out; indicators over incomplete history would be wrong in silence.
        """
        last = self._last(until)
        return [event for event in await self._history(max(0, last - bars + 1), last) if event.bars]

    async def missing(self, after: int, until: int) -> Sequence[BarsClosed]:
        """Return the cross-sections with `after` < end <= `until`, oldest first; errors as of `warmup`."""
        return await self._history(self._index(after) + 1, self._last(until))

    def _index(self, ts: int) -> int:
        found = self._sessions.last_closed(ts)
        return -1 if found is None else found

    def _last(self, until: int) -> int:
        """Return the last session that closed by then, and whose bar is final by now."""
        self._now = max(self._now, until)
        return self._index(min(until, self._now - self._grace_ns))

    async def _deliver(self, done: int, last: int) -> None:
        """Deliver what closed after session `done`, also what closes meanwhile."""
        try:
            while last > done:
                for event in await self._ask_all(done + 1, last, strict=False):
                    self._inbox.put(event)
                self._delivered = done = last
                last = self._last(self._now)
        except ConnectionLost:
            pass  # asked again when the link is back
        finally:
            self._round = None

    async def _history(self, first: int, last: int) -> list[BarsClosed]:
        if self._round is not None:
            self._round.cancel()  # what it asked for is in this answer
        found = await self._ask_all(first, last, strict=True) if first <= last else []
        self._delivered = max(last, first - 1, -1 if self._delivered is None else self._delivered)
        return found

    async def _ask_all(self, first: int, last: int, *, strict: bool) -> list[BarsClosed]:
        """Return one event a session, its bars in the order of the instruments; the runner stamps `ts_init`.

        A refused or late answer leaves its instrument out, aloud; with `strict`, and when the link is lost, it raises.
        """
        days = self._index(self._now) - first + 2  # one more: a day that has begun counts too
        duration = f"{days} D" if days <= _MAX_DAYS else f"{math.ceil(days / _SESSIONS_A_YEAR)} Y"
        closes = self._sessions.closes[first : last + 1]

        async def one(instrument: Instrument) -> dict[int, Bar]:
            request = HistoryRequest(instrument.id, "TRADES", duration)
            try:
                rows = await self._gate.ask(request, lambda: self._ask(instrument, duration))
                return self._bars(instrument, rows, closes)
            except RoboTraderError as error:
                if strict or isinstance(error, ConnectionLost):
                    raise
                if not self._connection.connected:  # it is silent because of that: nothing is known of the instrument
                    raise ConnectionLost(f"the gateway has no link to IBKR: {error.message}") from error
                _log.warning("%s is stale, its bars are left out: %s", instrument.id, error)
                return {}

        tasks = [asyncio.ensure_future(one(instrument)) for instrument in self._instruments]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()  # the first failure is the whole round's: what waits at the gate is not asked any more
        return [
            BarsClosed(ts_event=close, ts_init=0, bars=tuple(bars[close] for bars in answers if close in bars))
            for close in closes
        ]

    async def _ask(self, instrument: Instrument, duration: str) -> list[Any]:
        number = self._connection.request_id()
        question = translate.ask_history(number, instrument, duration)
        try:
            return await self._connection.ask(
                number, question, name=f"bars of {instrument.id}", timeout_s=self._timeout_s
            )
        except DataGap:  # it is known that there is nothing
            return []
        except BrokerUnavailable:
            if self._connection.connected:
                self._connection.send(translate.drop_history(number))
            raise

    def _bars(self, instrument: Instrument, rows: list[Any], closes: Sequence[int]) -> dict[int, Bar]:
        """Return the sound bars of these sessions, by close; what else was decoded is dropped aloud."""
        found: dict[int, Bar] = {}
        first, last = (self._sessions.dates[self._index(close)] for close in (closes[0], closes[-1]))
        lot = 1 if self._connection.server_version >= _IN_SHARES else 100
        for compact, *prices, volume in rows:
            date = f"{compact[:4]}-{compact[4:6]}-{compact[6:]}"
            if not first <= date <= last:
                continue  # older than asked for, or of a session that has not closed
            try:
                bar = _bar(instrument, date, self._sessions.close_of(date), [*prices, volume * lot])
            except BadTick as error:
                _log.warning("bar dropped: %s", error)
                continue
            found[bar.ts_event] = bar
        for close in closes:
            if close not in found and instrument.id in self._listed:
                _log.warning("%s has no bar for the session that closed at %d", instrument.id, close)
            elif close in found:
                self._listed.add(instrument.id)
        return found


def _bar(instrument: Instrument, date: str, close: int | None, values: list[float]) -> Bar:
    """Return the bar of a row; BadTick when the date has no session, or the numbers are not those of a bar."""
    if close is None:
        raise BadTick(f"{instrument.id}: there was no session on {date}")
    opened, high, low, last, volume = values
    sound = 0 < low <= min(opened, last) <= max(opened, last) <= high and volume >= 0  # NaN compares false
    if not sound or math.isinf(high) or math.isinf(volume):
        raise BadTick(f"{instrument.id} {date}: expected low <= open, close <= high and a volume, found {values}")
    return Bar(instrument=instrument.id, ts_event=close, open=opened, high=high, low=low, close=last, volume=volume)
