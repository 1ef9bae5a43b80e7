"""The backtest against an independent one of a few lines: SMA 10/50, 100 units, fills at the next open."""

from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from robotrader.model import StrategyConfig, StrategyId
from robotrader.research.backtest import BacktestResult, run_backtest
from robotrader.risk.limits import RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.venue import Venue
from tests import builders as make

Floats = NDArray[np.float64]
FAST, SLOW, UNITS, CAPITAL, FEE = 10, 50, 100, 100_000.0, 0.0005


def market(seed: int, bars: int) -> tuple[Floats, Floats]:
    """Return open and close in whole cents of a seeded walk on which the two averages are never equal."""
    random = np.random.default_rng(seed)
    close = np.rint(10_000 * np.exp(np.cumsum(random.normal(0, 0.01, bars)))).astype(np.int64)
    opened = np.rint(close * np.exp(random.normal(0, 0.004, bars))).astype(np.int64)
    total = np.concatenate(([0], np.cumsum(close)))
    at = np.arange(SLOW, bars + 1)
    assert not np.any((total[at] - total[at - FAST]) * SLOW == (total[at] - total[at - SLOW]) * FAST), "no ties"
    return opened / 100, close / 100


def reference(opened: Floats, close: Floats) -> tuple[list[tuple[int, int, float]], Floats]:
    """Return (row, signed units, price) of the fills, and the equity at each close."""
    n = len(close)
    total = np.concatenate(([0.0], np.cumsum(np.rint(close * 100))))
    want = np.zeros(n)
    for t in range(SLOW - 1, n):
        fast, slow = (total[t + 1] - total[t + 1 - FAST]) / FAST, (total[t + 1] - total[t + 1 - SLOW]) / SLOW
        want[t] = UNITS if fast > slow else 0
    position = np.concatenate(([0.0], want[:-1]))  # what was wanted at a close is held from the next open on
    traded = np.diff(np.concatenate(([0.0], position)))
    cash = CAPITAL - np.cumsum(traded * opened + np.abs(traded) * opened * FEE)
    fills = [(int(t), int(traded[t]), float(opened[t])) for t in np.nonzero(traded)[0]]
    return fills, cash + position * close


def ours(opened: Floats, close: Floats) -> BacktestResult:
    panel = make.daily_panel(close.reshape(-1, 1).tolist(), opened=opened.reshape(-1, 1).tolist())
    config = StrategyConfig(id=StrategyId("sma"), source="sma_crossover", universe=(make.SPY.id,),
                            capital=Decimal(int(CAPITAL)), sizer=f"fixed:{UNITS}",
                            parameters={"fast": FAST, "slow": SLOW})  # fmt: skip
    venue = Venue({make.SPY.id: make.SPY}, cost_model(f"bps:{FEE * 10_000}"), half_spread_bps=Decimal(0))
    return run_backtest((config,), panel, venue, limits=RESEARCH)


@pytest.mark.parametrize("seed", [1, 2, 3, 7, 42])
def test_fills_and_equity_are_those_of_the_reference(seed: int) -> None:
    opened, close = market(seed, 3_000)
    fills, equity = reference(opened, close)
    result = ours(opened, close)
    assert len(fills) > 50
    assert [
        ((f.ts_event + make.SESSION - make.T0) // make.DAY, f.side.sign * f.quantity, float(f.price))
        for f in result.fills
    ] == fills
    np.testing.assert_allclose(result.equity, equity, rtol=0, atol=0.01)
    assert float(result.final.equity) == pytest.approx(equity[-1], abs=0.01)
