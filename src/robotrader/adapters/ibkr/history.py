"""Historical bars: asked for through the pacing gate, decoded, judged, and put on the market's grid."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.pacing import HistoryGate, HistoryRequest
from robotrader.data.aggregate import Grid, Slot, aggregate
from robotrader.data.live_gate import accepted, judge
from robotrader.model import (
    NANOS_PER_SECOND,
    Bar,
    BarSpec,
    BrokerUnavailable,
    ConfigError,
    Instrument,
    SessionTable,
)

_log = logging.getLogger(__name__)

_ASKED = {
    BarSpec.MINUTE: ("1 min", BarSpec.MINUTE), BarSpec.MINUTE_5: ("5 mins", BarSpec.MINUTE_5),
    BarSpec.MINUTE_15: ("15 mins", BarSpec.MINUTE_15), BarSpec.HOUR: ("15 mins", BarSpec.MINUTE_15),
    BarSpec.DAY: ("1 day", BarSpec.DAY),
}  # fmt: skip
"""What is asked for, by what is wanted: IBKR's hours follow the clock, ours the session."""

_DAY_NS = 86_400 * NANOS_PER_SECOND
_IN_SHARES = 175  # server version from which volumes are in shares; before, in lots of 100


class History:
    """Ask for bars of one length; `paced` waits for IBKR's windows, which lock-step does not.

    ConfigError: bars of that length are not to be had.
    """

    def __init__(self, connection: IbkrConnection, grid: Grid, *, timeout_s: float = 30.0) -> None:
        if grid.spec not in _ASKED:
            raise ConfigError(f"data.bar_spec: expected one of {', '.join(_ASKED)}, found {grid.spec}")
        self._connection = connection
        self._grid = grid
        self._size, self._piece = _ASKED[grid.spec]
        self._timeout_s = timeout_s
        self.gate = HistoryGate(paced=not connection.lock_step)

    async def bars(
        self, instrument: Instrument, slots: Sequence[Slot], *, duration: str, end: str = ""
    ) -> dict[int, Bar]:
        """Return the sound bars of these slots (ascending, at least one), by their end; others are dropped aloud.

        DataGap: the gateway has none at all. RoboTraderError: refused, late, or the link is lost.
        """
        span = Slot(slots[0].start, slots[-1].end)
        found = await self.raw(instrument, span, duration=duration, end=end)
        pieces = [bar for bar in found if is_sound(bar, self._grid.sessions)]
        if self._piece is not self._grid.spec:
            pieces = [joined.bar for joined in aggregate(pieces, self._grid, span.end)]
        return {bar.ts_event: bar for bar in pieces}

    async def raw(self, instrument: Instrument, span: Slot, *, duration: str, end: str = "") -> list[Bar]:
        """Return what the gateway says of a stretch of regular hours, as it came; errors as of `bars`.

        The bars are as long as those asked for: an hour comes as quarters.
        """
        rows = await self.gate.ask(
            self.request(instrument, duration, end), lambda: self._ask(instrument, duration, end)
        )
        return list(self._decoded(instrument, rows, span))

    def request(self, instrument: Instrument, duration: str, end: str) -> HistoryRequest:
        """Return what pacing goes by."""
        return HistoryRequest(instrument.id, "TRADES", f"{self._size} {duration} {end}")

    async def _ask(self, instrument: Instrument, duration: str, end: str) -> list[Any]:
        connection = self._connection
        number = connection.request_id()
        question = translate.ask_history(number, instrument, duration, size=self._size, end=end)
        try:
            return await connection.ask(number, question, name=f"bars of {instrument.id}", timeout_s=self._timeout_s)
        except (BrokerUnavailable, asyncio.CancelledError):
            if connection.connected:
                connection.send(translate.drop_history(number))
            raise

    def _decoded(self, instrument: Instrument, rows: list[Any], span: Slot) -> Iterator[Bar]:
        lot = 1 if self._connection.server_version >= _IN_SHARES else 100
        for stamp, opened, high, low, close, volume in rows:
            end = self._end(stamp)
            if end is None and span.start - _DAY_NS <= _nanos(stamp) < span.end:
                _log.warning("bar dropped: %s: the market was closed at %s", instrument.id, stamp)
            elif end is not None and span.start < end <= span.end:  # else older than asked for, or it has not closed
                yield Bar(instrument=instrument.id, ts_event=end, open=opened, high=high, low=low, close=close,
                          volume=volume * lot, spec=self._piece)  # fmt: skip

    def _end(self, stamp: str) -> int | None:
        """Return when the bar of that date or epoch second ends; None while the market is closed."""
        sessions = self._grid.sessions
        if self._piece is BarSpec.DAY:
            return sessions.close_of(f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:]}")
        slot = Grid(sessions, self._piece).at(_nanos(stamp))
        return None if slot is None else slot.end


def _nanos(stamp: str) -> int:
    """Return the time that a date (`yyyymmdd`: midnight UTC) or epoch second means, ns UTC."""
    if len(stamp) != 8:
        return int(stamp) * NANOS_PER_SECOND
    return int(datetime.strptime(stamp, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * NANOS_PER_SECOND


def is_sound(bar: Bar, sessions: SessionTable) -> bool:
    """Tell whether the quality gate accepts a bar by itself, aloud if not."""
    found = judge(bar, previous=None, sessions=sessions)
    for finding in found:
        _log.warning("%s", finding.detail)
    return accepted(found)
