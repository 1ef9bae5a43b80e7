"""Time-series and cross-sectional momentum, on prices whose ranks and volatilities are worked out by hand."""

import re
from dataclasses import replace

import numpy as np
import pytest

from robotrader.model import ConfigError, Resize, stock
from robotrader.strategy.library.cross_sectional_momentum import CrossSectionalMomentum
from robotrader.strategy.library.time_series_momentum import TimeSeriesMomentum
from tests.unit.strategy.test_library import NAN, column, months


def test_time_series_momentum_takes_the_sign_and_scales_by_volatility() -> None:
    #  returns +10 %, -10 %: deviation 0.141421, a year 2.24499; 1 / 2.24499 = 0.445
    #  returns +10 %, +10 %: no deviation, the full size; 10, 10, 10: no sign
    panel = months([[100, 10, 10], [110, 11, 10], [99, 12.1, 10], [9, 9, 9], [9, 9, 9], [9, 9, 9]])
    found = TimeSeriesMomentum(lookback=2, volatility_bars=2, target=1.0).signals(panel)
    assert found[2].tolist() == [-0.45, 1.0, 0.0]
    assert [row for row in range(6) if column(found)[row] is not None] == [2, 5], "month starts"


def test_an_instrument_without_a_bar_at_the_start_of_the_month_has_no_view_and_no_rank() -> None:
    panel = months([[10.0, 10, 10]] * 4 + [[12.0, 11, 9], [NAN, 11, 9]])
    found = TimeSeriesMomentum(lookback=2, volatility_bars=2, target=9.9).signals(panel)[5]
    assert [None if np.isnan(x) else float(x) for x in found] == [None, 1.0, -1.0]
    found = CrossSectionalMomentum(lookback=3, skip=1, share=0.1).signals(panel)[5]
    assert [None if np.isnan(x) else float(x) for x in found] == [None, 1.0, -1.0], "the first would have won"


def test_time_series_momentum_waits_for_both_windows() -> None:
    panel = months([[10, 10, 10]] * 6)
    for lookback, volatility_bars in ((3, 2), (2, 3)):
        found = TimeSeriesMomentum(lookback=lookback, volatility_bars=volatility_bars, target=1.0).signals(panel)
        assert column(found) == [None, None, None, None, None, 0.0]


def test_time_series_momentum_is_sized_anew_each_month_and_looks_back_over_its_longer_window() -> None:
    manifest = TimeSeriesMomentum(lookback=10, volatility_bars=60, target=0.15).manifest
    assert (manifest.resize, manifest.warmup_bars) == (Resize.EVERY_BAR, 66)


def test_cross_sectional_momentum_is_long_the_winner_and_short_the_loser_without_the_newest_bars() -> None:
    #  2024-03-01 looks at 2024-02-01 to 2024-02-29: 12/10, 9/10, 10/10; the last close would rank the other way round
    panel = months([[1, 1, 1], [1, 1, 1], [10, 10, 10], [5, 5, 5], [12, 9, 10], [1, 99, 50]])
    found = CrossSectionalMomentum(lookback=3, skip=1, share=0.1).signals(panel)
    assert found[5].tolist() == [1.0, -1.0, 0.0]
    assert column(found)[:5] == [None] * 5, "2024-02-01 has too little to look back at"
    assert CrossSectionalMomentum(lookback=3, skip=0, share=0.1).signals(panel)[5].tolist() == [-1.0, 1.0, 0.0]


def test_a_share_of_those_that_can_be_ranked_is_held_on_each_side() -> None:
    panel = months([[1, 1, 1], [1, 1, 1], [10, 10, NAN], [5, 5, 5], [12, 9, 10], [1, 1, 1]])
    found = CrossSectionalMomentum(lookback=5, skip=1, share=0.5).signals(panel)
    assert found[5].tolist() == [1.0, -1.0, 0.0], "one of three: half of three is one"
    panel = months([[NAN, 1, 1], [NAN, 1, 1], [NAN, 10, 7], [5, 5, 5], [12, 9, 10], [1, 1, 1]])
    found = CrossSectionalMomentum(lookback=5, skip=1, share=0.5).signals(panel)
    assert column(found)[5] is None
    assert found[5, 1:].tolist() == [-1.0, 1.0], "1 to 9 and 1 to 10"


def test_one_instrument_alone_is_neither_winner_nor_loser() -> None:
    panel = months([[1, NAN, NAN]] * 5 + [[2, 1, NAN]])
    assert column(CrossSectionalMomentum(lookback=5, skip=1, share=0.5).signals(panel)) == [None] * 6


def test_a_tie_goes_to_the_earlier_instrument() -> None:
    found = CrossSectionalMomentum(lookback=5, skip=1, share=0.1).signals(months([[10, 20, 30]] * 6))
    assert found[5].tolist() == [1.0, 0.0, -1.0]
    ids = tuple(stock(f"S{k}") for k in range(400))  # more than an unstable sort leaves in order
    panel = months([[10, 20, 30]] * 6)
    same, gain = np.full((6, 400), 10.0), np.where(np.arange(400) % 3 == 0, 12.0, 11.0)
    same[4] = gain
    wide = replace(panel, instruments=ids, open=same, high=same, low=same, close=same, volume=same)
    found = CrossSectionalMomentum(lookback=5, skip=1, share=0.1).signals(wide)
    assert np.flatnonzero(found[5] == 1).tolist() == [*range(0, 120, 3)]


def test_the_skipped_bars_lie_inside_the_lookback() -> None:
    with pytest.raises(ConfigError, match=re.escape("skip must be below lookback, found 21 and 21")):
        CrossSectionalMomentum(lookback=21, skip=21, share=0.1)
