"""How long an order takes: from the bar that decides it to its bytes on the wire, against a bare ib_async script.

A relay between client and gateway simulator holds the stopwatch: it starts when the last bar of a session is handed
to the client, and stops when the next placeOrder arrives. Three clients, each a process of its own, place one order a
session: the trader with its journal on disk, the same trader with a journal in memory, and a script that places an
order as soon as it has the bar. `--write` puts the table into docs/benchmarks.md; the last line is JSON.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ib_async
import numpy as np
import pytest

from robotrader import bootstrap
from robotrader.adapters.sql import journal
from robotrader.config import load_settings
from tests import page
from tests.fakes import MemoryStorage

FLIP = Path(__file__).parents[1] / "scenarios" / "flip.py"
TRADER, MEMORY, BARE = "trader, journal on disk", "trader, journal in memory", "bare ib_async script"
DISK = "two bare SQLite commits"
AIMS_MS = {TRADER: 5.0, MEMORY: 1.0}
_HISTORY, _PLACE = b"17\0", b"3\0"
_COLD = 20  # orders of a process that are not counted: code is still being loaded
_CONFIG = """\
state = {state}
[broker]
port = {port}
account = "DU1234567"
lock_step = true
[data]
universe = ["AAPL.NASDAQ"]
[risk]
profile = "paper"
[log]
level = "ERROR"
[[strategy]]
id = "flip"
source = {source}
universe = ["AAPL.NASDAQ"]
capital = "1000000"
"""


class Stopwatch:
    """A relay that passes frames both ways, and times from a bar's frame to the order that follows it."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._started: int | None = None
        self.ns: list[int] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Relay for as long as the block runs; gives the port."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        async with server:
            yield int(server.sockets[0].getsockname()[1])

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source, sink = await asyncio.open_connection("127.0.0.1", self._upstream)
        sink.write(await reader.readexactly(4))  # the greeting's first bytes are no frame
        ways = (self._pass(reader, sink, self._sent), self._pass(source, writer, self._told))
        await asyncio.gather(*ways, return_exceptions=True)

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, see: Callable[[bytes], None]) -> None:
        try:
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(head, "big"))
                see(body)
                writer.write(head + body)
        finally:
            writer.close()

    def _told(self, body: bytes) -> None:
        if body.startswith(_HISTORY):
            self._started = time.monotonic_ns()

    def _sent(self, body: bytes) -> None:
        if body.startswith(_PLACE) and self._started is not None:
            self.ns.append(time.monotonic_ns() - self._started)
            self._started = None


async def measure(client: str, folder: Path, days: int) -> list[float]:
    """Let one client trade through the first days of the sample, and return its times in ms."""
    gateway = await _start("robotrader", "gateway-sim", "--lock-step", "--data", "sample:AAPL", "--days", str(days),
                           "--state", str(folder / "gateway"), "--json")  # fmt: skip
    try:
        assert gateway.stdout is not None
        watch = Stopwatch(int(json.loads(await gateway.stdout.readline())["port"]))
        async with watch.listening() as port:
            code = await (await _start(*_command(client, folder, port))).wait()
    finally:
        gateway.terminate()
        await gateway.wait()
    if code or len(watch.ns) < days // 2:
        raise RuntimeError(f"{client}: exit code {code}, {len(watch.ns)} orders in {days} sessions")
    return [ns / 1e6 for ns in watch.ns[_COLD:]]


def _command(client: str, folder: Path, port: int) -> tuple[str, ...]:
    if client == BARE:
        return "tests.benchmarks.latency", "--bare", str(port)
    state, config = folder / "trader", folder / "config.toml"
    quoted = {"state": json.dumps(str(state)), "source": json.dumps(f"{FLIP}:Flip")}
    config.write_text(_CONFIG.format(port=port, **quoted), encoding="utf-8")
    if client == MEMORY:
        return "tests.benchmarks.latency", "--memory", str(config)
    return "robotrader", "trade", "--config", str(config), "--quiet"


async def _start(module: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )


def trade_in_memory(config: Path) -> None:
    """Run the trader as the command does, but for its journal."""
    settings, _ = load_settings(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "SqlJournal", lambda _database, **_: MemoryStorage().open())
        asyncio.run(bootstrap.trade(settings, settings.state_dir))


async def bare(port: int) -> None:
    """Place a market order at each bar, with nothing in between."""
    ib, stock, last, bought = ib_async.IB(), ib_async.Stock("AAPL", "SMART", "USD"), None, False
    ib.client.MaxRequests = 0  # else its own throttle would be what is measured
    await ib.connectAsync("127.0.0.1", port, clientId=9)
    while (now := await ib.reqCurrentTimeAsync()) != last:
        last = now
        if await ib.reqHistoricalDataAsync(stock, "", "2 D", "1 day", "TRADES", useRTH=True):
            bought = not bought
            ib.placeOrder(stock, ib_async.MarketOrder("BUY" if bought else "SELL", 100))
    ib.disconnect()


def commits(folder: Path, count: int) -> list[float]:
    """Return the times of two commits of one row each, in ms: what the disk alone takes for what the trader does."""
    database, ms = sqlite3.connect(folder / "bare.sqlite", isolation_level=None), list[float]()
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (x)")
    for _ in range(count):
        started = time.monotonic_ns()
        for _ in range(2):
            database.execute("INSERT INTO t VALUES (?)", ("x" * 500,))
        ms.append((time.monotonic_ns() - started) / 1e6)
    database.close()
    return ms


def judged(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return orders, p50 and p99 of each client in ms, and what its p50 adds to the bare script's."""
    floor = float(np.median(times[BARE]))
    return {
        name: {"count": len(ms), "p50_ms": round(float(np.median(ms)), 3),
               "p99_ms": round(float(np.percentile(ms, 99)), 3), "added_p50_ms": round(float(np.median(ms)) - floor, 3)}
        for name, ms in times.items()
    }  # fmt: skip


_HEAD = """\
| what | count | p50, ms | p99, ms | added, ms | aim, ms |
|---|---|---|---|---|---|
"""


def section(found: dict[str, dict[str, float]]) -> str:
    """Return the table."""
    rows = [
        f"| {name} | {f['count']} | {f['p50_ms']:.2f} | {f['p99_ms']:.2f} "
        f"| {'' if name == DISK else format(f['added_p50_ms'], '.2f')} | {AIMS_MS.get(name, '')} |"
        for name, f in found.items()
    ]
    return _HEAD + "\n".join(rows)


async def _measure_all(rounds: int, days: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {TRADER: [], MEMORY: [], BARE: [], DISK: []}
    for _ in range(rounds):  # by turns, so that a slow minute of the machine is everybody's
        for name, ms in times.items():
            with tempfile.TemporaryDirectory(prefix="robotrader-latency-") as folder:
                found = commits(Path(folder), days) if name == DISK else await measure(name, Path(folder), days)
                ms.extend(found)
    return times


def main() -> int:
    """Measure, print the table and one line of JSON; 1 when an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the section of docs/benchmarks.md")
    parser.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare is not None:
        asyncio.run(bare(options.bare))
        return 0
    if options.memory is not None:
        trade_in_memory(options.memory)
        return 0
    return _report(options)


def _report(options: Any) -> int:
    started = time.perf_counter()
    found = judged(asyncio.run(_measure_all(options.rounds, options.days)))
    print(section(found), file=sys.stderr)
    if options.write:
        page.write("benchmarks.md", "latency", section(found))
    missed = [client for client, aim in AIMS_MS.items() if found[client]["added_p50_ms"] > aim]
    print(json.dumps({"target": "latency", "passed": len(AIMS_MS) - len(missed), "failed": len(missed),
                      "missed": missed, "aims_ms": AIMS_MS, "figures": found,
                      "seconds": round(time.perf_counter() - started, 1)}))  # fmt: skip
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
