"""Whether the spread of two prices comes back, by Engle and Granger (1987), on trailing windows."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from robotrader.data.panel import Floats

CRITICAL = -3.34
"""Dickey-Fuller t of residuals below which two series are cointegrated at 5 %: MacKinnon (2010), N = 2, constant."""
_CHUNK = 1_000  # rows whose windows are in memory at once


def spread(first: Floats, second: Floats, bars: int) -> tuple[Floats, Floats, Floats]:
    """Return hedge ratio, z-score and Dickey-Fuller t of two log prices, each of shape (n_bars,).

    The regression of `first` on `second` is made on the `bars` rows before each row: the z-score is out of sample.
    """
    out = np.full((3, len(first)), np.nan)
    for start in range(bars, len(first), _CHUNK):
        rows = slice(start, min(start + _CHUNK, len(first)))
        y, x = (sliding_window_view(s, bars)[rows.start - bars : rows.stop - bars] for s in (first, second))
        y_mean, x_mean = y.mean(axis=1), x.mean(axis=1)
        y, x = y - y_mean[:, None], x - x_mean[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (x * y).sum(axis=1) / (x * x).sum(axis=1)
            rest = y - ratio[:, None] * x
            deviation = np.sqrt((rest**2).sum(axis=1) / (bars - 2))
            step, level = np.diff(rest), rest[:, :-1]
            power = (level**2).sum(axis=1)
            pull = (step * level).sum(axis=1) / power
            error = np.sqrt(((step - pull[:, None] * level) ** 2).sum(axis=1) / (bars - 2) / power)
            score = (first[rows] - y_mean - ratio * (second[rows] - x_mean)) / deviation
            out[:, rows] = np.where(deviation > 1e-9, (ratio, score, pull / error), np.nan)  # no spread, no score
    return out[0], out[1], out[2]
