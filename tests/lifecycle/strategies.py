"""Five strategies for the lifecycle: one is good, each of the others must be stopped by another gate."""

from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId

CRASHES_AT = 1_688_400_000_000_000_000
"""3 July 2023 (ns UTC): after what research saw."""


class Good:
    """What went up in a bar goes on."""

    NAME: ClassVar[str] = "good"
    PARAMETERS: ClassVar[dict[str, Parameter]] = {"bars": Parameter(default=5, low=2, high=12, doc="bars looked back")}

    def __init__(self, *, bars: int = 5) -> None:
        self.bars = bars

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(
            id=StrategyId(self.NAME), version="1", hypothesis="Large orders are worked over hours: moves go on.",
            bar_spec=BarSpec.MINUTE_15, warmup_bars=self.bars + 1, parameters=self.PARAMETERS,
        )  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        """Return the sign of the last bars' return."""
        out = np.full(panel.close.shape, np.nan)
        out[self.bars :] = np.sign(panel.close[self.bars :] - panel.close[: -self.bars])
        return out


class Overfit:
    """The best of many accidents."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {"seed": Parameter(default=1, low=1, high=1000, doc="an accident")}

    def __init__(self, *, seed: int = 1) -> None:
        self.seed = seed

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(
            id=StrategyId("overfit"), version="1", hypothesis="None: it was left after looking for long enough.",
            bar_spec=BarSpec.MINUTE_15, warmup_bars=1, parameters=self.PARAMETERS,
        )  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        """Return long or flat for two hours each, as the accident has it."""
        turn = panel.ts // 7_200_000_000_000
        mixed = (turn[:, None] * 2_654_435_761 + self.seed * 40_503 + np.arange(panel.close.shape[1]) * 97_003) % 65_536
        return np.where((mixed * 31_421 + 6_927) % 65_536 < 32_768, 1.0, 0.0)


class Leaking(Good):
    """It knows the next bar."""

    NAME = "leaking"

    def signals(self, panel: Panel) -> Floats:
        """Return the sign of the next bar's return."""
        out = np.full(panel.close.shape, np.nan)
        out[:-1] = np.sign(panel.close[1:] - panel.close[:-1])
        return out


class Crashing(Good):
    """It works on all the data that research has, and not afterwards."""

    NAME = "crashing"

    def signals(self, panel: Panel) -> Floats:
        """Return what the good one says, for as long as it can."""
        if len(panel) and panel.ts[-1] > CRASHES_AT:
            raise KeyError("2023-07-03")
        return super().signals(panel)


class Greedy(Good):
    """It wants more than the limits allow."""

    NAME = "greedy"
