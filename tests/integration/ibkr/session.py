"""An open session with a scripted peer, around a test's scenario."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from robotrader.adapters.ibkr.connection import IbkrConnection
from tests.integration.ibkr.arrivals import Arrivals
from tests.integration.ibkr.scripted import ACCOUNT, Handler, ScriptedGateway, scripted

Scenario = Callable[[IbkrConnection, Arrivals, ScriptedGateway], Awaitable[None]]


@asynccontextmanager
async def connection(inbox: Arrivals, **options: Any) -> AsyncIterator[IbkrConnection]:
    made = IbkrConnection(inbox, **{"account": ACCOUNT, "lock_step": True, **options})
    made.listener = inbox
    try:
        yield made
    finally:
        await made.close()


def connected(scenario: Scenario, *, options: Any = None, **handlers: Handler) -> None:
    """Run a scenario on an open session."""

    async def run() -> None:
        inbox = Arrivals()
        async with scripted(**handlers) as (port, peers), connection(inbox, **(options or {})) as link:
            await link.connect("127.0.0.1", port, 7, timeout_s=5)
            await scenario(link, inbox, peers[0])

    asyncio.run(asyncio.wait_for(run(), 20))
