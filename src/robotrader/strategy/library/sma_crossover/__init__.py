"""Long while the fast moving average is above the slow one, else flat."""

from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, ConfigError, Manifest, Parameter, StrategyId

TIE = 1e-12
"""Averages that differ by less than this ratio are equal: real prices hold exact ties."""


def moving_average(values: Floats, length: int) -> Floats:
    """Return the mean of the last `length` rows, NaN before there are so many or where one is NaN.

    Each row sums its own window only: a running sum would make row t depend on all rows before it.
    """
    out = np.full(values.shape, np.nan)
    if len(values) >= length:
        out[length - 1 :] = sliding_window_view(values, length, axis=0).mean(axis=-1)
    return out


class SmaCrossover:
    """Simple moving average crossover, long or flat, each instrument on its own."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "fast": Parameter(default=10, low=1, high=1_000, doc="bars in the fast average"),
        "slow": Parameter(default=50, low=2, high=5_000, doc="bars in the slow average"),
    }

    def __init__(self, *, fast: int, slow: int) -> None:
        if fast >= slow:
            raise ConfigError(f"sma_crossover: fast must be below slow, found fast={fast} slow={slow}")
        self._fast, self._slow = fast, slow

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(
            id=StrategyId("sma_crossover"),
            version="1",
            hypothesis=(
                "A price whose fast average is above its slow one rises more than on other days. "
                "Staying out on the other days costs less than it saves."
            ),
            reference="Brock, Lakonishok and LeBaron (1992), Simple Technical Trading Rules",
            bar_spec=BarSpec.DAY,
            warmup_bars=self._slow,
            parameters=self.PARAMETERS,
        )

    def signals(self, panel: Panel) -> Floats:
        """Return 1 where the fast average is above the slow one, 0 where not, NaN before warm-up."""
        fast, slow = moving_average(panel.close, self._fast), moving_average(panel.close, self._slow)
        long = (fast - slow > TIE * slow).astype(np.float64)
        long[np.isnan(fast) | np.isnan(slow)] = np.nan
        return long
