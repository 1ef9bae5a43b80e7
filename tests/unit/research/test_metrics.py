"""What a list of fills says, by hand. The ratios are tested in tests/integration/research."""

import numpy as np
import pytest
from msgspec import structs

from robotrader.model import Fill, Side, StrategyId
from robotrader.research.metrics import daily_equity, round_trips, turnover
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
