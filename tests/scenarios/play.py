"""Play one scenario: the real gateway simulator and the real trader, in one process, on virtual time."""

import asyncio
import contextlib
import dataclasses
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from msgspec import Struct

from robotrader import bootstrap
from robotrader.adapters import halt_file, host
from robotrader.adapters.calendar import session_table
from robotrader.adapters.sql.journal import SqlTransaction
from robotrader.adapters.sql.verify import VerifyReport
from robotrader.bootstrap import trading
from robotrader.cli import read as cli
from robotrader.cli.command import Call
from robotrader.config import BrokerSettings, DataSettings, RiskSettings, Settings
from robotrader.data.panel import PRICES, VALUES, Panel
from robotrader.data.retention import RetentionPolicy
from robotrader.data.seeded import SeedSpec, generate
from robotrader.engine import reconciliation, runner
from robotrader.engine.inbox import Inbox
from robotrader.engine.recovery import replay
from robotrader.engine.trader import Trader
from robotrader.model import (
    AnyCommand,
    AnyEvent,
    BarSpec,
    InstrumentId,
    LinkChanged,
    OrderType,
    RoboTraderError,
    Stage,
    StrategyConfig,
    StrategyId,
    decode_command,
    decode_event,
)
from robotrader.ports import Arrival, JournalRow
from robotrader.simulation.costs import cost_model
from robotrader.simulation.gateway import Gateway, GatewayConfig, GatewayRecord, bars
from robotrader.simulation.gateway.faults import FaultScript
from robotrader.simulation.gateway.history import Row, rows
from robotrader.simulation.venue import Venue
from robotrader.strategy.loading import trailing_source
from tests.chaos.crash import SimCrash
from tests.scenarios.deeds import Machine, hold_lock, mortal
from tests.scenarios.script import Crash, Kill, Lock, Move, Print, Request, Restore, Rival, Scenario, Split
from tests.virtual.loop import VirtualLoop, run

EXCHANGE = ZoneInfo("America/New_York")
SESSIONS = session_table("2023-06-01", "2024-12-31")
CASH = Decimal(1_000_000)
_ACCOUNT = "DU1234567"
_STRATEGIES = f"{Path(__file__).with_name('flip.py')}:"
_Take = Callable[[Inbox], Awaitable[list[Arrival]]]
_NS = 10**9
_AROUND = timedelta(days=4)
_DAY_NS = 86_400 * _NS


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a scenario: the journal's records, the gateway's own, what was seen on the way.

    `trail` has events and commands in their order, each with the seconds at which it was recorded.

    `killed` counts the kills that happened, `rivals` says how each rival ended; `stops` are the units that stops at the
    gateway sell, less those they buy.
    """

    trail: Sequence[tuple[float, AnyEvent | AnyCommand]]
    events: Sequence[AnyEvent]
    commands: Sequence[AnyCommand]
    record: GatewayRecord
    verified: VerifyReport
    start: int
    ended: str
    ended_at: float
    logins: Sequence[int]
    loss: Decimal
    trader: Trader
    probes: dict[float, dict[str, Any]]
    killed: int
    rivals: Sequence[str]
    stops: dict[str, int]
    flattened: Sequence[dict[str, int]]
    waiting: int

    @property
    def links(self) -> list[LinkChanged]:
        """Return the changes of the link, in order."""
        return [e for e in self.events if isinstance(e, LinkChanged)]

    @property
    def trader_positions(self) -> dict[tuple[str, str], int]:
        """Return what the trader's books hold, by strategy and instrument; flat ones left out."""
        return {(b.strategy, iid): q for b in self.trader.ledger.books for iid, q in b.held()}

    def seconds(self, ts: int) -> float:
        """Return a time as seconds since the start of the scenario."""
        return (ts - self.start) / _NS


def play(scenario: Scenario, state: Path) -> Outcome:
    """Play a scenario in an empty folder, from its start to its end."""
    waited: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "WATCH_S", 60.0)  # what operators ask for is heard at the next tick
        patch.setattr(trading, "TICK_S", scenario.tick)
        patch.setattr(reconciliation, "_GLANCE_NS", round(max(60.0, 15 * scenario.tick) * _NS))  # a night has many
        if scenario.prints:
            patch.setattr(bars, "rows", partial(_printed, scenario.prints))
        if scenario.expect.waiting is not None:
            patch.setattr(Inbox, "take", _counted(Inbox.take, waited))
        if scenario.locks:
            patch.setattr(trading, "database", lambda state, **_: bootstrap.database(state, busy_timeout_s=0.0))
        machine = Machine(scenario.host)
        patch.setattr(host, "measure", machine.measure)
        patch.setattr(SqlTransaction, "flush", machine.flushing(SqlTransaction.flush))
        return run(lambda loop: _Stage(scenario, state, loop, waited).play(), latency_s=0.002)


def _counted(take: _Take, waited: list[int]) -> _Take:
    """Note how many arrivals waited whenever they are taken."""

    async def counting(inbox: Inbox) -> list[Arrival]:
        taken = await take(inbox)
        waited.append(len(taken))
        return taken

    return counting


async def _ended(life: Coroutine[Any, Any, str]) -> str:
    """Live a life and return why it ended: also one that did not come to begin."""
    try:
        return await life
    except RoboTraderError as error:
        return error.message
    except SimCrash:
        return "killed"


def _not_split_yet(panel: Panel, split: Split) -> Panel:
    """Return the bars as they were traded: those before the ex date in old units."""
    before = int(np.searchsorted(panel.opened, _nanos(split.ex_date)))
    k = [i.symbol for i in panel.instruments].index(split.symbol)
    cells = {name: getattr(panel, name).copy() for name in VALUES}
    for name in PRICES:
        cells[name][:before, k] *= split.new / split.old
    cells["volume"][:before, k] *= split.old / split.new
    return dataclasses.replace(panel, **cells)


def _moved(panel: Panel, move: Move) -> Panel:
    """Return the bars with prices that were multiplied for a while."""
    rows = slice(*np.searchsorted(panel.opened, [_nanos(move.since), _nanos(move.until)]).tolist())
    columns = [k for k, i in enumerate(panel.instruments) if move.symbol in {"", i.symbol}]
    cells = {name: getattr(panel, name).copy() for name in PRICES}
    for cell in cells.values():
        cell[rows, columns] = np.round(cell[rows, columns] * move.factor, 2)
    return dataclasses.replace(panel, **cells)


def _market(scenario: Scenario) -> Panel:
    """Return everything that is traded: a year and a half of days, or shorter bars of the days around."""
    sessions, count = SESSIONS, 380
    if scenario.bars is not BarSpec.DAY:
        day = date.fromisoformat(scenario.start[:10])
        sessions = session_table(str(day - _AROUND), str(day + _AROUND))
        lengths = (closes - opens for opens, closes in zip(sessions.opens, sessions.closes, strict=True))
        count = sum(-(-length // scenario.bars.nanos) for length in lengths)
    panel = generate(SeedSpec(seed=scenario.seed, symbols=scenario.symbols, spec=scenario.bars, bars=count), sessions)
    for split in scenario.splits:
        panel = _not_split_yet(panel, split)
    for crash in scenario.crashes:
        panel = _crashed(panel, crash)
    for move in scenario.moves:
        panel = _moved(panel, move)
    return panel


def _crashed(panel: Panel, crash: Crash) -> Panel:
    """Return the bars with one that goes down further."""
    row = int(np.searchsorted(panel.opened, _nanos(crash.day)))
    low = panel.low.copy()
    low[row, [i.symbol for i in panel.instruments].index(crash.symbol)] *= crash.low
    return dataclasses.replace(panel, low=low)


def _printed(prints: Sequence[Print], *about: Any) -> list[Row]:
    """Return the rows of a history request as the gateway prints them."""
    found = rows(*about)
    for wrong in prints:
        if about[1].partition(".")[0] == wrong.symbol:
            said = (None, None, wrong.open, wrong.high, wrong.low, wrong.close, wrong.volume)
            day = _nanos(wrong.day)
            found = [tuple(v if s is None else s for v, s in zip(row, said, strict=True))
                     if day <= row[0] < day + _DAY_NS else row for row in found]  # fmt: skip
    return found


def _nanos(text: str) -> int:
    """Return a time at the exchange, ns UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=EXCHANGE).timestamp()) * _NS


class _Stage:
    def __init__(self, scenario: Scenario, state: Path, loop: VirtualLoop, waited: Sequence[int]) -> None:
        self._waited = waited
        self._scenario = scenario
        self._state = state
        self._loop = loop
        self._start = _nanos(scenario.start)
        self._shift = 0.0
        self._panel = _market(scenario)
        self._probes: dict[float, dict[str, Any]] = {}
        self._reason, self._ended_at = "", 0.0
        self._lives = 0
        self._flattened: list[dict[str, int]] = []
        self._over = asyncio.Event()
        self._kills = list(scenario.kills)

    async def play(self) -> Outcome:
        if known := [s for s in self._scenario.splits if s.known]:
            self._announce(known)
        gateway = self._gateway()
        port = await gateway.serve()
        timeline = [self._loop.create_task(step) for step in self._steps()]
        rivals = [self._loop.create_task(self._rival(port, rival)) for rival in self._scenario.rivals]
        try:
            await self.run_trader(port)
        finally:
            self._over.set()
            for step in timeline:
                step.cancel()
            await asyncio.gather(*timeline, return_exceptions=True)
            rivals_ends = await asyncio.gather(*rivals)
            await gateway.close()
        return await self._outcome(gateway, rivals_ends)

    def _gateway(self) -> Gateway:
        script = FaultScript(seed=self._scenario.seed, faults=self._scenario.faults)
        config = GatewayConfig(
            account=_ACCOUNT, nights=True, start=self._start, tick_s=self._scenario.tick, state=self._state / "gateway",
            faults=script, initial_cash=CASH,
        )  # fmt: skip
        instruments = {i.id: i for i in self._panel.instruments}
        venue = Venue(instruments, cost_model("ibkr_fixed"), participation=self._scenario.participation)
        return Gateway(self._panel, venue, config)

    def _now(self) -> int:
        return self._start + round((self._loop.time() + self._shift) * _NS)

    async def run_trader(self, port: int) -> None:
        """Run the trader to the end of the scenario; a kill leaves what is on disk and starts another life."""
        restores = {restore.at: restore for restore in self._scenario.restores}
        for end in sorted([*self._scenario.restarts, *restores, *self._scenario.flattens, self._scenario.lasts]):
            self._lives += 1
            kill = await self._live(port, end)
            while kill is not None:
                await asyncio.sleep(kill.away)
                kill = await self._live(port, end)
            await asyncio.sleep(max(end - self._loop.time(), 0))
            if end in restores:
                bootstrap.restore(self._trader, self._copy(restores[end]))
            if end in self._scenario.flattens:
                await self._flatten(port)

    async def _live(self, port: int, end: float) -> Kill | None:
        """Live one life, and return the kill that it ended by."""
        stop, kill = asyncio.Event(), self._kills[0] if self._kills else None
        with mortal(self._loop, kill) as died:
            task = self._loop.create_task(
                _ended(
                    bootstrap.trade(
                        self._settings(port),
                        self._trader,
                        stop=stop,
                        now=self._now,
                        accept_code=self._scenario.accept_code,
                    )
                )
            )
            waits = self._loop.create_task(died.wait())
            await asyncio.wait({task, waits}, timeout=end - self._loop.time(), return_when=asyncio.FIRST_COMPLETED)
            waits.cancel()
            if died.is_set() or end < self._scenario.lasts:
                task.cancel()  # the closest to a kill that leaves this process alive: nothing is finished in order
            stop.set()
            with contextlib.suppress(asyncio.CancelledError):
                self._reason, self._ended_at = await task, self._loop.time()
        return self._kills.pop(0) if died.is_set() else None

    async def _flatten(self, port: int) -> None:
        """End the positions as `robotrader flatten` does, once the trader is gone: halted, over its client id."""
        halt_file.raise_flag(self._trader, "flatten")
        outcome = await bootstrap.kill(self._settings(port), flatten=True)
        self._flattened.append({iid.partition(".")[0]: int(units) for iid, units in outcome.held.items()})

    async def _rival(self, port: int, rival: Rival) -> str:
        """Start another trader on the same folder; without the lock, as if it were on another machine."""
        await asyncio.sleep(rival.at)
        settings = self._settings(port, client_id=rival.client_id)
        if rival.locked:
            return await _ended(bootstrap.trade(settings, self._trader, stop=self._over, now=self._now))
        return await _ended(bootstrap.run_trader(settings, self._trader, self._over, self._now))

    @property
    def _trader(self) -> Path:
        return self._state / "trader"

    def _copy(self, restore: Restore) -> Path:
        return self._state / f"copy-{restore.copied}.sqlite"

    def _settings(self, port: int, *, client_id: int = 7) -> Settings:
        universe = tuple(i.id for i in self._panel.instruments)
        copies, scenario, later = self._scenario.copies, self._scenario, self._lives > 1
        names = ["flip"] if copies == 1 else [f"flip{n}" for n in range(copies)]
        return Settings(
            broker=BrokerSettings(
                port=port, account=_ACCOUNT, client_id=client_id, restart_at=self._scenario.restart_at
            ), data=DataSettings(universe=universe, bar_spec=scenario.bars),
            risk=msgspec.convert(scenario.risk | (scenario.risk_later if later else {}), RiskSettings, strict=False),
            strategies=tuple(
                StrategyConfig(id=StrategyId(name), source=self._source(), universe=universe,
                               isolated=False, capital=CASH / copies,
                               sizer=scenario.sizer or f"fixed:{100 + n if copies == 1 else 1 + n}",
                               stop_loss=scenario.stop_loss, take_profit=scenario.take_profit,
                               stage=Stage.RETIRED if n in scenario.retired else Stage.PAPER)
                for n, name in enumerate(names)
            ),
        )  # fmt: skip

    def _source(self) -> str:
        """Return the strategy's source; where it will be edited, a file of its own says which class it is by now."""
        scenario, file = self._scenario, self._state / "edited.py"
        if not scenario.strategy_later:
            return _STRATEGIES + scenario.strategy
        name = scenario.strategy if self._lives < 2 else scenario.strategy_later
        file.write_text(
            f"from tests.scenarios import flip\n\n\nclass Edited(flip.{name}):\n    pass\n", encoding="utf-8"
        )
        return f"{file}:Edited"

    def _steps(self) -> Sequence[Any]:
        scenario = self._scenario
        return [
            *map(self._jump, scenario.clock), *map(self._probe, scenario.probes),
            *map(self._request, scenario.requests), *map(self._back_up, scenario.restores),
            *map(self._lock, scenario.locks),
        ]  # fmt: skip

    def _announce(self, splits: Sequence[Split]) -> None:
        file = self._state / "actions.csv"
        rows = [f"{s.symbol},{s.last_cum_day},split,{s.new / s.old}" for s in splits]
        file.write_text("\n".join(["symbol,last_cum_day,kind,ratio_or_cash", *rows]), encoding="utf-8")
        bootstrap.import_actions(file, self._trader)

    async def _request(self, request: Request) -> None:
        await asyncio.sleep(request.at)
        about = InstrumentId(request.about) if request.about else None
        bootstrap.request(self._trader, request.action, request.reason, "operator", console=True, about=about,
                          limit=(request.change, request.approver))  # fmt: skip

    async def _back_up(self, restore: Restore) -> None:
        await asyncio.sleep(restore.copied)
        bootstrap.back_up(self._trader, str(self._copy(restore)), RetentionPolicy())

    async def _lock(self, lock: Lock) -> None:
        await asyncio.sleep(lock.at)
        await hold_lock(self._trader, lock.seconds)

    async def _jump(self, step: Any) -> None:
        await asyncio.sleep(step.at)
        self._shift += step.by

    async def _probe(self, probe: Any) -> None:
        await asyncio.sleep(probe.at)
        self._probes[probe.at] = dict(cli.status(Call(state=self._trader)).payload)

    def _trail(self, rows: Sequence[JournalRow]) -> Iterator[tuple[float, AnyEvent | AnyCommand]]:
        at = self._start
        for row in rows:
            if row.kind == "event":
                event = decode_event(row.payload)
                at = event.ts_init
                yield (at - self._start) / _NS, event
            elif row.kind == "command":
                yield (at - self._start) / _NS, decode_command(row.payload)

    async def _outcome(self, gateway: Gateway, rivals: Sequence[str]) -> Outcome:
        rows = await bootstrap.journal_rows(self._trader)
        record = GatewayRecord.read(self._state / "gateway")
        prices, stops = gateway.book.market.last, Counter[str]()
        for order in gateway.book.venue.open_orders.values():
            if order.type is OrderType.STOP:
                stops[order.instrument.partition(".")[0]] -= order.side.sign * order.quantity
        worth = record.cash + sum((q * Decimal(repr(prices[i])) for i, q in record.positions.items()), Decimal(0))
        return Outcome(
            trail=list(self._trail(rows)), record=record, start=self._start,
            events=[decode_event(r.payload) for r in rows if r.kind == "event"],
            commands=[decode_command(r.payload) for r in rows if r.kind == "command"], rivals=rivals,
            killed=len(self._scenario.kills) - len(self._kills), stops=dict(stops),
            verified=bootstrap.verify(self._trader), ended=self._reason, ended_at=self._ended_at,
            loss=CASH - worth, probes=self._probes,
            flattened=self._flattened, waiting=max(self._waited, default=0),
            logins=[json.loads(line)["ts"] for line in (self._trader / bootstrap.LOGINS).read_text().split()],
            trader=replay(rows, trailing_source).trader,
        )  # fmt: skip
