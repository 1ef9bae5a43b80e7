"""A runner's world in memory, put together from the fakes."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from math import nan

from robotrader.adapters.clocks import BrokerClock
from robotrader.engine.inbox import Inbox
from robotrader.engine.runner import Runner
from robotrader.engine.trader import Trader
from robotrader.engine.world import World
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import (
    AnyCommand,
    AnyEvent,
    BarsClosed,
    CorporateAction,
    OrderId,
    RunStarted,
    decode_command,
    decode_event,
)
from robotrader.ports import Arrival, HostFacts, Journal
from tests import builders as make
from tests.fakes import FakeBroker, FakeLink, MemoryStorage, Pulled, Script, ScriptedFeed, scripted
from tests.unit.engine.stage import started

BUY_ON_DAY_0: Script = {0: (1.0, nan)}


class Life:
    """One life of a trader process; several on one storage are restarts."""

    def __init__(
        self,
        storage: MemoryStorage,
        *,
        script: Script = BUY_ON_DAY_0,
        now: int = make.T0,
        run: RunStarted | None = None,
    ) -> None:
        self.storage = storage
        self.journal: Journal = storage.open()
        self.broker = FakeBroker()
        self.link = FakeLink()
        self.inbox = Inbox()
        self.clock = BrokerClock(Pulled(self.inbox, []), start=now)
        self.flag: str | None = None
        self.raised: list[str] = []
        self.measure: Callable[[], HostFacts] = HostFacts
        self.source = scripted({make.TREND: script})
        self.run = run or started(run_id=f"run-{storage.epoch + 1}")

    def latch(self) -> str | None:
        return self.flag

    async def path(self) -> WriteAhead:
        """Return the write-ahead path of a process that has begun its run, without recovery."""
        trader = Trader(self.source)
        path = WriteAhead(trader=trader, journal=self.journal, broker=self.broker, clock=self.clock, halted=self.latch)
        path.epoch = await self.journal.begin_run(self.run.run_id, "test")
        await path.record([self.run])
        return path

    def runner(
        self, *, batches: Sequence[Sequence[Arrival]] = (), history: Sequence[BarsClosed] = (),
        live: Sequence[BarsClosed] = (), warmup_bars: int = 0, reconciles: bool = False,
        actions: Callable[[], Sequence[CorporateAction]] = tuple, borrow_rate: str = "0",
    ) -> Runner:  # fmt: skip
        """Return the runner of this life; each batch arrives when the runner has nothing else to do."""
        feed = ScriptedFeed(self.inbox, history=history, live=live)
        clock = BrokerClock(Pulled(self.inbox, batches or [[]]), start=self.clock.now())
        world = World(journal=self.journal, link=self.link, broker=self.broker, feed=feed, clock=clock,
                      inbox=self.inbox, latch=self.latch, source=self.source,
                      sessions=make.SESSIONS, reconciles=reconciles, actions=actions,
                      borrow_rate=Decimal(borrow_rate), raise_latch=self.raised.append,
                      measure=lambda: self.measure())  # noqa: PLW0108 - a test may change it later  # fmt: skip
        return Runner(world, self.run, warmup_bars=warmup_bars)


def events(storage: MemoryStorage) -> list[AnyEvent]:
    """Return the committed events, in order."""
    return [decode_event(row.payload) for row in storage.rows if row.kind == "event"]


def commands(storage: MemoryStorage) -> list[AnyCommand]:
    """Return the committed commands, in order."""
    return [decode_command(row.payload) for row in storage.rows if row.kind == "command"]


def of(storage: MemoryStorage, *kinds: type[AnyEvent]) -> list[AnyEvent]:
    """Return the committed events of these kinds."""
    return [event for event in events(storage) if isinstance(event, kinds)]


def state_of(storage: MemoryStorage, order_id: OrderId) -> str:
    """Return the order's state as the journal shows it."""
    return storage.orders[order_id].state
