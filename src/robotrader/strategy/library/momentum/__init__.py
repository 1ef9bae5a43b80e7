"""Hold the instruments that rose most, chosen anew in the first session of each month."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, Resize, StrategyId
from robotrader.strategy.library.windows import month_starts


class Momentum:
    """Cross-sectional momentum, long only.

    Source: Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers.
    """

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "lookback": Parameter(default=126, low=2, high=2_000, doc="bars over which the return is measured"),
        "top": Parameter(default=2, low=1, high=500, doc="how many instruments are held"),
    }

    def __init__(self, *, lookback: int, top: int) -> None:
        self._lookback, self._top = lookback, top

    @property
    def manifest(self) -> Manifest:
        """Return the declaration; it has a view at month starts only, and is sized anew at each."""
        return Manifest(
            id=StrategyId("momentum"),
            version="1",
            hypothesis=(
                "Instruments that rose most over the last months go on beating the others for some months. "
                "Holding them instead of all earns more than it costs to change them each month."
            ),
            reference="Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers",
            bar_spec=BarSpec.DAY,
            warmup_bars=self._lookback + 1,
            parameters=self.PARAMETERS,
            resize=Resize.EVERY_BAR,
        )

    def signals(self, panel: Panel) -> Floats:
        """Return 1 for the `top` instruments by return and 0 for the others, at month starts; else NaN.

        Ties go to the earlier column; an instrument without both prices has no view.
        """
        out = np.full(panel.close.shape, np.nan)
        for t in month_starts(panel.ts):
            if t < self._lookback:
                continue
            gain = panel.close[t] / panel.close[t - self._lookback]
            ranked = np.argsort(-np.where(np.isnan(gain), -np.inf, gain), kind="stable")
            out[t] = 0.0
            out[t, ranked[: self._top]] = 1.0
            out[t, np.isnan(gain)] = np.nan
        return out
