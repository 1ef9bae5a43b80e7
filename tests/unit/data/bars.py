"""Small frames and session tables for the tests of data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np

from robotrader.data.frame import BarFrame
from robotrader.model import SessionTable

MINUTE = 60 * 1_000_000_000
DAY = 86_400 * 1_000_000_000
MONDAY = date(2020, 1, 6)

Row = tuple[str, int, float, float, float, float, float]  # symbol, start, open, high, low, close, volume


def frame_of(rows: Sequence[Row]) -> BarFrame:
    """Make a frame of plain rows, numbered from 1."""
    symbols = tuple(dict.fromkeys(row[0] for row in rows))
    start = np.array([row[1] for row in rows], np.int64)
    o, h, lo, c, v = (np.array([row[k] for row in rows], np.float64) for k in range(2, 7))
    return BarFrame(
        symbols=symbols,
        row=np.arange(1, len(rows) + 1),
        symbol=np.array([symbols.index(row[0]) for row in rows], np.int64),
        start=start,
        end=start,
        open=o,
        high=h,
        low=lo,
        close=c,
        volume=v,
    )


def bar(start: int, symbol: str = "A", *, close: float = 10.0, volume: float = 100.0) -> Row:
    """Make a plain good row."""
    return (symbol, start, 10.0, max(11.0, close), 9.0, close, volume)


def weekdays(count: int, *, first: date = MONDAY, hours: float = 6.5) -> SessionTable:
    """Make a market that opens at 14:30 UTC on every weekday."""
    days = [d for k in range(count * 2 + 7) if (d := first + timedelta(days=k)).weekday() < 5][:count]
    opens = [int(datetime(d.year, d.month, d.day, 14, 30, tzinfo=UTC).timestamp()) * 1_000_000_000 for d in days]
    return SessionTable(
        dates=tuple(d.isoformat() for d in days),
        opens=tuple(opens),
        closes=tuple(o + int(hours * 3_600) * 1_000_000_000 for o in opens),
    )
