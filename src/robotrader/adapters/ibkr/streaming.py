"""Five-second bars as they come, and the bars that they make."""

from collections.abc import Sequence

from robotrader.adapters.ibkr import translate
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.history import is_sound
from robotrader.adapters.ibkr.pacing import HistoryGate, HistoryRequest
from robotrader.adapters.ibkr.streams import Ended, Stream, Streams, Subscribe
from robotrader.data.aggregate import Grid, Slot, by_slot, join
from robotrader.model import NANOS_PER_SECOND, Bar, BarSpec, Instrument, InstrumentId

_IN_SHARES = 175  # as of history


class LiveBars:
    """Keep a subscription for each instrument in every session, and its pieces until `forget`.

    What they make is bounded by time, not by their number: a slot holds its pieces once, whatever comes twice.
    A subscription counts for IBKR's pacing like a question for history, so that it goes through the same gate.
    """

    def __init__(
        self, connection: IbkrConnection, gate: HistoryGate, instruments: Sequence[Instrument], grid: Grid
    ) -> None:
        self._connection = connection
        self._gate = gate
        self._grid = grid
        self._pieces: dict[InstrumentId, dict[Slot, dict[int, Bar]]] = {i.id: {} for i in instruments}
        self._done = 0
        without = "has no live bars, each is asked for instead"
        stream = Stream(translate.watch_bars, translate.drop_bars, self._take, self._admit, without)
        self._streams = Streams(connection, instruments, stream, name="live bars")

    def bar(self, instrument: InstrumentId, slot: Slot) -> Bar | None:
        """Return a slot's bar once it is complete."""
        pieces = self._pieces[instrument].get(slot)
        found = join(slot, pieces, self._grid.spec) if pieces else None
        return found.bar if found is not None and not found.missing else None

    def spoke(self, instrument: InstrumentId, slot: Slot) -> bool:
        """Tell whether anything came for a slot."""
        return slot in self._pieces[instrument]

    def forget(self, until: int) -> None:
        """Drop the pieces of slots that ended by then, also those that come later."""
        self._done = max(self._done, until)
        for slots in self._pieces.values():
            for slot in [s for s in slots if s.end <= self._done]:
                del slots[slot]

    async def _admit(self, instrument: Instrument, subscribe: Subscribe) -> Ended:
        return await self._gate.ask(HistoryRequest(instrument.id, "TRADES", "live"), subscribe)

    def _take(self, instrument: Instrument, row: Sequence[float]) -> None:
        began, opened, high, low, close, volume, _average, _trades = row
        end = (int(began) + 5) * NANOS_PER_SECOND
        lot = 1 if self._connection.server_version >= _IN_SHARES else 100
        piece = Bar(
            instrument=instrument.id, ts_event=end, open=opened, high=high, low=low, close=close, volume=volume * lot,
            spec=BarSpec.SECOND_5,
        )  # fmt: skip
        for slot in by_slot([piece], self._grid):
            if slot.end > self._done and is_sound(piece, self._grid.sessions):
                self._pieces[instrument.id].setdefault(slot, {}).setdefault(end, piece)
