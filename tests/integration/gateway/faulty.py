"""A gateway with a fault script on virtual time, and a client of our own that sees the bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import ib_async

from robotrader.simulation.gateway import Gateway, GatewayConfig
from robotrader.simulation.gateway.faults import FaultScript, from_yaml
from tests.integration.gateway.world import Raw, gateway, order, raw
from tests.virtual.loop import VirtualLoop
from tests.virtual.loop import run as run_virtual

AAPL = ib_async.Stock("AAPL", "SMART", "USD")
QUOTE = ("tickPrice", "tickSize", "tickString", "tickGeneric", "priceSizeTick")


def script(faults: str, seed: int = 0) -> FaultScript:
    """Read the faults of a script, one a line as YAML flow mappings."""
    lines = "".join(f"- {line}\n" for line in faults.strip().splitlines())
    return from_yaml(f"seed: {seed}\nfaults:\n{lines}", FaultScript, source="test")


@asynccontextmanager
async def faulty(faults: str, *, seed: int = 0, **config: Any) -> AsyncIterator[tuple[Gateway, int]]:
    """Serve a gateway with these faults."""
    async with gateway(GatewayConfig(faults=script(faults, seed), **config)) as served:
        yield served


def run(body: Callable[[], Awaitable[None]], *, latency_s: float = 0.001) -> None:
    """Run one asynchronous test on virtual time."""

    async def on_loop(_loop: VirtualLoop) -> None:
        await body()

    run_virtual(on_loop, latency_s=latency_s)


def now() -> float:
    """Return the virtual time in seconds."""
    return asyncio.get_running_loop().time()


def orders(peer: Raw) -> list[str]:
    """Return the callbacks about orders that a client saw, in order; a status with its text."""
    names = {"openOrder": "open", "orderStatus": "status", "execDetails": "fill", "commissionReport": "commission"}
    return [
        f"{names[name]} {args[1]}" if name == "orderStatus" else names[name]
        for name, args in peer.heard.calls
        if name in names
    ]


async def heard_of(faults: str, *, seconds: float = 60, seed: int = 0, lock_step: bool = False) -> list[str]:
    """Buy with a market order, and return what the client hears of it."""
    async with faulty(faults, seed=seed, lock_step=lock_step) as (_, port), raw(port) as peer:
        peer.place(1, order())
        for _ in range(3 if lock_step else 0):
            await peer.next_session()
        await asyncio.sleep(seconds)
        return orders(peer)


class Peer:
    """One connection as bytes: frames in, frames out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *fields: object) -> None:
        body = "".join(f"{field}\0" for field in fields).encode()
        self.writer.write(len(body).to_bytes(4, "big") + body)

    async def read(self) -> list[str]:
        """Return the next frame's fields."""
        size = int.from_bytes(await self.reader.readexactly(4), "big")
        return (await self.reader.readexactly(size)).decode().split("\0")[:-1]

    async def answer(self, number: int) -> list[str]:
        """Return the next frame of this message id."""
        while (fields := await self.read())[0] != str(number):
            pass
        return fields

    async def time(self) -> int:
        """Ask for the time."""
        self.send(49, 1)
        return int((await self.answer(49))[2])


@asynccontextmanager
async def peer(port: int, client_id: int = 1, version: int = 178) -> AsyncIterator[tuple[Peer, list[str]]]:
    """Shake hands and start; gives the client and the greeting, and does not wait for the start's answers."""
    made = Peer(*await asyncio.open_connection("127.0.0.1", port))
    greeting = f"v157..{version}"
    made.writer.write(b"API\0" + len(greeting).to_bytes(4, "big") + greeting.encode())
    hello = await made.read()
    made.send(71, 2, client_id, "")
    try:
        yield made, hello
    finally:
        made.writer.close()
