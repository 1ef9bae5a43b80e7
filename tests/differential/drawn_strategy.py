"""A strategy that tests draw: strengths at random, with views that come and go. It is loaded by its path."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, Resize, StrategyId


class Drawn:
    """Strengths of a seed; `density` is how often there is a view, `whole` makes them -1, 0 or 1."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "seed": Parameter(default=0, low=0, high=2**32),
        "density": Parameter(default=0.5, low=0.0, high=1.0),
        "short": Parameter(default=1, low=0, high=1),
        "whole": Parameter(default=1, low=0, high=1),
        "early": Parameter(default=0, low=0, high=1, doc="views before an instrument's first bar"),
        "sign": Parameter(default=1, low=-1, high=1, doc="-1 says the opposite"),
    }

    def __init__(self, *, seed: int, density: float, short: int, whole: int, early: int, sign: int) -> None:
        self._seed, self._density, self._short, self._whole, self._early = seed, density, short, whole, early
        self._sign = sign

    @property
    def manifest(self) -> Manifest:
        return Manifest(id=StrategyId("drawn"), version="1", hypothesis="none", bar_spec=BarSpec.DAY, warmup_bars=1,
                        parameters=self.PARAMETERS, resize=Resize.ON_CHANGE)  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        random = np.random.default_rng(self._seed)
        found = random.choice([0.25, 0.5, 0.333, 0.123456789, 1.0, 0.0], size=panel.close.shape)
        found = np.rint(found) if self._whole else found
        if self._short:
            found *= random.choice([-1.0, 1.0], size=found.shape)
        found[random.random(found.shape) >= self._density] = np.nan
        if not self._early:
            found[~np.logical_or.accumulate(~np.isnan(panel.close), axis=0)] = np.nan
        return found * self._sign


class Prophet(Drawn):
    """Know where the next bar goes: no honest strategy."""

    def signals(self, panel: Panel) -> Floats:
        found = np.zeros(panel.close.shape)
        found[:-1] = np.sign(panel.close[1:] - panel.open[1:])
        return found
