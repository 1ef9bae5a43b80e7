"""Strategies that keep the rules: each declares what it looks back at, and looks at nothing else."""

from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId

DAY_NS = 86_400_000_000_000
TIE = 1e-9
LENGTH = 20


class Clean:
    """Declare twenty bars of warm-up and no parameters, unless told otherwise."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {}
    WARM_UP = LENGTH

    @property
    def manifest(self) -> Manifest:
        return Manifest(id=StrategyId(type(self).__name__), version="1", hypothesis=str(self.__doc__),
                        bar_spec=BarSpec.DAY, warmup_bars=self.WARM_UP)  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        raise NotImplementedError


def trailing(values: Floats, length: int) -> Floats:
    """Return each row's last `length` values on a new last axis, NaN where there are none."""
    padded = np.concatenate((np.full((length - 1, values.shape[1]), np.nan), values))
    return sliding_window_view(padded, length, axis=0)


def before(values: Floats, rows: int = 1) -> Floats:
    """Return the values of `rows` rows before."""
    return np.concatenate((np.full((rows, values.shape[1]), np.nan), values))[: len(values)]


def above(values: Floats, level: Floats) -> Floats:
    """Return 1 where values are above the level, 0 where not, NaN where either is missing."""
    return np.where(np.isnan(values) | np.isnan(level), np.nan, np.where(values > level * (1 + TIE), 1.0, 0.0))


def in_each_column(function: Callable[[Floats], Floats], values: Floats) -> Floats:
    """Apply a function of TA-Lib to the bars that each column has."""
    out = np.full(values.shape, np.nan)
    for k, column in enumerate(values.T):
        known = ~np.isnan(column)
        if known.any():
            out[known, k] = function(column[known])
    return out


def z_score(values: Floats, length: int) -> Floats:
    """Return how many deviations each row is from the mean of its window; NaN where nothing moved."""
    window = trailing(values, length)
    mean: Floats = window.mean(axis=-1)
    deviation: Floats = window.std(axis=-1)
    deviation[deviation < TIE] = np.nan
    return (values - mean) / deviation


class BuyAndHold(Clean):
    """Stocks rise in the long run."""

    WARM_UP = 1

    def signals(self, panel: Panel) -> Floats:
        return np.where(np.isnan(panel.close), np.nan, 1.0)


class AboveItsAverage(Clean):
    """Prices above their simple average go on rising."""

    def signals(self, panel: Panel) -> Floats:
        return above(panel.close, trailing(panel.close, LENGTH).mean(axis=-1))


class HonestEma(Clean):
    """The same with an exponential average, and a warm-up after which its start has no weight."""

    WARM_UP = 15 * LENGTH

    def signals(self, panel: Panel) -> Floats:
        return above(panel.close, in_each_column(lambda bars: talib.EMA(bars, LENGTH), panel.close))


class HonestRsi(Clean):
    """What fell much by Wilder's index comes back; the index forgets its start after some 300 bars."""

    WARM_UP = 400

    def signals(self, panel: Panel) -> Floats:
        return (50 - in_each_column(lambda bars: talib.RSI(bars, 14), panel.close)) / 50


class HonestMacd(Clean):
    """Go with the distance of MACD from its signal line."""

    WARM_UP = 450

    def signals(self, panel: Panel) -> Floats:
        apart = in_each_column(lambda bars: talib.MACD(bars, 12, 26, 9)[2], panel.close)
        return (100 * apart / panel.close).clip(-1, 1)


class RollingZScore(Clean):
    """Prices far from the mean of their window come back."""

    def signals(self, panel: Panel) -> Floats:
        return (-z_score(panel.close, LENGTH) / 3).clip(-1, 1)


class BollingerBands(Clean):
    """Buy below the lower band, leave above the upper one, and keep what there is between them."""

    def signals(self, panel: Panel) -> Floats:
        score = z_score(panel.close, LENGTH)
        return np.where(score < -2, 1.0, np.where(score > 2, 0.0, np.nan))


class DonchianBreakout(Clean):
    """Buy a new high, leave at a new low; the position between them is the platform's to remember."""

    WARM_UP = LENGTH + 1

    def signals(self, panel: Panel) -> Floats:
        high, low = before(trailing(panel.high, LENGTH).max(axis=-1)), before(trailing(panel.low, 10).min(axis=-1))
        return np.where(panel.close > high, 1.0, np.where(panel.close < low, 0.0, np.nan))


class RankAcross(Clean):
    """Hold the stronger half of the instruments, each row on its own."""

    WARM_UP = LENGTH + 1

    def signals(self, panel: Panel) -> Floats:
        gain = panel.close / before(panel.close, LENGTH)
        order = np.where(np.isnan(gain), -np.inf, gain).argsort(axis=1, kind="stable").argsort(axis=1)
        return np.where(np.isnan(gain), np.nan, np.where(order >= gain.shape[1] / 2, 1.0, 0.0))


class VolatilityTarget(Clean):
    """Hold less of what moves more."""

    WARM_UP = LENGTH + 1

    def signals(self, panel: Panel) -> Floats:
        moves: Floats = trailing(panel.close / before(panel.close) - 1, LENGTH).std(axis=-1)
        return np.clip(0.01 / np.maximum(moves, 0.005), 0, 1)


class PreviousWeekPivot(Clean):
    """Be long above the pivot of the week that is over."""

    WARM_UP = 12

    def signals(self, panel: Panel) -> Floats:
        _, first, week = np.unique((panel.ts // DAY_NS + 3) // 7, return_index=True, return_inverse=True)
        pivots = np.full((len(first), panel.close.shape[1]), np.nan)
        for k, rows in enumerate(slice(*ends) for ends in pairwise(first)):
            pivots[k + 1] = (panel.high[rows].max(axis=0) + panel.low[rows].min(axis=0) + panel.close[rows][-1]) / 3
        return above(panel.close, pivots[week])


class ResampledToFinishedWeeks(Clean):
    """Go with the change between the last two weeks that are over."""

    WARM_UP = 18

    def signals(self, panel: Panel) -> Floats:
        week = (panel.ts // DAY_NS + 3) // 7
        last = np.searchsorted(week, week) - 1  # of the week before; -1: there is none
        earlier = np.searchsorted(week, week[last]) - 1
        out = above(panel.close[last], panel.close[earlier])
        out[(last < 0) | (earlier < 0)] = np.nan
        return out


class DayOfTheWeek(Clean):
    """Be long over Mondays, which the calendar says."""

    WARM_UP = 1

    def signals(self, panel: Panel) -> Floats:
        monday = (panel.ts // DAY_NS + 3) % 7 == 0
        return np.repeat(np.where(monday, 1.0, 0.0)[:, None], panel.close.shape[1], axis=1)


class TurnOfTheMonth(Clean):
    """Be long in the first three sessions of a month, known when each has come."""

    WARM_UP = 4

    def signals(self, panel: Panel) -> Floats:
        months = panel.ts.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)[:, None]
        ago = before(months.astype(np.float64), 3)
        early = np.where(np.isnan(ago), np.nan, np.where(months != ago, 1.0, 0.0))
        return np.repeat(early, panel.close.shape[1], axis=1)


class RegressionSlope(Clean):
    """Go with the slope of a line through the logarithms of the window."""

    def signals(self, panel: Panel) -> Floats:
        time = np.arange(LENGTH) - (LENGTH - 1) / 2
        slope: Floats = (trailing(np.log(panel.close), LENGTH) * time).sum(axis=-1) / (time**2).sum()
        return np.clip(slope * 100, -1, 1)


class GapFade(Clean):
    """Buy what opened lower than it closed."""

    WARM_UP = 2

    def signals(self, panel: Panel) -> Floats:
        return above(before(panel.close) * 0.99, panel.open)


class VolumeSurge(Clean):
    """Go with a rise on twice the usual volume; look at nothing else."""

    def signals(self, panel: Panel) -> Floats:
        usual = trailing(panel.volume, LENGTH).mean(axis=-1)
        return above(panel.volume, 2 * usual) * np.where(panel.close > panel.open, 1.0, 0.0)


class SpreadOfTwo(Clean):
    """The ratio of the first two instruments returns to its mean."""

    def signals(self, panel: Panel) -> Floats:
        out = np.full(panel.close.shape, np.nan)
        if panel.close.shape[1] > 1:
            score = z_score(np.log(panel.close[:, :1] / panel.close[:, 1:2]), LENGTH)[:, 0]
            out[:, 0], out[:, 1] = (-score / 3).clip(-1, 1), (score / 3).clip(-1, 1)
        return out
