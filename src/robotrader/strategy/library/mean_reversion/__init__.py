"""Buy a sharp fall inside a rise, and sell the bounce."""

from typing import ClassVar

import numpy as np
import talib

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId
from robotrader.strategy.library.sma_crossover import TIE, moving_average
from robotrader.strategy.library.windows import CARRY, carried, indicator

SETTLED = 25
"""An RSI over so many times its length is that of all history: what came before weighs less than 1e-10."""


class MeanReversion:
    """Long after a low RSI above a long average, out above a short one; long or flat, each instrument on its own.

    Source: Connors and Alvarez (2009), Short Term Trading Strategies That Work (RSI-2).
    """

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "rsi_bars": Parameter(default=2, low=2, high=30, doc="length of the RSI"),
        "low": Parameter(default=10.0, low=1.0, high=50.0, doc="RSI below which a fall is bought"),
        "trend_bars": Parameter(default=200, low=2, high=1_000, doc="bars of the average that says it is a rise"),
        "exit_bars": Parameter(default=5, low=2, high=100, doc="bars of the average above which it is sold"),
    }

    def __init__(self, *, rsi_bars: int, low: float, trend_bars: int, exit_bars: int) -> None:
        self._rsi_bars, self._low, self._trend_bars, self._exit_bars = rsi_bars, low, trend_bars, exit_bars

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(
            id=StrategyId("mean_reversion"),
            version="1",
            hypothesis=(
                "A price that falls sharply over a few days while it is above its long average rises more in the days "
                "after than on other days. The bounce is larger than what it costs to trade."
            ),
            reference="Connors and Alvarez (2009), Short Term Trading Strategies That Work",
            bar_spec=BarSpec.DAY,
            warmup_bars=max(SETTLED * self._rsi_bars, self._trend_bars, self._exit_bars) + CARRY,
            parameters=self.PARAMETERS,
        )

    def signals(self, panel: Panel) -> Floats:
        """Return 1 where a fall is bought, 0 where the bounce is sold, NaN (stay as you are) elsewhere."""
        close = carried(panel.close)
        rsi = indicator(talib.RSI, close, bars=SETTLED * self._rsi_bars, timeperiod=self._rsi_bars)
        trend, exit_ = moving_average(close, self._trend_bars), moving_average(close, self._exit_bars)
        out = np.full(close.shape, np.nan)
        out[(rsi < self._low) & (close - trend > TIE * trend)] = 1.0
        out[close - exit_ > TIE * exit_] = 0.0
        out[np.isnan(panel.close) | np.isnan(rsi + trend + exit_)] = np.nan
        return out
