"""Folds, the ends of labels, and what a choice may be based on, by hand."""

import numpy as np
import pytest

from robotrader.model import ConfigError
from robotrader.research.sweep import Window
from robotrader.research.walkforward import Fold, best_of, folds, known_in_time, label_ends, ratio_of, stability

NAN = float("nan")


def test_rolling_folds_move_on_by_a_test_and_leave_the_warm_up_out() -> None:
    assert folds(20, warmup=3, train=8, test=4, anchored=False) == [Fold(3, 11, 15), Fold(7, 15, 19), Fold(11, 19, 20)]


def test_anchored_folds_all_begin_after_the_warm_up() -> None:
    assert folds(20, warmup=3, train=8, test=4, anchored=True) == [Fold(3, 11, 15), Fold(3, 15, 19), Fold(3, 19, 20)]


def test_too_few_days_for_a_fold_are_refused() -> None:
    assert folds(12, warmup=3, train=8, test=4, anchored=False) == [Fold(3, 11, 12)]
    with pytest.raises(ConfigError, match="3 days of warm-up, 8 of training"):
        folds(11, warmup=3, train=8, test=4, anchored=False)


def test_a_label_ends_on_the_day_of_the_fill_that_changed_the_position() -> None:
    """Decided at the close of day 1, filled on day 2, and so on; a label is of what was held on its day."""
    #          0    1  2    3  4  5  6  7
    strength = [NAN, 1, NAN, 1, 0, 0, 1, 1]
    ends = label_ends(np.array(strength)[:, None], np.arange(8), None)
    assert ends.tolist() == [0, 1, 5, 5, 5, 5, 6, 8]  # 2 to 5: long until day 5's open; 7: long again, to no end


def test_a_change_of_any_instrument_ends_the_label_of_all() -> None:
    strength = np.array([[1, 0], [1, 0], [1, 1], [1, 1], [1, 0], [1, 0]], dtype=np.float64)
    assert label_ends(strength, np.arange(6), None).tolist() == [3, 3, 3, 5, 5, 6]


def test_the_end_of_a_label_is_the_day_that_holds_the_bar() -> None:
    strength = np.array([0, 0, 1, 1, 1, 1, 0, 0, 0], dtype=np.float64)[:, None]  # three bars a day
    assert label_ends(strength, np.array([2, 5, 8]), None).tolist() == [0, 2, 2]


def test_a_fixed_horizon_replaces_the_position() -> None:
    assert label_ends(np.ones((4, 1)), np.arange(4), 2).tolist() == [2, 3, 4, 5]


def test_a_label_that_ends_at_the_boundary_or_in_the_embargo_is_not_known_in_time() -> None:
    ends = np.array([10, 12, 12, 15, 19, 20])
    assert known_in_time(ends, 20, 0) == 5
    assert known_in_time(ends, 19, 0) == 4
    assert known_in_time(ends, 20, 5) == 3


def test_a_window_trades_nothing_before_it_and_nothing_after_it() -> None:
    strength = np.arange(6, dtype=np.float64)[:, None]
    np.testing.assert_array_equal(Window(2, 4).traded(strength)[:, 0], [NAN, NAN, 2, 3, NAN, NAN])
    np.testing.assert_array_equal(Window(2, 4).traded(strength, 1)[:, 0], [NAN, NAN, 1, 2, NAN, NAN])
    np.testing.assert_array_equal(Window(0, 6).traded(strength, 2)[:, 0], [NAN, NAN, 0, 1, 2, 3])


def test_the_best_is_the_first_of_equals_and_never_one_that_cannot_be_judged() -> None:
    assert best_of([NAN, 1.0, 2.0, 2.0]) == 2
    assert best_of([NAN, NAN]) is None


def test_the_stability_of_a_choice() -> None:
    space = {"fast": (5, 10, 15), "slow": (50,)}
    assert stability([{"fast": 5, "slow": 50}] * 3, space) == 1
    assert stability([{"fast": 5, "slow": 50}, {"fast": 15, "slow": 50}], space) == 0
    assert stability([{"fast": 5}, {"fast": 10}, {"fast": 10}], {"fast": (5, 10, 15)}) == 0.75
    assert stability([{"fast": 5}], {"fast": (5, 10)}) is None


def test_a_ratio_of_returns_is_that_of_their_curve() -> None:
    assert ratio_of(np.array([0.1, -0.5, 0.2], dtype=np.float32), "total_return") == pytest.approx(-0.34, abs=1e-6)
    assert ratio_of(np.array([0.1, -0.5, 0.2]), "max_drawdown") == pytest.approx(-0.5)
    assert np.isnan(ratio_of(np.empty(0), "sharpe"))
