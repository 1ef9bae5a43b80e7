"""A strategy that says what a worksheet tells it to. It is loaded by its path."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, Resize, StrategyId

NO_VIEW = 2.0


class Scripted:
    """Parameter `rN` is the strength of row N, for every instrument; 2 is no view."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        f"r{row}": Parameter(default=NO_VIEW, low=-1.0, high=NO_VIEW) for row in range(20)
    }

    def __init__(self, **strengths: float) -> None:
        self._strengths = strengths

    @property
    def manifest(self) -> Manifest:
        return Manifest(id=StrategyId("scripted"), version="1", hypothesis="none", bar_spec=BarSpec.DAY, warmup_bars=1,
                        parameters=self.PARAMETERS, resize=Resize.ON_CHANGE)  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        rows = np.array([self._strengths[f"r{row}"] for row in range(20)])[: len(panel)]
        rows[rows == NO_VIEW] = np.nan
        return np.repeat(rows[:, None], len(panel.instruments), axis=1)
