"""Trailing windows of fixed length: what is computed on them looks back as far as it says, and no further."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def trailing(values: Floats, bars: int) -> Floats:
    """Return each row's window of the last `bars` rows, a view of shape (n_bars, n_instruments, bars).

    NaN stands before the first row: a figure of a window that is not full is NaN.
    """
    before = np.full((bars, values.shape[1]), np.nan)
    return sliding_window_view(np.concatenate((before, values)), bars, axis=0)[1:]
