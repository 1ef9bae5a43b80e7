"""Five strategies are submitted to the lifecycle, over the gateway simulator: who gets how far, and what stops whom."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import Struct

from robotrader import bootstrap
from robotrader.bootstrap.promotion import as_change, research_dossier
from robotrader.config import BrokerSettings, DataSettings, RiskSettings, Settings
from robotrader.engine import runner
from robotrader.model import Action, LifecycleRules, Stage, StageJudged, StrategyConfig, StrategyId
from robotrader.simulation.gateway import Gateway, GatewayConfig, GatewayRecord
from robotrader.bootstrap.research import Costs, venue_of
from tests.lifecycle.market import RESEARCH, market, rows_of, write
from tests.virtual.loop import run

SOURCES = f"{Path(__file__).with_name('strategies.py')}:"
ACCOUNT = "DU1234567"
CAPITAL = Decimal(100_000)
RULES = LifecycleRules(capital=CAPITAL, fewest_orders=100, slippage_margin_bps=2.0)
SUBMITTED = {
    "good": ("Good", "percent:0.2"), "overfit": ("Overfit", "percent:0.2"), "leaking": ("Leaking", "percent:0.2"),
    "crashing": ("Crashing", "percent:0.2"), "greedy": ("Greedy", "fixed:20000"),
}  # fmt: skip


class Proof(Struct, frozen=True, kw_only=True):
    """What came of it: every decision on a stage, and the gateway's own record."""

    judged: Sequence[StageJudged]
    record: GatewayRecord
    orders: dict[str, str]
    verified: bool


def configs(ids: Sequence[str], universe: Sequence[str]) -> tuple[StrategyConfig, ...]:
    """Return the strategies as they are configured: all in research."""
    return tuple(
        StrategyConfig(id=StrategyId(name), source=SOURCES + SUBMITTED[name][0], universe=tuple(universe),
                       capital=CAPITAL, sizer=SUBMITTED[name][1], stage=Stage.RESEARCH)
        for name in ids
    )  # fmt: skip


def prove(folder: Path, *, sessions: int, edge_until: int, ids: Sequence[str] = tuple(SUBMITTED)) -> Proof:
    """Submit the strategies, arm the envelope once, then let so many sessions pass."""
    panel = market(RESEARCH + sessions, edge_until=RESEARCH + edge_until)
    start = rows_of(panel, RESEARCH)
    bars, state = folder / "research.parquet", folder / "trader"
    write(panel.rows(0, start), bars)
    chosen = configs(ids, panel.ids)
    bootstrap.migrate(state)
    bootstrap.request(state, Action.ARM, "the proof begins", "operator")
    for config in chosen:
        dossier = research_dossier(config, str(bars), folder / "research")
        bootstrap.request(state, Action.PROMOTE, "submitted", "operator", strategy=config.id,
                          limit=(as_change(dossier), None))  # fmt: skip

    async def play() -> None:
        config = GatewayConfig(account=ACCOUNT, lock_step=True, state=folder / "gateway",
                               start=int(panel.opened[start]) - 3_600_000_000_000)  # fmt: skip
        gateway = Gateway(panel, venue_of(panel, Costs()), config)
        port = await gateway.serve()
        settings = Settings(
            broker=BrokerSettings(port=port, account=ACCOUNT, lock_step=True), strategies=chosen, lifecycle=RULES,
            data=DataSettings(universe=panel.ids, bar_spec=panel.spec), risk=RiskSettings(profile="paper"),
        )  # fmt: skip
        try:
            await bootstrap.trade(settings, state, stop=asyncio.Event())
        finally:
            await gateway.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "WATCH_S", 3_600.0)  # nobody asks for anything on the way
        run(lambda _loop: play())
    reader = bootstrap.reader(state)
    return Proof(
        judged=reader.commands(StageJudged), record=GatewayRecord.read(folder / "gateway"),
        orders={o.working.order.id: o.working.order.strategy for o in reader.orders(limit=1_000_000)},
        verified=bootstrap.verify(state).ok,
    )  # fmt: skip
