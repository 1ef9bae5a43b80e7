"""What shorts cost over night: over the wire, each night is charged as in a backtest, and the journal verifies."""

import asyncio
from decimal import Decimal
from pathlib import Path

from robotrader import bootstrap
from robotrader.adapters.calendar import session_table
from robotrader.config import BrokerSettings, DataSettings, RiskSettings, Settings
from robotrader.data.panel import Panel
from robotrader.data.seeded import SeedSpec, generate
from robotrader.model import BorrowFeeCharged, StrategyConfig, StrategyId, decode_event
from robotrader.simulation.gateway import GatewayConfig
from tests.scenarios import flip

CASH = Decimal(1_000_000)
RATE = 0.05


def traded(panel: Panel, strategy: StrategyConfig, state: Path) -> list[BorrowFeeCharged]:
    """Trade over the wire in lock-step, to the end of the data, and return what was charged."""

    async def run() -> list[BorrowFeeCharged]:
        config = GatewayConfig(lock_step=True, step="open", initial_cash=CASH)
        async with bootstrap.serving(panel, bootstrap.Costs(), config) as port:
            broker = BrokerSettings(port=port, account=config.account, lock_step=True, borrow_rate=RATE)
            settings = Settings(broker=broker, data=DataSettings(universe=panel.ids),
                                risk=RiskSettings(profile="research"), strategies=(strategy,))  # fmt: skip
            await bootstrap.trade(settings, state)
        found = [decode_event(row.payload) for row in await bootstrap.journal_rows(state) if row.kind == "event"]
        return [event for event in found if isinstance(event, BorrowFeeCharged)]

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_a_trader_is_charged_for_each_night_what_a_backtest_is(tmp_path: Path) -> None:
    panel = generate(SeedSpec(seed=3, symbols=("AAA", "BBB"), bars=90), session_table("2024-01-02", "2024-12-31"))
    strategy = StrategyConfig(id=StrategyId("flip"), source=f"{flip.__file__}:Short", universe=panel.ids, capital=CASH,
                              sizer="fixed:100")  # fmt: skip
    costs = bootstrap.Costs(borrow_rate=Decimal(repr(RATE)))
    backtest = bootstrap.backtest([strategy], panel, limits="research", costs=costs)
    charged = traded(panel, strategy, tmp_path)
    assert len(charged) > 100
    assert len({fee.amount for fee in charged}) > 10
    assert sum(fee.amount for fee in charged) == backtest.borrow_cost
    assert bootstrap.verify(tmp_path).ok
