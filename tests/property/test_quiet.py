"""Handing over only the bars that matter gives the very same backtest as handing over every bar.

The suite draws a sample; `QUIET_CASES=1000 pytest tests/property/test_quiet.py` is the whole proof.
"""

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from robotrader.data.panel import Panel
from robotrader.model import BarSpec, CorporateAction, Resize, RiskLimit, StrategyConfig, StrategyId, stock
from robotrader.portfolio.sizing import parse_sizer
from robotrader.research.backtest import BacktestResult, run_backtest
from robotrader.risk.limits import PAPER, RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.venue import FillAt, Venue
from tests import builders as make

D = Decimal
CASES = int(os.environ.get("QUIET_CASES", "200"))
THREE = (make.SPY, make.QQQ, stock("XOM"))
DRAWN = f"{Path(__file__).parents[1] / 'differential' / 'drawn_strategy.py'}:Drawn"
SIZERS = (
    "fixed:100", "percent:0.3", "all_in", "notional:20000", "atr:0.01", "volatility:0.2", "kelly:0.5", "equal:1",
    "inverse_volatility:1", "risk_parity:0.5", "min_variance:1",
)  # fmt: skip
LIMITS = (
    RESEARCH, RESEARCH, PAPER, RiskLimit(profile="position", max_position_equity_ratio=D("0.5")),
    RiskLimit(profile="rates", messages_per_s=1, bursts_per_s_strategy=1),
    RiskLimit(profile="window", duplicate_window_s=200_000.0),  # refuses exits, which are then tried again
    RiskLimit(profile="collar", price_collar_ratio=D("0.5"), reference_max_age_bars=1.5),  # refuses old prices
)  # fmt: skip


@st.composite
def markets(draw: st.DrawFn) -> Panel:
    """Draw walks in cents with bars without volume, single bars that are missing, and long silences."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.sampled_from([150, 100, 60, 40, 20, 2])), draw(st.integers(1, 3)))
    close = np.maximum(3_000 + np.cumsum(random.integers(-150, 151, size=shape), axis=0), 100) / 100
    opened = np.maximum(np.rint(close * 100) + random.integers(-80, 81, size=shape), 50) / 100
    volume = random.integers(1, draw(st.sampled_from([2_000, 10**6])), size=shape).astype(np.float64)
    volume[random.random(shape) < draw(st.sampled_from([0.0, 0.2]))] = 0.0
    gone = random.random(shape) < draw(st.sampled_from([0.0, 0.1]))
    for column in range(shape[1] if draw(st.booleans()) else 0):
        silent = random.integers(0, shape[0])
        gone[silent : silent + random.integers(1, 40), column] = True
    for part in (close, opened, volume):
        part[gone] = np.nan
    ts = make.T0 + make.DAY * np.cumsum(random.integers(1, draw(st.sampled_from([2, 20])), size=shape[0]))
    return Panel(
        instruments=THREE[: shape[1]], spec=BarSpec.DAY, opened=ts - make.SESSION, ts=ts, open=opened,
        high=np.maximum(opened, close) + 0.5, low=np.minimum(opened, close) - 0.4, close=close, volume=volume,
    )  # fmt: skip


@st.composite
def configs(draw: st.DrawFn, panel: Panel) -> list[StrategyConfig]:
    """Draw one or two strategies on some of the instruments: of the library, or with views that seldom change."""
    made = []
    for n in range(draw(st.integers(1, 2))):
        seed, density = draw(st.integers(0, 2**32)), draw(st.sampled_from([0.1, 0.03, 0.3]))
        drawn = {"seed": seed, "density": density}
        known: list[tuple[str, dict[str, int | float]]] = [
            (DRAWN, {**drawn, "whole": 0}), (DRAWN, {**drawn}),
            ("sma_crossover", {"fast": 5, "slow": 20}), ("sma_crossover", {"fast": 1, "slow": 2}),
            ("momentum", {"lookback": 5, "top": 2}),
        ]  # fmt: skip
        source, parameters = draw(st.sampled_from(known))
        sizer = draw(st.sampled_from(SIZERS))
        clustered = parse_sizer(sizer).constructs and draw(st.booleans())
        made.append(StrategyConfig(
            id=StrategyId(f"s{n}"), source=source, universe=panel.ids[: draw(st.integers(1, len(panel.ids)))],
            capital=D(100_000), parameters=parameters, sizer=sizer,
            resize=draw(st.sampled_from([Resize.ON_CHANGE, None, *Resize])),
            stop_loss=draw(st.sampled_from([None, None, None, "percent:0.05", "atr:2", "trailing_percent:0.03",
                                            "trailing_atr:1"])),
            time_exit=draw(st.sampled_from([None, None, None, "3d", "60m"])),
            take_profit=draw(st.sampled_from([None, None, None, "percent:0.1", "atr:1"])),
            turnover_buffer=draw(st.sampled_from([0.0, 0.0, 0.2])), cluster_correlation=0.1 if clustered else None,
            drawdown_throttle=draw(st.sampled_from([None, None, None, "0.01:0.5,0.05:0"])),
        ))  # fmt: skip
    return made


def seen(result: BacktestResult) -> Iterator[tuple[str, object]]:
    """Yield all of a result but the time that it took."""
    for name in result.__struct_fields__:
        value = getattr(result, name)
        if name != "seconds":
            yield name, value.tolist() if name == "equity" else value


@settings(max_examples=CASES)
@given(
    markets().flatmap(lambda p: st.tuples(st.just(p), configs(p))), st.sampled_from(LIMITS),
    st.sampled_from([FillAt.NEXT_OPEN] * 4 + [FillAt.THIS_CLOSE, FillAt.NEXT_CLOSE]),
    st.sampled_from(["ibkr_fixed", "none"]), st.sampled_from([None, 0.1]),
    st.sampled_from([D(0), D("0.05")]),
    st.lists(st.builds(make.split, st.integers(1, 3), st.integers(1, 3), day=st.integers(0, 150)), max_size=2),
)  # fmt: skip
def test_skipping_quiet_bars_changes_no_decision_order_fill_or_equity(
    market: tuple[Panel, list[StrategyConfig]], limits: RiskLimit, fill: FillAt, costs: str,
    participation: float | None, borrow_rate: Decimal, splits: list[CorporateAction],
) -> None:  # fmt: skip
    panel, strategies = market
    handed: dict[bool, int] = {}

    def run(*, quiet: bool) -> dict[str, object]:
        instruments = {i.id: i for i in panel.instruments}
        venue = Venue(instruments, cost_model(costs), fill=fill, participation=participation)
        rows: list[int] = []
        result = run_backtest(
            strategies, panel, venue, limits=limits, fill=fill, actions=splits, borrow_rate=borrow_rate,
            skip_quiet=quiet, keep_commands=True, progress=rows.append,
        )  # fmt: skip
        handed[quiet] = len(rows)
        event("trades" if result.fills else "no trades")
        event("denials" if result.denied else "no denials")
        return dict(seen(result))

    found, expected = run(quiet=True), run(quiet=False)
    for name, value in expected.items():
        assert found[name] == value, name
    event("half of the rows skipped" if 1 < handed[True] < len(panel) / 2 else "more than half handed over")
