"""Strategies that only this comparison knows, loaded by their path."""

from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId


class _Single:
    """Each instrument on its own."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {"length": Parameter(default=20, low=1, high=500)}

    def __init__(self, *, length: int) -> None:
        self.length = length

    @property
    def manifest(self) -> Manifest:
        return Manifest(id=StrategyId(type(self).__name__.lower()), version="1", hypothesis="none",
                        bar_spec=BarSpec.DAY, warmup_bars=self.length + 1, parameters=self.PARAMETERS)  # fmt: skip


class Hold(_Single):
    """Long from the first bar on."""

    def signals(self, panel: Panel) -> Floats:
        return np.ones(panel.close.shape)


class Donchian(_Single):
    """Long at a close above the highest high of the bars before, short below their lowest low, else as before."""

    def signals(self, panel: Panel) -> Floats:
        out = np.full(panel.close.shape, np.nan)
        high = sliding_window_view(panel.high, self.length, axis=0)[:-1].max(axis=-1)
        low = sliding_window_view(panel.low, self.length, axis=0)[:-1].min(axis=-1)
        out[self.length :][panel.close[self.length :] > high] = 1.0
        out[self.length :][panel.close[self.length :] < low] = -1.0
        return out


class Reversion(_Single):
    """Long when the gains' share of the last moves (Cutler's RSI) is below 0.3, flat above 0.6, else as before."""

    def signals(self, panel: Panel) -> Floats:
        out = np.full(panel.close.shape, np.nan)
        moves = sliding_window_view(np.diff(panel.close, axis=0), self.length, axis=0)
        share = np.maximum(moves, 0).sum(axis=-1) / np.maximum(np.abs(moves).sum(axis=-1), 1e-9)
        out[self.length :][share < 0.3] = 1.0
        out[self.length :][share > 0.6] = 0.0
        return out


class Ladder(_Single):
    """Long by as many thirds as there are averages below the close: a position that grows and shrinks."""

    def signals(self, panel: Panel) -> Floats:
        out = np.full(panel.close.shape, np.nan)
        last = panel.close[self.length - 1 :]
        below = [last > sliding_window_view(panel.close, n, axis=0).mean(axis=-1)[self.length - n :]
                 for n in (self.length // 4, self.length // 2, self.length)]  # fmt: skip
        out[self.length - 1 :] = np.sum(below, axis=0) / 3
        return out
