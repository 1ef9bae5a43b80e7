"""What the library's strategies say, on arrays that can be worked out by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from robotrader.data.panel import Panel
from robotrader.model import BarSpec, ConfigError, Resize, stock
from robotrader.strategy.library.momentum import Momentum
from robotrader.strategy.library.regime_trend import RegimeTrend
from robotrader.strategy.library.sma_crossover import SmaCrossover, moving_average
from tests import builders as make

NAN = float("nan")


def column(found: NDArray[np.float64], k: int = 0) -> list[float | None]:
    """Return a column with None for NaN, so that it can be compared."""
    return [None if np.isnan(x) else float(x) for x in found[:, k]]


# ----------------------------------------------------------------------------------------------------- sma crossover
def sma(close: list[float], fast: int = 2, slow: int = 3) -> list[float | None]:
    return column(SmaCrossover(fast=fast, slow=slow).signals(make.daily_panel([[c] for c in close])))


def test_sma_is_long_while_the_fast_average_is_above_the_slow_one() -> None:
    #  fast (2):    10.5  11.5  11.5  10.5   9.5  10.5
    #  slow (3):          11    11.33 11    10    10.33
    assert sma([10, 11, 12, 11, 10, 9, 12]) == [None, None, 1.0, 1.0, 0.0, 0.0, 1.0]


def test_sma_that_is_equal_is_not_above() -> None:
    assert sma([10.1] * 6) == [None, None, 0.0, 0.0, 0.0, 0.0]
    # 1-bar average 2.1, 3-bar average (0.1 + 4.1 + 2.1) / 3: equal, though as floats the first is larger
    assert np.mean([0.1, 4.1, 2.1]) < 2.1
    assert sma([0.1, 4.1, 2.1], fast=1, slow=3) == [None, None, 0.0]


def test_sma_has_no_view_where_its_window_misses_a_bar() -> None:
    assert sma([10, 11, 12, NAN, 13, 14, 15]) == [None, None, 1.0, None, None, None, 1.0]


def test_sma_looks_at_each_instrument_on_its_own() -> None:
    panel = make.daily_panel([[1, 9], [2, 8], [3, 7], [4, NAN]])
    found = SmaCrossover(fast=1, slow=2).signals(panel)
    assert column(found, 0) == [None, 1.0, 1.0, 1.0]
    assert column(found, 1) == [None, 0.0, 0.0, None]


def test_sma_without_enough_bars_has_no_view() -> None:
    assert sma([1, 2]) == [None, None]
    assert SmaCrossover(fast=1, slow=2).signals(make.daily_panel([])).shape[0] == 0


def test_a_moving_average_is_the_mean_of_its_window() -> None:
    found = moving_average(np.array([[1.0], [2.0], [6.0], [10.0]]), 3)
    assert column(found) == [None, None, 3.0, 6.0]


def test_sma_needs_its_slow_window_and_a_fast_one_below_it() -> None:
    assert SmaCrossover(fast=10, slow=50).manifest.warmup_bars == 50
    for fast in (50, 51):
        with pytest.raises(ConfigError, match="fast must be below slow"):
            SmaCrossover(fast=fast, slow=50)


# ---------------------------------------------------------------------------------------------------------- momentum
THREE = (make.SPY, make.QQQ, stock("XOM"))
MONTH_STARTS = ("2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02", "2024-02-29", "2024-03-01")


def months(close: list[list[float]], days: tuple[str, ...] = MONTH_STARTS) -> Panel:
    """Make a panel of three instruments with sessions that close at 21:00 UTC of these days."""
    values = np.array(close, dtype=np.float64)
    ts = np.array(days, dtype="datetime64[ns]").astype(np.int64) + 21 * 3_600_000_000_000
    return Panel(instruments=THREE, spec=BarSpec.DAY, opened=ts - make.SESSION, ts=ts, open=values, high=values,
                 low=values, close=values, volume=values)  # fmt: skip


def test_momentum_holds_the_winners_and_chooses_in_the_first_session_of_a_month() -> None:
    panel = months([[10, 10, 10], [10, 11, 12], [11, 10, 12], [9, 9, 9], [20, 10, 10], [18, 12, 9]])
    found = Momentum(lookback=2, top=1).signals(panel)
    # 2024-02-01: 11/10, 10/10, 12/10; 2024-03-01: 18/9, 12/9, 9/9
    assert [column(found, k) for k in range(3)] == [
        [None, None, 0.0, None, None, 1.0],
        [None, None, 0.0, None, None, 0.0],
        [None, None, 1.0, None, None, 0.0],
    ]


def test_momentum_waits_until_it_can_look_back() -> None:
    panel = months([[10, 10, 10]] * 6)
    found = Momentum(lookback=3, top=1).signals(panel)
    assert np.isnan(found[2]).all()
    assert not np.isnan(found[5]).any()


def test_momentum_gives_a_tie_to_the_earlier_instrument() -> None:
    found = Momentum(lookback=2, top=2).signals(months([[10, 20, 30]] * 6))
    assert found[2].tolist() == [1.0, 1.0, 0.0]


def test_momentum_has_no_view_on_an_instrument_without_both_prices() -> None:
    panel = months([[NAN, 10, 10], [10, 10, 10], [50, 11, 12], [9, 9, 9], [9, 9, 9], [9, 9, NAN]])
    found = Momentum(lookback=2, top=2).signals(panel)
    assert column(found, 0)[2] is None
    assert found[2, 1:].tolist() == [1.0, 1.0], "the best two of those that have a return"
    assert column(found, 2)[5] is None


def test_momentum_with_fewer_instruments_than_places_holds_them_all() -> None:
    assert Momentum(lookback=2, top=9).signals(months([[10, 20, 30]] * 6))[2].tolist() == [1.0, 1.0, 1.0]


def test_momentum_is_sized_anew_at_every_view_and_needs_one_bar_more_than_it_looks_back() -> None:
    manifest = Momentum(lookback=126, top=2).manifest
    assert (manifest.resize, manifest.warmup_bars) == (Resize.EVERY_BAR, 127)


# ------------------------------------------------------------------------------------------------------ regime trend
def rising(deviation: float, seed: int = 3) -> Panel:
    """Make 600 days that rise quietly, then 30 of this deviation."""
    random = np.random.default_rng(seed)
    moves = np.concatenate((random.normal(0.002, 0.01, 600), random.normal(0.002, deviation, 30)))
    return make.daily_panel([[price] for price in 50 * np.exp(np.cumsum(moves))])


def regime_trend(**changed: float) -> RegimeTrend:
    defaults = {name: parameter.default for name, parameter in RegimeTrend.PARAMETERS.items()}
    return RegimeTrend(**{**defaults, **changed})  # type: ignore[arg-type]


def test_regime_trend_is_out_in_stress_however_much_it_rises() -> None:
    sure = regime_trend(confidence=0.0, drift=20.0)
    calm, stressed = (sure.signals(rising(deviation))[-15:] for deviation in (0.01, 0.08))
    assert (calm == 1).mean() > 0.5
    assert (stressed == 0).all()


def test_regime_trend_is_the_crossover_where_returns_drifted_or_nothing_is_sure_and_says_where() -> None:
    panel = rising(0.04)
    crossover = SmaCrossover(fast=10, slow=50).signals(panel)
    drifted = regime_trend(confidence=0.0, drift=0.25, recent=30).backed(panel)
    assert drifted.fell_back[-5:].all()
    np.testing.assert_array_equal(drifted.strengths[drifted.fell_back], crossover[drifted.fell_back])
    assert not regime_trend(confidence=0.0, drift=20.0).backed(panel).fell_back[320:].any()
    unsure = regime_trend(confidence=1.0, drift=20.0).backed(panel).fell_back[320:]
    assert 0 < unsure.mean() < 1


def test_regime_trend_needs_the_longest_of_its_windows_and_carried_prices() -> None:
    assert regime_trend().manifest.warmup_bars == 60 + 252 + 1 + 5
    assert regime_trend(memory=100).manifest.warmup_bars == 20 + 252 + 99 + 5
    assert regime_trend(slow=500).manifest.warmup_bars == 500 + 5
