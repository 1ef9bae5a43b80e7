"""Hold last year's winners against last year's losers, the last month left out, chosen anew each month."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, ConfigError, Manifest, Parameter, Resize, StrategyId
from robotrader.strategy.library.windows import CARRY, carried, month_starts


class CrossSectionalMomentum:
    """Winners minus losers: long the best of a ranking by past return, short the worst. `momentum` is long only.

    Source: Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers; the month that is left out, for
    its reversals, is from Jegadeesh (1990).
    """

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "lookback": Parameter(default=252, low=2, high=2_000, doc="bars back to the start of the measured return"),
        "skip": Parameter(default=21, low=0, high=250, doc="newest bars that are left out of it"),
        "share": Parameter(default=0.1, low=0.01, high=0.5, doc="of the ranked instruments on each side, at least one"),
    }

    def __init__(self, *, lookback: int, skip: int, share: float) -> None:
        if skip >= lookback:
            raise ConfigError(f"cross_sectional_momentum: skip must be below lookback, found {skip} and {lookback}")
        self._lookback, self._skip, self._share = lookback, skip, share

    @property
    def manifest(self) -> Manifest:
        """Return the declaration; it has a view at month starts only, and is sized anew at each."""
        return Manifest(
            id=StrategyId("cross_sectional_momentum"),
            version="1",
            hypothesis=(
                "Instruments that rose most in the year before the last month go on beating those that rose least. "
                "The difference is larger than what trading both sides each month costs."
            ),
            reference="Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers",
            bar_spec=BarSpec.DAY,
            warmup_bars=self._lookback + 1 + CARRY,
            parameters=self.PARAMETERS,
            resize=Resize.EVERY_BAR,
        )

    def signals(self, panel: Panel) -> Floats:
        """Return 1 for the winners, -1 for the losers and 0 for the others at month starts; else NaN.

        Ties go to the earlier column. An instrument without a bar, or without both prices, is not ranked; fewer than
        two make no ranking.
        """
        out = np.full(panel.close.shape, np.nan)
        close = carried(panel.close)
        for t in month_starts(panel.ts):
            if t < self._lookback:
                continue
            gain = close[t - self._skip] / close[t - self._lookback] + 0 * panel.close[t]
            ranked = np.argsort(-gain, kind="stable")[: np.count_nonzero(~np.isnan(gain))]  # NaN comes last
            if len(ranked) >= 2:
                each = max(int(self._share * len(ranked)), 1)
                out[t, ranked], out[t, ranked[:each]], out[t, ranked[-each:]] = 0.0, 1.0, -1.0
        return out
