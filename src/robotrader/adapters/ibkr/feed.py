"""The market data port over IBKR for daily bars, requested at the close.

That is how a daily strategy lives on IBKR: a daily subscription tells of partial days and never of a close.
"""

import asyncio
from collections.abc import Sequence

from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.history import Bars, HistoryRound, HistorySource
from robotrader.model import NANOS_PER_SECOND, BarsClosed, Instrument, RoboTraderError, SessionTable
from robotrader.ports import Inbox


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
        self._source = HistorySource(connection, tuple(instruments), sessions, timeout_s=timeout_s)
        self.counts = self._source.counts
        self._connection = connection
        self._inbox = inbox
        self._sessions = sessions
        self._grace_ns = round(grace_s * NANOS_PER_SECOND)
        self._delivered = None if deliver_after is None else self._index(deliver_after)
        self._now = 0
        self._round: HistoryRound | None = None

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
        last = self._last(self._now)
        if self._delivered is None:
            self._delivered = last
        if last > self._delivered and self._round is None and self._connection.connected:
            self._round = HistoryRound(self._source, self._delivered + 1, last, self._deliver)
            self._round.start(self._days_since(self._delivered + 1))

    def _days_since(self, first: int) -> int:
        """Return how many days reach back from now to that session; one more, as a day that has begun counts too."""
        return self._index(self._now) - first + 2

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
                bars=tuple(row[i.id] for i in self._source.instruments if i.id in row),
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
        last = self._last(until)
        return [event for event in await self._history(max(0, last - bars + 1), last) if event.bars]

    async def missing(self, after: int, until: int) -> Sequence[BarsClosed]:
        """Return the cross-sections with `after` < end <= `until`, oldest first, as `on_time` delivers them.

        Raises
        ------
        RoboTraderError
            A request failed or timed out.
        """
        return await self._history(self._index(after) + 1, self._last(until))

    def _last(self, until: int) -> int:
        """Return the last session that closed by then, and whose bar is final by now."""
        self._now = max(self._now, until)
        return self._index(min(until, self._now - self._grace_ns))

    async def _history(self, first: int, last: int) -> list[BarsClosed]:
        bars: Bars = {}
        if first <= last:
            bars = await self._ask(first, last)
        self._delivered = max(last, first - 1, -1 if self._delivered is None else self._delivered)
        return self._cross_sections(bars, first, last)

    async def _ask(self, first: int, last: int) -> Bars:
        answer: asyncio.Future[Bars] = asyncio.get_running_loop().create_future()

        def done(bars: Bars, error: RoboTraderError | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(bars)
            else:
                answer.set_exception(error)

        HistoryRound(self._source, first, last, done, strict=True).start(self._days_since(first))
        return await answer
