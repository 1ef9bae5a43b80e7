"""Kill the demo's trader with SIGKILL at random moments and compare what is left with an undisturbed run.

`make kills` (ARGS="--runs 20 --days 3270 --seed 1") prints one line of JSON; a run fails when orders, fills,
cash, equity or positions differ, when the gateway saw an order twice, or when a fill is missing. Where the kill
fell between SENDING and the socket, the gateway never received that order: it is VOIDED, the report names it,
and the run counts as passed only if nothing else is wrong.
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
from pathlib import Path
from typing import Any

COMPARED = ("orders_hash", "fills_hash", "cash", "equity", "positions", "commission", "realized_pnl")


def demo(state: Path, days: int, *, kill_at_seq: int | None = None) -> tuple[dict[str, Any], bool]:
    """Run a headless demo; kill its trader once, when its journal has grown past `kill_at_seq`.

    Returns
    -------
    (dict, bool)
        The demo's report, and whether a trader was killed.
    """
    command = [sys.executable, "-m", "robotrader", "demo", "--headless", "--json", "--quiet"]
    process = subprocess.Popen(
        [*command, "--days", str(days), "--state", str(state)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    killed = kill_at_seq is not None and _kill(process, state, kill_at_seq)
    out, err = process.communicate(timeout=600)
    if not out.strip():
        raise RuntimeError(f"the demo printed nothing: {err}")
    return json.loads(out), killed


def _kill(process: "subprocess.Popen[str]", state: Path, seq: int) -> bool:
    """Wait until the journal has `seq` rows, then kill the trader; False when the demo ended first."""
    from robotrader import bootstrap

    wait, reader = threading.Event(), bootstrap.reader(state)
    while process.poll() is None:
        if (state / bootstrap.JOURNAL).exists() and reader.head() >= seq:
            pid = bootstrap.trader_pid(state)
            if pid is None:
                return False
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
    parser.add_argument("--days", type=int, default=3_270)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started, rng, failures, kills, voided = time.perf_counter(), random.Random(options.seed), [], 0, 0
    with tempfile.TemporaryDirectory(prefix="robotrader-kills-") as folder:
        undisturbed, _ = demo(Path(folder) / "undisturbed", options.days)
        rows = _rows(Path(folder) / "undisturbed")
        for run in range(options.runs):
            seq = rng.randrange(1, rows)
            report, killed = demo(Path(folder) / str(run), options.days, kill_at_seq=seq)
            kills += killed
            voided += len(report["voided"])
            wrong = judge(report, undisturbed)
            failures += [f"run {run}, killed at seq {seq}: {', '.join(wrong)}"] if wrong else []
            print(f"run {run}: killed at seq {seq} of {rows}: {wrong or 'as undisturbed'}", file=sys.stderr)
    missed = options.runs - kills
    failures += [f"{missed} runs ended before the kill"] if missed else []
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
