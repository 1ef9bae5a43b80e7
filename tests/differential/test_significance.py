"""Our statistics against purgedcv's.

It takes the sample's skewness and kurtosis corrected for bias and the Sharpe ratio over the population's deviation; we
take both as the formulas' authors and our other figures have them. From its own moments the same follows, and the two
readings differ by less than 0.2 % of a probability on two years of days. Its minimum track record is rounded up.
"""

from math import ceil

import numpy as np
import purgedcv
import pytest

from robotrader.research import significance
from robotrader.research.significance import Moments, moments

SEEDS = range(8)


def returns(seed: int, days: int = 500) -> np.ndarray:
    return 0.01 * np.random.default_rng(seed).standard_t(5, days) + 0.0007


@pytest.mark.parametrize("seed", SEEDS)
def test_the_deflated_sharpe_ratio_is_the_same(seed: int) -> None:
    theirs = purgedcv.deflated_sharpe_ratio_full(returns(seed), n_trials=40, var_sharpe=0.002)
    read = Moments(sharpe=theirs.observed_sr, skew=theirs.skew, kurtosis=theirs.kurt, count=theirs.n_obs)
    assert significance.expected_maximum_sharpe(40, 0.002) == pytest.approx(theirs.sr_star, rel=1e-12)
    assert significance.deflated_sharpe(read, 40, 0.002) == pytest.approx(theirs.dsr, rel=1e-9)
    ours = moments(returns(seed))
    assert ours is not None
    assert significance.deflated_sharpe(ours, 40, 0.002) == pytest.approx(theirs.dsr, abs=0.002)
    psr = purgedcv.probabilistic_sharpe_ratio(returns(seed), benchmark_skill=0.0)
    assert significance.probabilistic_sharpe(read) == pytest.approx(psr, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_minimum_lengths_are_the_same(seed: int) -> None:
    found = moments(returns(seed))
    assert found is not None
    theirs = purgedcv.min_track_record_length(found.sharpe, 0.01, 0.05, found.skew, found.kurtosis)
    ours = significance.minimum_track_record(found, 0.01)
    assert theirs == (np.inf if ours is None else ceil(ours - 1) + 1)
    assert significance.minimum_backtest_length(seed + 1, 1.3) == pytest.approx(
        purgedcv.minimum_backtest_length(seed + 1, 1.3), rel=1e-12
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("trials", "days", "splits"), [(10, 240, 8), (7, 251, 10), (2, 64, 4)])
def test_the_probability_of_overfitting_is_the_same(seed: int, trials: int, days: int, splits: int) -> None:
    random = np.random.default_rng(seed)
    drawn = 0.01 * random.standard_normal((days, trials)) + 0.002 * random.standard_normal(trials)
    drawn[:, 1] = drawn[:, 0]  # a tie
    drawn[: days // 2, -1] = 0  # stands still in whole halves
    theirs = purgedcv.probability_of_backtest_overfitting(drawn.T, splits).pbo
    assert significance.probability_of_overfitting(drawn, splits) == theirs
