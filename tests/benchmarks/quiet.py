"""A strategy that looks at everything and wants nothing: what is measured is the trader, not its orders."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId


class Quiet:
    """Compare each close with the mean of its window, and stay flat."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {}

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(
            id=StrategyId("quiet"), version="1", hypothesis="None: it is a load.", bar_spec=BarSpec.MINUTE,
            warmup_bars=50, parameters=self.PARAMETERS,
        )  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        """Return 0 everywhere, the mean looked at."""
        flat: Floats = np.zeros_like(panel.close) * np.nan_to_num(panel.close.mean(axis=0))
        return flat
