"""What library strategies see of the past: trailing windows of fixed length, so that warm-up is what it says.

TA-Lib is called on each window by itself. Over a whole column its running sums and its smoothing would make a value
depend on all bars before, and one missing bar would make every later value NaN.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from robotrader.data.panel import Floats, Times
from robotrader.features.windows import trailing

CARRY = 5
"""For how many bars in a row the last price stands in for a missing one; a window that reads carried prices needs as
many rows more."""


def carried(values: Floats, limit: int = CARRY) -> Floats:
    """Fill NaN with the last value of the `limit` rows before, shape kept."""
    out = values.copy()
    for _ in range(limit):
        out[1:] = np.where(np.isnan(out[1:]), out[:-1], out[1:])
    return out


def indicator(function: Callable[..., Any], *series: Floats, bars: int, **options: int) -> Floats:
    """Return the last value of a TA-Lib function on each trailing window; NaN where the window misses a bar."""
    windows = [trailing(values, bars) for values in series]
    full = ~np.isnan(sum(window.max(axis=-1) for window in windows))
    out = np.full(series[0].shape, np.nan)
    bare = inspect.unwrap(function)  # TA-Lib looks for Series of two libraries first, which takes as long again
    for row, column in np.argwhere(full).tolist():
        out[row, column] = bare(*(window[row, column] for window in windows), **options)[-1]
    return out


def month_starts(ts: Times) -> Times:
    """Return the rows that are the first of a month (UTC), not counting row 0, of which nobody knows."""
    months = ts.astype("datetime64[ns]").astype("datetime64[M]")
    rows: Times = np.flatnonzero(months[1:] != months[:-1]) + 1
    return rows
