"""The lake against Polars alone, on the same file and in the same run; read the ratios.

Import is read, judge and write of minute bars; Polars alone reads the same CSV with its times and writes one Parquet
file. Each round checks that every bar came back as it was.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
import polars as pl

from robotrader.adapters.calendar import session_table
from robotrader.adapters.parquet.imports import Imported, import_files
from robotrader.adapters.parquet.lake import Lake
from robotrader.data.frame import BarFrame
from robotrader.data.panel import Panel
from robotrader.data.seeded import SeedSpec, generate
from robotrader.model import BarSpec
from tests import page

T = TypeVar("T")
LIMIT_RATIO, LIMIT_READ_MS = 5.0, 50.0
YEAR = 98_280  # minutes of 252 sessions


def write_csv(path: Path, bars: int) -> Panel:
    """Write seeded minute bars of one symbol as a CSV in our columns, and return them."""
    panel = generate(
        SeedSpec(seed=1, symbols=("AAA",), spec=BarSpec.MINUTE, bars=bars), session_table("2005-01-03", "2036-12-31")
    )
    stamps = pl.Series("timestamp", panel.opened).cast(pl.Datetime("ns", "UTC")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    values = {name: getattr(panel, name)[:, 0] for name in ("open", "high", "low", "close", "volume")}
    pl.DataFrame({"symbol": ["AAA"] * bars, "timestamp": stamps, **values}).write_csv(path)
    return panel


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Return how long a work took, s, and its result."""
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done


def import_round(source: Path, folder: Path, panel: Panel) -> dict[str, float]:
    """Import the file with Polars alone and into an empty lake, then again; return seconds."""

    def polars_alone() -> None:
        pl.read_csv(source, try_parse_dates=True).write_parquet(folder / "alone.parquet", compression="zstd")

    def ours() -> Imported:
        return import_files([source], lake, symbol=None, now=1, who="benchmark", progress=lambda _: None)

    lake = Lake(folder / "lake")
    alone, _ = timed(polars_alone)
    first, done = timed(ours)
    again, repeated = timed(ours)
    (content,) = lake.holdings()
    start = int(panel.opened[len(panel) - YEAR])  # the last year's worth: warm after one look
    reads = [timed(lambda: lake.scan([content.instrument], BarSpec.MINUTE, start=start)) for _ in range(6)]
    whole = lake.scan([content.instrument], BarSpec.MINUTE)
    good = (done.rows_written, repeated.rows_duplicate, repeated.rows_written) == (len(panel), len(panel), 0)
    assert good, "the import lost or invented bars"
    assert same(whole, panel), "the lake gives other bars than it was given"
    assert len(reads[0][1]) == YEAR
    return {"alone": alone, "first": first, "again": again, "year": median(s for s, _ in reads[1:])}


def same(frame: BarFrame, panel: Panel) -> bool:
    """Tell whether a frame of one symbol holds a panel's bars."""
    return np.array_equal(frame.start, panel.opened) and np.array_equal(frame.close, panel.close[:, 0])


def main() -> int:
    """Run the rounds, print the medians and one line of JSON; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="robotrader-lake-") as name:
        source = Path(name) / "minutes.csv"
        panel = write_csv(source, options.bars)
        rounds = []
        for k in range(options.rounds):
            folder = Path(name) / str(k)
            folder.mkdir()
            rounds.append(import_round(source, folder, panel))
    found = {key: median(r[key] for r in rounds) for key in rounds[0]}
    ratio, year_ms = median(r["first"] / r["alone"] for r in rounds), found["year"] * 1_000
    shown = (
        "| what | seconds | Polars alone, s | target |\n|---|---|---|---|\n"
        f"| import, judge and write {options.bars:,} minute bars | {found['first']:.2f} | {found['alone']:.2f} "
        f"| {LIMIT_RATIO:g} times Polars: {ratio:.2f} |\n"
        f"| the same file again: nothing is written | {found['again']:.2f} |  |  |\n"
        f"| read a symbol-year of minutes, warm | {year_ms / 1_000:.4f} |  | {LIMIT_READ_MS / 1_000:g} s |"
    )
    print(shown, file=sys.stderr)
    if options.write:
        page.write("benchmarks.md", "lake", shown)
    passed = [ratio <= LIMIT_RATIO, year_ms <= LIMIT_READ_MS]
    print(json.dumps({
        "target": "lake", "passed": sum(passed), "failed": len(passed) - sum(passed), "bars": options.bars,
        "import_ratio": round(ratio, 2), "import_seconds": round(found["first"], 3),
        "polars_seconds": round(found["alone"], 3), "reimport_seconds": round(found["again"], 3),
        "year_ms": round(year_ms, 1), "seconds": round(time.perf_counter() - started, 1),
    }))  # fmt: skip
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
