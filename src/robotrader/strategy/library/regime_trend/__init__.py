"""Long while the price trends up and is not in stress; a plain crossover where it is not clear which of these it is."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.features.regimes import (
    Backed,
    Policy,
    RegimeRules,
    Trend,
    Volatility,
    conditioned,
    drifted,
    fallback,
    regimes,
)
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId
from robotrader.strategy.library.sma_crossover import SmaCrossover
from robotrader.strategy.library.windows import CARRY, carried

NOT_IN_STRESS = Policy(volatility={Volatility.STRESSED: 0.0})
_DEFAULT = RegimeRules()


class RegimeTrend:
    """Trend following by regimes, with a moving average crossover to fall back on; long or flat, each on its own.

    Source: Moreira and Muir (2017), Volatility-Managed Portfolios, who hold less where volatility is high; here it is
    nothing, and only where it is high by the instrument's own last year.
    """

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "trend_bars": Parameter(default=_DEFAULT.trend_bars, low=2, high=1_000, doc="returns in the slope"),
        "trend_enter": Parameter(default=1.0, low=0.1, high=5.0, doc="t-value at which a trend begins; ends at half"),
        "volatility_bars": Parameter(default=_DEFAULT.volatility_bars, low=2, high=500, doc="returns in a volatility"),
        "history": Parameter(default=_DEFAULT.history, low=10, high=2_000, doc="volatilities that rank the newest"),
        "stress": Parameter(default=0.9, low=0.65, high=1.0, doc="rank at which stress begins; ends 0.1 below"),
        "memory": Parameter(default=_DEFAULT.memory, low=1, high=250, doc="bars for which a state stays undecided"),
        "confidence": Parameter(default=0.25, low=0.0, high=1.0, doc="below it the crossover decides"),
        "recent": Parameter(default=60, low=10, high=500, doc="returns that are held to those before them"),
        "drift": Parameter(default=0.25, low=0.01, high=20.0, doc="stability index above which the crossover decides"),
        "fast": SmaCrossover.PARAMETERS["fast"],
        "slow": SmaCrossover.PARAMETERS["slow"],
    }

    def __init__(
        self, *, trend_bars: int, trend_enter: float, volatility_bars: int, history: int, stress: float, memory: int,
        confidence: float, recent: int, drift: float, fast: int, slow: int,
    ) -> None:  # fmt: skip
        self._rules = RegimeRules(
            trend_bars=trend_bars, trend_enter=trend_enter, trend_leave=trend_enter / 2,
            volatility_bars=volatility_bars, history=history, stress_enter=stress, stress_leave=stress - 0.1,
            memory=memory,
        )  # fmt: skip
        self._confidence, self._recent, self._drift = confidence, recent, drift
        self._baseline = SmaCrossover(fast=fast, slow=slow)

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        drift_bars = self._recent + self._rules.history + 1
        return Manifest(
            id=StrategyId("regime_trend"),
            version="1",
            hypothesis=(
                "A price that rises more than a random walk would goes on rising while its volatility is not high. "
                "Being out in stress saves more than it costs."
            ),
            reference="Moreira and Muir (2017), Volatility-Managed Portfolios",
            bar_spec=BarSpec.DAY,
            warmup_bars=max(self._rules.warmup_bars, drift_bars, self._baseline.manifest.warmup_bars) + CARRY,
            parameters=self.PARAMETERS,
        )

    def signals(self, panel: Panel) -> Floats:
        """Return 1 where it is long and 0 where it is out, NaN without a bar or where nothing can be told yet."""
        out = self.backed(panel).strengths
        out[np.isnan(panel.close)] = np.nan
        return out

    def backed(self, panel: Panel) -> Backed:
        """Return the strengths, and where they are the crossover's; a missing bar counts as one at the last close."""
        close = carried(panel.close)
        found = regimes(close, self._rules)
        primary = conditioned((found.trend == Trend.UP).astype(np.float64), found, NOT_IN_STRESS)
        drift = drifted(close, recent=self._recent, reference=self._rules.history, bound=self._drift)
        baseline = self._baseline.signals(replace(panel, close=close))
        return fallback(primary, baseline, found, least_confidence=self._confidence, drift=drift)
