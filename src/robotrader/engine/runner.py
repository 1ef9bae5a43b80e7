"""The thin async shell: drain arrivals, journal them, call the core, journal, carry out.

Start is recovery (`Runner.start`); then the loop (`Runner.run`) until the source of time ends or somebody asks it
to stop. A lost link ends nothing: when it is back, the broker is asked what happened meanwhile.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from msgspec import structs

from robotrader.engine.agenda import Agenda
from robotrader.engine.asking import refill
from robotrader.engine.borrowing import BorrowFees
from robotrader.engine.reconciliation import Reconciliation
from robotrader.engine.recovery import ReplayResult, replay
from robotrader.engine.settlement import Settlement
from robotrader.engine.world import World
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import (
    Action,
    AnyEvent,
    ConnectionLost,
    InvariantViolation,
    LinkChanged,
    LinkState,
    Order,
    OrderState,
    RequestReceived,
    RunEnded,
    RunStarted,
    TimeInForce,
    TradingState,
)
from robotrader.ports import Arrival, TimeAdvanced
from robotrader.risk.host import HostWatch

log = logging.getLogger(__name__)

WATCH_S = 0.25
SESSIONS_AHEAD = 260
"""A year: what the core knows of opens and closes is in the journal, as all that its decisions depend on."""

GLOBAL = (None, None)
_NO_WAY = (LinkState.DISCONNECTED, LinkState.LOGIN_NEEDED)


class Runner:
    """One life of the trader process; `turns` of its loop are its pulse.

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
        self.turns = 0
        self._end: str | None = None
        self._host = HostWatch(world.host)
        self._path: WriteAhead
        self._agenda: Agenda
        self._fees: BorrowFees
        self._replayed: ReplayResult
        self._settlement: Settlement
        self._reconciliation: Reconciliation

    def stop(self, reason: str) -> None:
        """Ask the loop to end after the current batch."""
        self._end = self._end or reason
        self._world.inbox.wake()

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
        early, link = await self._first_time()
        rows = await world.journal.rows()
        self._replayed = replay(rows, world.source)
        if not self._replayed.identical:
            raise InvariantViolation(
                f"the journal was not written by this code and configuration: {self._replayed.first_difference}"
            )
        if self._run.manifests:
            refill(rows, self._warmup_bars, world.ask)
        trader = self._replayed.trader
        self._path = WriteAhead(trader=trader, journal=world.journal, broker=world.broker, clock=world.clock,
                                halted=world.latch, raise_latch=world.raise_latch, ask=world.ask)  # fmt: skip
        self._path.bar_ns, self._path.last_bars_ts = self._replayed.last_bars_ns, self._replayed.last_bars_ts
        self._path.cancels |= self._replayed.cancels
        self._path.epoch = await world.journal.begin_run(self._run.run_id, self._run.code_version)
        now = world.clock.now()
        await self._path.record([structs.replace(
            self._run, epoch=self._path.epoch, ts_event=now, ts_init=now,
            sessions=world.sessions.coming(now, SESSIONS_AHEAD),
        )])  # fmt: skip
        self._agenda = Agenda(world.actions, trader.ledger, self._run.instruments, since=rows[0].ts if rows else now)
        self._fees = BorrowFees(
            trader.ledger, world.sessions, rate=world.borrow_rate, price=trader.breaks.price,
            instruments=self._run.instruments, since=rows[-1].ts if rows else now,
        )  # fmt: skip
        await self._flush(self._due(now))  # before positions are compared: the broker has done so already
        for working in trader.orders:
            if working.broker_order_id is not None:
                world.broker.bind(working.order, working.broker_order_id)
        void = frozenset(w.order.id for w in trader.orders if w.state is OrderState.VOIDED)
        self._settlement = Settlement(trader=trader, path=self._path, broker=world.broker, clock=world.clock,
                                      inbox=world.inbox, account=self._run.account, ends=self._ends,
                                      void_before=void)  # fmt: skip
        self._reconciliation = Reconciliation(world, self._path, self._settlement, warmup_bars=self._warmup_bars)
        await self._flush([*early, *await self._requests()])
        await self._reconciliation.settle(link, replayed=self._replayed.events)

    def _due(self, now: int) -> list[Arrival | AnyEvent]:
        """Return what is due by now: what the night cost, in its units, corporate actions, and how the machine is."""
        return [*self._fees.due(now), *self._agenda.due(now), *self._host.look(self._world.measure(), now)]

    def _ends(self, order: Order) -> int | None:
        """Return when an order's time in force ends."""
        return self._world.sessions.next_close(order.ts_event) if order.tif is TimeInForce.DAY else None

    async def _first_time(self) -> tuple[list[Arrival | AnyEvent], LinkChanged | None]:
        """Wait until the clock knows the time, and return what else arrived until then, and the link at last."""
        early: list[Arrival | AnyEvent] = []
        link: LinkChanged | None = None
        self._world.clock.pull()
        while not self._world.clock.now() or len(self._world.inbox):
            for arrival in await self._world.inbox.take():
                if isinstance(arrival, TimeAdvanced):
                    self._world.clock.advance(arrival.ts)
                    continue
                early.append(arrival)
                if isinstance(arrival, LinkChanged):
                    link = arrival
                    if arrival.state in _NO_WAY:
                        raise ConnectionLost(f"the connection was lost: {arrival.reason}")
        return early, link

    async def run(self) -> str:
        """Run until the end and return its reason."""
        watch = asyncio.create_task(self._watch())
        try:
            while self._end is None:
                if self._reconciliation.open and not self._world.inbox and not self._waits():
                    self._world.clock.pull()
                await self._step(await self._world.inbox.take())
                self.turns += 1
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        return self._end or "stopped"

    def _waits(self) -> bool:
        """Tell whether an answer is under way that time must not overtake."""
        return self._world.feed.pending() or self._world.broker.previewing()

    async def finish(self, *, compare: bool) -> None:
        """End the run in order; `compare` asks the broker once more, so that the record ends with both sides."""
        if compare:
            await self._settlement.settle(at_end=True)
        now, reason = self._world.clock.now(), self._end or "stopped"
        await self._path.record([RunEnded(ts_event=now, ts_init=now, run_id=self._run.run_id, reason=reason)])
        await self._world.journal.end_run(self._run.run_id, reason)

    async def _step(self, arrivals: Sequence[Arrival]) -> None:
        """One batch: T1, T2, socket. Time moves in arrival order, and so does the link."""
        todo: list[Arrival | AnyEvent] = []
        links = [a for a in arrivals if isinstance(a, LinkChanged)]
        for arrival in arrivals:
            if isinstance(arrival, TimeAdvanced):
                await self._flush(todo)
                self._advance(arrival)
                await self._flush(self._due(self._world.clock.now()))
            elif isinstance(arrival, LinkChanged):
                await self._flush(todo)
                await self._reconciliation.follow(arrival, settle=arrival is links[-1])
            else:
                todo.append(arrival)
        requests = await self._requests()
        await self._flush([*todo, *requests])
        asked = {Action.RECONCILE, Action.RESOLVE}  # what a ticket hid is seen before anybody resumes
        await self._reconciliation.when_due(wanted=any(r.action in asked for r in requests))

    async def _flush(self, todo: list[Arrival | AnyEvent]) -> None:
        if not todo:
            return
        commands = await self._path.record(todo)
        if changed := self._host.look(self._world.measure(), self._world.clock.now()):
            commands += await self._path.record(changed)  # before anything leaves: that batch itself may have been slow
        await self._path.carry_out(commands)
        todo.clear()

    def _advance(self, arrival: TimeAdvanced) -> None:
        self._world.clock.advance(arrival.ts)
        if self._reconciliation.open:
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
                self._world.inbox.wake()
