"""The composition root: the only file that names concrete adapters."""

import asyncio
import datetime as dt
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from robotrader import __version__
from robotrader.adapters import halt_file, process_files
from robotrader.adapters.process_files import single_writer, write_port
from robotrader.config import BrokerSettings, Settings, validate
from robotrader.model import (
    Action,
    ConfigError,
    InstrumentId,
    RunStarted,
    SessionTable,
    StrategyConfig,
)
from robotrader.risk.limits import profile

if TYPE_CHECKING:
    from robotrader.adapters.parquet.datasets import DatasetInfo, Loaded, SeedReport
    from robotrader.adapters.sql.engine import Database
    from robotrader.adapters.sql.verify import Stats, VerifyReport
    from robotrader.data.panel import Panel
    from robotrader.data.seeded import SeedSpec
    from robotrader.ports import JournalReader, JournalRow
    from robotrader.research.backtest import BacktestResult
    from robotrader.simulation.gateway.server import GatewayConfig
    from robotrader.web.requests import RequestAck

JOURNAL = "journal.sqlite"
LOGINS = "run/logins.jsonl"
CALENDAR = ("1990-01-01", "2035-12-31")
"""Sessions that a trader knows: far enough both ways for any sample and any GTC order."""

TICK_S = 1.0

REQUEST_TIMEOUT_S = 1.0
"""How long an operator's request waits for a locked journal; a halt stands by its flag meanwhile."""

CLOSE_GRACE_S = 30.0
"""Time that a live daily bar is given to become final; the simulator's is final at once."""


def load_data(
    name: str, *, symbol: str | None = None, start: str | None = None, end: str | None = None, state: Path
) -> "Loaded":
    """Load a dataset (see `adapters.parquet.datasets.load`)."""
    from robotrader.adapters.parquet.datasets import load

    return load(name, symbol=symbol, start=start, end=end, state=state)


def datasets(state: Path) -> "Sequence[DatasetInfo]":
    """Return the datasets that have a name."""
    from robotrader.adapters.parquet.datasets import list_datasets

    return list_datasets(state)


def seed(parameters: "SeedSpec", state: Path) -> "SeedReport":
    """Generate and keep the seeded dataset."""
    from robotrader.adapters.parquet.datasets import write_seed

    return write_seed(parameters, state=state)


def sessions(start: str, end: str) -> SessionTable:
    """Return the exchange's sessions between two ISO dates."""
    from robotrader.adapters.calendar import session_table

    return session_table(start, end)


class Costs(Struct, frozen=True, kw_only=True):
    """What the simulated venue charges and fills.

    `commission` as in `simulation.costs.cost_model`, half a spread in bps; `participation` is the share of a bar's
    volume that fills at most, None all of it.
    """

    commission: str = "ibkr_fixed"
    half_spread_bps: Decimal = Decimal(1)
    fill: str = "next_open"
    participation: float | None = None


def backtest(
    strategies: Sequence[StrategyConfig],
    panel: "Panel",
    *,
    limits: str = "research",
    costs: Costs | None = None,
    keep_commands: bool = False,
    progress: Callable[[int], None] | None = None,
) -> "BacktestResult":
    """Run a backtest: the trader with the simulated venue."""
    from robotrader.research.backtest import run_backtest
    from robotrader.simulation.venue import FillAt

    costs = costs or Costs()
    return run_backtest(
        strategies, panel, _venue(panel, costs), limits=profile(limits), fill=FillAt(costs.fill),
        keep_commands=keep_commands, progress=progress,
    )  # fmt: skip


def _venue(panel: "Panel", costs: Costs) -> Any:
    from robotrader.simulation.costs import cost_model
    from robotrader.simulation.venue import FillAt, Venue

    model = cost_model(costs.commission)
    instruments = {i.id: i for i in panel.instruments}
    return Venue(
        instruments, model, fill=FillAt(costs.fill), half_spread_bps=costs.half_spread_bps,
        participation=costs.participation,
    )  # fmt: skip


def database(state: Path, *, busy_timeout_s: float = 5.0) -> "Database":
    """Return the journal's database of a state folder; nothing is opened yet."""
    from robotrader.adapters.sql.engine import Database

    return Database(state / JOURNAL, busy_timeout_s=busy_timeout_s)


def migrate(state: Path) -> None:
    """Bring the journal of a state folder to the current schema, creating it if need be."""
    from robotrader.adapters.sql.migrate import migrate as upgrade

    state.mkdir(parents=True, exist_ok=True)
    with database(state) as journal:
        upgrade(journal)


def reader(state: Path) -> "JournalReader":
    """Return a reader of the journal; one that does not exist reads as empty."""
    from robotrader.adapters.sql.reader import SqlJournalReader

    return SqlJournalReader(database(state))


def verify(state: Path) -> "VerifyReport":
    """Judge the journal of a state folder: file, chain, triggers, invariants, replay, a gateway's record beside it."""
    from robotrader.adapters.sql.verify import verify as judge
    from robotrader.engine.recovery import replay
    from robotrader.simulation.gateway.record import LOG_NAME, GatewayRecord
    from robotrader.strategy.loading import trailing_source

    # read before the journal: what the gateway received by then must be in it
    record = GatewayRecord.read(state) if (state / LOG_NAME).exists() else None
    placed = None if record is None else [
        (p.order_ref, p.order.action, int(p.order.quantity or 0))
        for p in record.placements if not p.modify and p.order_ref.startswith("RT-")
    ]  # fmt: skip
    with database(state) as journal:
        return judge(journal, replay=lambda rows: replay(rows, trailing_source), placed=placed)


def stats(state: Path) -> "Stats":
    """Return rows per table and the size of the journal."""
    from robotrader.adapters.sql.verify import stats as count

    with database(state) as journal:
        return count(journal)


async def journal_rows(state: Path) -> "Sequence[JournalRow]":
    """Return the whole chain of a state folder's journal."""
    from robotrader.adapters.sql.journal import SqlJournal

    journal = SqlJournal(database(state))
    try:
        return await journal.rows()
    finally:
        await journal.close()


def request(
    state: Path, action: Action, reason: str, actor: str, *, console: bool = False, about: InstrumentId | None = None
) -> "RequestAck":
    """Make an operator's request durable: a row for the trader, and for a halt also the flag file.

    The flag is raised first and lowered last, so that a failure in between leaves trading halted. Only the
    console lowers it: to resume, or to go from halted to reducing. `about` is the instrument of a ticket to resolve.

    Raises
    ------
    JournalBusy
        The journal did not take the row; a halt still stands as a flag.
    """
    from robotrader.adapters.sql.requests import insert_request
    from robotrader.ports import JournalBusy, RequestRow
    from robotrader.web.requests import RequestAck

    now = time.time_ns()
    row = RequestRow(
        id=f"{action}-{now}-{os.getpid()}", ts=now, action=action, reason=reason, actor=actor, instrument=about
    )
    halting = action is Action.HALT
    if halting:
        halt_file.raise_flag(state, reason)
    try:
        with database(state, busy_timeout_s=REQUEST_TIMEOUT_S) as journal:
            recorded = journal.exists() and insert_request(journal, row)
    except (JournalBusy, ConfigError):
        if not halting:
            raise
        recorded = False  # the flag stands, whatever is wrong with the journal
    if console and action in {Action.REDUCE, Action.RESUME}:
        halt_file.lower_flag(state)
    return RequestAck(request_id=row.id, action=action, recorded=recorded, flagged=halting)


class GatewayOptions(Struct, frozen=True, kw_only=True):
    """What `gateway-sim` is started with; `days` takes the first sessions only."""

    data: str = "sample:all"
    days: int | None = None
    port: int = 0
    costs: Costs = Costs()


async def gateway(options: GatewayOptions, config: "GatewayConfig", *, ready: Callable[[int], None]) -> None:
    """Serve the gateway simulator until this task is cancelled; `ready` is told the port."""
    panel = load_data(options.data, state=config.state or Path()).panel
    async with serving(panel.rows(0, options.days or len(panel)), options.costs, config, port=options.port) as port:
        if config.state is not None:
            write_port(config.state, "gateway", port)
        ready(port)
        try:
            await asyncio.Event().wait()
        finally:
            if config.state is not None:
                process_files.forget_port(config.state, "gateway")


@asynccontextmanager
async def serving(panel: "Panel", costs: Costs, config: "GatewayConfig", *, port: int = 0) -> AsyncIterator[int]:
    """Serve a gateway simulator over a panel for as long as the block runs; gives its port."""
    from robotrader.simulation.gateway.server import Gateway

    server = Gateway(panel, _venue(panel, costs), config)
    listening = await server.serve(port=port)
    try:
        yield listening
    finally:
        await server.close()


async def trade(
    settings: Settings, state: Path, *, stop: "asyncio.Event | None" = None, now: Callable[[], int] = time.time_ns
) -> str:
    """Run a trader to its end and return the reason; `now` is the system's time, ns UTC.

    Raises
    ------
    ConfigError
        The settings do not allow a start, or a trader already runs on this state.
    BrokerUnavailable
        The gateway cannot be reached.
    """
    reasons = validate(settings)
    if reasons:
        raise ConfigError("; ".join(reasons))
    with single_writer(state):
        migrate(state)
        return await _trade(settings, state, stop or asyncio.Event(), now)


async def _trade(settings: Settings, state: Path, stop: asyncio.Event, now: Callable[[], int]) -> str:
    from robotrader.adapters.clocks import BrokerClock, SystemClock
    from robotrader.adapters.ibkr.broker import IbkrBroker
    from robotrader.adapters.ibkr.connection import IbkrConnection
    from robotrader.adapters.ibkr.feed import IbkrFeed
    from robotrader.adapters.sql.journal import SqlJournal
    from robotrader.engine.inbox import Inbox
    from robotrader.engine.runner import Runner
    from robotrader.engine.world import World
    from robotrader.strategy.loading import load_strategy, trailing_source

    inbox, where = Inbox(), settings.broker
    warmup = max(load_strategy(s.source, s.parameters).manifest.warmup_bars for s in settings.strategies)
    connection = IbkrConnection(
        inbox, account=where.account, account_prefix=where.account_prefix, lock_step=where.lock_step
    )
    clock = BrokerClock(connection.request_time) if where.lock_step else SystemClock(now)
    table = sessions(*CALENDAR)
    link = _supervisor(connection, inbox, clock, where, state=state)
    journal = SqlJournal(database(state))
    try:
        await link.open()
        broker = IbkrBroker(connection, settings.instruments)
        broker.watch_account()
        world = World(
            journal=journal, link=link, clock=clock, inbox=inbox, source=trailing_source,
            latch=lambda: halt_file.read_flag(state), broker=broker, sessions=table,
            reconciles=not where.lock_step,
            feed=IbkrFeed(connection, inbox, settings.instruments, table,
                          grace_s=0.0 if where.lock_step else CLOSE_GRACE_S),
        )  # fmt: skip
        runner = Runner(world, _run_started(settings), warmup_bars=warmup)
        await runner.start()
        async with _background(_watch(stop, runner), link.run(), None if where.lock_step else _tick(inbox, clock)):
            reason = await runner.run()
        await runner.finish(compare=connection.connected)
        return reason
    finally:
        await link.close()
        await journal.close()


def _supervisor(connection: Any, inbox: Any, clock: Any, where: BrokerSettings, *, state: Path) -> Any:
    """Return what keeps the connection up: with a file that remembers its logins over restarts."""
    from robotrader.adapters.ibkr.budget import LoginBudget
    from robotrader.adapters.ibkr.resets import ResetSchedule
    from robotrader.adapters.ibkr.supervisor import Endpoint, Supervisor

    return Supervisor(
        connection, inbox, clock, Endpoint(host=where.host, port=where.port, client_id=where.client_id),
        schedule=ResetSchedule(restart=dt.time.fromisoformat(where.restart_at), zone=where.restart_zone),
        budget=LoginBudget(state / LOGINS, clock.now(), per_hour=where.logins_per_hour),
        rng=random.Random(where.client_id),  # noqa: S311 - jitter, not a secret
    )  # fmt: skip


def _run_started(settings: Settings) -> RunStarted:
    return RunStarted(
        ts_event=0, ts_init=0, epoch=0, run_id=f"run-{time.time_ns()}-{os.getpid()}", mode=settings.mode,
        account=settings.broker.account, strategies=settings.strategies, instruments=settings.instruments,
        limits=settings.limits, code_version=__version__,
    )  # fmt: skip


async def _watch(stop: asyncio.Event, runner: Any) -> None:
    await stop.wait()
    runner.stop("asked to stop")


async def _tick(inbox: Any, clock: Any) -> None:
    """Bring the system's time into the inbox once a second."""
    from robotrader.ports import TimeAdvanced

    while True:
        inbox.put(TimeAdvanced(ts=clock.now()))
        await asyncio.sleep(TICK_S)


@asynccontextmanager
async def _background(*coroutines: Any) -> AsyncIterator[None]:
    """Run coroutines beside the block, and end them with it; one that fails ends the block with its error."""
    block = asyncio.current_task()
    tasks = [asyncio.create_task(c) for c in coroutines if c is not None]
    for task in tasks:
        task.add_done_callback(lambda t: t.cancelled() or t.exception() is None or (block and block.cancel()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


class DashboardOptions(Struct, frozen=True, kw_only=True):
    """Where the dashboard listens, and what it says of the data."""

    host: str = "127.0.0.1"
    port: int = 8787
    simulated: bool = False
    data_note: str = ""


async def dashboard(
    options: DashboardOptions,
    state: Path,
    *,
    shutdown: Callable[[], Awaitable[object]],
    ready: Callable[[int], None],
) -> None:
    """Serve the dashboard until `shutdown` returns; `ready` is told the port."""
    from robotrader.web.app import create_app, serve
    from robotrader.web.config import WebConfig

    config = WebConfig(host=options.host, port=options.port, simulated=options.simulated, data_note=options.data_note)
    app = create_app(lambda: reader(state), lambda a, r, w: request(state, a, r, w), config, state_dir=state)

    def listening(port: int) -> None:
        write_port(state, "dashboard", port)
        ready(port)

    try:
        await serve(app, options.host, options.port, shutdown, ready=listening)
    finally:
        process_files.forget_port(state, "dashboard")


def login_link(state: Path, host: str, port: int) -> str:
    """Return a new one-time login link of the dashboard."""
    from robotrader.web.sessions import issue_login_code, login_url

    return login_url(host, port, issue_login_code(state))


def dashboard_port(state: Path) -> int | None:
    """Return where the dashboard of a state folder listens, None when it does not."""
    return process_files.read_port(state, "dashboard")


def trader_pid(state: Path) -> int | None:
    """Return the pid of the live trader of a state folder, None when there is none."""
    return process_files.trader_pid(state)
