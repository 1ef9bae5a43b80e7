"""A strategy whose decisions are known beforehand: in after an even day of the month, out after an odd one."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId


class Flip:
    """Hold everything over the nights that follow even days of the month."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {}

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(
            id=StrategyId("flip"), version="1", hypothesis="None: it only makes orders on known days.",
            bar_spec=BarSpec.DAY, warmup_bars=30, parameters=self.PARAMETERS,
        )  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        """Return 1 on even days of the month, 0 on odd ones."""
        days = panel.ts.astype("datetime64[ns]").astype("datetime64[D]")
        day_of_month = (days - days.astype("datetime64[M]")).astype(np.int64) + 1
        held = (day_of_month % 2 == 0).astype(np.float64)
        return np.repeat(held[:, None], len(panel.instruments), axis=1)
