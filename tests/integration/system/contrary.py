"""A strategy that follows yesterday's move, or fades it."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId


class Follow:
    """Hold long after a rise, short after a fall."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {}

    sign = 1

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(id=StrategyId("follow"), version="1", hypothesis="None: it only trades.", bar_spec=BarSpec.DAY,
                        warmup_bars=2, parameters=self.PARAMETERS)  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        """Return 1 after a rise, -1 after a fall, NaN at first."""
        moves = np.sign(np.diff(panel.close, axis=0, prepend=np.nan))
        return np.asarray(moves * self.sign)


class Fade(Follow):
    """Hold the opposite."""

    sign = -1
