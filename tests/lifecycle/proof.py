"""Five strategies are submitted to the lifecycle, over the gateway simulator: who gets how far, and what stops whom."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from msgspec import Struct, structs

from robotrader import bootstrap
from robotrader.bootstrap.explore import Explorer, Study, sweep
from robotrader.bootstrap.promotion import as_change, research_dossier
from robotrader.bootstrap.research import PESSIMISTIC, Costs, venue_of
from robotrader.bootstrap.tasks import Source
from robotrader.config import BrokerSettings, DataSettings, RiskSettings, Settings
from robotrader.engine import runner
from robotrader.model import Action, InstrumentId, LifecycleRules, Stage, StageJudged, StrategyConfig, StrategyId
from robotrader.research.executors import Workers
from robotrader.research.trials import Purpose
from robotrader.simulation.gateway import Gateway, GatewayConfig, GatewayRecord
from tests.lifecycle.market import RESEARCH, market, rows_of, write
from tests.virtual.loop import run

SOURCES = f"{Path(__file__).with_name('strategies.py')}:"
ACCOUNT = "DU1234567"
CAPITAL = Decimal(1_000_000)
RULES = LifecycleRules(capital=CAPITAL, fewest_orders=100)
SUBMITTED = {
    "good": ("Good", "percent:0.02"), "overfit": ("Overfit", "percent:0.05"), "leaking": ("Leaking", "percent:0.05"),
    "crashing": ("Crashing", "percent:0.02"), "greedy": ("Greedy", "fixed:6000"),
}  # fmt: skip


_ACCIDENTS = 100


class Proof(Struct, frozen=True, kw_only=True):
    """What came of it: every decision on a stage, and the gateway's own record; `opens` are those of the sessions."""

    opens: Sequence[int]
    judged: Sequence[StageJudged]
    record: GatewayRecord
    orders: dict[str, str]
    verified: bool

    def of(self, strategy: str) -> list[StageJudged]:
        """Return the decisions on one strategy."""
        return [judged for judged in self.judged if judged.strategy == strategy]

    def session(self, judged: StageJudged) -> int:
        """Return after how many sessions a decision came."""
        return max(bisect_right(self.opens, judged.ts_event) - 1, 0)


def configs(universe: Sequence[InstrumentId]) -> tuple[StrategyConfig, ...]:
    """Return the strategies as they are configured: all in research."""
    return tuple(
        StrategyConfig(id=StrategyId(name), source=SOURCES + SUBMITTED[name][0], universe=tuple(universe),
                       capital=CAPITAL, sizer=SUBMITTED[name][1], stage=Stage.RESEARCH)
        for name in SUBMITTED
    )  # fmt: skip


def _tuned(config: StrategyConfig, bars: Path, state: Path) -> StrategyConfig:
    """Return the accident that looks best of many, for the strategy that is one; the others as they are."""
    if config.id != "overfit":
        return config
    study = Study(source=Source(name=str(bars), state=str(state)), config=config, costs=PESSIMISTIC)
    with bootstrap.trial_ledger(state) as ledger, Workers("inline", count=1) as pool:
        swept = sweep(Explorer(study, ledger, pool, purpose=Purpose.SWEEP), {"seed": range(1, _ACCIDENTS + 1)})
    assert swept.best is not None
    return structs.replace(config, parameters=swept.best.parameters)


def prove(folder: Path, *, sessions: int, edge_until: int, rules: LifecycleRules = RULES) -> Proof:
    """Submit the strategies, arm the envelope once, then let so many sessions pass."""
    panel = market(RESEARCH + sessions, edge_until=RESEARCH + edge_until)
    start = rows_of(panel, RESEARCH)
    bars, state = folder / "research.parquet", folder / "trader"
    write(panel.rows(0, start), bars)
    chosen = tuple(_tuned(c, bars, folder / "research") for c in configs(panel.ids))
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
            broker=BrokerSettings(port=port, account=ACCOUNT, lock_step=True), strategies=chosen, lifecycle=rules,
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
    day = panel.opened // 86_400_000_000_000
    opens = panel.opened[start:][np.concatenate(([True], np.diff(day[start:]) > 0))]
    return Proof(
        opens=opens.tolist(),
        judged=reader.commands(StageJudged), record=GatewayRecord.read(folder / "gateway"),
        orders={o.working.order.id: o.working.order.strategy for o in reader.orders(limit=1_000_000)},
        verified=bootstrap.verify(state).ok,
    )  # fmt: skip
