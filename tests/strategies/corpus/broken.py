"""Strategies that deceive themselves, each in one way; `table.py` says which rule has to catch it."""

import time
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view

from robotrader import bootstrap
from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId

DAY_NS = 86_400_000_000_000
ROUNDS = 100_000


class Broken:
    """Declare two bars of warm-up and no parameters, unless told otherwise."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {}
    WARM_UP = 2

    @property
    def manifest(self) -> Manifest:
        return Manifest(id=StrategyId(type(self).__name__), version="1", hypothesis=str(self.__doc__),
                        bar_spec=BarSpec.DAY, warmup_bars=self.WARM_UP)  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        raise NotImplementedError


def change(values: Floats) -> Floats:
    """Return the change from the row before as a share, NaN in the first row."""
    return np.concatenate((np.full((1, values.shape[1]), np.nan), values[1:] / values[:-1] - 1))


def later(values: Floats) -> Floats:
    """Return the values of the next row: what nobody has yet."""
    return np.concatenate((values[1:], np.full((1, values.shape[1]), np.nan)))


def around(values: Floats, reach: int) -> Floats:
    """Return the values of `reach` rows before, the row itself, and `reach` rows after, on a new last axis."""
    edge = np.full((reach, values.shape[1]), np.nan)
    return sliding_window_view(np.concatenate((edge, values, edge)), 2 * reach + 1, axis=0)


def in_each_column(values: Floats, length: int) -> Floats:
    """Return TA-Lib's EMA of each column's bars, missing ones left out."""
    out = np.full(values.shape, np.nan)
    for k, column in enumerate(values.T):
        known = ~np.isnan(column)
        if known.any():
            out[known, k] = talib.EMA(column[known], length)
    return out


# ----------------------------------------------------------------------------------------------- a view of later rows
class NegativeShift(Broken):
    """Go with the return of the next bar: shift(-1) instead of shift(1)."""

    def signals(self, panel: Panel) -> Floats:
        return np.sign(later(change(panel.close)))


class CentredAverage(Broken):
    """Compare with an average whose window is centred, as smoothing functions do it unless told."""

    WARM_UP = 3

    def signals(self, panel: Panel) -> Floats:
        average: Floats = around(panel.close, 2).mean(axis=-1)
        return np.sign(panel.close - average)


class WeekLabelledLeft(Broken):
    """Resample to weeks and label each with its first day: on Monday it knows Friday's close."""

    WARM_UP = 1

    def signals(self, panel: Panel) -> Floats:
        week = (panel.ts // DAY_NS + 3) // 7
        friday = np.searchsorted(week, week, side="right") - 1
        return np.sign(panel.close[friday] - panel.close)


class DecidesOnTheCloseItFillsAt(Broken):
    """Shift a trend by one bar, so that the fill at the next open is as good as one at the close it was made of."""

    WARM_UP = 4

    def signals(self, panel: Panel) -> Floats:
        trailing = around(panel.close, 3)[..., :4].mean(axis=-1)
        return later(np.sign(panel.close - trailing))


class NextExtremes(Broken):
    """Buy where the next bar's low lies far below and its high above: the limit orders that would have paid."""

    def signals(self, panel: Panel) -> Floats:
        cheap = later(panel.low) < panel.close * 0.99
        return np.where(cheap & (later(panel.high) > panel.close), 1.0, 0.0)


class ZigZag(Broken):
    """Buy at the lowest of eleven bars and sell at the highest: both are known five bars later."""

    WARM_UP = 6

    def signals(self, panel: Panel) -> Floats:
        near = around(panel.close, 5)
        out = np.full(panel.close.shape, np.nan)
        out[panel.close == np.fmin.reduce(near, axis=-1)] = 1.0
        out[panel.close == np.fmax.reduce(near, axis=-1)] = -1.0
        return out


class BackFilled(Broken):
    """Fill missing bars with the next one."""

    def signals(self, panel: Panel) -> Floats:
        rows = np.where(np.isnan(panel.close), len(panel), np.arange(len(panel))[:, None])
        following = np.minimum.accumulate(rows[::-1])[::-1].clip(max=len(panel) - 1)
        return np.sign(change(np.take_along_axis(panel.close, following, axis=0)))


class Interpolated(Broken):
    """Draw a line across missing bars, from the last to the next."""

    WARM_UP = 25

    def signals(self, panel: Panel) -> Floats:
        filled, rows = panel.close.copy(), np.arange(len(panel))
        for k, column in enumerate(panel.close.T):
            known = ~np.isnan(column)
            if known.any():
                filled[:, k] = np.interp(rows, rows[known], column[known])
        return np.sign(change(filled))


class DodgesCrashes(Broken):
    """Be long, except before the next bar loses half: too rare for most samples to show."""

    WARM_UP = 1

    def signals(self, panel: Panel) -> Floats:
        return np.where(later(panel.close) < 0.5 * panel.close, 0.0, 1.0)


class KnowsTheEnd(Broken):
    """Close all positions on the last bar of the data; live, every bar is the last."""

    WARM_UP = 1

    def signals(self, panel: Panel) -> Floats:
        out = np.ones(panel.close.shape)
        out[-1] = 0.0
        return out


# ----------------------------------------------------------------------------------------------- the panel as a whole
class GlobalZScore(Broken):
    """Standardise by mean and deviation of all bars."""

    def signals(self, panel: Panel) -> Floats:
        count = np.maximum((~np.isnan(panel.close)).sum(axis=0), 1)
        apart: Floats = panel.close - np.nansum(panel.close, axis=0) / count
        deviation: Floats = np.sqrt(np.nansum(apart**2, axis=0) / count)
        return np.clip(apart / np.maximum(deviation, 1e-9) / 3, -1, 1)


class GlobalMinMax(Broken):
    """Scale by the lowest and the highest price of all bars."""

    def signals(self, panel: Panel) -> Floats:
        low: Floats = np.fmin.reduce(panel.close, axis=0)
        high: Floats = np.fmax.reduce(panel.close, axis=0)
        return np.clip(1 - 2 * (panel.close - low) / np.maximum(high - low, 1e-9), -1, 1)


class RankOverTime(Broken):
    """Sort all closes by size, and buy the low ones."""

    def signals(self, panel: Panel) -> Floats:
        ranks = panel.close.argsort(axis=0, kind="stable").argsort(axis=0)
        return np.where(np.isnan(panel.close), np.nan, 1 - 2 * ranks / len(panel))


class FitsAllData(Broken):
    """Predict by a regression that was fitted to all bars, these included."""

    def signals(self, panel: Panel) -> Floats:
        past = np.nan_to_num(change(panel.close))
        slope: Floats = (past[:-1] * past[1:]).sum(axis=0) / np.maximum((past**2).sum(axis=0), 1e-9)
        return np.tanh(100 * slope * change(panel.close))


class FourierSmoothed(Broken):
    """Take the fast waves out of the whole series, and go with the slope of the rest."""

    def signals(self, panel: Panel) -> Floats:
        waves = np.fft.rfft(np.nan_to_num(panel.close), axis=0)
        waves[5:] = 0
        smooth = np.fft.irfft(waves, n=len(panel), axis=0)
        return np.where(np.isnan(panel.close), np.nan, np.tanh(np.diff(smooth, axis=0, prepend=np.nan)))


# ------------------------------------------------------------------------------------- more history than was declared
class ShortWarmUp(Broken):
    """Declare one length of an exponential average as its warm-up: the start still weighs a seventh of it."""

    WARM_UP = 50

    def signals(self, panel: Panel) -> Floats:
        return np.sign(panel.close - in_each_column(panel.close, 50))


class SinceTheStart(Broken):
    """Compare with the highest price since the first bar, wherever that was."""

    def signals(self, panel: Panel) -> Floats:
        return panel.close / np.fmax.accumulate(panel.close, axis=0)


class CountsFromTheFirstRow(Broken):
    """Trade every fifth bar, counted from the first one there is."""

    def signals(self, panel: Panel) -> Floats:
        trend = np.where(change(panel.close) > 0, 1.0, 0.0)
        return np.where((np.arange(len(panel)) % 5 == 0)[:, None], trend, np.nan)


# ----------------------------------------------------------------------------------------- not the same answer twice
class Unseeded(Broken):
    """Draw without a seed."""

    def signals(self, panel: Panel) -> Floats:
        return np.random.default_rng().uniform(-1, 1, panel.close.shape)


class AsksTheClock(Broken):
    """Let the time of day decide."""

    def signals(self, panel: Panel) -> Floats:
        return np.full(panel.close.shape, time.time_ns() % 1_000_000_007 / 1_000_000_007)


class HashOrder(Broken):
    """Weigh by hash: the same in one process, another in the next."""

    def signals(self, panel: Panel) -> Floats:
        return np.tile([hash(iid) % 1_000 / 1_000 for iid in panel.ids], (len(panel), 1))


class RemembersTheLastCall(Broken):
    """Keep what it saw for the next call."""

    def __init__(self) -> None:
        self._seen = 0

    def signals(self, panel: Panel) -> Floats:
        self._seen += len(panel)
        return np.full(panel.close.shape, 1 / self._seen)


# --------------------------------------------------------------------------------------------------- not the contract
class FillsThePanel(Broken):
    """Fill missing bars in the panel itself, which others read."""

    def signals(self, panel: Panel) -> Floats:
        panel.close[np.isnan(panel.close)] = 0.0
        return np.where(panel.close > 50, 1.0, 0.0)


class LeavesTheRange(Broken):
    """Return a momentum as it is."""

    def signals(self, panel: Panel) -> Floats:
        return change(panel.close) * 100


class NeedsManyBars(Broken):
    """Take for granted that there are ten bars; the first one of a live run has none before it."""

    WARM_UP = 10

    def signals(self, panel: Panel) -> Floats:
        out = np.full(panel.close.shape, np.nan)
        for t in range(9, max(len(panel), 10)):
            out[t] = np.sign(panel.close[t] - panel.close[t - 9])
        return out


class ReadsBehindTheView(Broken):
    """Read the array that the panel is a part of."""

    WARM_UP = 1

    def signals(self, panel: Panel) -> Floats:
        whole = panel.close if panel.close.base is None else panel.close.base
        return np.where(panel.close > whole[-1, -1], 1.0, 0.0)


class TooSlow(Broken):
    """Loop where an array would do: a fifth of a second for a window of fifty bars."""

    WARM_UP = 50
    rounds: ClassVar[int] = 0
    """How often it went round, in all: what a test measures its time with."""

    def signals(self, panel: Panel) -> Floats:
        out = np.zeros(panel.close.shape)
        for row in range(len(panel)):
            total = 0
            for n in range(ROUNDS):
                total += n
            type(self).rounds += ROUNDS
            out[row] = total % 2
        return out


# --------------------------------------------------------------------------------- profits that nobody could have had
class LearnedByHeart(Broken):
    """Know the answers from elsewhere: a model that was fitted to the test data and saved."""

    WARM_UP = 1

    def signals(self, panel: Panel) -> Floats:
        known = answers()
        return np.array([[known.get((iid, ts), 0.0) for iid in panel.ids] for ts in panel.ts.tolist()])


@lru_cache
def answers() -> dict[tuple[str, int], float]:
    """Return the sign of each next return of the sample."""
    sample = bootstrap.load_data("sample:all", state=Path()).panel.rows(2_000, 3_270)
    signs = np.nan_to_num(np.sign(later(change(sample.close)))).tolist()
    rows = zip(sample.ts.tolist(), signs, strict=True)
    return {(iid, ts): sign for ts, row in rows for iid, sign in zip(sample.ids, row, strict=True)}


class SellsTheBounce(Broken):
    """Go against the last bar; where closes bounce between bid and ask that pays, at that very close alone."""

    def signals(self, panel: Panel) -> Floats:
        return -np.sign(change(panel.close))
