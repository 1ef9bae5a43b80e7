"""A strategy that buys once and keeps."""

import numpy as np
from msgspec import structs

from robotrader.data.panel import Floats, Panel
from robotrader.model import Manifest
from tests.scenarios.flip import Flip


class Hold(Flip):
    """Hold everything, always."""

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return structs.replace(super().manifest, warmup_bars=2)

    def signals(self, panel: Panel) -> Floats:
        """Return 1 throughout."""
        return np.ones((len(panel.ts), len(panel.instruments)))


class HoldShort(Hold):
    """Be short in everything, always."""

    def signals(self, panel: Panel) -> Floats:
        """Return -1 throughout."""
        return -super().signals(panel)
