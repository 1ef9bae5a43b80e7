"""Play a plan: the whole trader against the gateway simulator in lock-step, in one process, on virtual time."""

import asyncio
import hashlib
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from heapq import heappop
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import Struct

from robotrader import bootstrap
from robotrader.adapters.calendar import session_table
from robotrader.adapters.sql.verify import VerifyReport
from robotrader.bootstrap import trading
from robotrader.config import BrokerSettings, DataSettings, Settings
from robotrader.data.panel import Panel
from robotrader.data.seeded import SeedSpec, generate
from robotrader.engine import runner
from robotrader.engine.recovery import replay
from robotrader.engine.trader import Trader
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import Action, BrokerUnavailable, RoboTraderError, StrategyConfig, StrategyId
from robotrader.ports import JournalRow
from robotrader.simulation.costs import cost_model
from robotrader.simulation.gateway import Gateway, GatewayConfig, GatewayRecord
from robotrader.simulation.gateway.faults import Fault, FaultScript
from robotrader.simulation.gateway.record import LOG_NAME, Line, read_lines
from robotrader.simulation.gateway.schedule import LockStep
from robotrader.simulation.gateway.script import Rule
from robotrader.simulation.gateway.tickets import UNSENT
from robotrader.simulation.venue import Venue
from robotrader.strategy.loading import trailing_source
from tests.chaos.crash import Mortality, Point
from tests.chaos.plan import SYMBOLS, Plan
from tests.virtual.loop import VirtualLoop, run

CRASH, STOPPED = "crash", "asked to stop"
CASH = Decimal(1_000_000)
SPAN = ("2023-06-01", "2024-02-28")
SCRATCH = next((p for p in (Path("/dev/shm"),) if p.is_dir()), None)  # noqa: S108 - memory, where there is some
_BARS = 90
_HALTED_COMMITS = 10
_ACCOUNT = "DU1234567"
_FLIP = f"{Path(__file__).parents[1] / 'scenarios' / 'flip.py'}:"
_LIVES = 40
_LIFE_S = 20_000.0
_AGAIN_S, _NO_SESSION_S = 5.0, 40.0
_AWAY_S = 45.0
_OF_THE_PROCESS = re.compile(r"\b(run|halt|resume)-\d+-\d+")


class Hit(Struct, frozen=True):
    """A fault or a crash, and the states of our open orders at that moment."""

    what: str
    states: tuple[str, ...]


class Played(Struct, frozen=True, kw_only=True):
    """What came of a plan; `lines` are the gateway's log, `open_refs` the orders still open at the broker."""

    plan: Plan
    rows: Sequence[JournalRow]
    record: GatewayRecord
    lines: Sequence[Line]
    verified: VerifyReport
    ends: Sequence[str]
    hits: Sequence[Hit]
    points: Sequence[Counter[Point]]
    trader: Trader
    open_refs: frozenset[str]
    digest: str


@cache
def panel(market: int) -> Panel:
    """Return a market's bars."""
    return generate(SeedSpec(seed=market, symbols=SYMBOLS, bars=_BARS), session_table(*SPAN))


@cache
def _empty_state() -> Path:
    """Return a folder with an empty journal of today's schema: a copy costs less than the migrations."""
    folder = Path(tempfile.mkdtemp(prefix="robotrader-chaos-", dir=SCRATCH))
    bootstrap.migrate(folder)
    return folder


def play(plan: Plan) -> Played:
    """Play a plan in a folder of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="robotrader-chaos-", dir=SCRATCH) as folder:
        return play_in(plan, Path(folder))


def play_in(plan: Plan, state: Path) -> Played:
    """Play a plan in an empty folder."""
    shutil.copytree(_empty_state(), state / "trader")
    stage = _Stage(plan, state)
    choice = Random(f"order {plan.seed}") if plan.shuffled else None
    with stage.observing():
        run(stage.play, latency_s=plan.latency_s, choice=choice)
    return stage.outcome()


class _Stage:
    def __init__(self, plan: Plan, state: Path) -> None:
        self._plan = plan
        self._state = state
        self._folder = state / "trader"
        self._panel = panel(plan.market).rows(0, plan.first + plan.sessions)
        self._hits: list[Hit] = []
        self._ends: list[str] = []
        self._points: list[Counter[Point]] = []
        self._trader: Trader | None = None
        self._last: Trader | None = None  # of the life before
        self._again = False
        self._open: frozenset[str] = frozenset()
        self._on_its_way = 0  # commits since the first with an order on its way
        self._stop = asyncio.Event()

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Note each fault with the states of the orders that are open then."""
        happens, begin = Rule.happens, WriteAhead.__init__

        def noted(rule: Rule, *about: Any) -> bool:
            found = happens(rule, *about)
            if found:
                self._hit(self._name(rule.fault))
            return found

        def begun(path: WriteAhead, **parts: Any) -> None:
            begin(path, **parts)
            self._trader = parts["trader"]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Rule, "happens", noted)
            patch.setattr(WriteAhead, "__init__", begun)
            patch.setattr(runner, "WATCH_S", 0.2 if self._plan.halts or self._plan.reconciles else _AGAIN_S)
            patch.setattr(trading, "CALENDAR", SPAN)
            yield

    def _name(self, fault: Fault) -> str:
        named = zip(self._plan.faults, self._plan.names, strict=True)
        return next((name for drawn, name in named if drawn is fault), "")

    def _hit(self, what: str) -> None:
        if not what:  # the gateway is only slow
            return
        orders = self._trader.orders.open_orders() if self._trader is not None else ()
        self._hits.append(Hit(what, tuple("UNKNOWN" if w.unresolved else str(w.state) for w in orders)))

    async def play(self, loop: VirtualLoop) -> None:
        """Serve, and live as many lives as it takes."""
        gateway = self._gateway()
        port = await gateway.serve()
        market = loop.create_task(self._market(gateway))
        try:
            for life in range(_LIVES):
                if not await self._live(loop, port, life) and not self._doubtful(gateway):
                    break
        finally:
            market.cancel()
            await asyncio.gather(market, return_exceptions=True)
            await gateway.close()

    def _doubtful(self, gateway: Gateway) -> bool:
        """Tell, once, whether an order changed at the broker while the last life ended: only another can see it."""
        self._open = frozenset(
            t.order.order_ref for t in gateway.book.blotter.tickets.values() if t.open and t.held != UNSENT
        )
        orders = self._last.orders.open_orders() if self._last is not None and not self._again else []
        self._again = self._again or any(w.order.id not in self._open for w in orders)
        return bool(orders) and self._again

    def _gateway(self) -> Gateway:
        plan = self._plan
        slow = (Fault(on="startApi", do="slow", seconds=plan.slow_s, times=100),) if plan.slow_s else ()
        config = GatewayConfig(
            account=_ACCOUNT, lock_step=True, start=int(self._panel.ts[plan.first - 1]), state=self._state / "gateway",
            faults=FaultScript(seed=plan.seed, faults=(*plan.faults, *slow)), initial_cash=CASH,
        )  # fmt: skip
        venue = Venue({i.id: i for i in self._panel.instruments}, cost_model("ibkr_fixed"),
                      participation=plan.participation)  # fmt: skip
        return Gateway(self._panel, venue, config)

    async def _market(self, gateway: Gateway) -> None:
        """Let the market go on where the trader is away for long: in lock-step only a client moves it.

        After the last session no time passes, and what waits for some would wait for ever: it happens now.
        """
        schedule = gateway.schedule
        while isinstance(schedule, LockStep):
            before = gateway.now
            await asyncio.sleep(_AWAY_S)
            if gateway.book.market.next_close is None:
                while schedule._later:
                    heappop(schedule._later)[2]()
            elif gateway.now == before:
                schedule.pull(self, lambda: None)

    async def _live(self, loop: VirtualLoop, port: int, life: int) -> bool:
        """Live one life, and tell whether another follows: after a crash or a stop, and without a session."""
        crash = self._plan.crashes[life] if life < len(self._plan.crashes) else None
        died, self._stop = asyncio.Event(), asyncio.Event()

        def reached(point: Point, dead: bool) -> None:
            if dead:
                self._hit(f"crash {point}")
                died.set()
            elif point is Point.AFTER_COMMIT:
                self._operate()

        mortal = Mortality(loop, crash, reached)
        with mortal.watching():
            task = loop.create_task(bootstrap.trade(self._settings(port), self._folder, stop=self._stop))
            waits = loop.create_task(died.wait())
            await asyncio.wait({task, waits}, timeout=_LIFE_S, return_when=asyncio.FIRST_COMPLETED)
            waits.cancel()
            in_time = task.done() or mortal.dead
            task.cancel()
            (end,) = await asyncio.gather(task, return_exceptions=True)
        self._points.append(mortal.seen)
        self._last, self._trader = self._trader, None
        self._ends.append(CRASH if mortal.dead else _said(end) if in_time else "wedged")
        await asyncio.sleep(_NO_SESSION_S if isinstance(end, BrokerUnavailable) else _AGAIN_S)
        return mortal.dead or isinstance(end, BrokerUnavailable) or end == STOPPED

    def _operate(self) -> None:
        """Do what an operator does at a commit, of those since the first with an order on its way."""
        orders = self._trader.orders.open_orders() if self._trader is not None else []
        if not self._on_its_way and not orders:
            return
        self._on_its_way += 1
        now, plan = self._on_its_way, self._plan
        if now == plan.halts:
            bootstrap.request(self._folder, Action.HALT, "chaos", "operator")
        elif plan.halts and now == plan.halts + _HALTED_COMMITS:
            bootstrap.request(self._folder, Action.RESUME, "chaos", "operator", console=True)
        if now == plan.reconciles:
            bootstrap.request(self._folder, Action.RECONCILE, "chaos", "operator")
        if now == plan.stops:
            self._stop.set()

    def _settings(self, port: int) -> Settings:
        universe = tuple(i.id for i in self._panel.instruments[: len(self._plan.symbols)])
        flip = StrategyConfig(id=StrategyId("flip"), source=_FLIP + self._plan.strategy, universe=universe,
                              isolated=False, capital=CASH, sizer=self._plan.sizer, stop_loss=self._plan.stop_loss,
                              take_profit=self._plan.take_profit, time_exit=self._plan.time_exit)  # fmt: skip
        broker = BrokerSettings(port=port, account=_ACCOUNT, client_id=7, lock_step=True)
        return Settings(broker=broker, data=DataSettings(universe=universe), strategies=(flip,))

    def outcome(self) -> Played:
        """Read what the run left on disk."""
        rows = asyncio.run(bootstrap.journal_rows(self._folder))
        texts = [_OF_THE_PROCESS.sub(r"\1", f"{row.kind} {row.payload}") for row in rows]
        log = self._state / "gateway" / LOG_NAME
        return Played(
            plan=self._plan, rows=rows, record=GatewayRecord.read(self._state / "gateway"), lines=read_lines(log)[0],
            verified=bootstrap.verify(self._folder), ends=self._ends, hits=self._hits, points=self._points,
            trader=replay(rows, trailing_source).trader, open_refs=self._open,
            digest=hashlib.sha256("\n".join([*texts, log.read_text(encoding="utf-8")]).encode()).hexdigest(),
        )  # fmt: skip


def _said(end: Any) -> str:
    if isinstance(end, RoboTraderError):
        return f"{type(end).__name__}: {end.message}"
    return repr(end) if isinstance(end, BaseException) else str(end)
