"""Benchmarks: whole processes, and the speed of both engines; `--write` puts the tables into docs/benchmarks.md.

Figures depend on the machine: read the ratios. Each case also checks its result, so that a fast wrong
answer cannot pass.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests import page
from tests.benchmarks import peers, speed
from tests.benchmarks.process import robotrader
from tests.benchmarks.workloads import reference, write_w1


def w1(folder: Path, rounds: int) -> dict[str, Any]:
    """Workload W1 on the event engine, against plain NumPy in the same run."""
    prices = write_w1(folder / "w1.parquet")
    started = time.perf_counter()
    fills, equity = reference(prices)
    numpy_s = time.perf_counter() - started
    command = ["backtest", "sma_crossover", "--data", str(folder / "w1.parquet"), "--engine", "event", *speed.COSTS]
    runs = [robotrader(*command) for _ in range(rounds)]
    good = all(r["fills"] == fills and abs(float(r["final_equity"]) - equity) < 0.005 for r in runs)
    seconds = median(r["seconds"] for r in runs)
    return {"case": "W1: 1,000,000 minute bars, SMA 10/50, event engine", "good": good, "seconds": seconds,
            "wall": median(r["wall"] for r in runs), "peak_mb": max(r["peak_mb"] for r in runs),
            "note": f"{fills:,} fills, equity {equity:,.3f}, as plain NumPy finds in {numpy_s:.3f} s "
                    f"({seconds / numpy_s:.0f} times faster); {1e6 / seconds:,.0f} bars/s"}  # fmt: skip


def demo(rounds: int) -> dict[str, Any]:
    """Run the headless demo: three processes, the real protocol, FULL durability."""
    runs = [robotrader("demo", "--headless", "--quiet") for _ in range(rounds)]
    good = all(r["reconciled"] and not r["lost_fills"] and not r["duplicate_orders"] for r in runs)
    good = good and len({(r["orders_hash"], r["fills_hash"], r["equity"]) for r in runs}) == 1
    return {"case": "headless demo: 4 symbols, 13 years, over the wire", "good": good,
            "seconds": median(r["seconds"] for r in runs), "wall": median(r["wall"] for r in runs),
            "peak_mb": max(r["peak_mb"] for r in runs),
            "note": f"{runs[0]['orders']} orders, {runs[0]['fills']} fills, all runs equal"}  # fmt: skip


def start_up(rounds: int) -> dict[str, Any]:
    """`robotrader --help`, against a bare interpreter in the same run."""
    command, bare = [sys.executable, "-m", "robotrader", "--help"], [sys.executable, "-c", "pass"]
    times = {"help": [_wall(command) for _ in range(rounds * 3)], "bare": [_wall(bare) for _ in range(rounds * 3)]}
    ours, floor = median(times["help"]), median(times["bare"])
    return {"case": "robotrader --help", "good": True, "seconds": ours, "wall": ours, "peak_mb": None,
            "note": f"{ours / floor:.1f} times a bare interpreter ({floor:.3f} s)"}  # fmt: skip


def _wall(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started


def table(cases: list[dict[str, Any]]) -> str:
    """Return the cases as a Markdown table."""
    lines = [
        "| case | result checked | seconds | whole process, s | peak memory, MB | note |",
        "|---|---|---|---|---|---|",
    ]
    for c in cases:
        peak = "" if c["peak_mb"] is None else f"{c['peak_mb']:.0f}"
        good = "yes" if c["good"] else "WRONG"
        cells = (c["case"], good, f"{c['seconds']:.2f}", f"{c['wall']:.2f}", peak, c["note"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run the cases, print them and one line of JSON; 1 when a result is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="robotrader-bench-") as folder:
        cases = [w1(Path(folder), options.rounds), demo(options.rounds), start_up(options.rounds)]
        engines = peers.measured(Path(folder) / "peers")
        speeds = speed.rows(Path(folder), options.rounds, engines)
    found, faster = table(cases), speed.section(speeds, engines)
    print(f"{found}\n\n{faster}", file=sys.stderr)
    if options.write:
        page.write("benchmarks.md", "cases", found)
        page.write("benchmarks.md", "speed", faster)
    results = [*(c["good"] for c in cases), *(row.good for row in speeds)]
    failed = results.count(False)
    print(json.dumps({"target": "bench", "passed": len(results) - failed, "failed": failed, "cases": cases,
                      "seconds": round(time.perf_counter() - started, 1)}))  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
