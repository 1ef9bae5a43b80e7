"""A market with a planted edge: half a session long each name drifts one way, until the edge is gone."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from robotrader.adapters.calendar import session_table
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import Panel
from robotrader.model import BarSpec

SYMBOLS = ("AAA", "BBB")
SPEC = BarSpec.MINUTE_15
RESEARCH = 120
"""Sessions that research may see; what comes after them is traded."""
_FIRST = date(2023, 1, 3)
_SIGMA, _DRIFT, _LASTS = 0.0025, 0.4, 13  # of a bar: deviation, and the drift in deviations; for so many bars


def market(sessions: int, *, edge_until: int, seed: int = 1) -> Panel:
    """Return whole sessions of 15-minute bars; from session `edge_until` on, nothing goes on."""
    table = session_table(str(_FIRST), str(_FIRST + timedelta(days=2 * sessions + 30)))
    opened, ended, of = [], [], []
    for n in range(sessions):
        starts = np.arange(table.opens[n], table.closes[n], SPEC.nanos)
        opened.append(starts)
        ended.append(np.minimum(starts + SPEC.nanos, table.closes[n]))
        of.append(np.full(len(starts), n))
    opens, ts, session = (np.concatenate(part).astype(np.int64) for part in (opened, ended, of))
    random = np.random.default_rng(seed)
    noise = random.normal(0.0, _SIGMA, (len(ts), len(SYMBOLS)))
    turn = np.cumsum(np.concatenate(([0], (session[1:] != session[:-1]) | (np.arange(1, len(ts)) % _LASTS == 0))))
    way = random.choice([-1.0, 1.0], (int(turn[-1]) + 1, len(SYMBOLS)))[turn]
    moved = noise + _DRIFT * _SIGMA * way * (session < edge_until)[:, None]
    close = np.round(100.0 * np.exp(np.cumsum(moved - moved.mean(axis=0), axis=0)), 2)
    before = np.vstack((np.full((1, len(SYMBOLS)), 100.0), close[:-1]))
    wick = np.round(random.uniform(0.0, 0.1, close.shape), 2)
    return Panel(
        instruments=tuple(instrument_of(symbol) for symbol in SYMBOLS), spec=SPEC, opened=opens, ts=ts, open=before,
        high=np.maximum(before, close) + wick, low=np.minimum(before, close) - wick, close=close,
        volume=np.full(close.shape, 1e6),
    )  # fmt: skip


def rows_of(panel: Panel, sessions: int) -> int:
    """Return how many rows the first sessions have."""
    days = np.flatnonzero(np.diff(panel.opened // 86_400_000_000_000)) + 1
    return int(days[sessions - 1])


def write(panel: Panel, path: Path) -> None:
    """Write bars as a file that `--data` takes."""
    frames = [
        pl.DataFrame({
            "symbol": [instrument.symbol] * len(panel), "timestamp": panel.opened, "open": panel.open[:, k],
            "high": panel.high[:, k], "low": panel.low[:, k], "close": panel.close[:, k], "volume": panel.volume[:, k],
        }).with_columns(pl.col("timestamp").cast(pl.Datetime("ns", "UTC")))
        for k, instrument in enumerate(panel.instruments)
    ]  # fmt: skip
    pl.concat(frames).write_parquet(path)
