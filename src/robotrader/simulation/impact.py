"""What an order's size does to its own price: impact = coefficient x sigma x sqrt(quantity / ADV), the square-root law.

Sigma (of daily log returns) and ADV are of up to 20 sessions before the order's. Until five returns are known sigma
is taken to be 3 %; in the very first session, whose volume nobody knows, there is no impact. Source: Almgren et al.,
Direct Estimation of Equity Market Impact (2005); Toth et al., Anomalous Price Impact (2011).
"""

from decimal import Decimal
from math import ceil, sqrt

import numpy as np

from robotrader.data.panel import Floats, Panel
from robotrader.model import InstrumentId

STEPS = 1_000_000
"""Impact is rounded up to this share of the price; an order that would move its price by half is beyond the law."""
_SESSIONS, _ENOUGH, _ASSUMED = 20, 5, 0.03
_DAY_NS = 86_400_000_000_000


class Impact:
    """Impact by bar; `rows`: for one unit, as a share of the price, float64 of shape (n_bars, n_instruments)."""

    def __init__(self, panel: Panel, coefficient: Decimal) -> None:
        self.rows = _of_one_unit(panel) * float(coefficient)
        self._ts = panel.ts
        self._columns = {iid: k for k, iid in enumerate(panel.ids)}

    def share(self, instrument: InstrumentId, ts: int, quantity: int) -> Decimal:
        """Return by what share of the price a fill of so many units moves it, in the bar that ends at `ts`."""
        unit = self.rows[self._ts.searchsorted(ts), self._columns[instrument]]
        return Decimal(min(ceil(float(unit) * sqrt(quantity) * STEPS), STEPS // 2)) / STEPS


def _of_one_unit(panel: Panel) -> Floats:
    """Return sigma / sqrt(ADV) of the sessions before each bar's; 0 where no volume is known."""
    if not len(panel):
        return np.zeros(panel.close.shape)
    first = np.concatenate(([0], np.flatnonzero(np.diff(panel.ts // _DAY_NS)) + 1))
    volume = np.add.reduceat(np.nan_to_num(panel.volume), first, axis=0)
    known = np.where(np.isnan(panel.close), -1, np.arange(len(panel))[:, None])
    last = np.maximum.reduceat(known, first, axis=0)
    close = np.where(last >= 0, np.take_along_axis(panel.close, np.maximum(last, 0), axis=0), np.nan)
    returns = np.diff(np.log(close), axis=0, prepend=np.nan)
    there = ~np.isnan(returns)
    count, total = _before(there.astype(np.float64)), _before(np.where(there, returns, 0.0))
    squares = _before(np.where(there, returns**2, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = np.sqrt(np.maximum(squares - total**2 / count, 0) / (count - 1))
        average = _before(volume) / _before((last >= 0).astype(np.float64))
        unit = np.where(count >= _ENOUGH, sigma, _ASSUMED) / np.sqrt(average)
    by_day: Floats = np.where(average > 0, unit, 0.0)
    return by_day[np.repeat(np.arange(len(first)), np.diff(first, append=len(panel)))]


def _before(values: Floats) -> Floats:
    """Return the sums of the `_SESSIONS` rows before each row."""
    out = np.zeros(values.shape)
    for back in range(1, min(_SESSIONS, len(values) - 1) + 1):
        out[back:] += values[:-back]
    return out
