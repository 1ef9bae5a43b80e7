"""What an equity curve says, by hand. Not a unit test: the ratios' library takes seconds to import."""

import numpy as np
import pytest
from numpy.typing import NDArray

from robotrader.research.metrics import measure
from tests import builders as make

NOON = make.T0 - 9 * 3_600_000_000_000  # T0 is 21:00 UTC


def days(n: int) -> NDArray[np.int64]:
    return NOON + make.DAY * np.arange(n, dtype=np.int64)


def test_the_maximum_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    equity = np.array([110.0, 99.0, 121.0, 60.5, 90.0])
    found = measure(days(5), equity, 100.0)
    assert found.max_drawdown == -0.5  # 121 to 60.5, not 110 to 60.5
    assert found.total_return == pytest.approx(-0.1)


def test_a_loss_on_the_first_day_is_a_drawdown_from_the_capital() -> None:
    assert measure(days(2), np.array([80.0, 90.0]), 100.0).max_drawdown == pytest.approx(-0.2)


def test_a_curve_that_only_rises_has_no_drawdown() -> None:
    assert measure(days(2), np.array([101.0, 102.0]), 100.0).max_drawdown == 0


def test_ratios_are_of_daily_returns_on_252_sessions() -> None:
    equity = np.array([101.0, 99.99, 102.9897])  # +1 %, -1 %, +3 %
    found = measure(days(3), equity, 100.0)
    mean, deviation = 0.01, 0.02  # of 1, -1, 3 percent; sample deviation
    assert found.sharpe == pytest.approx(mean / deviation * 252**0.5)
    assert found.volatility == pytest.approx(deviation * 252**0.5)
    assert found.sortino == pytest.approx(mean / (0.01**2 / 3) ** 0.5 * 252**0.5)
    assert found.cagr == pytest.approx(1.029897 ** (252 / 3) - 1)


def test_where_nothing_moved_there_is_nothing_to_say() -> None:
    found = measure(days(3), np.array([100.0, 100.0, 100.0]), 100.0)
    assert (found.sharpe, found.sortino, found.volatility, found.cagr) == (None, None, None, None)
    assert (found.total_return, found.max_drawdown) == (0, 0)
