"""The trader's view of a strategy that runs in a process of its own: what it said is in the record, and only there."""

from collections.abc import Sequence
from math import nan

from robotrader.model import BarsClosed, InstrumentId, SignalsComputed, StrategyError


class HostedRows:
    """Give back what was recorded of each cross-section: a replay needs no process, and none of the user's code."""

    def __init__(self, width: int) -> None:
        self._none: Sequence[float] = (nan,) * width
        self._heard: SignalsComputed | None = None
        self._compared = (0, 0)

    def hear(self, event: SignalsComputed) -> None:
        """Take in what the strategy says of the bars that come next."""
        self._heard = event
        signals, differing = self._compared
        self._compared = signals + event.compared[0], differing + event.compared[1]

    def on_bars(self, event: BarsClosed) -> Sequence[float]:
        """Return what was said of these bars: no view where nothing was.

        Raises
        ------
        StrategyError
            It is quarantined.
        """
        heard = self._heard
        if heard is None or heard.ts_event != event.ts_event:
            return self._none
        if heard.fault:
            raise StrategyError(heard.fault, strategy=heard.strategy)
        return [nan if strength is None else strength for strength in heard.strengths]

    def on_split(self, instrument: InstrumentId, ratio: float, ex_at: int) -> None:
        """Change nothing: the process was told."""

    def compared(self) -> tuple[int, int]:
        """Return what its process compared since the last time."""
        found, self._compared = self._compared, (0, 0)
        return found
