"""Workloads in whole cents: W1, a million minute bars without ties of averages; W2, 500 instruments by day."""

from pathlib import Path

import numpy as np
import polars as pl

from robotrader import bootstrap
from robotrader.data.panel import VALUES, Panel
from robotrader.model import BarSpec, stock

SEED, FAST, SLOW = 42, 10, 50
MINUTE_NS = 60_000_000_000


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


def session_minutes(n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the starts of the first n minutes in which the exchange trades, from 2012 on: no others are clean data."""
    table = bootstrap.sessions("2012-01-01", "2024-12-31")
    hours = zip(table.opens, table.closes, strict=True)
    return np.concatenate([np.arange(opened, closed, MINUTE_NS) for opened, closed in hours])[:n]


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
    stamps = pl.Series("timestamp", session_minutes(n)).cast(pl.Datetime("ns", "UTC"))
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


def w2_panel(instruments: int = 500, days: int = 2_520) -> Panel:
    """Return daily bars of many instruments: geometric walks in cents, each with its own drift and volatility."""
    rng = np.random.default_rng(SEED + 1)
    drift, sigma = rng.normal(0.0003, 0.0003, instruments), rng.uniform(0.01, 0.03, instruments)
    steps = rng.normal(drift, sigma, (days, instruments))
    close = np.maximum(np.rint(100 * rng.uniform(20, 200, instruments) * np.exp(np.cumsum(steps, axis=0))), 100)
    opened = np.maximum(np.rint(np.vstack((close[:1], close[:-1])) * (1 + rng.normal(0, 0.002, close.shape))), 100)
    dates = np.busday_offset("2014-01-01", np.arange(days), roll="forward").astype("datetime64[ns]").astype(np.int64)
    ts = dates + 21 * 3_600_000_000_000
    return Panel(
        instruments=tuple(stock(f"S{n:03d}") for n in range(instruments)), spec=BarSpec.DAY,
        opened=ts - 23_400_000_000_000, ts=ts, open=opened / 100, high=np.maximum(opened, close) / 100 + 0.01,
        low=np.minimum(opened, close) / 100 - 0.01, close=close / 100,
        volume=(rng.integers(10_000, 100_000, close.shape) * 100).astype(np.float64),
    )  # fmt: skip


def w1_panel(path: Path) -> Panel:
    """Return what `write_w1` wrote as a panel."""
    frame = pl.read_parquet(path)
    ts = frame["timestamp"].cast(pl.Int64).to_numpy()
    cells = {name: frame[name].to_numpy().reshape(-1, 1) for name in VALUES}
    return Panel(instruments=(stock("W1"),), spec=BarSpec.MINUTE, opened=ts, ts=ts + MINUTE_NS, **cells)
