"""`--days N` means sessions, however many bars they hold."""

import asyncio
from decimal import Decimal
from pathlib import Path

from robotrader import bootstrap
from robotrader.config import BrokerSettings, DataSettings, Settings
from robotrader.data.seeded import SeedSpec, generate
from robotrader.model import BarsClosed, BarSpec, StrategyConfig, StrategyId, decode_event
from robotrader.simulation.gateway import GatewayConfig
from tests.integration.cli.inside import ask

MINUTES = 390 + 210 + 390
"""Wednesday, the half day after Thanksgiving, and Monday."""

SEED = ("data", "seed", "--seed", "5", "--symbols", "AAA,BBB", "--spec", "15m", "--bars", "60")


def test_the_first_sessions_of_minute_bars_are_days_and_not_bars() -> None:
    table = bootstrap.sessions("2024-11-27", "2024-12-02")
    panel = generate(SeedSpec(seed=1, symbols=("AAA",), spec=BarSpec.MINUTE, bars=MINUTES), table)
    found = [bootstrap.first_sessions(panel, days) for days in (1, 2, 3, 4, None)]
    assert [len(p) for p in found] == [390, 600, 990, 990, 990]
    assert [int(p.ts[-1]) for p in found[:3]] == list(table.closes)


def test_daily_bars_are_a_session_each() -> None:
    panel = generate(SeedSpec(seed=1, symbols=("AAA",), bars=9), bootstrap.sessions("2024-11-01", "2024-11-30"))
    assert [len(bootstrap.first_sessions(panel, days)) for days in (1, 4, 10)] == [1, 4, 9]


def test_parity_compares_whole_sessions(state: Path) -> None:
    ask(*SEED, state=state)
    found = ask("parity", "sma_crossover", "-p", "fast=2", "-p", "slow=5", "--data", "seed", "--days", "2", state=state)
    assert found["bars"] == 2 * 26 * 2
    assert (found["first_session"], found["last_session"]) == ("2015-01-02T14:45:00Z", "2015-01-05T21:00:00Z")
    assert found["compared"]["event_wire"]["decisions"] > 20


def test_the_gateway_simulator_replays_whole_sessions(state: Path) -> None:
    ask(*SEED, state=state)
    config = GatewayConfig(lock_step=True, state=state)
    assert asyncio.run(_replayed(config, state)) == bootstrap.load_data("seed", state=state).panel.ts[:52].tolist()


async def _replayed(config: GatewayConfig, state: Path) -> list[int]:
    """Trade on the simulator to the end of its data, and return the ends of the bars that came."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    options = bootstrap.GatewayOptions(data="seed", days=2)
    serving = asyncio.create_task(bootstrap.gateway(options, config, ready=port.set_result))
    try:
        broker = BrokerSettings(port=await port, account=config.account, lock_step=True)
        ids = bootstrap.load_data("seed", state=state).panel.ids
        strategy = StrategyConfig(id=StrategyId("sma"), source="sma_crossover", universe=ids, capital=Decimal(1_000))
        data = DataSettings(universe=ids, bar_spec=BarSpec.MINUTE_15)
        await bootstrap.trade(Settings(broker=broker, data=data, strategies=(strategy,)), state)
    finally:
        serving.cancel()
        await asyncio.wait({serving})
    rows = await bootstrap.journal_rows(state)
    events = [decode_event(row.payload) for row in rows if row.kind == "event"]
    return [event.ts_event for event in events if isinstance(event, BarsClosed)]
