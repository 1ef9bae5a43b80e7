"""The thin async shell: drain arrivals, journal them, call the core, journal, carry out.

Start is recovery (`Runner.start`); then the loop (`Runner.run`) until the source of time ends, the link
is lost, or somebody asks it to stop.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from robotrader.engine.inbox import Inbox
from robotrader.engine.recovery import ReplayResult, in_force, position_breaks, replay, unsettled
from robotrader.engine.trader import Trader
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import (
    Account,
    AccountReported,
    Action,
    AnyEvent,
    BarsClosed,
    ConnectionLost,
    InvariantViolation,
    OrderId,
    OrderState,
    PositionReported,
    Recovered,
    RequestReceived,
    RunEnded,
    RunStarted,
    TradingHalted,
    TradingState,
)
from robotrader.ports import (
    Arrival,
    Broker,
    BrokerSnapshot,
    Clock,
    Journal,
    LinkChanged,
    MarketData,
    TimeAdvanced,
)
from robotrader.strategy.contract import SourceFactory

log = logging.getLogger(__name__)

WATCH_S = 0.25
GLOBAL = (None, None)


class World(Struct, frozen=True, kw_only=True):
    """The adapters that a runner works with; `latch` says why nothing may be sent (flag file), None if it may."""

    journal: Journal
    broker: Broker
    feed: MarketData
    clock: Clock
    inbox: Inbox
    latch: Callable[[], str | None]
    source: SourceFactory


class Runner:
    """One life of the trader process.

    Parameters
    ----------
    world : World
        Connected adapters.
    run : RunStarted
        The run's configuration; epoch and times are set here.
    warmup_bars : int
        Cross-sections to ask for before the first decision of an empty journal.
    """

    def __init__(self, world: World, run: RunStarted, *, warmup_bars: int) -> None:
        self._world = world
        self._run = run
        self._warmup_bars = warmup_bars
        self._end: str | None = None
        self._path: WriteAhead
        self._replayed: ReplayResult
        self._void_before: list[OrderId] = []

    def stop(self, reason: str) -> None:
        """Ask the loop to end after the current batch."""
        self._end = self._end or reason
        self._wake(reason)

    async def start(self) -> None:
        """Recover: replay, take the journal, settle with the broker, catch up on bars.

        Raises
        ------
        InvariantViolation
            Today's code decides otherwise than the journal says, or the broker's answers do not settle.
        BrokerUnavailable
            The broker did not answer completely.
        """
        world = self._world
        early = await self._first_time()
        rows = await world.journal.rows()
        self._replayed = replay(rows, world.source)
        if not self._replayed.identical:
            raise InvariantViolation(
                f"the journal was not written by this code and configuration: {self._replayed.first_difference}"
            )
        self._path = WriteAhead(trader=self._replayed.trader, journal=world.journal, broker=world.broker,
                                clock=world.clock, halted=world.latch)  # fmt: skip
        self._path.bar_ns = self._replayed.last_bars_ns
        self._path.epoch = await world.journal.begin_run(self._run.run_id, self._run.code_version)
        now = world.clock.now()
        await self._path.record([structs.replace(self._run, epoch=self._path.epoch, ts_event=now, ts_init=now)])
        for working in self._replayed.trader.orders:
            if working.broker_order_id is not None:
                world.broker.bind(working.order, working.broker_order_id)
        self._void_before = _voided(self._replayed.trader)
        await self._flush([*early, *await self._requests()])
        await self._settle(await self._stable_snapshot(), events=self._replayed.events)
        await self._catch_up()

    async def _first_time(self) -> list[Arrival | AnyEvent]:
        """Wait until the clock knows the time, and return what else arrived meanwhile."""
        early: list[Arrival | AnyEvent] = []
        self._world.clock.pull()
        while not self._world.clock.now():
            for arrival in await self._world.inbox.take():
                if isinstance(arrival, TimeAdvanced):
                    self._world.clock.advance(arrival.ts)
                elif isinstance(arrival, LinkChanged) and not arrival.connected:
                    raise ConnectionLost(f"the gateway closed the connection: {arrival.reason}")
                else:
                    early.append(arrival)
        return early

    async def _stable_snapshot(self) -> tuple[BrokerSnapshot, BrokerSnapshot]:
        """Return two successive complete snapshots that agree on orders and positions."""
        before = await self._world.broker.snapshot()
        for _ in range(5):
            after = await self._world.broker.snapshot()
            if (before.order_refs, before.positions) == (after.order_refs, after.positions):
                return before, after
            before = after
        raise InvariantViolation("five snapshots of the broker in a row differ")

    async def _settle(self, snapshots: tuple[BrokerSnapshot, BrokerSnapshot], *, events: int) -> None:
        """Book what the broker says, settle what it does not know, compare positions."""
        path, trader, now = self._path, self._replayed.trader, self._world.clock.now()
        last = snapshots[1]
        await path.carry_out(await path.record(last.messages))
        used = [w.broker_order_id or 0 for w in trader.orders]
        path.next_order_id = max([last.next_order_id, *(n + 1 for n in used)])
        found = unsettled(trader, *snapshots)
        await path.void(found.absent, "absent from two complete snapshots of the broker", proven=False)
        valid = [o for o in found.unsent if in_force(o, self._replayed.last_bars_ts, now)]
        await path.void([o for o in found.unsent if o not in valid], "unsent, and its decision is past", proven=True)
        breaks = position_breaks(trader, last)
        if breaks:  # before anything is sent: T2 sends nothing while trading is halted
            halt = TradingHalted(ts_event=now, ts_init=now, reason=f"position break: {'; '.join(breaks)}")
            await path.carry_out(await path.record([halt]))
        await path.send(valid)
        voided = tuple(i for i in _voided(trader) if i not in self._void_before)
        adopted = tuple(
            w.order.id for w in trader.orders if w.order.id in last.order_refs and w.state is not OrderState.DENIED
        )
        await path.record(
            [*_reports(last, self._run.account, now),
             Recovered(ts_event=now, ts_init=now, replayed=events, adopted=adopted if events else (),
                       voided=voided, resent=tuple(o.id for o in valid if o.id not in voided), breaks=breaks)]
        )  # fmt: skip

    async def _catch_up(self) -> None:
        """Fill the windows: warm-up for an empty journal, else the bars missed; only the last one decides."""
        world, now = self._world, self._world.clock.now()
        last = self._replayed.last_bars_ts
        if last is None:
            sections: Sequence[BarsClosed] = await world.feed.warmup(now, self._warmup_bars)
            deciding: Sequence[BarsClosed] = ()
        else:
            missed = await world.feed.missing(last, now)
            sections, deciding = missed[:-1], missed[-1:]
        await self._path.carry_out(await self._path.record([structs.replace(s, warmup=True) for s in sections]))
        await self._path.carry_out(await self._path.record(list(deciding)))

    async def run(self) -> str:
        """Run until the end and return its reason."""
        watch = asyncio.create_task(self._watch())
        try:
            while self._end is None:
                if not self._world.inbox and not self._world.feed.pending():
                    self._world.clock.pull()
                await self._step(await self._world.inbox.take())
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        return self._end or "stopped"

    async def finish(self, *, compare: bool) -> None:
        """End the run in order; `compare` asks the broker once more, so that the record ends with both sides."""
        if compare:
            await self._settle(await self._stable_snapshot(), events=0)
        now, reason = self._world.clock.now(), self._end or "stopped"
        await self._path.record([RunEnded(ts_event=now, ts_init=now, run_id=self._run.run_id, reason=reason)])
        await self._world.journal.end_run(self._run.run_id, reason)

    async def _step(self, arrivals: Sequence[Arrival]) -> None:
        """One batch: T1, T2, socket. Time moves in arrival order; a lost link ends the run."""
        todo: list[Arrival | AnyEvent] = []
        for arrival in arrivals:
            if isinstance(arrival, TimeAdvanced):
                await self._flush(todo)
                self._advance(arrival)
            elif isinstance(arrival, LinkChanged):
                if not arrival.connected:
                    self._end = self._end or f"link lost: {arrival.reason}"
            else:
                todo.append(arrival)
        todo += await self._requests()
        await self._flush(todo)

    async def _flush(self, todo: list[Arrival | AnyEvent]) -> None:
        if todo:
            await self._path.carry_out(await self._path.record(todo))
            todo.clear()

    def _advance(self, arrival: TimeAdvanced) -> None:
        self._world.clock.advance(arrival.ts)
        self._world.feed.on_time(arrival.ts)
        if arrival.ended:
            self._end = self._end or "the source of time ended"

    async def _requests(self) -> list[RequestReceived]:
        """Return operators' requests and a raised flag file as events."""
        now = self._world.clock.now()
        found = [structs.replace(r, ts_event=now) for r in await self._world.journal.open_requests()]
        why, state = self._world.latch(), self._replayed.trader.states.of(GLOBAL)[0]
        if why is not None and state.severity < TradingState.HALTED.severity:
            found.append(RequestReceived(ts_event=now, ts_init=now, request_id=f"flag-{self._path.epoch}-{now}",
                                         action=Action.HALT, reason=why, actor="flag file"))  # fmt: skip
        return found

    async def _watch(self) -> None:
        """Wake the loop when an operator asks for something while nothing else happens."""
        while True:
            await asyncio.sleep(WATCH_S)
            if await self._requests():
                self._wake("a request waits")

    def _wake(self, reason: str) -> None:
        self._world.inbox.put(LinkChanged(connected=True, reason=reason))


def _voided(trader: Trader) -> list[OrderId]:
    return [w.order.id for w in trader.orders if w.state is OrderState.VOIDED]


def _reports(snapshot: BrokerSnapshot, account: str, now: int) -> list[AnyEvent]:
    """Return the broker's own positions and account values as events."""
    reports: list[AnyEvent] = [
        PositionReported(ts_event=now, ts_init=now, account=account, instrument=iid, quantity=quantity)
        for iid, quantity in sorted(snapshot.positions.items())
    ]
    values = Account(id=account, cash=snapshot.cash, net_liquidation=snapshot.net_liquidation)
    return [*reports, AccountReported(ts_event=now, ts_init=now, account=values)]
