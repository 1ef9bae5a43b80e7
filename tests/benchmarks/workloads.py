"""Workload W1: a million minute bars around the clock, in whole cents, without ties of the two averages."""

from pathlib import Path

import numpy as np
import polars as pl

SEED, FAST, SLOW = 42, 10, 50
START_NS, MINUTE_NS = 1_577_836_800_000_000_000, 60_000_000_000


def closes(n: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return a geometric walk in cents, nudged until no averages are equal: rounding must not decide a crossing."""
    walk = np.maximum(np.rint(100 * 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.0005, n)))).astype(np.int64), 100)
    at = np.arange(SLOW - 1, n)
    while True:
        sums = np.concatenate(([0], np.cumsum(walk)))
        fast, slow = sums[at + 1] - sums[at + 1 - FAST], sums[at + 1] - sums[at + 1 - SLOW]
        ties = at[fast * (SLOW // FAST) == slow]
        if not len(ties):
            return walk
        walk[ties] += 1


def write_w1(path: Path, n: int = 1_000_000) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Write the workload as a Parquet file that `--data` takes, and return open and close."""
    rng = np.random.default_rng(SEED)
    close = closes(n, rng)
    gap = 0.0001
    opened = np.empty(n, np.int64)
    opened[0], opened[1:] = close[0], close[:-1]
    opened = np.maximum(opened + np.rint(rng.normal(0, 1, n) * gap * opened).astype(np.int64), 100)
    high = np.maximum(opened, close) + np.rint(np.abs(rng.normal(0, 1, n)) * gap * close).astype(np.int64)
    low = np.minimum(opened, close) - np.rint(np.abs(rng.normal(0, 1, n)) * gap * close).astype(np.int64)
    low = np.maximum(low, 50)
    stamps = pl.Series("timestamp", START_NS + np.arange(n) * MINUTE_NS).cast(pl.Datetime("ns", "UTC"))
    frame = pl.DataFrame({
        "symbol": ["W1"] * n, "timestamp": stamps, "open": opened / 100, "high": high / 100, "low": low / 100,
        "close": close / 100, "volume": (rng.integers(10_000, 100_000, n) * 100).astype(np.float64),
    })  # fmt: skip
    frame.write_parquet(path)
    return {"open": opened / 100, "close": close / 100}


def reference(prices: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]) -> tuple[int, float]:
    """Return fills and final equity of SMA 10/50, 100 shares, next open, 0.1 % a side: plain NumPy, not our engine."""
    opened, close = prices["open"], prices["close"]
    sums = np.concatenate(([0.0], np.cumsum(close)))
    n = len(close)
    want = np.zeros(n)
    fast, slow = sums[SLOW:] - sums[SLOW - FAST : n + 1 - FAST], sums[SLOW:] - sums[:-SLOW]
    want[SLOW - 1 :] = fast * (SLOW / FAST) > slow
    held = np.concatenate(([0.0], want[:-1])) * 100
    traded = np.diff(held, prepend=0.0)
    cash = 10_000_000.0 - float(np.sum(traded * opened + np.abs(traded) * opened * 0.001))
    return int(np.count_nonzero(traded)), cash + float(held[-1] * close[-1])
