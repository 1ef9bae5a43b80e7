"""Buy a new high of many bars, and sell when the price has fallen some ranges below its recent high."""

from typing import ClassVar

import numpy as np
import talib

from robotrader.data.panel import Floats, Panel
from robotrader.features.windows import trailing
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId
from robotrader.strategy.library.windows import CARRY, carried, indicator


class Breakout:
    """In by Donchian's channel, out by a trailing stop of average true ranges; long or flat, each on its own.

    Source: Brock, Lakonishok and LeBaron (1992), Simple Technical Trading Rules and the Stochastic Properties of Stock
    Returns (trading range break); Wilder (1978) for the ATR, here a plain mean; LeBeau's chandelier for the exit.
    """

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "channel": Parameter(default=50, low=2, high=1_000, doc="earlier bars whose highest high must be passed"),
        "exit_bars": Parameter(default=22, low=2, high=500, doc="bars of the ATR, and of the high that it hangs from"),
        "ranges": Parameter(default=3.0, low=0.5, high=20.0, doc="ATRs below that high at which it is sold"),
    }

    def __init__(self, *, channel: int, exit_bars: int, ranges: float) -> None:
        self._channel, self._exit_bars, self._ranges = channel, exit_bars, ranges

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(
            id=StrategyId("breakout"),
            version="1",
            hypothesis=(
                "A close above the highest high of many weeks is followed by higher returns than other days are. "
                "Leaving some average ranges below the recent high keeps most of them."
            ),
            reference="Brock, Lakonishok and LeBaron (1992), Simple Technical Trading Rules",
            bar_spec=BarSpec.DAY,
            warmup_bars=max(self._channel, self._exit_bars) + 1 + CARRY,
            parameters=self.PARAMETERS,
        )

    def signals(self, panel: Panel) -> Floats:
        """Return 1 on a new high, 0 below the trailing stop (it wins), NaN (stay as you are) elsewhere.

        A missing bar counts as one at the last close.
        """
        close = carried(panel.close)
        high, low = (np.where(np.isnan(panel.close), close, side) for side in (panel.high, panel.low))
        atr = indicator(talib.ATR, high, low, close, bars=self._exit_bars + 1, timeperiod=self._exit_bars)
        stop = trailing(high, self._exit_bars).max(axis=-1) - self._ranges * atr
        before = trailing(high, self._channel + 1)[..., :-1].max(axis=-1)
        out = np.full(close.shape, np.nan)
        out[close > before] = 1.0
        out[close < stop] = 0.0
        out[np.isnan(panel.close) | np.isnan(before + stop)] = np.nan
        return out
