"""Long for ten days, short for ten days: what a test of borrowed shares needs."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId


class Reversing:
    """Reverses every ten bars."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {}
    manifest = Manifest(
        id=StrategyId("reversing"), version="1", bar_spec=BarSpec.DAY, warmup_bars=1, hypothesis="None: a test's."
    )

    def signals(self, panel: Panel) -> Floats:
        """Return 1 and -1 in turns."""
        turns = np.where(np.arange(len(panel)) // 10 % 2, -1.0, 1.0)
        return np.repeat(turns[:, None], len(panel.ids), axis=1)
