"""A strategy that buys once and keeps."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId


class Hold:
    """Hold everything, always."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {}

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(id=StrategyId("hold"), version="1", hypothesis="None: it holds.", bar_spec=BarSpec.DAY,
                        warmup_bars=2, parameters=self.PARAMETERS)  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        """Return 1 throughout."""
        return np.ones((len(panel.ts), len(panel.instruments)))


class HoldShort(Hold):
    """Be short in everything, always."""

    def signals(self, panel: Panel) -> Floats:
        """Return -1 throughout."""
        return -super().signals(panel)
