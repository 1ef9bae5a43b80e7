"""The market data port over IBKR for daily bars, requested at the close.

That is how a daily strategy lives on IBKR: a daily subscription tells of partial days and never of a close.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.connection import IbkrConnection
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

_MAX_OPEN = 40  # IBKR allows 50 historical requests under way
_DAYS_AS_DAYS = 365  # longer durations must be asked for in years
_SESSIONS_A_YEAR = 250

Bars = dict[int, dict[InstrumentId, Bar]]
"""Bars by session close and instrument."""


class FeedCounts(Struct, kw_only=True):
    """What did not go as it should; each was logged when it happened.

    `bad_bars` were malformed; `stale` answers came not at all or as an error; `absent` bars an answer did not hold.
    """

    bad_bars: int = 0
    stale: int = 0
    absent: int = 0


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
        self.counts = FeedCounts()
        self._connection = connection
        self._inbox = inbox
        self._instruments = tuple(instruments)
        self._sessions = sessions
        self._grace_ns = round(grace_s * NANOS_PER_SECOND)
        self._timeout_s = timeout_s
        self._delivered = None if deliver_after is None else self._index(deliver_after)
        self._now = 0
        self._round: _Round | None = None

    def _index(self, ts: int) -> int:
        found = self._sessions.last_closed(ts)
        return -1 if found is None else found

    def pending(self) -> bool:
        """Tell whether a cross-section is under way."""
        return self._round is not None

    def on_time(self, ts: int) -> None:
        """Request the sessions that closed since the last delivered one; one `BarsClosed` each reaches the inbox.

        A session without any bar gives an empty one, so that whoever waits for it goes on.
        """
        self._now = max(self._now, ts)
        last = self._index(self._now - self._grace_ns)
        if self._delivered is None:
            self._delivered = last
        if last > self._delivered and self._round is None and self._connection.connected:
            self._round = _Round(self, self._delivered + 1, last, self._deliver)
            self._round.start()

    def _deliver(self, bars: Bars, error: RoboTraderError | None) -> None:
        done, self._round = self._round, None
        if error is not None or done is None:
            return  # the link is gone: asked again when it is back
        self._delivered = done.last
        for event in self._cross_sections(bars, done.first, done.last):
            self._inbox.put(event)
        self.on_time(self._now)  # more may have closed meanwhile

    def _cross_sections(self, bars: Bars, first: int, last: int) -> list[BarsClosed]:
        """Return one event a session, its bars in the order of the instruments; the runner stamps `ts_init`."""
        return [
            BarsClosed(
                ts_event=close,
                ts_init=0,
                bars=tuple(row[i.id] for i in self._instruments if i.id in row),
            )
            for close in self._sessions.closes[first : last + 1]
            for row in (bars.get(close, {}),)
        ]

    async def warmup(self, until: int, bars: int) -> Sequence[BarsClosed]:
        """Return up to `bars` cross-sections that ended at or before `until`, oldest first, none of them empty.

        Raises
        ------
        RoboTraderError
            A request failed or timed out: indicators over incomplete history would be wrong in silence.
        """
        last = self._index(until)
        found = await self._history(max(0, last - bars + 1), last, until)
        return [event for event in found if event.bars]

    async def missing(self, after: int, until: int) -> Sequence[BarsClosed]:
        """Return the cross-sections with `after` < end <= `until`, oldest first, as `on_time` would have delivered them.

        Raises
        ------
        RoboTraderError
            A request failed or timed out.
        """
        return await self._history(self._index(after) + 1, self._index(until), until)

    async def _history(self, first: int, last: int, until: int) -> list[BarsClosed]:
        self._now = max(self._now, until)
        self._delivered = max(last, -1 if self._delivered is None else self._delivered)
        if first > last:
            return []
        answer: asyncio.Future[Bars] = asyncio.get_running_loop().create_future()

        def done(bars: Bars, error: RoboTraderError | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(bars)
            else:
                answer.set_exception(error)

        _Round(self, first, last, done, strict=True).start()
        return self._cross_sections(await answer, first, last)


class _Round:
    """One history request an instrument, until each has answered; `strict` fails with the first that does not."""

    def __init__(
        self,
        feed: IbkrFeed,
        first: int,
        last: int,
        done: Callable[[Bars, RoboTraderError | None], None],
        *,
        strict: bool = False,
    ) -> None:
        self.first = first
        self.last = last
        self._feed = feed
        self._done = done
        self._strict = strict
        self._bars: Bars = {close: {} for close in feed._sessions.closes[first : last + 1]}
        self._waiting = deque(feed._instruments)
        self._open: dict[int, asyncio.TimerHandle] = {}
