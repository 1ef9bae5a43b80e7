"""Corporate actions in a backtest over raw prices, worked out by hand."""

from decimal import Decimal

import numpy as np
import pytest
from msgspec import structs

from robotrader.data.adjust import Adjust, adjust, left_to_book
from robotrader.model import CorporateAction, CorporateActionKind, Side, StrategyConfig, StrategyId
from robotrader.research.backtest import BacktestResult, run_backtest
from robotrader.research.metrics import round_trips
from robotrader.risk.limits import RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.venue import Venue
from tests import builders as make

D = Decimal
# Windows of 1 and 2 bars: long after a close above the one before, else flat. It splits 2:1 before day 4, and pays
# 0.50 a (new) unit before day 5.
RAW = (20.0, 22.0, 24.0, 26.0, 14.0, 14.5, 14.0, 14.0)
CAPITAL = D(100_000)


def backtest(closes: tuple[float, ...], *actions: CorporateAction, every_row: bool = False) -> BacktestResult:
    panel = make.daily_panel([[c] for c in closes])
    config = StrategyConfig(id=StrategyId("sma"), source="sma_crossover", universe=(make.SPY.id,), capital=CAPITAL,
                            sizer="fixed:100", parameters={"fast": 1, "slow": 2})  # fmt: skip
    venue = Venue({i.id: i for i in panel.instruments}, cost_model("none"), half_spread_bps=D(0))
    return run_backtest([config], panel, venue, limits=RESEARCH, actions=actions, skip_quiet=not every_row)


@pytest.mark.parametrize("every_row", [True, False])
def test_every_cent_across_a_split_and_a_dividend(every_row: bool) -> None:
    """Bought 100 at 24.00 on day 2; 200 from day 4 on; day 5 pays 100.00; day 6 falls: sold at 14.00 on day 7."""
    result = backtest(RAW, make.split(2, day=4), make.dividend("0.50", day=5), every_row=every_row)
    assert [(f.side, f.quantity, f.price) for f in result.fills] == [
        (Side.BUY, 100, D("24.00")), (Side.SELL, 200, D("14.00")),
    ]  # fmt: skip
    cash = CAPITAL - 2_400
    held = [0, 0, 100 * 24, 100 * 26, 200 * 14, 200 * 14.5 + 100, 200 * 14 + 100, 200 * 14 + 100]
    expected = [float(CAPITAL)] * 2 + [float(cash) + value for value in held[2:]]
    assert result.equity.tolist() == pytest.approx(expected, abs=1e-9)
    assert (result.final.cash, result.final.realized_pnl) == (D("100500"), D("500"))
    assert len(result.booked) == 2
    assert round_trips(result.fills, result.booked) == 1


@pytest.mark.parametrize("every_row", [True, False])
def test_a_fraction_is_paid_at_the_last_close_though_nothing_happened_on_that_day(every_row: bool) -> None:
    """Held since day 2 while prices rise quietly; 100 become 33 before day 6, and a third of 3 x 17.00 is paid."""
    result = backtest((10.0, 11.0, 12.0, 14.0, 15.0, 17.0, 54.0, 57.0), make.split(1, 3, day=6), every_row=every_row)
    (booked,) = result.booked
    assert [(p.quantity, p.cash) for p in booked.postings] == [(-67, D("17"))]


def test_without_the_action_the_strategy_would_sell_into_the_split() -> None:
    assert [f.quantity for f in backtest(RAW).fills][:2] == [100, 100]


def test_an_order_that_waits_for_the_open_of_the_ex_date_is_canceled_and_planned_anew() -> None:
    """Decided on day 1 for the open of day 2, which is the ex date: sent again at the close of day 2."""
    result = backtest((20.0, 22.0, 12.0, 13.0, 14.0), make.split(2, day=2))
    assert [f.ts_event for f in result.fills] == [make.T0 + 3 * make.DAY - make.SESSION]
    assert [o.ts_event for o in result.orders] == [make.T0 + day * make.DAY for day in (1, 2)]


def test_a_change_into_a_symbol_without_data_is_left_out() -> None:
    change = structs.replace(make.split(1, day=3), kind=CorporateActionKind.SYMBOL_CHANGE, successor="NEW")
    assert backtest(RAW[:4], change).booked == ()


def test_booking_raw_prices_and_taking_splits_out_of_them_come_to_the_same() -> None:
    """Twice the units at half the price: `fixed:100` of raw units is `fixed:200` of adjusted ones."""
    actions = (make.split(2, day=4), make.dividend("0.50", day=2), make.dividend("0.50", day=5))
    panel = make.daily_panel([[c] for c in RAW])
    as_of = int(panel.ts[-1])
    adjusted = adjust(panel, actions, as_of, Adjust.SPLITS)
    left = left_to_book(actions, as_of, Adjust.SPLITS)
    assert [(a.ex_date, a.cash) for a in left] == [("day 2", D("0.25")), ("day 5", D("0.50"))]
    assert left_to_book(actions, as_of, Adjust.ALL) == ()
    assert left_to_book(actions, as_of, Adjust.NONE) == (actions[1], actions[0], actions[2])
    raw, halved = backtest(RAW, *actions), backtest(tuple(adjusted.close[:, 0].tolist()), *left)
    gains = [np.diff(result.equity)[2:] for result in (raw, halved)]
    assert gains[0].tolist() == pytest.approx((gains[1] * 2).tolist())
