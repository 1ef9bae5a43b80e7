"""Load on the gateway simulator: many quotes to several clients for minutes, and many orders in one run.

The simulator runs in a process of its own; the clients are ib_async's, which we did not write. `make load` prints one
line of JSON; a figure beyond its bound fails it.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from datetime import UTC
from pathlib import Path
from typing import Any

import ib_async
import numpy as np
from ib_async.client import Client

from robotrader.adapters.calendar import session_table
from robotrader.data.seeded import SeedSpec, generate
from robotrader.model import BarSpec
from robotrader.simulation.costs import cost_model
from robotrader.simulation.gateway import Gateway, GatewayConfig
from robotrader.simulation.venue import Venue

SYMBOLS = tuple(f"S{n:03d}" for n in range(100))
CLIENTS = 4
QUOTES_PER_S = 10
MAX_SLOPE_MB_PER_MIN = 1.0
ORDERS = 20_000
_BATCH = 500
_LOOKS_PER_S = 16  # a cheap symbol's price stays where it was in one look of four
_SPEED = 600.0  # ten minute bars a second: nearly every look finds another price
_WARM_UP_S = 60.0
_BID, _ASK = 1, 2


async def serve() -> None:
    """Serve minute bars of 100 symbols, looked at so often that each quote changes ten times a second."""
    sessions = session_table("2024-01-02", "2024-03-28")
    panel = generate(SeedSpec(seed=11, symbols=SYMBOLS, spec=BarSpec.MINUTE, bars=12_000), sessions)
    config = GatewayConfig(speed=_SPEED, tick_s=1 / _LOOKS_PER_S, start=int(panel.opened[390]))
    gateway = Gateway(panel, Venue({i.id: i for i in panel.instruments}, cost_model("ibkr_fixed")), config)
    print(await gateway.serve(), flush=True)
    await asyncio.Event().wait()


class Heard:
    """A client's wrapper: count quotes, note order ends, hear errors."""

    defaultTimezone = UTC  # noqa: N815 - the name that the client looks for

    def __init__(self) -> None:
        self.ib = type("NoFacade", (), {"TimezoneTWS": None})
        self.quotes: Counter[int] = Counter()
        self.filled: set[int] = set()
        self.errors: list[str] = []
        self.news = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in {"tcpDataArrived", "tcpDataProcessed"}:
            raise AttributeError(name)
        return lambda *_: None

    def priceSizeTick(self, req_id: int, tick: int, price: float, size: float) -> None:  # noqa: N802
        self.quotes[req_id] += tick == _BID

    def orderStatus(self, order_id: int, status: str, *_: Any) -> None:  # noqa: N802
        if status == "Filled":
            self.filled.add(order_id)
            self.news.set()

    def error(self, req_id: int, code: int, text: str, *_: Any) -> None:
        if not 2100 <= code < 2200:
            self.errors.append(f"{code}: {text}")


async def _connect(port: int, client_id: int) -> tuple[Any, Heard]:
    heard = Heard()
    make: Any = Client
    client = make(heard)
    client.MaxRequests = 0
    await client.connectAsync("127.0.0.1", port, client_id, 20)
    return client, heard


def _rss_mb(pid: int) -> float:
    line = next(x for x in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines() if "VmRSS" in x)
    return int(line.split()[1]) / 1024


async def quotes(port: int, pid: int, *, minutes: float) -> dict[str, float]:
    """Subscribe every client to every symbol and watch for some minutes."""
    peers = [await _connect(port, n + 1) for n in range(CLIENTS)]
    for client, _ in peers:
        for n, symbol in enumerate(SYMBOLS):
            client.reqMktData(1_000 + n, ib_async.Stock(symbol, "SMART", "USD"), "", False, False, [])
    memory, started = list[tuple[float, float]](), time.monotonic()
    while (passed := time.monotonic() - started) < minutes * 60:
        await asyncio.sleep(min(5.0, minutes * 60 - passed))
        memory.append((time.monotonic() - started, _rss_mb(pid)))
        print(f"{memory[-1][0]:6.0f} s  {memory[-1][1]:7.1f} MB", file=sys.stderr)
    seconds = time.monotonic() - started
    slowest = min(heard.quotes[1_000 + n] / seconds for _, heard in peers for n in range(len(SYMBOLS)))
    total = sum(sum(heard.quotes.values()) for _, heard in peers) / seconds
    for client, _ in peers:
        client.disconnect()
    late = np.array([m for m in memory if m[0] >= min(_WARM_UP_S, seconds / 2)])
    slope = float(np.polyfit(late[:, 0] / 60, late[:, 1], 1)[0])
    return {"quotes_per_s": total, "slowest_quotes_per_s": slowest, "rss_slope_mb_per_min": slope,
            "rss_mb": memory[-1][1], "errors": float(sum(len(heard.errors) for _, heard in peers))}  # fmt: skip


async def orders(port: int) -> dict[str, float]:
    """Place market orders, by turns bought and sold, until all have filled."""
    client, heard = await _connect(port, 9)
    first, started = int(client.getReqId()), time.monotonic()
    for n in range(ORDERS):
        side, symbol = ("BUY", "SELL")[n // len(SYMBOLS) % 2], SYMBOLS[n % len(SYMBOLS)]
        order = ib_async.Order(action=side, totalQuantity=1, orderType="MKT", orderRef=f"L{n}")
        client.placeOrder(first + n, ib_async.Stock(symbol, "SMART", "USD"), order)
        while n % _BATCH == _BATCH - 1 and n + 1 - len(heard.filled) > 2 * _BATCH:
            heard.news.clear()
            await heard.news.wait()
    while len(heard.filled) < ORDERS:
        heard.news.clear()
        await asyncio.wait_for(heard.news.wait(), 60)
    seconds = time.monotonic() - started
    client.disconnect()
    return {"orders_filled": float(len(heard.filled)), "orders_per_s": ORDERS / seconds,
            "order_errors": float(len(heard.errors))}  # fmt: skip


async def _measure(minutes: float) -> dict[str, float]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.gateway_load", "--serve", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        port = int(await asyncio.wait_for(child.stdout.readline(), 120))
        return {**await quotes(port, child.pid, minutes=minutes), **await orders(port)}
    finally:
        child.terminate()
        await child.wait()


def main() -> int:
    """Measure, print one line of JSON, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return 0
    started = time.monotonic()
    found = asyncio.run(_measure(options.minutes))
    bounds = {
        "quotes": found["slowest_quotes_per_s"] >= QUOTES_PER_S,
        "memory": found["rss_slope_mb_per_min"] < MAX_SLOPE_MB_PER_MIN,
        "orders": found["orders_filled"] == ORDERS,
        "errors": not found["errors"] and not found["order_errors"],
    }
    report = {"target": "load", "passed": sum(bounds.values()), "failed": sum(not b for b in bounds.values()),
              "seconds": round(time.monotonic() - started, 1), **{k: round(v, 2) for k, v in found.items()},
              "beyond_bounds": [name for name, good in bounds.items() if not good]}  # fmt: skip
    print(json.dumps(report))
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
