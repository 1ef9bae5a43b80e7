"""Regimes: planted ones are found, nothing is known ahead, and what is unsure falls back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.features.regimes import (
    Policy,
    RegimeRules,
    Regimes,
    Trend,
    Volatility,
    conditioned,
    drifted,
    fallback,
    regimes,
    slope_t,
    stability_index,
    volatility_rank,
)
from robotrader.features.windows import Floats
from robotrader.model import ConfigError

NAN = float("nan")
FIGURES = ("trend", "trend_confidence", "volatility", "volatility_confidence")
SMALL = RegimeRules(trend_bars=6, volatility_bars=4, history=8, memory=3)


def prices(*parts: tuple[int, float, float], seed: int = 1, columns: int = 1) -> Floats:
    """Return prices of parts of so many bars, each with the mean and the deviation of its log returns."""
    random = np.random.default_rng(seed)
    moves = [mean + deviation * random.standard_normal((rows, columns)) for rows, mean, deviation in parts]
    walk: Floats = 50 * np.exp(np.cumsum(np.concatenate(moves), axis=0))
    return walk


def states(trend: list[float], volatility: list[float] | None = None, confidence: float = 1.0) -> Regimes:
    """Return one instrument's states, all equally sure."""
    sure = np.full((len(trend), 1), confidence)
    shakes = volatility if volatility is not None else [0.0] * len(trend)
    return Regimes(trend=np.array(trend)[:, None], trend_confidence=sure,
                   volatility=np.array(shakes)[:, None], volatility_confidence=sure)  # fmt: skip


def column(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)[:, None]


# ------------------------------------------------------------------------------------------------- planted regimes
@pytest.mark.parametrize("seed", range(10))
def test_a_planted_trend_is_found_within_its_window_and_its_turn_too(seed: int) -> None:
    close = prices((200, 0.004, 0.005), (200, -0.004, 0.005), seed=seed)
    found = regimes(close, RegimeRules(trend_bars=40, history=50)).trend[:, 0]
    assert (found[100:200] == Trend.UP).mean() > 0.95
    assert np.flatnonzero(found[200:] == Trend.DOWN)[0] < 40
    assert (found[240:] == Trend.DOWN).mean() > 0.95


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_burst_of_volatility_is_stress_soon_and_its_end_is_calm_later(seed: int) -> None:
    close = prices((300, 0, 0.01), (30, 0, 0.04), (60, 0, 0.002), seed=seed)
    found = regimes(close, RegimeRules(history=150)).volatility[:, 0]
    assert np.flatnonzero(found[300:] == Volatility.STRESSED)[0] <= 10
    assert (found[310:330] == Volatility.STRESSED).all()
    assert (found[352:370] == Volatility.CALM).mean() > 0.8


def test_a_random_walk_trends_no_more_often_than_its_t_value_says() -> None:
    found = slope_t(prices((30_000, 0, 0.01)), 60)[60:, 0]
    assert found.std() == pytest.approx(1, abs=0.15)
    assert (np.abs(found) > 2).mean() == pytest.approx(0.05, abs=0.03)


def test_the_slope_is_that_of_least_squares_on_the_log_price() -> None:
    close, bars = prices((31, 0.001, 0.01)), 30
    moves = np.diff(np.log(close[:, 0]))
    slope = np.polyfit(np.arange(31), np.log(close[:, 0]), 1)[0]
    # each log price has the weight of its distance from the middle; a return moves all prices after it
    spread = np.arange(31) - 15
    weights = np.array([spread[k:].sum() for k in range(1, 31)]) / (spread @ spread)
    error = np.sqrt((moves @ moves) / bars) * np.sqrt(weights @ weights)
    assert slope_t(close, bars)[-1, 0] == pytest.approx(slope / error)


def test_a_price_that_stands_still_has_no_trend_and_a_middling_volatility() -> None:
    close = np.full((60, 1), 50.0)
    assert slope_t(close, 6)[-1, 0] == 0
    assert volatility_rank(close, 4, 8)[-1, 0] == 0.5
    found = regimes(close, SMALL)
    assert (found.trend[-1, 0], found.volatility[-1, 0], found.confidence[-1, 0]) == (0, 0, 1)


# --------------------------------------------------------------------------------------------------- point in time
panels = st.builds(
    lambda seed, rows, share: _holed(prices((rows, 0.001, 0.02), seed=seed, columns=2), seed, share),
    st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([0.0, 0.02, 0.3]),
)  # fmt: skip


def _holed(close: Floats, seed: int, share: float) -> Floats:
    close[np.random.default_rng(seed).random(close.shape) < share] = NAN
    return close


def figures(close: Floats) -> Floats:
    """Return all that is said of each bar, shape (figures, n_bars, n_instruments)."""
    found = regimes(close, SMALL)
    index = stability_index(close, recent=5, reference=8)
    return np.stack([*(getattr(found, name) for name in FIGURES), index])


@given(panels, st.data())
def test_no_row_depends_on_later_ones_whether_they_are_missing_or_noise(close: Floats, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(close) - 1))
    whole, noisy = figures(close)[:, : row + 1], close.copy()
    noisy[row + 1 :] *= np.exp(np.random.default_rng(row).standard_normal(noisy[row + 1 :].shape))
    np.testing.assert_allclose(figures(close[: row + 1]), whole, rtol=0, atol=1e-9)
    np.testing.assert_allclose(figures(noisy)[:, : row + 1], whole, rtol=0, atol=1e-9)


@given(panels)
def test_bar_by_bar_on_its_declared_warm_up_each_row_is_that_of_the_whole(close: Floats) -> None:
    whole, size = figures(close), SMALL.warmup_bars
    assert size >= 5 + 8 + 1
    for row in range(size - 1, len(close)):
        last = figures(close[row + 1 - size : row + 1])[:, -1]
        np.testing.assert_allclose(last, whole[:, row], rtol=0, atol=1e-9)


def test_one_bar_less_than_the_warm_up_is_too_few() -> None:
    whole, less = regimes(prices((400, 0, 0.02)), SMALL), SMALL.warmup_bars - 1
    close = prices((400, 0, 0.02))
    short = [regimes(close[row + 1 - less : row + 1], SMALL).volatility[-1, 0] for row in range(less, 400)]
    assert not np.array_equal(short, whole.volatility[less:, 0], equal_nan=True)


@given(panels)
def test_confidences_lie_between_0_and_1_and_are_0_where_a_state_is_unknown(close: Floats) -> None:
    found = regimes(close, SMALL)
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert (found.trend_confidence[np.isnan(found.trend)] == 0).all()
    assert (found.volatility_confidence[np.isnan(found.volatility)] == 0).all()


def test_a_missing_bar_leaves_unknown_just_the_rows_whose_windows_hold_it() -> None:
    close = prices((80, 0, 0.02), columns=2)
    close[40, 0] = NAN
    found = regimes(close, SMALL)
    assert np.flatnonzero(np.isnan(found.trend[SMALL.trend_bars :, 0])).tolist() == list(range(34, 34 + 7))
    reach = SMALL.volatility_bars + SMALL.history  # the missing price, and the return after it
    assert np.flatnonzero(np.isnan(found.volatility[reach:, 0])).tolist() == list(range(40 - reach, 40))
    assert not np.isnan(found.trend[SMALL.trend_bars :, 1]).any()


def test_no_rows_have_no_states() -> None:
    found = regimes(np.empty((0, 2)), SMALL)
    assert found.trend.shape == found.confidence.shape == (0, 2)


# ------------------------------------------------------------------------------------------------------ hysteresis
def test_a_value_that_swings_about_its_bound_flips_a_state_only_where_there_is_no_second_bound() -> None:
    moves = 0.001 + 0.004 * (-1.0) ** np.arange(200)
    close = 50 * np.exp(np.cumsum(moves))[:, None]
    low, high = np.unique(slope_t(close, 21)[21:].round(6))
    middle = (low + high) / 2
    flips = []
    for leave in (middle * 0.999_999, low * 0.9):
        rules = RegimeRules(trend_bars=21, history=50, trend_enter=middle, trend_leave=leave)
        flips.append(int((np.diff(regimes(close, rules).trend[21:, 0]) != 0).sum()))
    assert flips[0] == 178
    assert flips[1] <= 1, "the first bar may be the low one"


def test_a_state_between_its_bounds_is_forgotten_after_its_memory() -> None:
    close = prices((400, 0, 0.01))
    value = slope_t(close, 20)[:, 0]
    long, short = (regimes(close, RegimeRules(trend_bars=20, history=50, trend_leave=0.1, memory=memory)).trend[:, 0]
                   for memory in (200, 1))  # fmt: skip
    between = (value >= 0.1) & (value < 1)
    assert (long[between] == Trend.UP).any()
    assert (short[between] == Trend.SIDEWAYS).all()
    assert (long[value >= 1] == Trend.UP).all()
    assert (short[value >= 1] == Trend.UP).all()


# ----------------------------------------------------------------------------------------------- policy, fallback
def test_a_policy_scales_by_both_states_and_0_is_out_even_without_a_view() -> None:
    found = states([1, 0, -1, 1, NAN], [0, 0, 0, 1, 0])
    policy = Policy(trend={Trend.SIDEWAYS: 0.5, Trend.DOWN: 0.0}, volatility={Volatility.STRESSED: 0.25})
    said = conditioned(column(0.8, 0.8, NAN, -0.8, 0.8), found, policy)
    np.testing.assert_array_equal(said, column(0.8, 0.4, 0.0, -0.2, NAN))
    np.testing.assert_array_equal(conditioned(column(NAN), states([1]), policy), column(NAN))


@pytest.mark.parametrize("part", [-0.1, 1.1, NAN])
def test_a_part_that_is_none_is_refused(part: float) -> None:
    with pytest.raises(ConfigError, match="must lie in"):
        Policy(trend={Trend.UP: part})


@pytest.mark.parametrize(
    "wrong",
    [{"trend_leave": 1.0}, {"trend_leave": 0.0}, {"stress_leave": 0.9}, {"stress_leave": 0.5}, {"stress_enter": 1.1},
     {"memory": 0}, {"trend_bars": 1}],
)  # fmt: skip
def test_rules_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="regimes: "):
        RegimeRules(**wrong)  # type: ignore[arg-type]


def test_the_baseline_takes_over_where_a_state_is_unsure_or_inputs_drifted_and_the_mask_says_where() -> None:
    sure = column(1.0, 0.2, 0.3, 1.0)
    found = Regimes(trend=column(1, 1, 1, 1), trend_confidence=sure, volatility=column(0, 0, 0, 0),
                    volatility_confidence=column(1, 1, 1, 1))  # fmt: skip
    drift = np.array([[False], [False], [False], [True]])
    said = fallback(column(1, 1, 1, 1), column(0.1, 0.2, 0.3, 0.4), found, least_confidence=0.3, drift=drift)
    np.testing.assert_array_equal(said.strengths, column(1.0, 0.2, 1.0, 0.4))
    assert said.fell_back[:, 0].tolist() == [False, True, False, True]


# ----------------------------------------------------------------------------------------------------------- drift
@pytest.mark.parametrize("seed", range(10))
def test_drift_is_seen_where_returns_change_and_seldom_where_they_do_not(seed: int) -> None:
    close = prices((600, 0, 0.01), (200, 0, 0.04), seed=seed)
    found = drifted(close, recent=60, reference=252, bound=0.25)[:, 0]
    assert found[:312].all(), "unknown is drifted, to be safe"
    assert found[312:600].mean() < 0.15
    assert np.flatnonzero(found[600:])[0] < 60
    assert found[655:680].all()


def test_the_index_is_that_of_its_definition() -> None:
    moves = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 1, 10, 10, 10]) / 1_000
    close = 50 * np.exp(np.cumsum(np.concatenate(([0.0], moves))))[:, None]
    old, new = (np.array(counts) + 0.5 for counts in ([2, 2, 2, 2, 2], [2, 0, 0, 0, 3]))
    old, new = old / 12.5, new / 7.5
    expected = ((new - old) * np.log(new / old)).sum()
    found = stability_index(close, recent=5, reference=10)[:, 0]
    assert found[-1] == pytest.approx(expected)
    assert np.isnan(found[:-1]).all()


def test_equal_returns_have_not_drifted() -> None:
    assert stability_index(np.full((40, 1), 50.0), recent=10, reference=20)[-1, 0] == pytest.approx(0, abs=0.1)
