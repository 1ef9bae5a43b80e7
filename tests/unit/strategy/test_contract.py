"""The contract of a strategy, and the adapter that makes a vectorized one event-driven."""

import numpy as np
import pytest
from msgspec import structs

from robotrader.data.panel import Floats, Panel
from robotrader.model import StrategyError
from robotrader.strategy.contract import PrecomputedRows, TrailingWindow, strengths
from tests import builders as make
from tests.unit.strategy.strategies import Constant, Counting, WrongShape

NAN = float("nan")
UNIVERSE = (make.SPY, make.QQQ)
PANEL = make.daily_panel([[1, 2], [3, 4], [5, 6]])


# ---------------------------------------------------------------------------------------------------------- strengths
@pytest.mark.parametrize("say", [1.0, -1.0, 0.0, NAN, 1 + 4e-10, -1 - 4e-10])
def test_a_strength_may_be_anything_from_minus_one_to_one_or_no_view(say: float) -> None:
    assert strengths(Constant(say=say, bars=1), PANEL).shape == (3, 2)


@pytest.mark.parametrize("say", [1 + 1e-9, -1 - 1e-9, 2.0, float("inf"), float("-inf")])
def test_a_strength_outside_minus_one_to_one_breaks_the_contract(say: float) -> None:
    with pytest.raises(StrategyError, match=r"constant: strengths must lie in \[-1, 1\]"):
        strengths(Constant(say=say, bars=1), PANEL)


def test_one_bad_strength_among_views_that_are_missing_breaks_the_contract() -> None:
    class One(Constant):
        def signals(self, panel: Panel) -> Floats:
            out = np.full(panel.close.shape, NAN)
            out[1, 1] = 1.5
            return out

    with pytest.raises(StrategyError, match=r"found 1\.5"):
        strengths(One(say=0, bars=1), PANEL)


def test_another_shape_breaks_the_contract() -> None:
    with pytest.raises(StrategyError, match=r"shape \(3, 2\), found \(2,\)"):
        strengths(WrongShape(say=0.5, bars=1), PANEL)


def test_what_a_strategy_raises_is_named_as_its_own_error() -> None:
    class Dividing(Constant):
        def signals(self, panel: Panel) -> Floats:
            raise ZeroDivisionError("division by zero")

    with pytest.raises(StrategyError, match=r"constant: signals\(\) raised ZeroDivisionError: division by zero"):
        strengths(Dividing(say=0, bars=1), PANEL)


def test_strengths_are_rounded_so_that_last_bits_decide_nothing() -> None:
    assert strengths(Constant(say=0.1 + 0.2, bars=1), PANEL)[0, 0] == 0.3


# ------------------------------------------------------------------------------------------------------------- window
def test_a_trailing_window_shows_as_many_bars_as_the_warm_up_and_no_more() -> None:
    window = TrailingWindow(Counting(say=0, bars=3), UNIVERSE)
    assert [window.on_bars(make.bars_closed(day))[0] for day in range(5)] == [0.01, 0.02, 0.03, 0.03, 0.03]


def test_a_trailing_window_shows_the_last_bars_in_order() -> None:
    shown: list[Panel] = []

    class Watching(Constant):
        def signals(self, panel: Panel) -> Floats:
            shown.append(panel)
            return super().signals(panel)

    window = TrailingWindow(Watching(say=0, bars=2), UNIVERSE)
    for day in range(3):
        window.on_bars(make.bars_closed(day, 100.0 + day, 50.0 - day))
    assert shown[-1].close.tolist() == [[101.0, 49.0], [102.0, 48.0]]
    assert shown[-1].high.tolist() == [[102.0, 50.0], [103.0, 49.0]]
    assert shown[-1].ts.tolist() == [make.T0 + make.DAY, make.T0 + 2 * make.DAY]


def test_an_instrument_without_a_bar_is_shown_as_nan_and_a_strange_one_is_not_shown() -> None:
    shown: list[Panel] = []

    class Watching(Constant):
        def signals(self, panel: Panel) -> Floats:
            shown.append(panel)
            return super().signals(panel)

    window = TrailingWindow(Watching(say=0, bars=1), (make.QQQ,))
    event = make.bars_closed(0)
    window.on_bars(structs.replace(event, bars=event.bars[:1]))  # SPY only
    assert np.isnan(shown[-1].close).tolist() == [[True]]
    window.on_bars(make.bars_closed(1))
    assert shown[-1].close.tolist() == [[50.0]]


def test_a_window_holds_a_strategy_to_the_contract_at_every_bar() -> None:
    with pytest.raises(StrategyError):
        TrailingWindow(Constant(say=2.0, bars=1), UNIVERSE).on_bars(make.bars_closed(0))


# --------------------------------------------------------------------------------------------------- precomputed rows
ROWS = np.array([[NAN, NAN], [1.0, NAN], [1.0, 0.5], [NAN, 0.5], [1.0, 0.25], [0.0, NAN]])
TS = make.T0 + make.DAY * np.arange(len(ROWS), dtype=np.int64)


def test_precomputed_rows_are_found_by_time_though_bars_are_skipped() -> None:
    source = PrecomputedRows(ROWS, TS)
    for day in (1, 2, 4, 5, 5):
        found = source.on_bars(make.bars_closed(day))
        np.testing.assert_array_equal(found, ROWS[day])


def test_a_bar_wakes_when_a_strength_differs_from_the_last_view() -> None:
    source = PrecomputedRows(ROWS, TS)
    assert source.wakes(every_view=False).tolist() == [False, True, True, False, True, True]
    assert source.wakes(every_view=True).tolist() == [False, True, True, True, True, True]


def test_a_view_that_returns_after_a_gap_unchanged_wakes_nobody() -> None:
    rows = np.array([[0.5], [NAN], [0.5], [NAN], [0.6]])
    assert PrecomputedRows(rows, TS[:5]).wakes(every_view=False).tolist() == [True, False, False, False, True]
