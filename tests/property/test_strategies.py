"""A strategy says the same on its trailing window, bar by bar, as on the whole history at once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.data.panel import VALUES, Panel
from robotrader.model import BarsClosed, BarSpec, stock
from robotrader.strategy.contract import PrecomputedRows, Strategy, TrailingWindow, strengths
from robotrader.strategy.library.breakout import Breakout
from robotrader.strategy.library.cross_sectional_momentum import CrossSectionalMomentum
from robotrader.strategy.library.mean_reversion import MeanReversion
from robotrader.strategy.library.momentum import Momentum
from robotrader.strategy.library.pairs import Pairs
from robotrader.strategy.library.regime_trend import RegimeTrend
from robotrader.strategy.library.sma_crossover import SmaCrossover
from robotrader.strategy.library.time_series_momentum import TimeSeriesMomentum
from tests import builders as make

THREE = (make.SPY, make.QQQ, stock("XOM"))
DEPTH = 70


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """Draw random walks in whole cents: small steps for ties, days apart for months, bars that are missing."""
    seed, rows, columns = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, DEPTH)), draw(st.integers(2, 3))
    step = draw(st.sampled_from([0, 1, 5, 200]))
    missing = draw(st.sampled_from([0.0, 0.0, 0.05, 0.5]))
    random = np.random.default_rng(seed)
    walk = 2_000 + np.cumsum(random.integers(-step, step + 1, size=(rows, columns)), axis=0)
    close = np.maximum(walk, 1) / 100
    close[random.random(close.shape) < missing] = np.nan
    if draw(st.booleans()):
        close[:, 0] = np.nan
    reach = random.integers(0, step + 1, size=close.shape) / 100
    ts = make.T0 + make.DAY * np.cumsum(random.integers(1, draw(st.integers(2, 12)), size=rows))
    return Panel(instruments=THREE[:columns], spec=BarSpec.DAY, opened=ts - make.SESSION, ts=ts, open=close,
                 high=close + reach, low=np.maximum(close - reach, 0.01), close=close, volume=close)  # fmt: skip


windows = st.integers(1, 20).flatmap(lambda fast: st.tuples(st.just(fast), st.integers(fast + 1, 60)))
lengths = st.integers(2, 30)
holding: st.SearchStrategy[Strategy] = st.one_of(
    windows.map(lambda pair: SmaCrossover(fast=pair[0], slow=pair[1])),
    st.builds(Momentum, lookback=lengths, top=st.integers(1, 4)),
    st.builds(Breakout, channel=lengths, exit_bars=st.integers(2, 10), ranges=st.sampled_from([0.5, 1.0, 3.0])),
    st.builds(MeanReversion, rsi_bars=st.just(2), low=st.sampled_from([10.0, 40.0]), trend_bars=lengths,
              exit_bars=st.integers(2, 5)),
)  # fmt: skip
strategies: st.SearchStrategy[Strategy] = st.one_of(
    holding,
    st.builds(TimeSeriesMomentum, lookback=lengths, volatility_bars=lengths, target=st.sampled_from([0.05, 0.5])),
    st.builds(CrossSectionalMomentum, lookback=st.integers(5, 30), skip=st.integers(0, 4), share=st.just(0.4)),
    st.builds(Pairs, formation=st.integers(10, 30), enter=st.sampled_from([1.0, 2.0]), leave=st.just(0.5)),
    st.builds(
        RegimeTrend,
        trend_bars=lengths,
        trend_enter=st.sampled_from([0.2, 1.0]),
        volatility_bars=st.integers(2, 5),
        history=st.integers(10, 20),
        stress=st.just(0.9),
        memory=st.integers(1, 5),
        recent=st.integers(10, 12),
        confidence=st.sampled_from([0.0, 0.5]),
        drift=st.sampled_from([0.25, 20.0]),
        fast=st.just(2),
        slow=st.integers(3, 9),
    ),
)


@given(strategies, panels())
def test_the_last_row_of_the_window_is_the_row_of_the_whole_panel(strategy: Strategy, panel: Panel) -> None:
    window, rows = TrailingWindow(strategy, panel.instruments), PrecomputedRows(strengths(strategy, panel), panel.ts)
    for _, ts, bars in panel.cross_sections():
        event = BarsClosed(ts_event=ts, ts_init=ts, bars=bars)
        np.testing.assert_array_equal(window.on_bars(event), rows.on_bars(event))


@given(strategies, panels(), st.data())
def test_a_row_depends_on_nothing_that_comes_later(strategy: Strategy, panel: Panel, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(panel)))
    whole, part = strengths(strategy, panel), strengths(strategy, panel.rows(0, cut))
    np.testing.assert_array_equal(whole[:cut], part)


@given(holding, panels())
def test_long_or_flat_means_full_positions_or_none(strategy: Strategy, panel: Panel) -> None:
    found = strengths(strategy, panel)
    assert set(np.unique(found[~np.isnan(found)]).tolist()) <= {0.0, 1.0}


@given(strategies, panels())
def test_a_missing_bar_is_no_view(strategy: Strategy, panel: Panel) -> None:
    assert np.isnan(strengths(strategy, panel)[np.isnan(panel.close)]).all()


@given(strategies, panels(), st.integers(1, 9))
def test_a_view_depends_on_no_bar_before_the_warm_up(strategy: Strategy, panel: Panel, scale: int) -> None:
    """Other prices before the window, and an instrument that was not there, change nothing."""
    first = max(len(panel) - strategy.manifest.warmup_bars, 0)
    values = {name: getattr(panel, name).copy() for name in VALUES}
    for cells in values.values():
        cells[:first] *= scale
        cells[:first, 0] = np.nan
    last = strengths(strategy, replace(panel, **values))[-1]
    np.testing.assert_array_equal(last, strengths(strategy, panel)[-1])


@pytest.mark.parametrize("scale", [1, 1000])
@given(st.integers(0, 2**32 - 1), windows)
def test_sma_is_the_same_at_any_scale_of_price(scale: int, seed: int, pair: tuple[int, int]) -> None:
    """Ties are ties whatever the floats: the averages of whole cents compare as whole numbers do."""
    fast, slow = pair
    random = np.random.default_rng(seed)
    cents = 2_000 + np.cumsum(random.integers(-2, 3, size=DEPTH))
    panel = make.daily_panel([[c * scale / 100] for c in cents.tolist()])
    found = strengths(SmaCrossover(fast=fast, slow=slow), panel)[:, 0]
    for t in range(slow - 1, DEPTH):
        above = int(cents[t - fast + 1 : t + 1].sum()) * slow > int(cents[t - slow + 1 : t + 1].sum()) * fast
        assert found[t] == float(above)
