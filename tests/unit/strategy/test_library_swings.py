"""Breakout, mean reversion and pairs: what enters, what leaves, and what says nothing in between."""

import re

import numpy as np
import pytest

from robotrader.data.panel import Floats, Panel
from robotrader.model import ConfigError, StrategyError, stock
from robotrader.strategy.library.breakout import Breakout
from robotrader.strategy.library.mean_reversion import MeanReversion
from robotrader.strategy.library.pairs import Pairs
from robotrader.strategy.library.pairs.cointegration import spread
from tests import builders as make
from tests.unit.strategy.test_library import NAN, column


# ---------------------------------------------------------------------------------------------------- channel breakout
def flat_bars(close: list[float]) -> Panel:
    """Make bars without a range: a true range is the distance to the close before."""
    panel = make.daily_panel([[c] for c in close])
    return Panel(instruments=panel.instruments, spec=panel.spec, opened=panel.opened, ts=panel.ts, open=panel.close,
                 high=panel.close, low=panel.close, close=panel.close, volume=panel.volume)  # fmt: skip


def test_breakout_enters_above_the_channel_and_leaves_below_the_trailing_stop() -> None:
    #  close     10  11  12  11.2  9     12    12
    #  before             11  12    12    11.2  12     the highest of the two bars before
    #  ATR (2)            1   0.9   1.5   2.6   1.5    mean of the last two ranges
    #  stop               11  11.1  9.7   9.4   10.5   the highest of the last two bars less one ATR
    found = Breakout(channel=2, exit_bars=2, ranges=1.0).signals(flat_bars([10, 11, 12, 11.2, 9, 12, 12]))
    assert column(found) == [None, None, 1.0, None, 0.0, 1.0, None]


def test_a_new_high_far_below_the_day_s_own_high_is_no_entry() -> None:
    panel = flat_bars([10, 10, 11])
    spiked = Panel(instruments=panel.instruments, spec=panel.spec, opened=panel.opened, ts=panel.ts, open=panel.open,
                   high=np.array([[10.0], [10.0], [14.0]]), low=panel.low, close=panel.close,
                   volume=panel.volume)  # fmt: skip
    #  ranges 0 and 4: ATR 2, stop 12
    assert column(Breakout(channel=2, exit_bars=2, ranges=1.0).signals(spiked)) == [None, None, 0.0]


def test_breakout_measures_over_a_halt_from_the_last_close() -> None:
    found = Breakout(channel=2, exit_bars=2, ranges=1.0).signals(flat_bars([10, 11, NAN, 12, 12]))
    assert column(found) == [None, None, None, 1.0, None], "above 11, which is carried over the halt"


# ----------------------------------------------------------------------------------------------------- mean reversion
def reversion(tail: list[float], *, low: float = 10.0, trend_bars: int = 50) -> list[float | None]:
    """Return what is said of prices that rose by 1 for 60 bars, to 159, and then do this."""
    panel = make.daily_panel([[c] for c in [*range(100, 160), *tail]])
    found = MeanReversion(rsi_bars=2, low=low, trend_bars=trend_bars, exit_bars=2).signals(panel)
    return column(found)[-len(tail) :]


def test_mean_reversion_buys_when_the_rsi_is_low_and_sells_above_the_short_average() -> None:
    #  average gain 1 and loss 0 before; each fall of 1 halves the way to 0 and 1: RSI 50, 25, 12.5, 6.25
    assert reversion([158, 157, 156, 155, 156]) == [None, None, None, 1.0, 0.0]
    assert reversion([158, 157, 156, 155, 156], low=20.0) == [None, None, 1.0, 1.0, 0.0]


def test_mean_reversion_does_not_buy_below_the_long_average() -> None:
    assert reversion([100, 99, 98, 97], low=50.0) == [None] * 4, "the average of 50 bars is above 130"


def test_mean_reversion_says_nothing_before_its_windows_are_full() -> None:
    panel = make.daily_panel([[100.0 + k] for k in range(60)])
    found = column(MeanReversion(rsi_bars=2, low=10.0, trend_bars=55, exit_bars=2).signals(panel))
    assert found == [None] * 54 + [0.0] * 6


# -------------------------------------------------------------------------------------------------------------- pairs
def test_the_spread_of_two_prices_by_hand() -> None:
    #  y = 2 x + e, and e sums to 0, also weighted with x: the ratio is 2 and e is what is left
    x, left = np.arange(5.0), np.array([0.1, -0.1, -0.1, 0.1, 0.5])
    ratio, score, test = spread(2 * x + left, x, 4)
    assert np.isnan([ratio[:4], score[:4], test[:4]]).all()
    assert ratio[4] == pytest.approx(2.0)
    assert score[4] == pytest.approx(0.5 / np.sqrt(0.04 / 2))  # two degrees of freedom
    #  levels 0.1 -0.1 -0.1, steps -0.2 0 0.2: slope -0.04 / 0.03, error (0.02667 / 2 / 0.03) ** 0.5 = 2/3
    assert test[4] == pytest.approx(-2.0)


def test_prices_without_a_spread_have_no_score() -> None:
    x = np.log(np.arange(10.0, 30.0))
    assert np.isnan(spread(1.7 * x, x, 10)[1]).all(), "what is left is rounding"
    assert np.isnan(spread(x, np.ones(20), 10)[1]).all()


def test_long_histories_are_worked_on_in_parts_without_a_seam() -> None:
    random = np.random.default_rng(5)
    x = np.cumsum(random.normal(size=2_100))
    y = x + random.normal(size=2_100)
    whole = np.array(spread(y, x, 20))
    for t in (20, 1_019, 1_020, 1_021, 2_099):
        np.testing.assert_allclose(whole[:, t], np.array(spread(y[t - 20 : t + 1], x[t - 20 : t + 1], 20))[:, -1])


WAVE = np.sin(np.arange(42) * 0.7) / 10
SWING = np.where(np.arange(42) % 2 == 0, 0.01, -0.01)


def two(left: Floats, ratio: float = 1.0) -> Panel:
    return make.daily_panel(np.exp(np.stack((ratio * WAVE + left, WAVE), axis=1)).tolist())


def views(panel: Panel) -> list[list[float]]:
    """Return the rows from 40 on; nothing is said before."""
    found = Pairs(formation=30, enter=3.0, leave=0.5).signals(panel)
    assert set(np.unique(found[:40][~np.isnan(found[:40])])) <= {0.0}
    return [row.tolist() for row in found[40:]]


@pytest.mark.parametrize(
    ("ratio", "sides"), [(1.0, [-1.0, 1.0]), (0.5, [-1.0, 0.5]), (2.0, [-0.5, 1.0])],
)  # fmt: skip
def test_a_wide_spread_is_sold_with_the_hedge_ratio_and_given_up_when_it_closes(
    ratio: float, sides: list[float]
) -> None:
    left = SWING.copy()
    left[40], left[41] = 0.08, 0.0
    entry, leave = views(two(left, ratio))
    assert entry == pytest.approx(sides, abs=0.05)
    assert leave == [0.0, 0.0]
    left[40] = -0.08
    assert views(two(left, ratio))[0] == pytest.approx([-side for side in sides], abs=0.05)


def test_a_spread_that_stays_wide_is_entered_once_and_one_that_goes_to_the_other_side_is_closed() -> None:
    left = SWING.copy()
    left[40], left[41] = 0.08, 0.12
    assert np.isnan(views(two(left))[1]).all()
    left[41] = -0.02
    assert views(two(left))[1] == [0.0, 0.0]
    left[41] = -0.12
    assert np.sign(views(two(left))[1]).tolist() == [1.0, -1.0], "wide again: the other way round"


def test_a_spread_that_is_wide_when_it_is_first_known_did_not_become_so() -> None:
    left = SWING.copy()
    left[30] = 0.08
    assert np.isnan(Pairs(formation=30, enter=3.0, leave=0.5).signals(two(left))[30]).all()


def test_prices_that_move_against_each_other_are_no_pair() -> None:
    left = SWING.copy()
    left[40] = 0.08
    assert spread(left - WAVE, WAVE, 30)[1][40] > 3
    assert not np.nan_to_num(views(two(left, -1.0))[0]).any()


def test_a_spread_that_only_drifts_is_not_traded() -> None:
    left: Floats = np.arange(42) * np.float64(0.01)
    left[40] = 0.7
    score, test = (found[40] for found in spread(WAVE + left, WAVE, 30)[1:])
    assert score > 3
    assert test > -3.34
    assert np.isnan(views(two(left))).all()


def test_a_pair_of_which_one_has_no_bar_has_no_view() -> None:
    left = SWING.copy()
    left[40] = 0.3
    panel = two(left)
    panel.close[40, 1] = NAN
    assert np.isnan(views(panel)[0]).all()


def test_instruments_are_paired_in_their_order_and_the_last_of_an_odd_number_is_left_alone() -> None:
    left = SWING.copy()
    left[40] = 0.08
    close = np.column_stack([two(left).close, two(-left).close, two(left).close[:, :1]])
    names = tuple(stock(name) for name in ("A", "B", "C", "D", "E"))
    found = Pairs(formation=30, enter=3.0, leave=0.5).signals(make.daily_panel(close.tolist(), instruments=names))
    assert np.sign(found[40, :4]).tolist() == [-1.0, 1.0, 1.0, -1.0]
    assert np.isnan(found[:, 4]).all()


def test_a_pair_needs_two_instruments_and_room_between_its_bounds() -> None:
    with pytest.raises(StrategyError, match="two instruments or more"):
        Pairs(formation=30, enter=2.0, leave=0.5).signals(make.daily_panel([[1.0]]))
    with pytest.raises(ConfigError, match=re.escape("leave must be below enter, found leave=2.0 enter=2.0")):
        Pairs(formation=30, enter=2.0, leave=2.0)
