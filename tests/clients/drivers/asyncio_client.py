"""Perform a script with ib_async: its raw client, every callback written down before any facade sees it."""

import asyncio
from collections.abc import Callable
from datetime import UTC
from types import SimpleNamespace
from typing import Any

from ib_async import IB, Contract, ExecutionFilter, Order
from ib_async.client import Client

from tests.clients.drivers.recording import (
    WAIT_S,
    Log,
    NoAnswerError,
    Recorder,
    arguments,
    built,
    print_all,
    read_scripts,
)

_KINDS: dict[str, type] = {"Contract": Contract, "Order": Order, "ExecutionFilter": ExecutionFilter}
_FACADE = 77
"""Its client id."""
_SIZES = {1: 0, 2: 3, 4: 5, 66: 69, 67: 70, 68: 71}
"""The tick of the size that belongs to each price."""


class Wrapper:
    """Take every callback, whatever its name."""

    defaultTimezone = UTC  # noqa: N815 - the name that the client looks for
    ib = SimpleNamespace(TimezoneTWS="US/Eastern")

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "tcpData")):
            raise AttributeError(name)
        return lambda *values: self.recorder.take(name, *values)

    def priceSizeTick(self, req_id: int, tick: int, price: float, size: float) -> None:  # noqa: N802
        """Take what other clients see as two callbacks."""
        self.recorder.take("tickPrice", req_id, tick, price, {})
        if tick in _SIZES:
            self.recorder.take("tickSize", req_id, _SIZES[tick], size)


class Peer:
    """One connection."""

    def __init__(self) -> None:
        self.recorder, self.fences = Recorder(), 1
        self.arrived = asyncio.Event()
        self.recorder.notify = self.arrived.set
        make: Any = Client
        self.client = make(Wrapper(self.recorder))
        self.client.MaxRequests = 0

    async def connect(self, port: int, client_id: int) -> None:
        await self.client.connectAsync("127.0.0.1", port, client_id, WAIT_S)

    def fenced(self) -> bool:
        """Tell whether every request for the next id was answered."""
        return self.recorder.fences >= self.fences

    def ask(self, method: str, *values: Any) -> None:
        """Call one of the client's request methods."""
        self.fences += method == "reqIds"
        getattr(self.client, method)(*arguments(list(values), _make))

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until callbacks have made the condition true."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition() and self.client.isConnected():
                    self.arrived.clear()
                    await self.arrived.wait()
        except TimeoutError:
            raise NoAnswerError from None
        if not condition():
            raise NoAnswerError


def _make(kind: str, values: dict[str, Any]) -> list[Any]:
    return [] if kind == "Cancel" else [built(_KINDS[kind], values)]


async def play(script: dict[str, Any]) -> dict[str, Any]:
    """Perform one session."""
    log = Log()
    peers: dict[str, Peer] = {}
    steps: list[dict[str, Any]] = []
    try:
        for step in script["steps"]:
            await _perform(step, peers, script["port"])
            steps.append({who: peer.recorder.drain() for who, peer in peers.items()})
    except NoAnswerError:
        log.lines.append(f"no answer in step {len(steps)}: {script['steps'][len(steps)]['calls']}")
    facade = await _look(script["port"]) if not log.lines else {}
    log.close()  # what is said while leaving does not count
    for peer in peers.values():
        peer.client.disconnect()
    version = max((peer.client.decoder.serverVersion for peer in peers.values()), default=0)
    return {"version": version, "steps": steps, "errors": log.lines, "facade": facade}


async def _look(port: int) -> dict[str, Any]:
    """Connect the facade, which fetches all there is at its start, and return what it holds then."""
    ib = IB()
    await ib.connectAsync("127.0.0.1", port, clientId=_FACADE, timeout=WAIT_S, raiseSyncErrors=True)
    found = {
        "positions": [[p.contract.symbol, p.position] for p in ib.positions()],
        "portfolio": [[p.contract.symbol, p.position, p.marketPrice] for p in ib.portfolio()],
        "fills": [[f.execution.execId, f.execution.shares] for f in ib.fills()],
        "trades": len(ib.trades()), "open": len(ib.openTrades()),
        "values": {v.tag: v.value for v in ib.accountValues() if v.tag in {"NetLiquidation", "AccountType"}},
    }  # fmt: skip
    ib.disconnect()
    return found


async def _perform(step: dict[str, Any], peers: dict[str, Peer], port: int) -> None:
    for method, *values in step["calls"]:
        if method == "connect":
            peer = peers[step["who"]] = Peer()
            await peer.connect(port, *values)
        else:
            peers[step["who"]].ask(method, *values)
    actor = peers[step["who"]]
    for group in ([actor], [peer for peer in peers.values() if peer is not actor]):  # others see what he did
        for peer in group:
            peer.ask("reqIds", -1)
        for peer in group:
            await peer.wait(peer.fenced)


if __name__ == "__main__":
    print_all(asyncio.run(play(script)) for script in read_scripts())
