"""Hand values and laws of always valid inference; whether it keeps its promises is tried in tests/calibration."""

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.strategy.sequential import (
    Boundary,
    intervals,
    p_values,
    running_intervals,
    sample_size,
    winsorised,
)

BOUNDARY = Boundary(alpha=0.05, burn_in=4, horizon=100)
SHORT = Boundary(alpha=0.05, burn_in=5, horizon=40)


def stream(seed: int, effect: float, count: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(4, count) + effect


def test_p_value_and_interval_by_hand() -> None:
    observed = np.array([1.0, 3.0, 1.0, 3.0])  # mean 2, variance 4 / 3
    tau2 = BOUNDARY.mixing * 4 / 3
    spread = 4 / 3 + 4 * tau2
    ratio = sqrt(4 / 3 / spread) * exp(16 * tau2 * 4 / (2 * 4 / 3 * spread))
    assert p_values(observed, BOUNDARY)[-1] == pytest.approx(1 / ratio)
    r2 = BOUNDARY.mixing
    reach = sqrt(4 / 3) * sqrt(2 * (4 * r2 + 1) / (16 * r2) * log(sqrt(4 * r2 + 1) / 0.05))
    assert [path[-1] for path in intervals(observed, BOUNDARY)] == pytest.approx([2 - reach, 2 + reach])


def test_the_interval_is_tightest_for_its_deviation_at_the_horizon() -> None:
    def width(horizon: int) -> float:
        low, high = intervals(np.tile([-1.0, 1.0], 200), Boundary(alpha=0.05, burn_in=4, horizon=horizon))
        return float((high - low)[-1])

    assert width(400) == pytest.approx(min(width(h) for h in range(200, 800, 20)), rel=1e-3)


def test_nothing_is_said_during_the_burn_in_or_of_what_never_varies() -> None:
    low, high = intervals(np.array([5.0, 6.0, 5.5, 5.6]), BOUNDARY)
    assert np.isinf(low[:3]).all()
    assert np.isinf(high[:3]).all()
    assert np.isfinite([low[3], high[3]]).all()
    for constant in (np.full(50, 0.1), np.zeros(50)):
        assert (p_values(constant, BOUNDARY) == 1).all()
        assert np.isinf(running_intervals(constant, BOUNDARY)).all()


@given(st.integers(0, 10_000), st.floats(-1, 1))
def test_the_p_value_and_the_interval_are_two_sides_of_one_thing(seed: int, effect: float) -> None:
    observed = stream(seed, effect)
    low, high = intervals(observed, SHORT)
    left_out = np.maximum.accumulate((low > 0) | (high < 0))
    assert ((p_values(observed, SHORT) <= SHORT.alpha) == left_out).all()


@given(st.integers(0, 10_000), st.floats(-2, 2))
def test_more_data_never_widens_the_running_interval_or_raises_the_p_value(seed: int, effect: float) -> None:
    observed = stream(seed, effect)
    low, high = running_intervals(observed, SHORT)
    assert (np.diff(low[4:]) >= 0).all()
    assert (np.diff(high[4:]) <= 0).all()
    assert (low <= high).all()
    assert (np.diff(p_values(observed, SHORT)) <= 0).all()


def test_a_mean_that_jumps_leaves_the_running_interval_as_it_was() -> None:
    random = np.random.default_rng(3)
    observed = np.concatenate([random.normal(5, 1, 60), random.normal(-5, 1, 400)])
    low, high = running_intervals(observed, SHORT)
    assert 4 < low[-1] <= high[-1] < 6


@given(st.integers(0, 10_000), st.integers(6, 119))
def test_what_was_said_yesterday_is_not_changed_by_today(seed: int, cut: int) -> None:
    observed = stream(seed, 0.3)
    observed[7::31] *= 100
    clean, before = winsorised(observed, 5), winsorised(observed[:cut], 5)
    assert before == pytest.approx(clean[:cut])
    assert running_intervals(before, SHORT)[0] == pytest.approx(running_intervals(clean, SHORT)[0][:cut])


def test_winsorising_pulls_in_a_broken_number_and_no_first_event() -> None:
    observed = np.tile([-1.0, 1.0], 50)
    observed[60] = 1e6
    found = winsorised(observed, 20)
    assert np.flatnonzero(found != observed).tolist() == [60]
    assert found[60] == pytest.approx(10 * sqrt(60 / 59))
    rare = np.zeros(60)
    rare[40] = 0.05
    assert winsorised(rare, 20).tolist() == rare.tolist()


def test_streams_side_by_side_are_those_alone() -> None:
    both = np.stack([stream(1, 0.0), stream(2, 0.5)])
    clean = winsorised(both, 5)
    for row, alone in enumerate(both):
        assert clean[row] == pytest.approx(winsorised(alone, 5))
        assert p_values(clean, SHORT)[row] == pytest.approx(p_values(clean[row], SHORT))
        assert running_intervals(clean, SHORT)[1][row] == pytest.approx(running_intervals(clean[row], SHORT)[1])


@pytest.mark.parametrize(
    ("effect", "deviation", "count"),
    [(0.5, sqrt(2), 49.5), (1.0, 1.0, 6.18), (1.0, sqrt(0.2), 1.24), (2.0, 8 * sqrt(2), 198), (1.0, 8 * sqrt(2), 791)],
)  # years and orders an arm of the known power table
def test_the_known_power_table(effect: float, deviation: float, count: float) -> None:
    assert sample_size(effect, deviation) == pytest.approx(count, rel=4e-3)
