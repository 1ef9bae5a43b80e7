"""The compiled averages against NumPy's, one window after the other."""

import numpy as np
import pytest

from robotrader.research import kernel

BLOCK = 2048


@pytest.mark.parametrize("length", [1, 2, 3, 10, 50, 64, 127])
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("rows", [0, 1, 60, BLOCK, BLOCK + 2, 3 * BLOCK])
def test_a_mean_is_that_of_its_own_rows(length: int, columns: int, rows: int) -> None:
    random = np.random.default_rng(length + columns + rows)
    values = 1 + random.random((rows, columns))
    values[random.random(values.shape) < 0.005] = np.nan
    expected = np.full(values.shape, np.nan)
    for t in range(length - 1, rows):
        expected[t] = values[t - length + 1 : t + 1].mean(axis=0)
    flat, out = values.reshape(-1), np.empty(values.size)
    flat.flags.writeable = False
    kernel.window_means(flat, (length, columns), np.empty((2, kernel.block_room(length, columns))), out)
    assert np.allclose(out, expected.reshape(-1), rtol=1e-14, atol=0, equal_nan=True)
