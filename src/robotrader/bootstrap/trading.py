"""The trader process."""

import asyncio
import datetime as dt
import logging
import math
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from robotrader import __version__
from robotrader.adapters import halt_file, host, process_files
from robotrader.adapters.process_files import single_writer
from robotrader.bootstrap.data import CALENDAR, sessions, watched_actions
from robotrader.bootstrap.storage import database, migrate, reader
from robotrader.config import Settings, validate
from robotrader.model import NANOS_PER_SECOND, BarSpec, ConfigError, JournalFailure, Manifest, RunStarted, StrategyId
from robotrader.ports import HostFacts

log = logging.getLogger(__name__)

LOGINS = "run/logins.jsonl"


STOPPED = "asked to stop"
TICK_S = 1.0
LEASE_S = 15


CLOSE_GRACE_S = 30.0
"""Time that a live daily bar is given to become final; the simulator's is final at once."""


PIECES_GRACE_S = 5.0
"""Time that the last pieces of a shorter live bar are given to arrive."""


async def trade(
    settings: Settings, state: Path, *, stop: "asyncio.Event | None" = None, now: Callable[[], int] = time.time_ns,
    accept_code: bool = False,
) -> str:  # fmt: skip
    """Run a trader to its end and return the reason; `now` is the system's time, ns UTC.

    `accept_code`: a strategy's file may be another than that of the last run.

    Raises
    ------
    ConfigError
        The settings do not allow a start, a strategy's file was edited, or a trader already runs on this state.
    BrokerUnavailable
        The gateway cannot be reached.
    JournalFailure
        The journal takes nothing any more; trading is halted by the flag file.
    """
    reasons = validate(settings)
    if reasons:
        raise ConfigError("; ".join(reasons))
    with single_writer(state):
        migrate(state, settings.journal.url)
        if not accept_code:
            _attest(settings, state)
        host.keep_room(state)
        try:
            reason = await run_trader(settings, state, stop or asyncio.Event(), now)
        except JournalFailure as error:  # what is in memory is ahead of the record: only a new process knows what holds
            host.make_room(state)
            _raise_latch(state, error.message)
            raise
        process_files.end_lease(state)
        return reason


def _attest(settings: Settings, state: Path) -> None:
    """Refuse a strategy whose file is not the one that the last run had under the same id."""
    last = reader(state).run()
    before, now = last.started.sources if last is not None else {}, _sources(settings)
    if edited := [name for name in now if before.get(name, now[name]) != now[name]]:
        raise ConfigError(f"the code of {', '.join(edited)} was edited since the last run: expected the same file for "
                          "the same id; restore it, or start with --accept-code once it was reviewed")  # fmt: skip


def _sources(settings: Settings) -> dict[StrategyId, str]:
    from robotrader.strategy.loading import fingerprint

    return {s.id: found for s in settings.strategies if (found := fingerprint(s.source))}


async def run_trader(settings: Settings, state: Path, stop: asyncio.Event, now: Callable[[], int]) -> str:
    """Run a trader on a state folder that is ours already: its lock is held, its schema current."""
    from robotrader.adapters.strategy_host.hosts import StrategyHosts

    with closing(StrategyHosts(settings.strategies, settings.instruments)) as hosts:
        run = _run_started(settings, hosts.start())
        return await _run(settings, state, stop, now, run=run, ask=hosts.ask)


async def _run(
    settings: Settings, state: Path, stop: asyncio.Event, now: Callable[[], int], *, run: RunStarted, ask: Any
) -> str:
    from robotrader.adapters.clocks import BrokerClock, SystemClock
    from robotrader.adapters.ibkr.broker import IbkrBroker
    from robotrader.adapters.ibkr.connection import IbkrConnection
    from robotrader.adapters.sql.journal import SqlJournal
    from robotrader.engine.inbox import Inbox
    from robotrader.engine.runner import Runner
    from robotrader.engine.world import World
    from robotrader.strategy.loading import trailing_source

    inbox, where = Inbox(), settings.broker
    connection = IbkrConnection(inbox, account=where.account, account_prefix=where.account_prefix,
                                lock_step=where.lock_step)  # fmt: skip
    clock = BrokerClock(connection.request_time) if where.lock_step else SystemClock(now)
    table = sessions(*CALENDAR, special=settings.data.special_days)
    link = _supervisor(connection, inbox, clock, settings, state=state)
    journal = SqlJournal(database(state, busy_timeout_s=settings.host.halted_commit_s), exclusive=True)
    try:
        if not await _unless(stop, link.open()):
            return STOPPED
        broker = IbkrBroker(connection, settings.instruments, preview_timeout_s=where.preview_timeout_s)
        broker.watch_account()
        actions = watched_actions(state)
        world = World(
            journal=journal, link=link, clock=clock, inbox=inbox, source=trailing_source,
            latch=lambda: halt_file.read_flag(state), raise_latch=lambda why: _raise_latch(state, why),
            broker=broker, sessions=table, reconciles=not where.lock_step, actions=actions,
            borrow_rate=Decimal(repr(where.borrow_rate)), host=settings.host,
            ask=ask, measure=HostFacts if where.lock_step else lambda: host.measure(state, journal.slowest_s),
            feed=_feed(connection, inbox, clock, settings, sessions=table, actions=actions),
        )  # fmt: skip
        runner = Runner(world, run, warmup_bars=_warmup_bars(settings, run.manifests))
        await runner.start()
        ticks = None if where.lock_step else _tick(inbox, clock)
        async with _background(_watch(stop, runner), link.run(), _hold_lease(state, runner), ticks):
            reason = await runner.run()
        await runner.finish(compare=connection.connected)
        return reason
    finally:
        await link.close()
        await journal.close()


def _warmup_bars(settings: Settings, hosted: Mapping[StrategyId, Manifest]) -> int:
    """Return how many bars the strategies, the sizes of their positions and limits by daily volume look back at."""
    from robotrader.engine.market import ADV_SESSIONS, SESSION_NS
    from robotrader.portfolio.sizing import looks_back
    from robotrader.strategy.loading import load_strategy

    manifests = [hosted.get(s.id) or load_strategy(s.source, s.parameters).manifest for s in settings.strategies]
    limits, spec, volumes = settings.limits, settings.data.bar_spec, 0
    if limits.max_order_adv_ratio is not None or limits.max_position_adv_ratio is not None:
        volumes = (ADV_SESSIONS + 1) * math.ceil(SESSION_NS / spec.nanos)  # one more: today's is not whole yet
    return max(*(m.warmup_bars for m in manifests), looks_back(settings.strategies), volumes)


def _raise_latch(state: Path, reason: str) -> None:
    try:
        halt_file.raise_flag(state, reason)
    except OSError:
        log.exception("the flag file cannot be written: the journal alone holds the halt")


def _feed(connection: Any, inbox: Any, clock: Any, settings: Settings, **known: Any) -> Any:
    """Return live bars, with quotes where time is the world's own: in lock-step they are judged as a backtest does."""
    from robotrader.adapters.ibkr.feed import IbkrFeed
    from robotrader.adapters.ibkr.quotes import LiveQuotes

    of, spec, lock_step = settings.instruments, settings.data.bar_spec, settings.broker.lock_step
    quotes = LiveQuotes(connection, of, clock.now)
    grace_s = CLOSE_GRACE_S if spec is BarSpec.DAY else PIECES_GRACE_S
    return IbkrFeed(
        connection, inbox, of, spec=spec, quotes=None if lock_step else quotes, conditions=quotes.conditions,
        grace_s=0.0 if lock_step else grace_s, **known,
    )  # fmt: skip


def _supervisor(connection: Any, inbox: Any, clock: Any, settings: Settings, *, state: Path) -> Any:
    """Return what keeps the connection up: with a file that remembers its logins over restarts."""
    from robotrader.adapters.ibkr.budget import LoginBudget
    from robotrader.adapters.ibkr.resets import ResetSchedule
    from robotrader.adapters.ibkr.supervisor import Endpoint, Supervisor

    where = settings.broker
    return Supervisor(
        connection, inbox, clock, Endpoint(host=where.host, port=where.port, client_id=where.client_id),
        schedule=ResetSchedule(restart=dt.time.fromisoformat(where.restart_at), zone=where.restart_zone),
        budget=LoginBudget(state / LOGINS, clock.now(), per_hour=where.logins_per_hour), limits=settings.host,
        rng=random.Random(where.client_id),  # noqa: S311 - jitter, not a secret
    )  # fmt: skip


def _run_started(settings: Settings, hosted: dict[StrategyId, Manifest]) -> RunStarted:
    return RunStarted(
        ts_event=0, ts_init=0, epoch=0, run_id=f"run-{time.time_ns()}-{os.getpid()}", mode=settings.mode,
        account=settings.broker.account, strategies=settings.strategies, instruments=settings.instruments,
        limits=settings.limits, code_version=__version__, borrow_rate=settings.broker.borrow_rate or None,
        sources=_sources(settings), lifecycle=settings.lifecycle, manifests=hosted,
    )  # fmt: skip


async def _watch(stop: asyncio.Event, runner: Any) -> None:
    await stop.wait()
    runner.stop(STOPPED)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do some work unless somebody asks to stop before it is done, and tell whether it is."""
    working, asked = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
        done = working.done()
    finally:
        working.cancel()
        asked.cancel()
        result, _ = await asyncio.gather(working, asked, return_exceptions=True)
    if done and isinstance(result, BaseException):
        raise result
    return done


async def _hold_lease(state: Path, runner: Any) -> None:
    """Renew the dead man's lease for as long as the trader's loop turns: one that hangs, or is frozen, does not."""
    turns = -1
    while True:
        if runner.turns != turns:
            turns = runner.turns
            process_files.renew_lease(state, time.time_ns() + LEASE_S * NANOS_PER_SECOND)
        await asyncio.sleep(TICK_S)


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


def trader_pid(state: Path) -> int | None:
    """Return the pid of the live trader of a state folder, None when there is none."""
    return process_files.trader_pid(state)
