"""A strategy that follows yesterday's move, or fades it."""

import numpy as np
from msgspec import structs

from robotrader.data.panel import Floats, Panel
from robotrader.model import Manifest
from tests.scenarios.flip import Flip


class Follow(Flip):
    """Hold long after a rise, short after a fall."""

    sign = 1

    @property
    def manifest(self) -> Manifest:
        """Return the declaration."""
        return structs.replace(super().manifest, warmup_bars=2)

    def signals(self, panel: Panel) -> Floats:
        """Return 1 after a rise, -1 after a fall, NaN at first."""
        moves = np.sign(np.diff(panel.close, axis=0, prepend=np.nan))
        return np.asarray(moves * self.sign)


class Fade(Follow):
    """Hold the opposite."""

    sign = -1
