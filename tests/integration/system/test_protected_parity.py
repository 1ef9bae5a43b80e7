"""A strategy with stops and targets: the backtest decides, orders and fills what a live trader does over the wire.

A flip is left out: its new stop works in the bar of the flip, in a backtest as at a broker, while the simulator in
lock-step answers after the session.
"""

import asyncio
from decimal import Decimal
from pathlib import Path

from robotrader import bootstrap
from robotrader.cli.parity import compare, wire_run
from robotrader.model import OrderType, Purpose, StrategyConfig, StrategyId


def test_the_wire_fills_stops_and_targets_as_the_backtest_does(tmp_path: Path) -> None:
    panel = bootstrap.first_sessions(bootstrap.load_data("sample:AAPL", state=tmp_path).panel, 220)
    config = StrategyConfig(
        id=StrategyId("protected"), source="sma_crossover", universe=panel.ids, capital=Decimal(1_000_000),
        sizer="fixed:100", parameters={"fast": 2, "slow": 5}, stop_loss="percent:0.06", take_profit="percent:0.08",
    )  # fmt: skip
    backtest = bootstrap.backtest([config], panel, limits="paper", costs=bootstrap.Costs(), keep_commands=True)
    compared, differences = compare(backtest, asyncio.run(wire_run(config, panel)))
    assert not differences, differences[:5]
    types = {order.id: order.type for order in backtest.orders}
    filled = [types[fill.order_id] for fill in backtest.fills]
    assert min(filled.count(kind) for kind in (OrderType.STOP, OrderType.LIMIT, OrderType.MARKET)) >= 3
    assert any(o.purpose is Purpose.TARGET and o.oca_group for o in backtest.orders), "some exits joined their group"
    assert compared["fills"] == len(backtest.fills)
