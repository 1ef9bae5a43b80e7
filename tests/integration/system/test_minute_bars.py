"""Minute bars from end to end: the wire decides as the backtest does, and a cut leaves neither hole nor double."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from robotrader import bootstrap
from robotrader.adapters.calendar import session_table
from robotrader.cli.parity import WireResult, compare
from robotrader.config import BrokerSettings, DataSettings, RiskSettings, Settings
from robotrader.data.panel import Panel
from robotrader.data.seeded import SeedSpec, generate
from robotrader.engine import runner
from robotrader.model import (
    AnyEvent,
    BarsClosed,
    BarSpec,
    CommissionReported,
    OrderFilled,
    StrategyConfig,
    StrategyId,
    Submit,
    decode_command,
    decode_event,
)
from robotrader.ports import JournalRow
from robotrader.simulation.gateway import GatewayConfig
from robotrader.simulation.gateway.faults import Fault, FaultScript
from tests.virtual.loop import VirtualLoop, run

SESSIONS = session_table("2024-01-02", "2024-01-31")
CASH = Decimal(1_000_000)
SECOND = 10**9


def seeded(bars: int, *, spec: BarSpec = BarSpec.MINUTE) -> Panel:
    return generate(SeedSpec(seed=11, symbols=("AAA", "BBB"), spec=spec, bars=bars), SESSIONS)


def settings(panel: Panel, port: int, *, lock_step: bool, spec: BarSpec = BarSpec.MINUTE) -> Settings:
    strategy = StrategyConfig(
        id=StrategyId("sma_crossover"), source="sma_crossover", universe=panel.ids, capital=CASH, sizer="fixed:100",
        parameters={"fast": 3, "slow": 9},
    )  # fmt: skip
    return Settings(
        broker=BrokerSettings(port=port, account="DU1234567", lock_step=lock_step, restart_at="02:00"),
        data=DataSettings(universe=panel.ids, bar_spec=spec), risk=RiskSettings(profile="research"),
        strategies=(strategy,),
    )  # fmt: skip


def events(rows: Sequence[JournalRow]) -> list[AnyEvent]:
    return [decode_event(r.payload) for r in rows if r.kind == "event"]


async def traded(panel: Panel, state: Path) -> list[JournalRow]:
    """Trade a panel over the wire, in lock-step, to its end."""
    config = GatewayConfig(lock_step=True, initial_cash=CASH)
    async with bootstrap.serving(panel, bootstrap.Costs(), config) as port:
        await bootstrap.trade(settings(panel, port, lock_step=True), state)
    return list(await bootstrap.journal_rows(state))


def test_over_minute_bars_the_wire_decides_as_the_backtest_does(tmp_path: Path) -> None:
    panel = seeded(450)  # over a night
    [strategy] = settings(panel, 1, lock_step=True).strategies
    backtest = bootstrap.backtest([strategy], panel, limits="research", costs=bootstrap.Costs(), keep_commands=True)
    rows = asyncio.run(traded(panel, tmp_path))
    heard = events(rows)
    commands = tuple(decode_command(r.payload) for r in rows if r.kind == "command")
    wire = WireResult(
        commands=commands, orders=tuple(c.order for c in commands if isinstance(c, Submit)),
        fills=tuple(e.fill for e in heard if isinstance(e, OrderFilled)),
        commissions=tuple(e.commission for e in heard if isinstance(e, CommissionReported)),
    )  # fmt: skip
    compared, differences = compare(backtest, wire)
    assert differences == []
    assert min(compared.values()) > 40
    bars = [e.bars for e in heard if isinstance(e, BarsClosed)]
    assert bars == [bars for _, _, bars in panel.cross_sections()]


FAULTS = {
    "nothing": (),
    "restart": (Fault(do="restart", at=610, seconds=90),),
    "reset": (Fault(do="reset", at=610),),
    "link lost": (Fault(do="link-lost", at=610, seconds=100, restored=1101),),
    "pieces lost": (Fault(do="drop", on="realtimeBar", nth=200, times=30),),
    "pieces twice": (Fault(do="duplicate", on="realtimeBar"),),
    "pieces late": (Fault(do="delay", on="realtimeBar", seconds=3),),
}


@pytest.mark.parametrize("trouble", FAULTS)
def test_whatever_happens_to_the_stream_every_minute_is_there_once(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "WATCH_S", 60.0)
    panel = seeded(500)
    start = int(panel.ts[395]) + 20 * SECOND  # in the second session

    async def live(loop: VirtualLoop) -> list[AnyEvent]:
        def now() -> int:
            return start + round(loop.time() * SECOND)

        stop, faults = asyncio.Event(), FaultScript(seed=1, faults=FAULTS[trouble])
        config = GatewayConfig(nights=True, start=start, tick_s=1.0, initial_cash=CASH, faults=faults)
        async with bootstrap.serving(panel, bootstrap.Costs(), config) as port:
            task = loop.create_task(
                bootstrap.trade(settings(panel, port, lock_step=False), tmp_path, stop=stop, now=now)
            )
            await asyncio.sleep(1_610)
            stop.set()
            await task
        return events(await bootstrap.journal_rows(tmp_path))

    heard = [e for e in run(live, latency_s=0.002) if isinstance(e, BarsClosed)]
    ends = [e.ts_event for e in heard]
    assert ends == sorted(set(ends))
    sections = {ts: bars for _, ts, bars in panel.cross_sections()}
    assert [e.bars for e in heard] == [sections[end] for end in ends]
    assert ends[-27:] == panel.ts[396:423].tolist()
    assert [e.warmup for e in heard[:9]] == [True] * 9
    quoted = [e for e in heard if e.quotes]
    assert len(quoted) > 20
    for event in quoted:
        assert all(event.ts_init - quote.ts_event < 60 * SECOND for quote in event.quotes)
        assert [(q.bid + q.ask) / 2 for q in event.quotes] == pytest.approx([b.close for b in event.bars], rel=0.01)
