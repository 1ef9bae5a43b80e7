"""Load on the journal: one writer at full rate, readers beside it, and SIGKILL in the middle.

`make journal-load` (ARGS="--seconds 60 --readers 8 --kills 3 --seed 1") prints one line of JSON. The rows come from a
generator that knows every one of them, so that a lost, doubled or altered row shows at the end. Each reader looks again
and again at one snapshot: it must hold whole batches in an unbroken chain, and never go back. A lock error of anybody
fails the run. A killed writer is followed by another, which goes on behind the last batch that was committed.
"""

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from robotrader.adapters.sql.chain import first_break
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.migrate import migrate
from robotrader.adapters.sql.schema import bars, journal
from robotrader.adapters.sql.verify import verify
from robotrader.model import Bar, BarsClosed, BarSpec, InstrumentId, encode
from robotrader.ports import BrokerMessage, JournalRow

BATCH = 200
"""Messages in a batch; each makes a raw row, an event and a bar."""

_START, _STEP = 1_700_000_000_000_000_000, 5_000_000_000
_TAIL = 100
_PAUSE_S = 0.01  # else eight readers take the processors from the writer


def event(k: int) -> BarsClosed:
    """Return the k-th event that the writer writes."""
    ts, close = _START + k * _STEP, 100.0 + k % 97
    bar = Bar(instrument=InstrumentId("LOAD.SMART"), ts_event=ts, open=close, high=close + 1, low=close - 1,
              close=close, volume=float(k), spec=BarSpec.SECOND_5)  # fmt: skip
    return BarsClosed(ts_event=ts, ts_init=ts, bars=(bar,))


async def write(path: Path, seconds: float) -> int:
    """Write for a while, behind what is there; return how many messages there are then."""
    end = time.monotonic() + seconds
    with Database(path) as database:
        kept = SqlJournal(database)
        k = len(await kept.rows()) // 2
        await kept.begin_run(f"from {k}", "load")
        while time.monotonic() < end:
            async with kept.transaction() as tx:
                for n in range(k, k + BATCH):
                    tx.raw(BrokerMessage(name="bar", fields={"n": n}, ts_init=_START + n * _STEP))
                    if tx.event(event(n)) is None:
                        raise RuntimeError(f"event {n} was there already")
            k += BATCH
        await kept.close()
    return k


def read(path: Path) -> dict[str, Any]:
    """Look until stdin closes; return the number of looks and what was wrong with any of them."""
    stopped, wrong, looks, last = threading.Event(), list[str](), 0, 0
    threading.Thread(target=_until_closed, args=(stopped,), daemon=True).start()
    with Database(path) as database:
        while not stopped.wait(_PAUSE_S):
            with database.read.begin() as connection:
                tail = select(journal).order_by(journal.c.seq.desc()).limit(_TAIL)
                rows = connection.execute(tail).mappings().all()[::-1]
                written = connection.execute(select(func.max(bars.c.id))).scalar() or 0
            looks += 1
            wrong += _amiss(rows, written, last)
            last = rows[-1]["seq"] if rows else last
    return {"looks": looks, "wrong": wrong[:5]}


def _until_closed(stopped: threading.Event) -> None:
    sys.stdin.read()
    stopped.set()


def _amiss(rows: Sequence[Any], written: int, last: int) -> list[str]:
    if not rows:
        return []
    head, before = rows[-1]["seq"], rows[0]
    found = [f"the head went from {last} back to {head}"] if head < last else []
    found += [f"{head} rows, but {written} bars: half a batch"] if head != 2 * written or written % BATCH else []
    broken = first_break(rows, seq=before["seq"] - 1, last=before["prev_hash"])
    return [*found, broken] if broken else found


def judge(rows: Sequence[JournalRow]) -> list[str]:
    """Return which rows of the journal are not the generator's."""
    wrong = [f"{len(rows)} rows are no whole batches"] if len(rows) % (2 * BATCH) else []
    for k, row in enumerate(rows):
        expected = encode(event(k // 2)).decode() if k % 2 else None
        same = row.payload == expected if k % 2 else row.kind == "raw" and f'"n":{k // 2}' in row.payload
        wrong += [] if same and row.seq == k + 1 else [f"row {row.seq} is not the generator's"]
    return wrong[:5]


def _start(*arguments: str, stdin: int | None = None) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.chaos.journal_load", *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def load(path: Path, *, seconds: float, readers: int, kills: int, seed: int) -> dict[str, Any]:
    """Run writers and readers on a new journal, and return what came of it."""
    with Database(path) as database:
        migrate(database)
    rng, failures, looks = random.Random(seed), list[str](), 0
    watching = [_start("--read", str(path), stdin=subprocess.PIPE) for _ in range(readers)]
    share = seconds / (kills + 1)
    for life in range(kills + 1):
        writer = _start("--write", str(path), "--seconds", str(share if life == kills else 10 * seconds))
        if life < kills:
            threading.Event().wait(share * rng.uniform(0.5, 1.5))
            writer.send_signal(signal.SIGKILL)
        _, err = writer.communicate(timeout=10 * seconds + 60)
        if writer.returncode not in ({-signal.SIGKILL} if life < kills else {0}):
            failures.append(f"writer {life}: {err[-300:]}")
    for reader in watching:
        out, err = reader.communicate("", timeout=60)
        found: dict[str, Any] = json.loads(out) if reader.returncode == 0 else {"looks": 0, "wrong": [err[-300:]]}
        looks += found["looks"]
        failures += found["wrong"]
    with Database(path) as database:
        rows = asyncio.run(_rows(database))
        report = verify(database)
    failures += judge(rows)
    failures += [] if report.file_ok and report.chain_ok else [report.file, report.chain]
    return {"rows": len(rows), "rows_per_second": round(len(rows) / seconds), "looks": looks, "kills": kills,
            "readers": readers, "failures": failures}  # fmt: skip


async def _rows(database: Database) -> Sequence[JournalRow]:
    kept = SqlJournal(database)
    try:
        return await kept.rows()
    finally:
        await kept.close()


def main() -> int:
    """Run, print one line of JSON, and return 1 when something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="be the writer of this file")
    parser.add_argument("--read", type=Path, help="be a reader of this file")
    options = parser.parse_args()
    if options.write:
        asyncio.run(write(options.write, options.seconds))
        return 0
    if options.read:
        print(json.dumps(read(options.read)))
        return 0
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="robotrader-load-") as folder:
        found = load(Path(folder) / "journal.sqlite", seconds=options.seconds, readers=options.readers,
                     kills=options.kills, seed=options.seed)  # fmt: skip
    failed = len(found["failures"])
    print(json.dumps({"target": "journal-load", "passed": int(not failed), "failed": failed, **found,
                      "seed": options.seed, "seconds": round(time.perf_counter() - started, 1)}))  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
