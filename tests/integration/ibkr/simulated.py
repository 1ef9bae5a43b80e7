"""The adapter against the gateway simulator, both in this process, over loopback."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from robotrader.adapters.calendar import session_table
from robotrader.adapters.ibkr.broker import IbkrBroker
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.feed import IbkrFeed
from robotrader.data.panel import Panel
from robotrader.data.seeded import SeedSpec, generate
from robotrader.model import AnyEvent
from robotrader.ports import BrokerMessage, TimeAdvanced
from robotrader.simulation.costs import cost_model
from robotrader.simulation.gateway import Gateway, GatewayConfig
from robotrader.simulation.venue import Venue
from tests.integration.ibkr.arrivals import Arrivals

SESSIONS = session_table("2020-01-02", "2020-12-31")
PANEL = generate(SeedSpec(seed=7, bars=50), SESSIONS)


class Simulated:
    """One trader's adapters on one gateway; a `World` of the conformance suite."""

    def __init__(self, gateway: Gateway, port: int, client_id: int = 7, **options: Any) -> None:
        self.gateway = gateway
        self.port = port
        self.client_id = client_id
        self.inbox = Arrivals()
        lock_step = gateway.config.lock_step
        self.link = IbkrConnection(self.inbox, **{"account": gateway.config.account, "lock_step": lock_step, **options})
        self.link.listener = self.inbox
        self.instruments = PANEL.instruments
        self.instrument = self.instruments[0]
        self.broker = self.fresh()
        self.feed = IbkrFeed(self.link, self.inbox, self.instruments, SESSIONS)
        self._taken = 0

    def fresh(self) -> IbkrBroker:
        return IbkrBroker(self.link, self.instruments, timeout_s=5)

    async def connect(self) -> None:
        await self.link.connect("127.0.0.1", self.port, self.client_id, timeout_s=5)

    def taken(self) -> list[BrokerMessage]:
        found = self.inbox.of(BrokerMessage)
        new, self._taken = found[self._taken :], len(found)
        return new

    async def advance(self) -> None:
        """Let one session pass; a connection's first time request only tells the time."""
        seen = len(self.inbox.of(TimeAdvanced))
        for count in range(seen + 1, seen + (3 if seen == 0 else 2)):
            self.link.request_time()
            await self.inbox.until(TimeAdvanced, count)

    def events(self, messages: Sequence[BrokerMessage]) -> list[AnyEvent]:
        return [e for m in messages for e in self.broker.interpret(m)]


def make_gateway(panel: Panel = PANEL, **config: Any) -> Gateway:
    """Return a gateway over the panel: lock-step, whole history ahead, unless told otherwise."""
    venue = Venue({i.id: i for i in panel.instruments}, cost_model("ibkr_fixed"))
    return Gateway(panel, venue, GatewayConfig(**{"lock_step": True, **config}))


@asynccontextmanager
async def simulated(**config: Any) -> AsyncIterator[Simulated]:
    """Serve a gateway and connect to it."""
    gateway = make_gateway(**config)
    world = Simulated(gateway, await gateway.serve())
    try:
        await world.connect()
        yield world
    finally:
        await world.link.close()
        await gateway.close()
