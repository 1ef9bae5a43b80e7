"""Published values, hand values and what must hold; whether the promises hold is tried in tests/calibration."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.model import DataError
from robotrader.research.significance import (
    Moments,
    block_length,
    bootstrap_intervals,
    deflated_sharpe,
    effective_trials,
    expected_maximum_sharpe,
    minimum_backtest_length,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
    probability_of_overfitting,
    stationary_bootstrap,
    superior_ability,
)

PUBLISHED = Moments(sharpe=2.5 / sqrt(250), skew=-3, kurtosis=10, count=1250)


def noise(days: int, trials: int = 1, seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((days, trials))


def test_the_published_example_of_the_deflated_sharpe_ratio() -> None:
    assert expected_maximum_sharpe(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PUBLISHED, 100, 0.5 / 250) == pytest.approx(0.9004, abs=5e-5)


@pytest.mark.parametrize(("trials", "years"), [(10, 2.5), (45, 5.0), (100, 6.4), (1000, 10.6)])
def test_the_published_minimum_backtest_lengths(trials: int, years: float) -> None:
    assert minimum_backtest_length(trials, 1.0) == pytest.approx(years, abs=0.05)
    assert minimum_backtest_length(trials, 2.0) == pytest.approx(years / 4, abs=0.0125)


@pytest.mark.parametrize(("annual", "years"), [(0.5, 10.83), (1.0, 2.71), (2.0, 0.69)])
def test_the_published_minimum_track_records(annual: float, years: float) -> None:
    found = minimum_track_record(Moments(sharpe=annual / sqrt(252), count=2))
    assert found is not None
    assert found / 252 == pytest.approx(years, abs=0.005)
    enough = Moments(sharpe=annual / sqrt(252), count=round(found))
    assert probabilistic_sharpe(enough) == pytest.approx(0.95, abs=1e-3)


def test_no_track_record_proves_what_was_not_seen() -> None:
    assert minimum_track_record(Moments(sharpe=0.1, count=10), benchmark=0.1) is None


def test_moments_by_hand() -> None:
    found = moments(np.array([0.0, 0.0, 0.0, 4.0]))  # mean 1, off -1 -1 -1 3: squares 12, cubes 24, fourths 84
    assert found is not None
    assert (found.sharpe, found.skew, found.kurtosis) == pytest.approx((1 / 2, 6 / 3**1.5, 21 / 9))
    assert found.count == 4


@pytest.mark.parametrize("returns", [[], [0.01], [0.01] * 5, [0.0, np.nan, 1.0], [0.0, np.inf]])
def test_returns_that_say_nothing_have_no_moments(returns: list[float]) -> None:
    assert moments(np.array(returns)) is None


def test_moments_that_no_returns_have_are_refused() -> None:
    with pytest.raises(DataError, match="kurtosis"):
        probabilistic_sharpe(Moments(sharpe=1.0, skew=5.0, kurtosis=1.0, count=100))


@given(returns=st.lists(st.sampled_from([-0.1, 0.0, 0.01, 0.5]), min_size=2, max_size=60))
def test_the_error_of_a_sharpe_ratio_is_defined_for_all_returns(returns: list[float]) -> None:
    found = moments(np.array(returns))
    if found is not None:
        assert 0 <= probabilistic_sharpe(found) <= 1


def test_one_trial_has_nothing_to_be_deflated() -> None:
    assert expected_maximum_sharpe(1) == expected_maximum_sharpe(0.5) == expected_maximum_sharpe(1.2) == 0
    assert deflated_sharpe(PUBLISHED, 1, 0.5) == probabilistic_sharpe(PUBLISHED)


@given(trials=st.integers(1, 10**6), correlation=st.floats(-1, 1), more=st.floats(0, 1))
def test_like_trials_are_worth_fewer(trials: int, correlation: float, more: float) -> None:
    worth = effective_trials(trials, correlation)
    assert 1 <= worth <= trials
    assert effective_trials(trials, correlation + more * (1 - correlation)) <= worth * (1 + 1e-5)
    if correlation <= 0:
        assert worth == trials


def test_equal_trials_are_worth_one_and_half_alike_ones_many() -> None:
    assert effective_trials(1000, 1.0) == pytest.approx(1.0, abs=1e-4)
    assert expected_maximum_sharpe(effective_trials(1000, 0.75)) == pytest.approx(expected_maximum_sharpe(1000) / 2)


def test_overfitting_is_never_with_one_that_is_always_best_and_always_with_two_that_take_turns() -> None:
    always = noise(160, 4)
    always[:, 2] += 3
    assert probability_of_overfitting(always, 8) == 0
    turns = np.repeat([1.0, -1.0], 80)[:, None] * [[1.0, -1.0]]
    assert probability_of_overfitting(turns + 0.1 * noise(160, 2), 2) == 1


def test_a_trial_that_stood_still_is_not_the_best_of_losers_and_equal_ones_share_their_rank() -> None:
    returns = noise(160, 2) - 3
    returns[:, 1] = 0
    assert probability_of_overfitting(returns, 8) == 0
    assert probability_of_overfitting(np.repeat(noise(160), 4, axis=1), 8) == 0


@pytest.mark.parametrize("returns", [noise(100, 1), noise(31, 3), np.full((100, 3), np.nan)])
def test_overfitting_needs_trials_and_time(returns: np.ndarray) -> None:
    with pytest.raises(DataError, match="two trials and 32 finite returns"):
        probability_of_overfitting(returns)


def test_blocks_are_short_for_independent_days_and_long_for_dependent_ones() -> None:
    steps = noise(2000)[:, 0]
    slow = np.array([sum(0.8**k * steps[t - k] for k in range(30)) for t in range(30, 2000)])
    assert 1 <= block_length(steps) < 5
    assert block_length(steps + 9) == pytest.approx(block_length(steps))
    assert 15 < block_length(slow) <= 3 * sqrt(2000)
    assert block_length(np.full(100, 0.01)) == block_length(np.array([1.0, 2.0])) == 1


@pytest.mark.parametrize("period", [2, 4])
def test_blocks_of_a_rhythm_stay_in_bounds(period: int) -> None:
    rhythm = np.resize([1.0] + [0.0] * (period - 1), 200)
    assert 1 <= block_length(rhythm) <= 200 / 3


def test_a_bootstrap_draws_runs_of_the_given_mean_length_and_repeats_by_seed() -> None:
    drawn = stationary_bootstrap(np.arange(500.0), seed=3, draws=200, block=10)
    assert drawn.shape == (500, 200)
    goes_on = (np.diff(drawn, axis=0) % 500 == 1).mean()
    assert goes_on == pytest.approx(0.9, abs=0.01)
    assert np.unique(drawn).size == 500  # every day is drawn, the last followed by the first
    assert np.array_equal(drawn, stationary_bootstrap(np.arange(500.0), seed=3, draws=200, block=10))
    assert not np.array_equal(drawn, stationary_bootstrap(np.arange(500.0), seed=4, draws=200, block=10))


def test_intervals_hold_what_was_found_and_widen_with_their_level() -> None:
    returns = 0.01 * noise(750)[:, 0] + 0.0005
    found, wider = (bootstrap_intervals(returns, seed=1, draws=500, level=level) for level in (0.8, 0.99))
    seen = moments(returns)
    assert seen is not None
    for name in ("sharpe", "cagr", "max_drawdown"):
        narrow, wide = getattr(found, name), getattr(wider, name)
        assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert found.sharpe is not None
    assert found.sharpe[0] < seen.sharpe * sqrt(252) < found.sharpe[1]
    assert found.block == block_length(returns)
    assert bootstrap_intervals(returns, seed=1, draws=50, block=20.0).block == 20


def test_returns_that_never_moved_have_no_intervals_but_that_of_no_drawdown() -> None:
    found = bootstrap_intervals(np.zeros(100), seed=1, draws=50)
    assert (found.sharpe, found.cagr, found.max_drawdown) == (None, None, (0.0, 0.0))


def test_the_best_of_many_is_superior_only_where_it_earns_what_luck_does_not() -> None:
    excess = noise(500, 10)
    assert superior_ability(excess, seed=1) > 0.1
    excess[:, 3] += 0.25
    assert superior_ability(excess, seed=1) < 0.01


def test_superiority_is_claimed_of_noise_about_as_often_as_promised() -> None:
    claimed = [superior_ability(noise(250, 5, seed=n), seed=n, draws=200, block=1.0) <= 0.05 for n in range(300)]
    assert 0.01 <= np.mean(claimed) <= 0.08


def test_bad_trials_beside_a_good_one_neither_help_nor_harm() -> None:
    good = noise(500, 1, seed=1) + 0.15
    alone = superior_ability(good, seed=1, block=2.0)
    bad = np.hstack([good, noise(500, 40, seed=8) - 1])
    assert superior_ability(bad, seed=1, block=2.0) == alone < 0.05
    many = np.hstack([good, noise(500, 40, seed=8)])
    assert superior_ability(many, seed=1, block=2.0) > alone


def test_superiority_does_not_depend_on_scale_of_a_trial() -> None:
    excess = noise(300, 4) + 0.05
    scaled = excess * np.array([1.0, 10.0, 0.1, 3.0])
    assert superior_ability(scaled, seed=1, block=1.0) == superior_ability(excess, seed=1, block=1.0)


def test_nothing_earned_is_not_superior() -> None:
    assert superior_ability(noise(100, 3) - 5, seed=1) == 1
    assert superior_ability(np.ones((100, 2)), seed=1) == 1
