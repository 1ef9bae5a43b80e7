"""How far library strategies look back: as far as they declare, to the bar; and what missing bars are to them."""

from dataclasses import replace

import numpy as np
import pytest
import talib

from robotrader.data.panel import VALUES, Floats, Panel
from robotrader.features.windows import trailing
from robotrader.model import BarSpec, stock
from robotrader.strategy.contract import Strategy, strengths
from robotrader.strategy.library.windows import CARRY, carried, indicator, month_starts
from robotrader.strategy.loading import LIBRARY, load_strategy
from tests import builders as make

NAN = float("nan")
SHORT: dict[str, dict[str, int | float]] = {
    "breakout": {"channel": 8, "exit_bars": 5, "ranges": 1.0},
    "cross_sectional_momentum": {"lookback": 9, "skip": 2, "share": 0.5},
    "mean_reversion": {"trend_bars": 51, "low": 40.0},
    "momentum": {"lookback": 9},
    "pairs": {"formation": 12, "enter": 1.0},
    "regime_trend": {"trend_bars": 12, "history": 10, "volatility_bars": 5, "memory": 3, "recent": 10,
                     "drift": 1.0, "fast": 2, "slow": 6},
    "sma_crossover": {"fast": 3, "slow": 9},
    "time_series_momentum": {"lookback": 9, "volatility_bars": 5},
}  # fmt: skip
FILLS_GAPS = sorted(set(LIBRARY) - {"momentum", "sma_crossover"})


def drawn(seed: int, rows: int) -> Panel:
    """Make two instruments whose spread comes back; the last row is the first of a month."""
    random = np.random.default_rng(seed)
    first = np.cumsum(random.normal(0, 0.02, rows))
    close = 50 * np.exp(np.stack((first, first + random.normal(0, 0.02, rows)), axis=1))
    last = np.datetime64("2024-03-01T21:00", "ns").astype(np.int64)
    ts = last - make.DAY * np.arange(rows - 1, -1, -1)
    return Panel(instruments=(make.SPY, stock("XOM")), spec=BarSpec.DAY, opened=ts - make.SESSION, ts=ts, open=close,
                 high=close * 1.01, low=close * 0.99, close=close, volume=close)  # fmt: skip


def missing(panel: Panel, rows: slice) -> Panel:
    """Return the panel without these bars of both instruments."""
    values = {name: getattr(panel, name).copy() for name in VALUES}
    for cells in values.values():
        cells[rows] = NAN
    return replace(panel, **values)


def last_view(strategy: Strategy, panel: Panel) -> Floats:
    found: Floats = strengths(strategy, panel)[-1]
    return found


def test_every_library_strategy_is_tried_here() -> None:
    assert set(SHORT) == set(LIBRARY)


@pytest.mark.parametrize("name", LIBRARY)
def test_the_declared_warm_up_is_enough_and_no_bar_too_much(name: str) -> None:
    """A gap is as long as a price is carried at most: with the oldest bar before it, or in it."""
    strategy = load_strategy(name, SHORT[name])
    gap = CARRY if name in FILLS_GAPS else 0
    matters = 0
    for seed in range(200):
        whole = drawn(seed, strategy.manifest.warmup_bars + 20)
        for start in (20, 21):
            panel = missing(whole, slice(start, start + gap))
            found, trailed, shorter = (last_view(strategy, panel.rows(k, len(panel))) for k in (0, 20, 21))
            np.testing.assert_array_equal(found, trailed, err_msg=f"seed {seed}")
            matters += start == 21 and not np.array_equal(found, shorter, equal_nan=True)
    assert matters, "the oldest bar of the warm-up changes nothing"


@pytest.mark.parametrize("name", FILLS_GAPS)
def test_a_short_halt_in_the_window_does_not_silence_a_strategy_and_a_long_one_does(name: str) -> None:
    strategy = load_strategy(name, SHORT[name])
    seen = {CARRY: 0, CARRY + 1: 0}
    for seed in range(100):
        panel = drawn(seed, strategy.manifest.warmup_bars)
        for gap in seen:
            view = last_view(strategy, missing(panel, slice(len(panel) - 2 - gap, len(panel) - 2)))
            seen[gap] += bool(~np.isnan(view).all())
    assert seen[CARRY] > 0
    if name not in {"cross_sectional_momentum", "time_series_momentum"}:  # they look at single prices
        assert seen[CARRY + 1] == 0


@pytest.mark.parametrize("name", LIBRARY)
def test_an_instrument_that_begins_later_has_no_view_until_its_own_window_is_full(name: str) -> None:
    strategy = load_strategy(name, SHORT[name])
    panel = missing(drawn(1, 200), slice(0, 190))
    assert np.isnan(strengths(strategy, panel)[:195]).all()


@pytest.mark.parametrize("name", LIBRARY)
def test_every_manifest_says_where_it_comes_from_and_claims_two_things(name: str) -> None:
    manifest = load_strategy(name, {}).manifest
    assert manifest.reference
    assert manifest.hypothesis.count(". ") == 1


# ------------------------------------------------------------------------------------------------------------ windows
def test_a_price_is_carried_over_so_many_bars_and_no_further() -> None:
    values = np.array([[NAN], [1.0], [NAN], [NAN], [NAN], [2.0]])
    np.testing.assert_array_equal(carried(values, 2)[:, 0], [NAN, 1, 1, 1, NAN, 2])
    assert np.isnan(values[2, 0]), "the panel's own array stays as it is"


def test_a_window_that_is_not_full_holds_nan() -> None:
    found = trailing(np.array([[1.0], [2.0], [3.0]]), 2)
    np.testing.assert_array_equal(found[:, 0], [[NAN, 1], [1, 2], [2, 3]])


def test_a_missing_bar_spoils_the_windows_that_hold_it_and_no_others() -> None:
    """TA-Lib over the whole column says NaN for ever after it."""
    values = np.array([1.0, 2, 3, NAN, 4, 5, 6, 8])[:, None]
    np.testing.assert_array_equal(
        indicator(talib.SMA, values, bars=3, timeperiod=3)[:, 0], [NAN, NAN, 2, NAN, NAN, NAN, 5, 19 / 3]
    )
    assert np.isnan(talib.SMA(values[:, 0], timeperiod=3)[3:]).all()


def test_a_month_starts_at_its_first_bar_and_the_first_row_is_of_unknown_place() -> None:
    days = np.array(["2024-02-01", "2024-02-02", "2024-03-04", "2024-03-05", "2024-05-02"], "datetime64[ns]")
    assert month_starts(days.astype(np.int64)).tolist() == [2, 4]
    assert month_starts(days[:0].astype(np.int64)).tolist() == []
