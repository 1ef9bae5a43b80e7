"""What backtests of drawn strategies on drawn markets have in common."""

from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from robotrader.data.panel import Panel
from robotrader.model import BarSpec, Resize, StrategyConfig, StrategyId, stock
from robotrader.research.backtest import run_backtest
from robotrader.risk.limits import RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.venue import Venue
from tests import builders as make

D = Decimal
THREE = (make.SPY, make.QQQ, stock("XOM"))


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """Draw a market: walks in cents, gaps at the open, bars without volume, bars that are missing."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.sampled_from([40, 60, 20, 7, 3, 1])), draw(st.integers(1, 3)))
    close = np.maximum(3_000 + np.cumsum(random.integers(-150, 151, size=shape), axis=0), 100) / 100
    opened = np.maximum(np.rint(close * 100) + random.integers(-80, 81, size=shape), 50) / 100
    volume = random.integers(1, 10**6, size=shape).astype(np.float64)
    volume[random.random(shape) < draw(st.sampled_from([0.0, 0.2]))] = 0.0
    gone = random.random(shape) < draw(st.sampled_from([0.0, 0.0, 0.1]))
    for part in (close, opened, volume):
        part[gone] = np.nan
    ts = make.T0 + make.DAY * np.cumsum(random.integers(1, draw(st.sampled_from([2, 20])), size=shape[0]))
    return Panel(
        instruments=THREE[: shape[1]], spec=BarSpec.DAY, opened=ts - make.SESSION, ts=ts, open=opened,
        high=np.maximum(opened, close) + 0.5, low=np.minimum(opened, close) - 0.4, close=close, volume=volume,
    )  # fmt: skip


@st.composite
def configs(draw: st.DrawFn, panel: Panel) -> list[StrategyConfig]:
    """Draw one or two strategies on some of the instruments."""
    made = []
    for n in range(draw(st.integers(1, 2))):
        source, parameters = draw(st.sampled_from([
            ("sma_crossover", {"fast": 1, "slow": 2}), ("sma_crossover", {"fast": 2, "slow": 7}),
            ("momentum", {"lookback": 2, "top": 1}), ("momentum", {"lookback": 5, "top": 2}),
        ]))  # fmt: skip
        made.append(StrategyConfig(
            id=StrategyId(f"s{n}"), source=source, universe=panel.ids[: draw(st.integers(1, len(panel.ids)))],
            capital=D(100_000), parameters=dict(parameters), resize=draw(st.sampled_from([None, *Resize])),
            sizer=draw(st.sampled_from(["fixed:100", "percent:0.3", "all_in", "notional:20000", "atr:0.01",
                                        "volatility:0.2", "kelly:0.5"])),
        ))  # fmt: skip
    return made


@settings(max_examples=50)
@given(panels().flatmap(lambda p: st.tuples(st.just(p), configs(p))))
def test_the_equity_curve_ends_where_the_ledger_does(market: tuple[Panel, list[StrategyConfig]]) -> None:
    panel, strategies = market
    venue = Venue({i.id: i for i in panel.instruments}, cost_model("ibkr_fixed"))
    result = run_backtest(strategies, panel, venue, limits=RESEARCH)
    assert abs(result.equity[-1] - float(result.final.equity)) < 1e-6
    bought = sum((f.side.sign * f.quantity * f.price for f in result.fills), D(0))
    paid = sum((c.amount for c in result.commissions), D(0))
    assert result.final.cash == 100_000 * len(strategies) - bought - paid
