"""Follow the sign of the last year's return, each instrument on its own, with less of what moves more."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.features.windows import trailing
from robotrader.model import BarSpec, Manifest, Parameter, Resize, StrategyId
from robotrader.strategy.library.windows import CARRY, carried, month_starts

SESSIONS_PER_YEAR = 252


class TimeSeriesMomentum:
    """Time-series momentum with a volatility target, long and short, chosen anew each month.

    Source: Moskowitz, Ooi and Pedersen (2012), Time Series Momentum. Theirs is an exponentially weighted volatility and
    a target of 40 %; here it is the sample deviation of a window, and no instrument gets more than its full size.
    """

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "lookback": Parameter(default=252, low=2, high=2_000, doc="bars over which the return is measured"),
        "volatility_bars": Parameter(default=60, low=2, high=1_000, doc="bars over which volatility is measured"),
        "target": Parameter(default=0.15, low=0.01, high=2.0, doc="annual volatility of a full position: 0.15 is 15 %"),
    }

    def __init__(self, *, lookback: int, volatility_bars: int, target: float) -> None:
        self._lookback, self._volatility_bars, self._target = lookback, volatility_bars, target

    @property
    def manifest(self) -> Manifest:
        """Return the declaration; it has a view at month starts only, and is sized anew at each."""
        return Manifest(
            id=StrategyId("time_series_momentum"),
            version="1",
            hypothesis=(
                "The sign of an instrument's return over the last year predicts that of the next month's. "
                "Scaling positions to equal volatility raises the Sharpe ratio of following it."
            ),
            reference="Moskowitz, Ooi and Pedersen (2012), Time Series Momentum",
            bar_spec=BarSpec.DAY,
            warmup_bars=max(self._lookback, self._volatility_bars) + 1 + CARRY,
            parameters=self.PARAMETERS,
            resize=Resize.EVERY_BAR,
        )

    def signals(self, panel: Panel) -> Floats:
        """Return sign(return) x min(1, target / volatility) at month starts, to the nearest 0.01; else NaN."""
        out = np.full(panel.close.shape, np.nan)
        close = carried(panel.close)
        returns = np.full(close.shape, np.nan)
        returns[1:] = close[1:] / close[:-1] - 1
        spread = trailing(returns, self._volatility_bars)
        for t in month_starts(panel.ts):
            if t < self._lookback:
                continue
            volatility = spread[t].std(axis=-1, ddof=1) * np.sqrt(SESSIONS_PER_YEAR)
            scale = np.minimum(1, self._target / np.maximum(volatility, 1e-9))  # a price that stands still
            out[t] = np.sign(close[t] - close[t - self._lookback]) * scale.round(2)
        out[np.isnan(panel.close)] = np.nan
        return out
