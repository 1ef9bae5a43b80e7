"""Bars in long form, as files hold them, and how they become a panel."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from robotrader.data.panel import VALUES, Floats, Panel, Times
from robotrader.model import NANOS_PER_SECOND, BarSpec, DataError, Instrument, SessionTable

DAY_NS = BarSpec.DAY.nanos
LAST = 2**63 - 1
"""After all times, ns."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarFrame:
    """One row a bar of any symbol, in the order of the source.

    Attributes
    ----------
    symbols : tuple of str
        What the codes in `symbol` stand for.
    row : int64, shape (n,)
        Number of the row in its source, from 1.
    symbol : int64, shape (n,)
        Index into `symbols`.
    start, end : int64, shape (n,)
        ns UTC. While daily bars are not placed on sessions, both are midnight UTC of the session's date.
    open, high, low, close, volume : float64, shape (n,)
        Volume in units.
    """

    symbols: tuple[str, ...]
    row: NDArray[np.int64]
    symbol: NDArray[np.int64]
    start: Times
    end: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.row)

    def take(self, rows: NDArray[np.int64]) -> "BarFrame":
        """Return the rows with these indices, in this order."""
        names = ("row", "symbol", "start", "end", *VALUES)
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Versions:
    """Bars and how we know them.

    `frame` stands on its times (daily bars on their sessions). `known`: when the bars became known, ns UTC, one for
    all or one a row. `extended`: positions of bars outside regular hours.
    """

    frame: BarFrame
    spec: BarSpec
    known: int | Times
    source: str
    extended: NDArray[np.int64] | None = None


def concat(frames: list[BarFrame]) -> BarFrame:
    """Put frames one below the other; equal symbols become one."""
    if len(frames) == 1:
        return frames[0]
    symbols = tuple(dict.fromkeys(s for f in frames for s in f.symbols))
    codes = [np.array([symbols.index(s) for s in f.symbols], np.int64)[f.symbol] for f in frames]
    names = ("row", "start", "end", *VALUES)
    parts = {name: np.concatenate([getattr(f, name) for f in frames]) for name in names}
    return BarFrame(symbols=symbols, symbol=np.concatenate(codes), **parts)


def symbol_gaps(frame: BarFrame) -> Times:
    """Return the distances in time, ns, from each bar to the next of its symbol, in the order of the source."""
    code, start = frame.symbol, frame.start
    if bool(np.any(np.diff(code) < 0)):  # symbols take turns: bring each together
        order = np.argsort(code, kind="stable")
        code, start = code[order], start[order]
    gaps: Times = np.diff(start)[np.diff(code) == 0]
    return gaps


def by_time(frame: BarFrame) -> BarFrame:
    """Put the bars of every symbol in the order of time; equal times keep the order of the source."""
    if not bool(np.any(symbol_gaps(frame) < 0)):
        return frame
    return frame.take(np.argsort(frame.start, kind="stable"))


def infer_spec(frame: BarFrame) -> BarSpec:
    """Tell the length of the bars, the most common distance between two of a symbol; `DataError` for an unknown one."""
    gaps = symbol_gaps(by_time(frame))
    gaps = gaps[gaps != 0]
    known = f"{', '.join(BarSpec)}, or say it (import --spec)"
    if len(gaps) == 0:
        raise DataError(f"one bar does not tell its length: give at least two, of {known}")
    sizes, counts = np.unique(gaps, return_counts=True)
    most = int(sizes[np.argmax(counts)])
    spec = next((spec for spec in BarSpec if spec.nanos == most), None)
    if spec is None:
        raise DataError(f"bars come every {most / NANOS_PER_SECOND:g} s; expected one of {known}")
    return spec


def compact(frame: BarFrame) -> BarFrame:
    """Drop the symbols that no row has."""
    used = np.flatnonzero(np.bincount(frame.symbol, minlength=len(frame.symbols)))
    if len(used) == len(frame.symbols):
        return frame
    names = tuple(frame.symbols[k] for k in used.tolist())
    return replace(frame, symbols=names, symbol=np.searchsorted(used, frame.symbol))


def session_days(sessions: SessionTable) -> Times:
    """Return the sessions' dates as ns at midnight UTC, ascending."""
    return np.array(sessions.dates, "datetime64[D]").astype(np.int64) * DAY_NS


def place_on_sessions(frame: BarFrame, sessions: SessionTable) -> BarFrame:
    """Give each daily bar the open and the close of its session; every date must be a session."""
    where = np.searchsorted(session_days(sessions), frame.start)
    opens, closes = np.array(sessions.opens, np.int64), np.array(sessions.closes, np.int64)
    return replace(frame, start=opens[where], end=closes[where])


def assemble(frame: BarFrame, instruments: tuple[Instrument, ...], spec: BarSpec) -> Panel:
    """Lay clean bars out on the union of their times, NaN where a symbol has no bar.

    `instruments` are the columns, one for each of `frame.symbols`.
    """
    if len(instruments) == 1:
        cells = {name: np.ascontiguousarray(getattr(frame, name)).reshape(-1, 1) for name in VALUES}
        return Panel(instruments=instruments, spec=spec, opened=frame.start, ts=frame.end, **cells)
    opened, first, where = np.unique(frame.start, return_index=True, return_inverse=True)
    cells = {name: np.full((len(opened), len(instruments)), np.nan) for name in VALUES}
    for name, table in cells.items():
        table[where, frame.symbol] = getattr(frame, name)
    return Panel(instruments=instruments, spec=spec, opened=opened, ts=frame.end[first], **cells)


def panel_hash(panel: Panel) -> str:
    """Return the sha256 of a panel: ids, bar length, times and all values, bit by bit."""
    digest = hashlib.sha256(f"{panel.spec}|{'|'.join(panel.ids)}".encode())
    for name in ("opened", "ts", *VALUES):
        digest.update(np.ascontiguousarray(getattr(panel, name)).tobytes())
    return digest.hexdigest()
