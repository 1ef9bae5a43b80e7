"""Strategies that break the contract, each in its own way; loaded from this file as a user's would be."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId


class Constant:
    """Say the same of everything: `say`."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "say": Parameter(default=0.5, low=-5.0, high=5.0),
        "bars": Parameter(default=3, low=1, high=10),
    }

    def __init__(self, *, say: float, bars: int) -> None:
        self.say, self.bars = say, bars

    @property
    def manifest(self) -> Manifest:
        return Manifest(id=StrategyId("constant"), version="1", hypothesis="", bar_spec=BarSpec.DAY,
                        warmup_bars=self.bars)  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        return np.full(panel.close.shape, self.say)


class WrongShape(Constant):
    """Say something of the last bar only."""

    def signals(self, panel: Panel) -> Floats:
        return np.full(panel.close.shape[1], self.say)


class Counting(Constant):
    """Say how many bars it was shown."""

    def signals(self, panel: Panel) -> Floats:
        return np.full(panel.close.shape, len(panel) / 100)


class NotAStrategy:
    """Have nothing of a strategy."""
