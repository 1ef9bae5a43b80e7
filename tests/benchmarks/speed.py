"""Both engines on W1 to W3 and whole processes, against other engines in the same run (part of `make bench`).

Every row has the gate, costs and the ledger on, and checks its result against another engine's in the same run.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import robotrader as package
from robotrader.data.panel import Panel
from robotrader.model import StrategyConfig, StrategyId
from robotrader.portfolio.construction import METHODS, construct, covariance
from robotrader.research.backtest import BacktestResult, run_backtest
from robotrader.research.fast import FastRun, run_fast
from robotrader.research.kernel_setup import Friction
from robotrader.research.metrics import measure
from robotrader.research.sweep import sweep
from robotrader.risk.limits import RESEARCH
from robotrader.simulation.costs import cost_model
from robotrader.simulation.venue import Venue
from tests.benchmarks import gate, peers
from tests.benchmarks.process import measured, robotrader
from tests.benchmarks.workloads import SEED, reference, w1_panel, w2_panel, write_w1

D = Decimal
CAPITAL = D(10_000_000)
COSTS = ("--cash", "10000000", "--sizer", "fixed:100", "--commission", "bps:10", "--slippage", "none", "--impact", "0",
         "--borrow", "0")  # fmt: skip
FRICTION = Friction(costs=cost_model("bps:10"), half_spread_bps=D(0))
GRID = [{"fast": fast, "slow": slow} for fast in range(2, 42) for slow in range(50, 175, 5)]
SWEPT_BARS = 100_000
MEMORY_MB = 500


class Row(NamedTuple):
    """One measurement; `target` in seconds, None where there is none."""

    case: str
    good: bool
    seconds: float
    target: float | None = None
    note: str = ""


def config(source: str, panel: Panel, sizer: str, **parameters: int) -> StrategyConfig:
    return StrategyConfig(id=StrategyId(source), source=source, universe=panel.ids, capital=CAPITAL, sizer=sizer,
                          parameters=dict(parameters))  # fmt: skip


def timed(action: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Return the least seconds of an action, as other work can only add to them, and what it gave last."""
    times, found = [], None
    for _ in range(rounds):
        started = time.perf_counter()
        found = action()
        times.append(time.perf_counter() - started)
    return min(times), found


def both(name: str, strategy: StrategyConfig, panel: Panel, *, rounds: int, targets: tuple[float, float]) -> list[Row]:
    """Run a workload on both engines, from features to metrics."""

    def fast() -> FastRun:
        run = run_fast([strategy], panel, FRICTION, limits=RESEARCH)
        measure(panel.ts, run.equity, float(CAPITAL))
        return run

    def events() -> BacktestResult:
        venue = Venue({i.id: i for i in panel.instruments}, FRICTION.costs, half_spread_bps=D(0))
        result = run_backtest([strategy], panel, venue, limits=RESEARCH)
        measure(panel.ts, result.equity, float(CAPITAL))
        return result

    fast()  # warm: the kernel is loaded
    quick, run = timed(fast, rounds)
    slow, result = timed(events, rounds)
    found = run.result()
    same = (found.orders_hash, found.fills_hash, found.final) == (result.orders_hash, result.fills_hash, result.final)
    text = f"{len(found.fills):,} fills, as the other engine's"
    return [
        Row(f"{name}, fast path, warm", same, quick, targets[0], text),
        Row(f"{name}, event engine", same, slow, targets[1], f"{panel.bar_count / slow:,.0f} bars/s; {text}"),
    ]


def w3(path: Path) -> tuple[bool, float, int, float]:
    """Sweep once it is warm; return whether one set is as a run of its own, the seconds, all fills, and the peak in MB.

    The peak is this process's own: the one that its parent is told of counts the parent's memory at its start.
    """
    part = w1_panel(path)
    strategy = config("sma_crossover", part, "fixed:100")
    sweep(strategy, GRID[:2], part, FRICTION, limits=RESEARCH)
    taken, found = timed(lambda: sweep(strategy, GRID, part, FRICTION, limits=RESEARCH), 3)
    single = run_fast([strategy], part, FRICTION, limits=RESEARCH)
    at = GRID.index({"fast": 10, "slow": 50})
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    peak = int(status["VmHWM"].split()[0]) / 1024
    return bool(found.final_equity[at] == single.equity[-1]), taken, int(found.fills.sum()), peak


def swept(path: Path) -> Row:
    """Sweep in a process of its own, for its memory; the bars are left at the path."""
    write_w1(path, SWEPT_BARS)
    found = measured([sys.executable, "-m", "tests.benchmarks.speed", str(path)])
    good, taken, fills, peak = found["result"]
    text = f"{len(GRID) / taken:,.0f} pairs/s, {fills:,} fills, two threads, {peak:.0f} MB at most"
    return Row("W3: 1,000 pairs of averages, 100,000 bars", good and peak < MEMORY_MB, taken, 0.4, text)


def whole(name: str, data: str, engine: str, *, rounds: int, target: float) -> Row:
    """Run the command line with warm caches; the other engine must find the same."""
    command = ("backtest", "sma_crossover", "--data", data, *COSTS, "--engine")
    other = robotrader(*command, "event" if engine == "fast" else "fast")
    runs = [robotrader(*command, engine) for _ in range(rounds + 1)]
    same = len({(r["orders_hash"], r["fills_hash"], r["final_equity"]) for r in (other, *runs)}) == 1
    return Row(f"{name}, whole process, {engine}", same, min(r["wall"] for r in runs[1:]), target)


def cold() -> Row:
    """Run from a copy of the package that nobody has run: the kernel of exits, the larger one, is compiled first."""
    command = ("backtest", "sma_crossover", "--data", "sample:AAPL", *COSTS, "--stop-loss", "trailing_percent:0.05",
               "--time-exit", "20d", "--engine")  # fmt: skip
    other = robotrader(*command, "event")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "robotrader"
        shutil.copytree(Path(package.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
        found = measured([sys.executable, "-m", "robotrader", *command, "fast", "--json"], path=Path(folder))
        fresh = any(copy.glob("research/__pycache__/kernel-*"))
    same = fresh and all(found["result"][name] == other[name] for name in ("orders_hash", "fills_hash", "final_equity"))
    return Row("3,270 daily bars with exits, whole process, cold: compiled first", same, found["wall"], 15.0)


def construction(panel: Panel, rounds: int) -> Row:
    """Share out one exposure among all names by a year of returns with a market in common; by the slowest method."""
    close, market = panel.close[-253:], np.random.default_rng(SEED).normal(0, 0.01, (252, 1))
    returns, names = close[1:] / close[:-1] - 1 + market, len(panel.ids)
    found = {method: timed(partial(construct, returns, [1] * names, method=method, cluster_correlation=0.7), rounds)
             for method in METHODS}  # fmt: skip
    cov, weights = covariance(returns), {m: np.array([s.weight for s in shares]) for m, (_, shares) in found.items()}
    parts = weights["risk_parity"] * (cov @ weights["risk_parity"])
    least = weights["min_variance"] @ cov @ weights["min_variance"]
    good = np.ptp(parts) < 1e-4 * parts.mean() and all(least <= w @ cov @ w for w in weights.values())
    note = ", ".join(f"{method} {seconds:.3f}" for method, (seconds, _) in found.items())
    slowest = max(seconds for seconds, _ in found.values())
    return Row(f"Portfolio construction, {names} names × 252 days, slowest method", bool(good), slowest, 1.0, note)


ELSEWHERE = {"W1 fast": 0.13, "W1 nautilus": 8.3, "W1 backtesting": 4.7, "W2 fast": 0.68, "W2 nautilus": 19.0}
"""What others took on two cores of another machine (`../shared/peers/results.md`), where they are not here."""


def targets(found: list[peers.Found]) -> dict[str, tuple[float, float]]:
    """Return what the fast path and the event engine must take at most on W1 and W2."""
    least = {
        "W1 fast": peers.least(found, "W1", "vectorbt"), "W1 nautilus": peers.least(found, "W1", "nautilus"),
        "W1 backtesting": peers.least(found, "W1", "backtesting"), "W2 fast": peers.least(found, "W2", "vectorbt"),
        "W2 nautilus": peers.least(found, "W2", "nautilus"),
    }  # fmt: skip
    t = {name: ELSEWHERE[name] if seconds is None else seconds for name, seconds in least.items()}
    return {"W1": (t["W1 fast"] / 4, min(t["W1 nautilus"] / 2, t["W1 backtesting"])),
            "W2": (t["W2 fast"] / 8, t["W2 nautilus"] / 6)}  # fmt: skip


def rows(folder: Path, rounds: int, others: list[peers.Found]) -> list[Row]:
    """Measure everything; files are left in the folder."""
    path, aims = folder / "w1.parquet", targets(others)
    prices = write_w1(path)
    one, many = w1_panel(path), w2_panel()
    plain, _ = timed(lambda: reference(prices), rounds)
    return [
        *both("W1: 1,000,000 minute bars, SMA 10/50", config("sma_crossover", one, "fixed:100"), one,
              rounds=rounds, targets=aims["W1"]),
        *both("W2: 500 × 2,520 daily bars, monthly rotation into 50",
              config("momentum", many, "percent:0.0196", lookback=126, top=50), many,
              rounds=rounds, targets=aims["W2"]),
        swept(folder / "w3.parquet"),
        whole("W1", str(path), "fast", rounds=rounds, target=1.5),
        whole("3,270 daily bars", "sample:AAPL", "auto", rounds=rounds, target=2.0),
        cold(),
        construction(many, rounds),
        Row("W1, plain NumPy without gate, ledger, orders", True, plain),
        *(Row(f"{found.case}, an order", found.good, found.seconds, found.target) for found in gate.measured()),
    ]  # fmt: skip


HEAD = """\
| case | result checked | seconds | target | met | note |
|---|---|---|---|---|---|
"""

PEERS = """
The others, each a process of its own, with fees and without any checks:

| workload | engine | best run, s | whole process, s |
|---|---|---|---|
"""


def section(found: list[Row], others: list[peers.Found]) -> str:
    """Return the rows as tables."""
    lines = []
    for row in found:
        target, met = ("", "") if row.target is None else (_s(row.target), str(row.seconds <= row.target).lower())
        good = "yes" if row.good else "WRONG"
        lines.append(f"| {row.case} | {good} | {_s(row.seconds)} | {target} | {met} | {row.note} |\n")
    return (HEAD + "".join(lines) + (PEERS + "".join(_peer(f) for f in others) if others else "")).rstrip()


def _s(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds >= 0.001 else f"{seconds:.6f}"


def _peer(found: peers.Found) -> str:
    return f"| {found.peer.workload} | {found.peer.name} | {found.seconds:.3f} | {found.wall:.2f} |\n"


if __name__ == "__main__":
    print(json.dumps(w3(Path(sys.argv[1]))))
