"""Kill the demo's trader with SIGKILL at random moments and compare what is left with an undisturbed run.

`make kills` (ARGS="--runs 20 --kills 5 --days 3270 --seed 1") prints one line of JSON; `--kills` is how often each
run's trader dies. A run fails when orders, fills, cash, equity or positions differ, when the gateway saw an order
twice, or when a fill is missing. Where the kill fell between SENDING and the socket, the gateway never received that
order: it is VOIDED, the report names it, and the run counts as passed only if nothing else is wrong.
"""

import argparse
import json
import os
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

from robotrader.cli.demo import MAX_RESTARTS

COMPARED = ("orders_hash", "fills_hash", "cash", "equity", "positions", "commission", "realized_pnl")


def demo(state: Path, days: int, *, kill_at: Sequence[int] = ()) -> tuple[dict[str, Any], int]:
    """Run a headless demo; kill its trader each time when its journal has grown past the next of `kill_at`.

    Returns
    -------
    (dict, int)
        The demo's report, and how many traders were killed.
    """
    command = [sys.executable, "-m", "robotrader", "demo", "--headless", "--json", "--quiet"]
    process = subprocess.Popen(
        [*command, "--days", str(days), "--state", str(state)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    killed = sum(_kill(process, state, seq) for seq in sorted(kill_at))
    out, err = process.communicate(timeout=600)
    if not out.strip():
        raise RuntimeError(f"the demo printed nothing: {err}")
    return json.loads(out), killed


def _kill(process: "subprocess.Popen[str]", state: Path, seq: int) -> bool:
    """Wait until the journal has `seq` rows and a trader lives, and kill it; False when the demo ended first."""
    from robotrader import bootstrap

    wait, reader = threading.Event(), bootstrap.reader(state)
    while process.poll() is None:
        if (state / bootstrap.JOURNAL).exists() and reader.head() >= seq:
            pid = bootstrap.trader_pid(state)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                return True
        wait.wait(0.001)
    return False


def judge(report: dict[str, Any], undisturbed: dict[str, Any]) -> list[str]:
    """Return what is wrong with a disturbed run; nothing, where it ended as the undisturbed one."""
    wrong = [name for name in ("duplicate_orders", "lost_fills", "invariants_violated") if report[name]]
    wrong += [] if report["reconciled"] else ["reconciled"]
    if report["voided"]:
        return wrong + (["voided"] if set(report["voided"]) - set(report["never_received"]) else [])
    return wrong + [name for name in COMPARED if report[name] != undisturbed[name]]


def main() -> int:
    """Run, print one line of JSON, and return 1 when a run failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--kills", type=int, default=1, choices=range(1, MAX_RESTARTS + 1), help="in each run")
    parser.add_argument("--days", type=int, default=3_270)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started, rng, failures, kills, voided = time.perf_counter(), random.Random(options.seed), [], 0, 0
    with tempfile.TemporaryDirectory(prefix="robotrader-kills-") as folder:
        undisturbed, _ = demo(Path(folder) / "undisturbed", options.days)
        rows = _rows(Path(folder) / "undisturbed")
        for run in range(options.runs):
            seqs = sorted(rng.sample(range(1, rows), options.kills))
            report, killed = demo(Path(folder) / str(run), options.days, kill_at=seqs)
            kills += killed
            voided += len(report["voided"])
            wrong = judge(report, undisturbed)
            failures += [f"run {run}, killed at seq {seqs}: {', '.join(wrong)}"] if wrong else []
            print(f"run {run}: killed at seq {seqs} of {rows}: {wrong or 'as undisturbed'}", file=sys.stderr)
    missed = options.runs * options.kills - kills
    failures += [f"runs ended before {missed} of the kills"] if missed else []
    print(json.dumps({
        "target": "kills", "passed": options.runs - len(failures), "failed": len(failures), "kills": kills,
        "voided": voided, "orders": undisturbed["orders"], "fills": undisturbed["fills"], "seed": options.seed,
        "failures": failures, "seconds": round(time.perf_counter() - started, 1),
    }))  # fmt: skip
    return 1 if failures else 0


def _rows(state: Path) -> int:
    from robotrader import bootstrap

    return bootstrap.reader(state).head()


if __name__ == "__main__":
    sys.exit(main())
