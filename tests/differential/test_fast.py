"""The fast path against the event engine, fill by fill, on drawn strategies, rules and markets."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec import structs

from robotrader import bootstrap
from robotrader.data.panel import Panel
from robotrader.model import BarSpec, Instrument, InstrumentId, Resize, RiskLimit, StrategyConfig, StrategyId, stock
from robotrader.research import kernel_setup
from robotrader.research.backtest import BacktestResult, run_backtest
from robotrader.research.fast import FastRun, run_fast
from robotrader.research.kernel_setup import Friction, Unsupported
from robotrader.research.metrics import measure
from robotrader.research.signals import signals_of
from robotrader.research.sweep import sweep
from robotrader.risk.limits import PAPER, RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.impact import Impact
from robotrader.simulation.venue import FillAt, Venue
from robotrader.strategy.contract import strengths
from robotrader.strategy.loading import load_strategy
from tests import builders as make

D = Decimal
DRAWN = f"{Path(__file__).parent / 'drawn_strategy.py'}:Drawn"
SPECS = {BarSpec.DAY: (make.DAY, make.SESSION), BarSpec.MINUTE: (60 * 10**9, 60 * 10**9),
         BarSpec.SECOND_5: (5 * 10**9, 5 * 10**9)}  # fmt: skip
LOTS = Instrument(id=InstrumentId("LOT.SMART"), symbol="LOT", lot=10, tick=D("0.05"), multiplier=D(5))
FOUR = (make.SPY, stock("FINE", tick=D("0.0001")), LOTS, stock("XOM"))


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """Draw a market: walks in cents or off the grid, gaps, bars without volume, missing bars, jumps in time."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spec = draw(st.sampled_from([BarSpec.DAY, BarSpec.DAY, BarSpec.MINUTE, BarSpec.SECOND_5]))
    shape = (draw(st.sampled_from([60, 30, 120, 7, 2])), draw(st.integers(1, 4)))
    wild = draw(st.sampled_from([20, 150]))
    close = np.maximum(3_000 + np.cumsum(random.integers(-wild, wild + 1, size=shape), axis=0), 100) / 100
    opened = np.maximum(np.rint(close * 100) + random.integers(-80, 81, size=shape), 50) / 100
    if draw(st.booleans()):  # prices that lie on no grid, as adjusted ones do; half cents are ties
        close, opened = close * draw(st.sampled_from([1.005, 0.98765, 1 / 3])), opened + 0.005
    volume = random.integers(1, draw(st.sampled_from([500, 10**6])), size=shape).astype(np.float64)
    volume[random.random(shape) < draw(st.sampled_from([0.0, 0.2]))] = 0.0
    high, low = np.maximum(opened, close) + 0.5, np.minimum(opened, close) - 0.25
    gone = random.random(shape) < draw(st.sampled_from([0.0, 0.0, 0.15]))
    for part in (close, opened, volume, high, low):
        part[gone] = np.nan
    step, length = SPECS[spec]
    ts = make.T0 + step * np.cumsum(random.integers(1, draw(st.sampled_from([2, 4, 400])), size=shape[0]))
    return Panel(instruments=FOUR[: shape[1]], spec=spec, opened=ts - length, ts=ts, open=opened, high=high, low=low,
                 close=close, volume=volume)  # fmt: skip


@st.composite
def configs(draw: st.DrawFn, panel: Panel) -> list[StrategyConfig]:
    """Draw one to three strategies, each on instruments of its own."""
    dealt, count = draw(st.permutations(panel.ids)), draw(st.integers(1, min(3, len(panel.ids))))
    return [
        StrategyConfig(
            id=StrategyId(f"s{n}"), source=DRAWN, capital=draw(st.sampled_from([D(100_000), D("2500.50")])),
            universe=tuple(dealt[n::count]),
            parameters={"seed": draw(st.integers(0, 2**32)), "density": draw(st.sampled_from([1.0, 0.5, 0.1])),
                        "short": draw(st.integers(0, 1)), "whole": draw(st.sampled_from([1, 1, 0]))},
            resize=draw(st.sampled_from(Resize)),
            sizer=draw(st.sampled_from(["fixed:100", "fixed:7.5", "percent:0.3", "all_in", "notional:20000",
                                        "atr:0.01"])),
        )
        for n in range(count)
    ]  # fmt: skip


COSTS = bootstrap.Costs()
STATIC = RiskLimit(profile="paper, static", **{f: getattr(PAPER, f) for f in kernel_setup._LIMITS - {"profile"}})
"""Paper's limits without those that the event engine alone judges."""

LIMITS = [
    RESEARCH, RESEARCH, STATIC, RiskLimit(profile="none"), structs.replace(STATIC, split_guard_ratio=None),
    RiskLimit(profile="position", max_position_equity_ratio=D("0.5"), max_order_equity_ratio=D("0.3")),
    RiskLimit(profile="volume", max_order_adv_ratio=0.001, max_order_quantity=400),
    RiskLimit(profile="rates", messages_per_s=2, messages_per_s_instrument=1, bursts_per_s_strategy=1),
    RiskLimit(profile="window", duplicate_window_s=4.0, max_order_notional=D(9_000)),
    RiskLimit(profile="list", allow_list=(make.SPY.id, LOTS.id)),
]  # fmt: skip
frictions = st.builds(
    Friction, costs=st.sampled_from(["ibkr_fixed", "ibkr_tiered", "bps:10", "bps:0.35", "none"]).map(cost_model),
    fill=st.sampled_from(FillAt), half_spread_bps=st.sampled_from([D(0), D(1), D("2.5"), D(40)]),
    participation=st.sampled_from([None, None, 0.1, 0.013]),
    impact=st.sampled_from([D(0), D(0), D(1), D("0.37"), D(90)]),
    borrow_rate=st.sampled_from([D(0), D(0), D("0.01"), D("0.3333")]),
)  # fmt: skip


def by_events(strategies: list[StrategyConfig], panel: Panel, friction: Friction, limits: RiskLimit) -> BacktestResult:
    venue = Venue({i.id: i for i in panel.instruments}, friction.costs, fill=friction.fill,
                  half_spread_bps=friction.half_spread_bps, participation=friction.participation,
                  impact=Impact(panel, friction.impact) if friction.impact else None)  # fmt: skip
    return run_backtest(strategies, panel, venue, limits=limits, fill=friction.fill, borrow_rate=friction.borrow_rate)


def assert_equal(fast: FastRun, slow: BacktestResult) -> None:
    result = fast.result()
    assert result.fills == slow.fills
    assert result.orders == slow.orders
    assert (result.orders_hash, result.fills_hash) == (slow.orders_hash, slow.fills_hash)
    assert result.commissions == slow.commissions
    assert [(d.order, d.verdict.reasons) for d in result.denied] == [(d.order, d.verdict.reasons) for d in slow.denied]
    assert result.final == slow.final
    assert (result.slippage_cost, result.borrow_cost) == (slow.slippage_cost, slow.borrow_cost)
    assert np.abs(result.equity - slow.equity).max(initial=0) < 0.01


@settings(max_examples=400)
@given(panels().flatmap(lambda p: st.tuples(st.just(p), configs(p))), st.sampled_from(LIMITS), frictions)
def test_every_order_and_fill_is_that_of_the_event_engine(
    market: tuple[Panel, list[StrategyConfig]], limits: RiskLimit, friction: Friction
) -> None:
    panel, strategies = market
    try:
        fast = run_fast(strategies, panel, friction, limits=limits)
    except Unsupported as refusal:
        event(f"refused: {refusal}")
        return
    slow = by_events(strategies, panel, friction, limits)
    event("trades" if slow.fills else "no trades")
    event("denials" if slow.denied else "no denials")
    assert_equal(fast, slow)


def one(**changes: Any) -> StrategyConfig:
    return StrategyConfig(**{"id": StrategyId("s"), "source": DRAWN, "universe": (make.SPY.id,), "capital": D(100_000),
                             **changes})  # fmt: skip


def market(rows: int = 60, **cells: float) -> Panel:
    walk = 100 + np.cumsum(np.random.default_rng(1).integers(-100, 101, size=(rows, 1)), axis=0) / 100
    return make.daily_panel((walk * cells.get("scale", 1)).tolist())


@pytest.mark.parametrize(
    ("reason", "strategies", "limits", "friction"),
    [
        ("one id", [one(), one()], RESEARCH, Friction(costs=cost_model("none"))),
        ("universe twice", [one(universe=(make.SPY.id,) * 2)], RESEARCH, Friction(costs=cost_model("none"))),
        ("may meet inside", [one(), one(id=StrategyId("b"))], RESEARCH, Friction(costs=cost_model("none"))),
        ("sizes follow the returns", [one(), one(id=StrategyId("t"), sizer="volatility:0.1")], RESEARCH,
         Friction(costs=cost_model("none"))),
        ("sizes follow the returns", [one(sizer="kelly:0.5")], RESEARCH, Friction(costs=cost_model("none"))),
        ("all names together", [one(sizer="equal:1")], RESEARCH, Friction(costs=cost_model("none"))),
        ("throttled or buffered", [one(drawdown_throttle="0.1:0")], RESEARCH, Friction(costs=cost_model("none"))),
        ("throttled or buffered", [one(turnover_buffer=0.1)], RESEARCH, Friction(costs=cost_model("none"))),
        ("capital", [one(capital=D("0.0000001"))], RESEARCH, Friction(costs=cost_model("none"))),
        ("duplicate window", [one()], RiskLimit(profile="w", duplicate_window_s=90_000.0),
         Friction(costs=cost_model("none"))),
        ("digits", [one()], RESEARCH, Friction(costs=cost_model("none"), half_spread_bps=D("0.12345678901"))),
        ("borrow rate", [one()], RESEARCH, Friction(costs=cost_model("none"), borrow_rate=D("0.01234567891"))),
        ("fills in part", [one(stop_loss="percent:0.1")], RESEARCH,
         Friction(costs=cost_model("none"), participation=1e-9)),
        ("distance percent", [one(stop_loss="percent:0.12345678901")], RESEARCH, Friction(costs=cost_model("none"))),
        ("half spread", [one()], RESEARCH,
         Friction(costs=cost_model("none"), half_spread_bps=D("0.123"), impact=D(1))),
        ("impact at this close", [one()], RESEARCH,
         Friction(costs=cost_model("none"), fill=FillAt.THIS_CLOSE, impact=D(1))),
        ("too large", [one(capital=D(10) ** 12, sizer="fixed:1000000000")], RESEARCH,
         Friction(costs=cost_model("none"))),
    ],
)  # fmt: skip
def test_what_the_kernel_does_not_know_is_refused_by_name(
    reason: str, strategies: list[StrategyConfig], limits: RiskLimit, friction: Friction
) -> None:
    with pytest.raises(Unsupported, match=reason):
        run_fast(strategies, market(scale=1_000.0), friction, limits=limits)


def test_a_view_before_the_first_bar_is_left_to_the_event_engine() -> None:
    panel = market()
    for part in (panel.open, panel.high, panel.low, panel.close, panel.volume):
        part[:5] = np.nan
    with pytest.raises(Unsupported, match="before its first bar"):
        run_fast([one(parameters={"early": 1, "density": 1.0})], panel, Friction(costs=cost_model("none")),
                 limits=RESEARCH)  # fmt: skip


def test_a_run_without_bars_is_empty() -> None:
    result = run_fast([one()], market().rows(0, 0), Friction(costs=cost_model("none")), limits=RESEARCH).result()
    assert (result.fills, len(result.equity), result.final.equity) == ((), 0, D(100_000))


@pytest.mark.parametrize("engine", ["auto", "fast"])
def test_bootstrap_takes_the_engine_that_was_asked_for(engine: str) -> None:
    found = bootstrap.backtest([one()], market(), engine=engine, costs=COSTS)
    assert found.engine == ("fast" if engine == "fast" else "event")  # few bars: not worth loading the compiler
    assert found.orders_hash == bootstrap.backtest([one()], market(), costs=COSTS).orders_hash


def test_auto_falls_back_where_fast_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robotrader.bootstrap.research._WORTH_COMPILED_CODE", 10)
    twice = [one(parameters={"seed": 1}), one(parameters={"seed": 1}, capital=D("0.0000001"), id=StrategyId("t"))]
    panel = market()
    with pytest.raises(Unsupported, match="--engine event or auto"):
        bootstrap.backtest(twice, panel, engine="fast", costs=COSTS)
    assert bootstrap.backtest(twice, panel, engine="auto", costs=COSTS).engine == "event"
    assert bootstrap.backtest(twice[:1], panel, engine="auto", costs=COSTS).engine == "fast"


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(13, 40), st.integers(1, 3))
def test_compiled_averages_give_the_strengths_of_the_strategy(seed: int, fast: int, slow: int, columns: int) -> None:
    walk = 50 + np.cumsum(np.random.default_rng(seed).integers(-2, 3, size=(200, columns)), axis=0) / 4  # many ties
    walk[seed % 200 : seed % 200 + 3] = np.nan
    panel = make.daily_panel(walk.tolist(), instruments=FOUR[:columns])
    chosen = {"fast": fast, "slow": slow}
    compiled = signals_of(one(source="sma_crossover", universe=panel.ids), panel)
    for _ in range(2):  # the second call writes into the same memory
        found = compiled(chosen)
        np.testing.assert_array_equal(found, strengths(load_strategy("sma_crossover", chosen), panel))


def test_a_sweep_is_its_single_runs() -> None:
    panel, friction = market(900), Friction(costs=cost_model("ibkr_fixed"))
    grid = [{"fast": fast, "slow": slow} for fast in (2, 5, 8) for slow in (9, 20)]
    found = sweep(one(source="sma_crossover"), grid, panel, friction, limits=RESEARCH)
    for n, chosen in enumerate(grid):
        single = run_fast([one(source="sma_crossover", parameters=chosen)], panel, friction, limits=RESEARCH)
        figures = measure(panel.ts, single.equity, 100_000.0)
        assert found.fills[n] == len(single.result().fills) > 0
        assert found.final_equity[n] == single.equity[-1]
        expected = (figures.total_return, figures.max_drawdown, figures.sharpe)
        assert (found.total_return[n], found.max_drawdown[n], found.sharpe[n]) == pytest.approx(expected)
