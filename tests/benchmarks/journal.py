"""What the journal costs: group commit of market data, single commits, and memory under live minute bars.

Each figure stands beside the same work on bare sqlite3 on the same disk, taken by turns in the same run. The memory of
a trader (core, strategy, journal on disk) that takes minute bars of 500 instruments is measured as fast as it goes; a
minute at 100 times real time is 100 cross-sections. `--write` puts the table into docs/benchmarks.md; the last line is
JSON.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from robotrader.adapters.clocks import BrokerClock
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.migrate import migrate
from robotrader.engine.trader import Trader
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import (
    Bar,
    BarsClosed,
    BarSpec,
    OrderAccepted,
    OrderId,
    RiskLimit,
    RunStarted,
    StrategyConfig,
    StrategyId,
    Venue,
    encode,
    stock,
)
from robotrader.strategy.loading import trailing_source
from tests import page
from tests.fakes import FakeBroker

INSTRUMENTS = tuple(stock(f"S{n:03d}", Venue.NYSE) for n in range(500))
START_NS, MINUTE_NS = 1_704_207_000_000_000_000, 60_000_000_000
SECTIONS = 15
"""Cross-sections of 500 bars in a batch."""
AIMS = {"group": 50_000.0, "single": 0.5, "memory": 1.0}


def section(minute: int) -> BarsClosed:
    """Return one minute of all instruments."""
    ts = START_NS + minute * MINUTE_NS
    made = tuple(
        Bar(instrument=i.id, ts_event=ts, open=100.0, high=101.0, low=99.0, close=100.0 + (minute + n) % 7 / 10,
            volume=1e4, spec=BarSpec.MINUTE)
        for n, i in enumerate(INSTRUMENTS)
    )  # fmt: skip
    return BarsClosed(ts_event=ts, ts_init=ts, bars=made)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqlJournal]:
    """Open a new journal with a run begun."""
    with Database(path) as database:
        migrate(database)
        journal = SqlJournal(database)
        await journal.begin_run("bench", "bench")
        yield journal
        await journal.close()


async def group_commit(folder: Path, batches: int) -> dict[str, Any]:
    """Bars a second that the journal takes in groups, and that bare sqlite3 takes of the same rows."""
    ours, bare, busy = [], [], []
    async with opened(folder / "group.sqlite") as journal:
        with closing(_bare(folder / "group-bare.sqlite")) as other:
            for k in range(batches):
                events = [section(k * SECTIONS + n) for n in range(SECTIONS)]
                started, used = time.perf_counter(), time.process_time()
                async with journal.transaction() as tx:
                    for event in events:
                        tx.event(event)
                ours.append(time.perf_counter() - started)
                busy.append(time.process_time() - used)
                rows = [(b.instrument, b.ts_event, b.open, b.high, b.low, b.close, b.volume)
                        for event in events for b in event.bars]  # fmt: skip
                started = time.perf_counter()
                other.execute("BEGIN IMMEDIATE")
                other.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", [(encode(e).decode(), *[0] * 6)
                                                                                      for e in events])  # fmt: skip
                other.executemany("INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                other.execute("COMMIT")
                bare.append(time.perf_counter() - started)
        good = len(await journal.rows()) == batches * SECTIONS
    size = SECTIONS * len(INSTRUMENTS)
    rate = size / median(ours)
    return {"what": "group commit of market data, bars/s", "good": good, "value": rate, "bare": size / median(bare),
            "ratio": median(bare) / median(ours), "aim": AIMS["group"], "met": rate >= AIMS["group"],
            "of_processor_time": size / median(busy)}  # fmt: skip


async def single_commits(folder: Path, count: int) -> dict[str, Any]:
    """Commits a second of one order event each, with FULL durability, and those of bare sqlite3."""
    ours, bare = [], []
    async with opened(folder / "single.sqlite") as journal:
        with closing(_bare(folder / "single-bare.sqlite")) as other:
            for k in range(count):
                event = OrderAccepted(ts_event=k, ts_init=k, order_id=OrderId(f"RT-{k:022d}"), perm_id=k)
                started = time.perf_counter()
                async with journal.transaction() as tx:
                    tx.event(event)
                ours.append(time.perf_counter() - started)
                started = time.perf_counter()
                other.execute("BEGIN IMMEDIATE")
                other.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", (encode(event).decode(), *[k] * 6))
                other.execute("COMMIT")
                bare.append(time.perf_counter() - started)
        good = len(await journal.rows()) == count
    ratio = median(bare) / median(ours)
    return {"what": "single FULL commits/s", "good": good, "value": 1 / median(ours), "bare": 1 / median(bare),
            "ratio": ratio, "aim": AIMS["single"], "met": ratio >= AIMS["single"]}  # fmt: skip


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    for table in ("journal", "bars"):
        connection.execute(f"CREATE TABLE {table} (a, b, c, d, e, f, g)")
    return connection


async def memory(folder: Path, minutes: int, warmup: int) -> dict[str, Any]:
    """MB that a trader grows by in a minute at 100 times real time, after its warm-up, and how fast it goes."""
    async with opened(folder / "memory.sqlite") as journal:
        clock = BrokerClock(lambda: None, start=START_NS)
        path = WriteAhead(trader=Trader(trailing_source), journal=journal, broker=FakeBroker(), clock=clock,
                          halted=lambda: None)  # fmt: skip
        path.epoch = 1
        ids = tuple(i.id for i in INSTRUMENTS)
        config = StrategyConfig(id=StrategyId("quiet"), source=f"{Path(__file__).with_name('quiet.py')}:Quiet",
                                universe=ids, capital=Decimal(1_000_000))  # fmt: skip
        run = RunStarted(ts_event=START_NS, ts_init=START_NS, epoch=1, run_id="bench", mode="paper", account="DU1",
                         strategies=(config,), instruments=INSTRUMENTS, limits=RiskLimit(profile="none"),
                         code_version="bench")  # fmt: skip
        await path.record([run])
        grown, started = [], 0.0
        for minute in range(warmup + minutes):
            if minute == warmup:
                started = time.perf_counter()
            clock.advance(START_NS + minute * MINUTE_NS)
            await path.record([section(minute)])
            if minute >= warmup:
                grown.append(_rss_mb())
        speed = 60.0 * minutes / (time.perf_counter() - started)
        good = len(await journal.rows()) > warmup + minutes
    slope = float(np.polyfit(np.arange(minutes), grown, 1)[0]) * 100
    return {"what": "memory, MB a minute at 100 times real time", "good": good and speed > 100, "value": slope,
            "bare": None, "ratio": None, "aim": AIMS["memory"], "met": slope < AIMS["memory"], "speed": speed,
            "rss_mb": grown[-1]}  # fmt: skip


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def table(cases: list[dict[str, Any]]) -> str:
    """Return the cases as a Markdown table."""
    lines = ["| what | found | bare sqlite3 | ratio | aim |", "|---|---|---|---|---|"]
    for case in cases:
        bare = "" if case["bare"] is None else f"{case['bare']:,.0f}"
        ratio = "" if case["ratio"] is None else f"{case['ratio']:.2f}"
        aim = f"{case['aim']:,g}: {'met' if case['met'] else 'MISSED'}"
        lines.append(f"| {case['what']} | {case['value']:,.2f} | {bare} | {ratio} | {aim} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print the table and one line of JSON; 1 when a result is wrong or an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--commits", type=int, default=1_000)
    parser.add_argument("--minutes", type=int, default=600)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="robotrader-journal-") as name:
        folder = Path(name)
        cases = [
            asyncio.run(memory(folder, options.minutes, options.warmup)),  # first: nothing else has grown yet
            asyncio.run(group_commit(folder, options.batches)),
            asyncio.run(single_commits(folder, options.commits)),
        ]
    found = table(cases)
    print(found, file=sys.stderr)
    if options.write:
        page.write("benchmarks.md", "journal", found)
    failed = sum(not (case["good"] and case["met"]) for case in cases)
    print(json.dumps({"target": "journal-bench", "passed": len(cases) - failed, "failed": failed, "cases": cases,
                      "seconds": round(time.perf_counter() - started, 1)}))  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
