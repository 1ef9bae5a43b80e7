"""A small market, a gateway over it, and clients that we did not write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import ib_async
import numpy as np
from ib_async.client import Client

from robotrader.data.panel import Panel
from robotrader.model import BarSpec, Venue, stock
from robotrader.simulation.costs import cost_model
from robotrader.simulation.gateway import Gateway, GatewayConfig
from robotrader.simulation.venue import Venue as MatchingVenue

ACCOUNT = "DU1234567"
WAIT_S = 10.0
LOCK_STEP = GatewayConfig(lock_step=True)


def market(sessions: int = 30) -> Panel:
    """Daily bars of AAPL (opens 100, 101, ...; range 1 each way) and IBM (from the third session on)."""
    opened: list[int] = []
    day = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
    while len(opened) < sessions:
        if day.weekday() < 5:
            opened.append(int(day.timestamp()) * 10**9)
        day += timedelta(days=1)
    rise = np.arange(sessions, dtype=np.float64)
    opens = np.column_stack((100 + rise, 50 + rise / 2))
    columns = [opens, opens + 1, opens - 1, opens + 0.25, np.full((sessions, 2), 1e6)]
    for column in columns:
        column[:2, 1] = np.nan
    names = ("open", "high", "low", "close", "volume")
    return Panel(
        instruments=(stock("AAPL", Venue.NASDAQ), stock("IBM", Venue.NYSE)), spec=BarSpec.DAY,
        opened=np.array(opened), ts=np.array(opened) + 23_400 * 10**9, **dict(zip(names, columns, strict=True)),
    )  # fmt: skip


def venue(panel: Panel, costs: str = "ibkr_fixed") -> MatchingVenue:
    return MatchingVenue({i.id: i for i in panel.instruments}, cost_model(costs))


@asynccontextmanager
async def gateway(config: GatewayConfig = LOCK_STEP, panel: Panel | None = None) -> AsyncIterator[tuple[Gateway, int]]:
    """Serve a gateway on a free port for as long as the block runs."""
    panel = panel or market()
    server = Gateway(panel, venue(panel), config)
    port = await server.serve()
    try:
        yield server, port
    finally:
        await server.close()


@asynccontextmanager
async def facade(port: int, client_id: int = 1) -> AsyncIterator[ib_async.IB]:
    """Connect ib_async's IB with all its start-up fetches."""
    ib = ib_async.IB()
    ib.RequestTimeout = WAIT_S
    try:
        await ib.connectAsync("127.0.0.1", port, clientId=client_id, timeout=WAIT_S, raiseSyncErrors=True)
        yield ib
    finally:
        ib.disconnect()


def run(body: Callable[[], Awaitable[None]]) -> None:
    """Run one asynchronous test to its end."""

    async def bounded() -> None:
        await asyncio.wait_for(body(), 60)

    asyncio.run(bounded())


class Recorder:
    """The wrapper of a raw ib_async client: every callback by name, in order."""

    defaultTimezone = UTC  # noqa: N815 - the name that the client looks for

    def __init__(self) -> None:
        self.ib = type("NoFacade", (), {"TimezoneTWS": None})
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._arrived: asyncio.Event | None = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_") or name in {"priceSizeTick", "tcpDataArrived", "tcpDataProcessed"}:
            raise AttributeError(name)
        return lambda *args: self.take(name, *args)

    def take(self, name: str, *args: Any) -> None:
        self.calls.append((name, args))
        if self._arrived is not None:
            self._arrived.set()

    def priceSizeTick(self, *args: Any) -> None:  # noqa: N802 - the client looks for this very name
        self.take("priceSizeTick", *args)

    def names(self, *wanted: str) -> list[str]:
        return [name for name, _ in self.calls if name in wanted]

    def all(self, name: str) -> list[tuple[Any, ...]]:
        return [args for found, args in self.calls if found == name]

    async def until(self, name: str, count: int = 1) -> tuple[Any, ...]:
        """Wait until a callback has come `count` times in all, and return the arguments of the last."""
        await self.while_not(lambda: len(self.all(name)) >= count)
        return self.all(name)[-1]

    async def while_not(self, condition: Callable[[], bool]) -> None:
        """Wait for callbacks until the condition holds."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._arrived = asyncio.Event()
                await self._arrived.wait()


def client(wrapper: object) -> Any:
    """Return ib_async's client as Any: it is partly typed."""
    make: Any = Client
    return make(wrapper)


class Raw:
    """A raw client, as our own adapter uses it: no facade, no start-up fetches."""

    def __init__(self) -> None:
        self.heard = Recorder()
        self.client = client(self.heard)
        self.client.MaxRequests = 0
        self._next = 9_000_000

    async def next_session(self) -> int:
        """Ask for the time, the clock of lock-step, and return it in epoch seconds."""
        count = len(self.heard.all("currentTime")) + 1
        self.client.reqCurrentTime()
        return int((await self.heard.until("currentTime", count))[0])

    async def history(self, symbol: str, duration: str = "2 D", **changes: Any) -> list[Any]:
        """Ask once for bars; an error ends it too."""
        self._next += 1
        options = {"end": "", "size": "1 day", "what": "TRADES", "format": 1, "keep": False} | changes
        self.client.reqHistoricalData(
            self._next, ib_async.Stock(symbol, "SMART", "USD"), options["end"], duration, options["size"],
            options["what"], True, options["format"], options["keep"], [],
        )  # fmt: skip
        await self.heard.while_not(lambda: self._answered(self._next))
        return [bar for req_id, bar in self.heard.all("historicalData") if req_id == self._next]

    def _answered(self, req_id: int) -> bool:
        return any(a[0] == req_id for name in ("historicalDataEnd", "error") for a in self.heard.all(name))

    def place(self, order_id: int, order: ib_async.Order, symbol: str = "AAPL") -> None:
        self.client.placeOrder(order_id, ib_async.Stock(symbol, "SMART", "USD"), order)

    def codes(self) -> list[int]:
        return [args[1] for args in self.heard.all("error") if not 2100 <= args[1] < 2200]


@asynccontextmanager
async def raw(port: int, client_id: int = 1) -> AsyncIterator[Raw]:
    """Connect a raw client."""
    peer = Raw()
    try:
        await peer.client.connectAsync("127.0.0.1", port, client_id, WAIT_S)
        yield peer
    finally:
        peer.client.disconnect()


def order(side: str = "BUY", quantity: float = 100, kind: str = "MKT", **more: Any) -> ib_async.Order:
    return ib_async.Order(action=side, totalQuantity=quantity, orderType=kind, **{"orderRef": "RT-ONE"} | more)
