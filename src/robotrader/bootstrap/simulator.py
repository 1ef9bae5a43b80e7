"""The gateway simulator over a dataset."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from robotrader.adapters import process_files
from robotrader.adapters.process_files import write_port
from robotrader.bootstrap.data import load_data
from robotrader.bootstrap.research import Costs, venue_of

if TYPE_CHECKING:
    from robotrader.data.panel import Panel
    from robotrader.simulation.gateway.server import GatewayConfig


class GatewayOptions(Struct, frozen=True, kw_only=True):
    """What `gateway-sim` is started with; `days` takes the first sessions only."""

    data: str = "sample:all"
    days: int | None = None
    port: int = 0
    costs: Costs = Costs()


async def gateway(options: GatewayOptions, config: "GatewayConfig", *, ready: Callable[[int], None]) -> None:
    """Serve the gateway simulator until this task is cancelled; `ready` is told the port."""
    panel = first_sessions(load_data(options.data, state=config.state or Path()).panel, options.days)
    async with serving(panel, options.costs, config, port=options.port) as port:
        if config.state is not None:
            write_port(config.state, "gateway", port)
        ready(port)
        try:
            await asyncio.Event().wait()
        finally:
            if config.state is not None:
                process_files.forget_port(config.state, "gateway")


def first_sessions(panel: "Panel", count: int | None) -> "Panel":
    """Return the rows of a panel's first sessions; None: all of them."""
    from robotrader.simulation.gateway.market import first_rows

    if count is None:
        return panel
    ends = [*first_rows(panel)[1:], len(panel)]
    return panel.rows(0, ends[min(count, len(ends)) - 1])


@asynccontextmanager
async def serving(panel: "Panel", costs: Costs, config: "GatewayConfig", *, port: int = 0) -> AsyncIterator[int]:
    """Serve a gateway simulator over a panel for as long as the block runs; gives its port."""
    from robotrader.simulation.gateway.server import Gateway

    server = Gateway(panel, venue_of(panel, costs), config)
    listening = await server.serve(port=port)
    try:
        yield listening
    finally:
        await server.close()
