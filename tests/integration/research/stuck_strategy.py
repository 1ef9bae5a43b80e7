"""A strategy that never comes to an end, and one that fails for some parameters."""

import os
import threading
from typing import ClassVar

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, Manifest, Parameter, StrategyId


class Failing:
    """Long always; raises where n is odd."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "n": Parameter(default=2, low=1, high=99, doc="what it is called with")
    }

    def __init__(self, *, n: int) -> None:
        self._n = n

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return Manifest(id=StrategyId("failing"), version="1", hypothesis="none", bar_spec=BarSpec.DAY, warmup_bars=1,
                        parameters=self.PARAMETERS)  # fmt: skip

    def signals(self, panel: Panel) -> Floats:
        """Return 1."""
        if self._n % 2:
            raise ZeroDivisionError("n is odd")
        return np.ones(panel.close.shape)


class Stuck(Failing):
    """Tells the pipe that it has begun, and waits for ever."""

    def signals(self, panel: Panel) -> Floats:
        """Return nothing, ever."""
        with open(os.environ["STUCK_PIPE"], "w", encoding="utf-8"):  # noqa: PTH123 - a pipe
            threading.Event().wait()
        return np.ones(panel.close.shape)
