"""A supervised connection and its scripted gateway, alone in virtual time."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.adapters.ibkr.supervisor import Endpoint, Supervisor
from robotrader.model import NANOS_PER_SECOND, LinkChanged, LinkState
from robotrader.ports import Arrival
from tests.integration.ibkr.scripted import ACCOUNT, Handler, ScriptedGateway, ScriptedServer
from tests.virtual.loop import VirtualLoop, run

CLIENT_ID = 7
TUESDAY = "2026-04-14T10:00-04:00"
"""Far from every reset."""


def nanos(text: str) -> int:
    """Return an ISO 8601 time with zone as ns UTC."""
    return int(datetime.fromisoformat(text).timestamp()) * NANOS_PER_SECOND


class HostClock:
    """The time of our host: it moves with the loop's, `ahead_s` of the gateway's."""

    def __init__(self, loop: VirtualLoop, start: int) -> None:
        self._loop = loop
        self._start = start
        self.ahead_s = 0.0

    def true(self) -> int:
        """Return the gateway's time."""
        return self._start + round(self._loop.time() * NANOS_PER_SECOND)

    def now(self) -> int:
        return self.true() + round(self.ahead_s * NANOS_PER_SECOND)

    def advance(self, ts: int) -> None: ...
    def pull(self) -> None: ...
    def reconnected(self) -> None: ...


class Desk:
    """What a scenario has at hand; as an inbox it keeps all arrivals, with the loop's time of each."""

    def __init__(self, loop: VirtualLoop, start: int, **options: Any) -> None:
        self.loop = loop
        self.clock = HostClock(loop, start)
        self.server = ScriptedServer({"49": self._time}, self._greeting)
        self.arrived: list[tuple[float, Arrival]] = []
        self.told: list[str] = []  # states, in order; what tells of the clocks alone is left out
        self._worth: tuple[object, ...] = ()
        self.auto_sync = options.pop("auto_sync", True)
        self.connection = IbkrConnection(self, account=ACCOUNT, lock_step=options.pop("lock_step", False))
        self._options = options

    def supervise(self) -> None:
        """Make the supervisor, once the port is known."""
        endpoint = Endpoint(host="127.0.0.1", port=self.server.port, client_id=CLIENT_ID)
        options = {"rng": random.Random(1), **self._options}  # noqa: S311 - jitter
        if callable(options.get("budget")):
            options["budget"] = options["budget"](self.clock)
        self.supervisor = Supervisor(self.connection, self, self.clock, endpoint, **options)

    def put(self, arrival: Arrival) -> None:
        """Take an arrival, and make the comparison that it asks for, if any."""
        self.arrived.append((self.loop.time(), arrival))
        if isinstance(arrival, LinkChanged):
            self._tell(arrival)
            if arrival.state is LinkState.SYNCING and self.auto_sync:
                self.loop.call_soon(self.sync, arrival.sync)

    def sync(self, number: int) -> None:
        """Do what the runner does after a comparison."""
        self._tell(self.supervisor.synced(number))

    def _tell(self, link: LinkChanged) -> None:
        worth = link.state, link.open, link.sync
        if worth != self._worth:
            self.told.append(link.state.value)
        self._worth = worth

    @property
    def link(self) -> LinkChanged:
        """Return what the inbox was told of the link last."""
        return [a for _, a in self.arrived if isinstance(a, LinkChanged)][-1]

    @property
    def peer(self) -> ScriptedGateway:
        """Return the gateway's side of the latest session."""
        return self.server.peers[-1]

    def _time(self, _fields: list[str]) -> list[str]:
        return [f"49|1|{self.clock.true() // NANOS_PER_SECOND}"]

    def _greeting(self) -> str:
        at = datetime.fromtimestamp(self.clock.true() // NANOS_PER_SECOND, UTC)
        return f"{at:%Y%m%d %H:%M:%S} Central European Standard Time"


Scenario = Callable[[Desk], Awaitable[None]]


def supervised(
    scenario: Scenario,
    *,
    start: str = TUESDAY,
    opened: bool = True,
    options: Any = None,
    desk: type[Desk] = Desk,
    **handlers: Handler,
) -> Desk:
    """Run a scenario beside `Supervisor.run`, on an open session unless told otherwise."""

    async def body(loop: VirtualLoop) -> Desk:
        made = desk(loop, nanos(start), **(options or {}))
        made.server.handlers |= {name.removeprefix("on"): handler for name, handler in handlers.items()}
        await made.server.open()
        made.supervise()
        if opened:
            await made.supervisor.open()
        task = asyncio.create_task(made.supervisor.run())
        try:
            await scenario(made)
            assert not task.done()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await made.supervisor.close()
            await made.server.close()
        return made

    return run(body)
