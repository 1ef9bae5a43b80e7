"""The market data port over IBKR: closed bars, one event for all instruments.

A daily bar is requested at the close: a daily subscription tells of partial days and never of a close. Shorter ones
are made of the five-second bars that IBKR streams, and requested where pieces of them are missing.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence

from msgspec import structs

from robotrader.adapters.ibkr.conditions import Conditions
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.history import History
from robotrader.adapters.ibkr.quotes import LiveQuotes
from robotrader.adapters.ibkr.streaming import LiveBars
from robotrader.data.aggregate import Grid, Slot
from robotrader.data.live_gate import LiveGate, accepted
from robotrader.model import (
    NANOS_PER_SECOND,
    Bar,
    BarsClosed,
    BarSpec,
    ConnectionLost,
    CorporateAction,
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
_PATIENCE_S = 20.0  # that a live cross-section waits for a bar that is asked for


class IbkrFeed:
    """Bars of one length of some instruments; floats exactly as decoded.

    Parameters
    ----------
    sessions : SessionTable
        The market's sessions: a daily bar ends at its session's close, shorter ones begin with it.
    deliver_after : int or None
        Bars that closed at or before this time (ns UTC) are never delivered; None: those that had closed at the
        first time seen. `warmup` and `missing` move it on: what they returned does not come again.
    grace_s : float
        Time that a closed bar is given to become final, or a live one's last pieces to arrive.
    timeout_s : float
        How long one history request may take.
    quotes : LiveQuotes or None
        Where live bars get the quotes of the moment from.
    conditions : Conditions or None
        What is told beside prices: its news reaches the inbox as time moves, before the bars of that time.
    actions : callable
        Gives the corporate actions known by now: a jump that one explains is no warning.
    """

    def __init__(
        self,
        connection: IbkrConnection,
        inbox: Inbox,
        instruments: Sequence[Instrument],
        sessions: SessionTable,
        *,
        spec: BarSpec = BarSpec.DAY,
        deliver_after: int | None = None,
        grace_s: float = 0.0,
        timeout_s: float = 30.0,
        quotes: LiveQuotes | None = None,
        conditions: Conditions | None = None,
        actions: Callable[[], Sequence[CorporateAction]] = tuple,
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._instruments = instruments
        self._sessions = sessions
        self._grid = Grid(sessions, spec)
        self._grace_ns = round(grace_s * NANOS_PER_SECOND)
        self._delivered = deliver_after
        self._history = History(connection, self._grid, timeout_s=timeout_s)
        self._live = None if spec is BarSpec.DAY else LiveBars(connection, self._history.gate, instruments, self._grid)
        self._patience_s = None if self._live is None or connection.lock_step else _PATIENCE_S
        self._now = 0
        self._round: asyncio.Future[None] | None = None
        self._listed: set[InstrumentId] = set()
        self._silent: set[InstrumentId] = set()
        self._quotes = quotes
        self._conditions = conditions or Conditions()
        self._actions = actions
        self._quality = LiveGate(sessions)

    def pending(self) -> bool:
        """Tell whether a cross-section is under way."""
        return self._round is not None and self._connection.connected

    def on_time(self, ts: int) -> None:
        """Deliver what closed since the last time; one `BarsClosed` for each end reaches the inbox.

        What is not there complete when its grace is over is requested. A close without any bar gives an empty one, so
        that whoever waits for it goes on.
        """
        final = self._final(ts)
        for news in self._conditions.news(self._now):
            self._inbox.put(news)
        if self._delivered is None:
            self._delivered = final
        if self._round is not None or not self._connection.connected:
            return
        for slot in self._grid.slots(self._delivered, self._now):
            bars = self._complete(slot)
            if bars is None:
                break
            self._put(slot, bars)
        if self._grid.slots(self._delivered, final):
            self._round = asyncio.ensure_future(self._request())

    async def warmup(self, until: int, bars: int) -> Sequence[BarsClosed]:
        """Return up to `bars` cross-sections that ended at or before `until`, oldest first, none of them empty.

        RoboTraderError: a request failed or timed out; indicators over incomplete history would be wrong in silence.
        """
        final = self._final(until)
        return [event for event in await self._missed(self._grid.before(final, bars), final) if event.bars]

    async def missing(self, after: int, until: int) -> Sequence[BarsClosed]:
        """Return the cross-sections with `after` < end <= `until`, oldest first; errors as of `warmup`."""
        return await self._missed(self._grid.slots(after, self._final(until)), after)

    def _final(self, until: int) -> int:
        """Return the time up to which bars that ended by then are final by now."""
        self._now = max(self._now, until)
        return min(until, self._now - self._grace_ns)

    def _complete(self, slot: Slot) -> dict[InstrumentId, Bar] | None:
        """Return a slot's live bars, None while one may still come; of a silent instrument nothing is expected."""
        live = self._live
        if live is None:
            return None
        self._silent -= {iid for iid in self._silent if live.spoke(iid, slot)}
        wanted = [i.id for i in self._instruments if i.id not in self._silent]
        found = {iid: bar for iid in wanted if (bar := live.bar(iid, slot)) is not None}
        return found if len(found) == len(wanted) else None

    def _put(self, slot: Slot, bars: dict[InstrumentId, Bar]) -> None:
        event = self._event(slot, bars)
        self._inbox.put(event if self._quotes is None else structs.replace(event, quotes=self._quotes.known()))
        self._move(slot.end)

    def _event(self, slot: Slot, bars: dict[InstrumentId, Bar]) -> BarsClosed:
        """Return the cross-section in the order of the instruments; the runner stamps `ts_init`.

        What the quality gate says of a bar beside the one before is logged, and what it sets aside is left out.
        """
        self._quality.learn(self._actions())
        there = [bars[i.id] for i in self._instruments if i.id in bars]
        delayed = self._quotes.delayed if self._quotes is not None else ()
        found = [self._quality.judge(bar, delayed=bar.instrument in delayed) for bar in there]
        for finding in (finding for findings in found for finding in findings):
            _log.warning("%s: %s", finding.rule, finding.detail)
        fit = tuple(bar for bar, findings in zip(there, found, strict=True) if accepted(findings))
        return BarsClosed(ts_event=slot.end, ts_init=0, bars=fit)

    def _move(self, end: int) -> None:
        """Note that everything up to `end` was delivered."""
        self._delivered = max(end, self._delivered or 0)
        if self._live is not None:
            self._live.forget(self._delivered)

    async def _request(self) -> None:
        """Deliver what became final, by request where it did not come by itself; also what does so meanwhile."""
        try:
            while slots := self._grid.slots(self._delivered or 0, self._final(self._now)):
                for slot, bars in (await self._ask_all(slots, strict=False)).items():
                    self._put(slot, bars)
        except ConnectionLost:
            pass  # asked again when the link is back
        finally:
            self._round = None

    async def _missed(self, slots: list[Slot], before: int) -> list[BarsClosed]:
        if self._round is not None:
            self._round.cancel()  # what it asked for is in this answer
        found = await self._ask_all(slots, strict=True) if slots else {}
        self._move(max(before, slots[-1].end if slots else 0))
        self._quality = LiveGate(self._sessions)  # the same bars may be asked for twice
        return [self._event(slot, bars) for slot, bars in found.items()]

    async def _ask_all(self, slots: list[Slot], *, strict: bool) -> dict[Slot, dict[InstrumentId, Bar]]:
        """Return the bars of the slots; live ones where they are complete, except for `strict`.

        A refused or late answer leaves its instrument out, aloud; with `strict`, and when the link is lost, it raises.
        """
        duration = _duration(self._sessions, slots[0], self._now)

        async def one(instrument: Instrument) -> dict[int, Bar]:
            live = {} if strict else self._kept(instrument.id, slots)
            silent = self._live is not None and not strict and instrument.id in self._silent
            if silent or len(live) == len(slots):
                return live
            try:
                async with asyncio.timeout(None if strict else self._patience_s):
                    return await self._bars(instrument, slots, duration) | live
            except (RoboTraderError, TimeoutError) as error:
                if strict or isinstance(error, ConnectionLost):
                    raise
                if not self._connection.connected:  # it is silent because of that: nothing is known of the instrument
                    raise ConnectionLost(f"the gateway has no link to IBKR: {error}") from error
                _log.warning("%s is stale, its bars are left out: %s", instrument.id, str(error) or "no answer in time")
                return live

        tasks = [asyncio.ensure_future(one(instrument)) for instrument in self._instruments]
        try:
            answers = dict(zip([i.id for i in self._instruments], await asyncio.gather(*tasks), strict=True))
        finally:
            for task in tasks:
                task.cancel()  # the first failure is the whole round's: what waits at the gate is not asked any more
        self._silent |= {iid for iid, bars in answers.items() if slots[-1].end not in bars}
        return {s: {iid: bars[s.end] for iid, bars in answers.items() if s.end in bars} for s in slots}

    def _kept(self, instrument: InstrumentId, slots: list[Slot]) -> dict[int, Bar]:
        found = (None if self._live is None else self._live.bar(instrument, slot) for slot in slots)
        return {bar.ts_event: bar for bar in found if bar is not None}

    async def _bars(self, instrument: Instrument, slots: list[Slot], duration: str) -> dict[int, Bar]:
        """Return the bars of the slots by request; aloud where an instrument that had bars has none."""
        try:
            found = await self._history.bars(instrument, slots, duration=duration)
        except DataGap:  # it is known that there is nothing
            return {}
        for slot in slots:
            if slot.end not in found and instrument.id in self._listed:
                _log.warning("%s has no bar that closed at %d", instrument.id, slot.end)
            elif slot.end in found:
                self._listed.add(instrument.id)
        return found


def _duration(sessions: SessionTable, first: Slot, until: int) -> str:
    """Return how far back history must reach for a slot; a day that has begun counts too."""
    since, now = sessions.last_closed(first.end - 1), sessions.last_closed(until)
    days = (-1 if now is None else now) - (-1 if since is None else since) + 1
    return f"{days} D" if days <= _MAX_DAYS else f"{math.ceil(days / _SESSIONS_A_YEAR)} Y"
