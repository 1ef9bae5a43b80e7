"""A strategy says the same on its trailing window, bar by bar, as on the whole history at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.data.panel import Panel
from robotrader.model import BarsClosed, BarSpec, stock
from robotrader.strategy.contract import PrecomputedRows, Strategy, TrailingWindow, strengths
from robotrader.strategy.library.momentum import Momentum
from robotrader.strategy.library.sma_crossover import SmaCrossover
from tests import builders as make

THREE = (make.SPY, make.QQQ, stock("XOM"))
DEPTH = 70


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """Draw random walks in whole cents: small steps for ties, days apart for months, bars that are missing."""
    seed, rows, columns = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, DEPTH)), draw(st.integers(1, 3))
    step = draw(st.sampled_from([0, 1, 5, 200]))
    missing = draw(st.sampled_from([0.0, 0.0, 0.05, 0.5]))
    random = np.random.default_rng(seed)
    walk = 2_000 + np.cumsum(random.integers(-step, step + 1, size=(rows, columns)), axis=0)
    close = np.maximum(walk, 1) / 100
    close[random.random(close.shape) < missing] = np.nan
    if draw(st.booleans()):
        close[:, 0] = np.nan
    ts = make.T0 + make.DAY * np.cumsum(random.integers(1, draw(st.integers(2, 12)), size=rows))
    return Panel(instruments=THREE[:columns], spec=BarSpec.DAY, opened=ts - make.SESSION, ts=ts, open=close, high=close,
                 low=close, close=close, volume=close)  # fmt: skip


windows = st.integers(1, 20).flatmap(lambda fast: st.tuples(st.just(fast), st.integers(fast + 1, 60)))
strategies: st.SearchStrategy[Strategy] = st.one_of(
    windows.map(lambda pair: SmaCrossover(fast=pair[0], slow=pair[1])),
    st.tuples(st.integers(2, 30), st.integers(1, 4)).map(lambda pair: Momentum(lookback=pair[0], top=pair[1])),
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


@given(strategies, panels())
def test_views_are_full_positions_or_none_and_missing_bars_are_no_view(strategy: Strategy, panel: Panel) -> None:
    found = strengths(strategy, panel)
    assert set(np.unique(found[~np.isnan(found)]).tolist()) <= {0.0, 1.0}
    assert np.isnan(found[np.isnan(panel.close)]).all()


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
