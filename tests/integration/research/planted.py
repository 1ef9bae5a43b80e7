"""A strategy that follows the last few bars, and bars that do just that, as strongly as one likes."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from robotrader import bootstrap
from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId

TRUE_BARS = 5
SYMBOLS = ("SPY", "QQQ")


class Following:
    """Long after a rise over some bars, short after a fall."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "bars": Parameter(default=TRUE_BARS, low=1, high=200, doc="bars of the rise")
    }
    spec: ClassVar[BarSpec] = BarSpec.DAY

    def __init__(self, *, bars: int) -> None:
        self._bars = bars

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(id=StrategyId("following"), version="3", hypothesis="What rose goes on to rise.",
                        bar_spec=self.spec, warmup_bars=self._bars + 1, parameters=self.PARAMETERS)  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        """Return the sign of the return over the last bars."""
        out = np.full(panel.close.shape, np.nan)
        out[self._bars :] = np.sign(panel.close[self._bars :] - panel.close[: -self._bars])
        return out


class FollowingQuarters(Following):
    """The same on bars of a quarter of an hour."""

    spec = BarSpec.MINUTE_15


class Holding:
    """Long always, with nothing to vary."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {}
    manifest = Manifest(
        id=StrategyId("holding"), version="1", bar_spec=BarSpec.DAY, warmup_bars=1, hypothesis="Prices rise."
    )

    def signals(self, panel: Panel) -> Floats:
        """Return 1."""
        return np.ones(panel.close.shape)


def write_bars(file: Path, *, edge: float, days: int = 2_000, seed: int = 5, drift: float = 0.0) -> str:
    """Write daily bars of two instruments: each day moves by `edge` on with the last five, by 1 % at random beside.

    A bar opens at the close before; a day changes hands what no small order moves.
    """
    random, dates = np.random.default_rng(seed), bootstrap.sessions("2010-01-01", "2022-12-31").dates[:days]
    rows = ["Symbol,Date,Open,High,Low,Close,Volume"]
    for symbol in SYMBOLS:
        close = np.full(days + TRUE_BARS, 100.0)
        for t, shock in enumerate(random.normal(drift, 0.01, days), start=TRUE_BARS):
            close[t] = round(close[t - 1] * (1 + shock + edge * np.sign(close[t - 1] - close[t - TRUE_BARS])), 2)
        for date, before, now in zip(dates, close[TRUE_BARS - 1 :], close[TRUE_BARS:], strict=False):
            high, low = max(before, now) + 0.05, min(before, now) - 0.05
            rows.append(f"{symbol},{date},{before:.2f},{high:.2f},{low:.2f},{now:.2f},50000000")
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(file)
