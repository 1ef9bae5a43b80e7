"""A strategy with stops, targets and exits by age: the backtest orders and fills what a live trader does over the wire.

A flip is left out: its new stop works in the bar of the flip, in a backtest as at a broker, while the simulator in
lock-step answers after the session.
"""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

from robotrader import bootstrap
from robotrader.cli.parity import compare, wire_run
from robotrader.model import OrderType, Purpose, Replace, StrategyConfig, StrategyId, Submit
from robotrader.research.backtest import BacktestResult


def compared(tmp_path: Path, **exits: Any) -> BacktestResult:
    """Play a strategy both ways, and return the backtest where nothing differs."""
    panel = bootstrap.first_sessions(bootstrap.load_data("sample:AAPL", state=tmp_path).panel, 220)
    config = StrategyConfig(
        id=StrategyId("protected"), source="sma_crossover", universe=panel.ids, capital=Decimal(1_000_000),
        sizer="fixed:100", parameters={"fast": 2, "slow": 5}, **exits,
    )  # fmt: skip
    backtest = bootstrap.backtest([config], panel, limits="paper", costs=bootstrap.Costs(), keep_commands=True)
    found, differences = compare(backtest, asyncio.run(wire_run([config], panel, tmp_path / "wire")))
    assert not differences, differences[:5]
    assert found["fills"] == len(backtest.fills)
    return backtest


def filled(backtest: BacktestResult) -> list[OrderType]:
    types = {order.id: order.type for order in backtest.orders}
    return [types[fill.order_id] for fill in backtest.fills]


def test_the_wire_fills_stops_and_targets_as_the_backtest_does(tmp_path: Path) -> None:
    backtest = compared(tmp_path, stop_loss="percent:0.06", take_profit="percent:0.08")
    assert min(filled(backtest).count(kind) for kind in (OrderType.STOP, OrderType.LIMIT, OrderType.MARKET)) >= 3
    assert any(o.purpose is Purpose.TARGET and o.oca_group for o in backtest.orders), "some exits joined their group"


def test_the_wire_moves_trailing_stops_and_ends_positions_by_age_as_the_backtest_does(tmp_path: Path) -> None:
    backtest = compared(tmp_path, stop_loss="trailing_percent:0.06", time_exit="7d")
    moved = [c for c in backtest.commands if isinstance(c, Replace)]
    assert len({c.order.stop_price for c in moved}) > 10
    aged = [c for c in backtest.commands if isinstance(c, Submit) and c.decision and "time_exit" in c.decision.inputs]
    assert aged, "some positions were held for a week"
    assert filled(backtest).count(OrderType.STOP) >= 3
