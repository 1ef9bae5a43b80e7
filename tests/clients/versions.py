"""Serve a lock-step gateway for each server version: `python -m tests.clients.versions FIRST LAST --data FILE ...`.

Prints `{"ports": {version: port}}`. Of the options of `gateway-sim` it takes those that the matrix gives.
"""

import argparse
import asyncio
import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from robotrader import bootstrap
from robotrader.simulation.gateway import GatewayConfig
from robotrader.simulation.gateway.faults import read_script
from robotrader.simulation.gateway.wire import MIN_VERSION

SKIPPED = MIN_VERSION + 1
"""Never offered: at 158 ib_async and the official clients disagree."""


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM."""
    stop, ports = asyncio.Event(), {}
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    panel, faults = bootstrap.load_data(options.data, state=Path()).panel, read_script(options.faults)
    async with AsyncExitStack() as stack:
        for version in range(options.first, options.last + 1):
            if version != SKIPPED:
                config = GatewayConfig(
                    lock_step=True,
                    step="session",
                    server_version=version,
                    faults=faults,
                    master_client_id=options.master_client_id,
                )
                ports[version] = await stack.enter_async_context(bootstrap.serving(panel, bootstrap.Costs(), config))
        print(json.dumps({"ports": ports}), flush=True)  # noqa: T201 - as `gateway-sim` does
        await stop.wait()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--data", required=True)
    parser.add_argument("--faults", required=True, type=Path)
    parser.add_argument("--master-client-id", required=True, type=int)
    options, _others = parser.parse_known_args()
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
