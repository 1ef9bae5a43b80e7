"""What a list of fills says, by hand. The ratios are tested in tests/integration/research."""

import numpy as np
import pytest
from msgspec import structs

from robotrader.model import Fill, Side, StrategyId
from robotrader.research.metrics import (
    Drawdown,
    beta,
    daily_equity,
    monthly,
    rolling,
    round_trips,
    tails,
    turnover,
    worst_drawdowns,
)
from tests import builders as make

HOUR = 3_600_000_000_000
NOON = make.T0 - 9 * HOUR  # T0 is 21:00 UTC


def fills(*signed: int, strategy: StrategyId = make.TREND, qqq: bool = False) -> list[Fill]:
    made = []
    for n, units in enumerate(signed):
        side = Side.BUY if units > 0 else Side.SELL
        order = make.order(n, side=side, quantity=abs(units), instrument=make.QQQ.id if qqq else make.SPY.id)
        fill = make.filled(structs.replace(order, strategy=strategy), exec_id=f"{strategy}{n}", price="10.00")
        made.append(fill.fill)
    return made


def test_a_day_ends_with_its_last_bar() -> None:
    ts = np.array([NOON, NOON + HOUR, NOON + make.DAY, NOON + make.DAY + HOUR], dtype=np.int64)
    when, equity = daily_equity(ts, np.array([1.0, 2.0, 3.0, 4.0]))
    assert (when.tolist(), equity.tolist()) == ([ts[1], ts[3]], [2.0, 4.0])
    assert len(daily_equity(ts[:0], np.array([]))[1]) == 0


@pytest.mark.parametrize(
    ("signed", "trips"),
    [
        ((), 0),
        ((100,), 0),
        ((100, -100), 1),
        ((100, -50), 0),
        ((100, -50, -50), 1),
        ((100, -200, 100), 2),  # through zero ends one trip and begins the next
        ((-100, 100), 1),
        ((100, 100, -200, 5), 1),
    ],
)
def test_a_round_trip_ends_at_zero_or_beyond(signed: tuple[int, ...], trips: int) -> None:
    assert round_trips(fills(*signed)) == trips


def test_round_trips_are_counted_per_strategy_and_instrument() -> None:
    other = StrategyId("other")
    assert round_trips([*fills(100), *fills(-100, strategy=other), *fills(-100, qqq=True)]) == 0


def test_turnover_is_the_traded_value_over_the_mean_equity() -> None:
    assert turnover(fills(100, -50), 500.0) == 3.0
    assert turnover([], 500.0) == 0
    assert turnover(fills(100), 0.0) == 0


def test_rolling_figures_begin_when_the_window_is_full() -> None:
    returns = np.array([0.01, -0.01, 0.03, 0.03])
    found = rolling(returns, 3)
    assert np.isnan(found["sharpe"]).tolist() == [True, True, False, False]
    assert found["volatility"][2] == pytest.approx(0.02 * 252**0.5)
    assert found["sharpe"][2] == pytest.approx(0.01 / 0.02 * 252**0.5)
    assert np.isnan(rolling(np.full(5, 0.01), 3)["sharpe"]).all()  # nothing varied: nothing to say
    assert np.isnan(rolling(returns, 5)["volatility"]).all()


def test_months_are_measured_from_the_end_of_the_month_before() -> None:
    ts = np.array(["2024-01-30", "2024-01-31", "2024-02-29", "2024-04-01"], dtype="datetime64[ns]").astype(np.int64)
    found = monthly(ts, np.array([100.0, 101.0, 110.0, 99.0, 198.0]))
    assert found == {"2024-01": pytest.approx(0.1), "2024-02": pytest.approx(-0.1), "2024-04": pytest.approx(1.0)}
    assert monthly(ts[:0], np.array([100.0])) == {}


def test_drawdowns_have_a_peak_a_trough_and_a_recovery() -> None:
    ts = NOON + make.DAY * np.arange(8, dtype=np.int64)
    curve = np.array([100.0, 90.0, 95.0, 100.0, 120.0, 60.0, 80.0, 70.0])
    first = Drawdown(depth=60 / 120 - 1, peak=int(ts[4]), trough=int(ts[5]), recovery=None)
    second = Drawdown(depth=90 / 100 - 1, peak=int(ts[0]), trough=int(ts[1]), recovery=int(ts[3]))
    assert worst_drawdowns(ts, curve) == [first, second]
    assert worst_drawdowns(ts, curve, 1) == [first]
    assert worst_drawdowns(ts[:1], curve[:1]) == []
    assert worst_drawdowns(ts[:0], curve[:0]) == []


def test_fat_tails_by_hand() -> None:
    found = tails(np.array([-0.05, *[0.0] * 8, 0.01]))
    assert (found["best_day"], found["worst_day"], found["positive_days"]) == (0.01, -0.05, 0.1)
    assert found["value_at_risk"] == pytest.approx(-0.05 * 0.55)  # 5 % of the way between ten points
    assert found["expected_shortfall"] == -0.05
    assert found["skewness"] < -2
    assert found["beyond_3_sigma"] == 0.0  # one of ten days can be no further than three deviations
    assert tails(np.array([1.0] + [0.0] * 19))["beyond_3_sigma"] == 0.05


def test_beta_is_the_slope_on_the_benchmark() -> None:
    benchmark = np.array([0.01, -0.02, 0.03])
    assert beta(2 * benchmark + 0.001, benchmark) == pytest.approx(2.0)
    assert beta(benchmark, np.zeros(3)) is None
