"""What a strategy is, and the one adapter that makes a vectorized strategy an event-driven one."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from robotrader.data.panel import Floats, Panel, Times
from robotrader.model import BarsClosed, Instrument, InstrumentId, Manifest, Parameter, StrategyConfig, StrategyError

ROUNDING = 9
"""Decimals of a strength: last-bit differences of window lengths cannot flip a decision."""


class Strategy(Protocol):
    """A vectorized strategy; built with its parameters as keyword arguments."""

    PARAMETERS: ClassVar[dict[str, Parameter]]

    @property
    def manifest(self) -> Manifest:
        """Return what the strategy declares, with these parameters."""
        ...

    def signals(self, panel: Panel) -> Floats:
        """Return strengths in [-1, 1], shape (n_bars, n_instruments); NaN = no view.

        Row t may use rows <= t only, and no more than `manifest.warmup_bars` of them.
        """
        ...


class SignalSource(Protocol):
    """The event-driven face of a strategy, as the trader sees it."""

    def on_bars(self, event: BarsClosed) -> Sequence[float]:
        """Take the next cross-section in; return one strength per universe instrument, NaN = no view."""
        ...

    def on_split(self, instrument: InstrumentId, ratio: float, ex_at: int) -> None:
        """Go on in new units, `ratio` for an old one: what ended at or before `ex_at` (ns UTC) is in old ones."""
        ...

    def compared(self) -> tuple[int, int]:
        """Compute anew, all at once, what was said since the last time: how many signals, how many came out otherwise.

        What is no longer known, or was computed at once to begin with, is not counted.
        """
        ...


SourceFactory = Callable[[StrategyConfig, tuple[Instrument, ...]], tuple[Manifest, SignalSource]]
"""How a trader gets its strategies; backtests hand in one whose rows are computed beforehand."""


def strengths(strategy: Strategy, panel: Panel) -> Floats:
    """Call the strategy and hold it to the contract.

    Raises
    ------
    StrategyError
        It raised, or gave a wrong shape or a strength outside [-1, 1].
    """
    expected, name = (len(panel), len(panel.instruments)), strategy.manifest.id
    try:
        found: Floats = np.asarray(strategy.signals(panel), dtype=np.float64).round(ROUNDING)
    except Exception as error:  # whatever another's code raises: it is the strategy that must be mended
        raise StrategyError(f"{name}: signals() raised {type(error).__name__}: {error}", strategy=name) from error
    if found.shape != expected:
        raise StrategyError(f"{name}: signals() must return shape {expected}, found {found.shape}", strategy=name)
    if (np.abs(found) > 1).any():
        raise StrategyError(f"{name}: strengths must lie in [-1, 1], found {np.nanmax(np.abs(found))}", strategy=name)
    return found


class TrailingWindow:
    """Live form: keep the warm-up window and take the last row of `signals` at each bar."""

    def __init__(self, strategy: Strategy, instruments: tuple[Instrument, ...]) -> None:
        self._strategy, self._anew = strategy, deepcopy(strategy)
        self._instruments = instruments
        self._column = {i.id: k for k, i in enumerate(instruments)}
        self._spec = strategy.manifest.bar_spec
        self._size = max(strategy.manifest.warmup_bars, 1)
        # room for two windows: the last rows move to the front once every so many bars, not with each
        self._prices = np.full((5, 2 * self._size, len(instruments)), np.nan)
        self._ends = np.zeros(2 * self._size, dtype=np.int64)
        self._said = np.full((2 * self._size, len(instruments)), np.nan)
        self._unseen = 0
        self._rows = slice(0, 0)

    def on_bars(self, event: BarsClosed) -> Sequence[float]:
        """Append the cross-section and return the strengths of its row."""
        row = self._append(event.ts_event)
        for bar in event.bars:
            self._spec = bar.spec
            k = self._column.get(bar.instrument)
            if k is not None:
                self._prices[:, row, k] = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        self._said[row] = strengths(self._strategy, self._panel(self._rows))[-1]
        last: list[float] = self._said[row].tolist()
        return last

    def compared(self) -> tuple[int, int]:
        """Compute anew what was said of rows whose whole window is still known."""
        rows = slice(max(self._size - 1, self._unseen), self._rows.stop)
        self._unseen = rows.stop
        said = self._said[rows]
        if not said.size:
            return 0, 0
        try:
            again = strengths(self._anew, self._panel(slice(0, rows.stop)))[rows]
        except StrategyError:
            return said.size, said.size
        alike = np.isclose(again, said, rtol=0, atol=2 * 10**-ROUNDING, equal_nan=True)  # a tie is no difference
        return said.size, int(np.count_nonzero(~alike))

    def _panel(self, rows: slice) -> Panel:
        """Return rows as a panel that cannot be written: what a strategy wrote would stay for its next bar."""
        window, ts = self._prices[:, rows], self._ends[rows]
        window.flags.writeable = ts.flags.writeable = False
        opened, high, low, close, volume = window
        return Panel(
            instruments=self._instruments, spec=self._spec, opened=ts - self._spec.nanos, ts=ts,
            open=opened, high=high, low=low, close=close, volume=volume,
        )  # fmt: skip

    def _append(self, ts: int) -> int:
        """Make the next row, of NaN, the window's last one; return where it is."""
        row = self._rows.stop
        if row == len(self._ends):
            kept, row = slice(row - self._size + 1, row), self._size - 1
            self._prices[:, :row], self._ends[:row] = self._prices[:, kept], self._ends[kept]
            self._said[:row], self._unseen = self._said[kept], max(self._unseen - kept.start, 0)
        self._prices[:, row], self._ends[row] = np.nan, ts
        self._rows = slice(max(row - self._size + 1, 0), row + 1)
        return row

    def on_split(self, instrument: InstrumentId, ratio: float, ex_at: int) -> None:
        """Bring the window into new units; what was said in old ones cannot be computed anew."""
        self._unseen = self._rows.stop
        old = self._ends <= ex_at
        self._prices[:4, old, self._column[instrument]] /= ratio
        self._prices[4, old, self._column[instrument]] *= ratio


class PrecomputedRows:
    """Backtest form: the rows of the whole panel, computed once, looked up by time."""

    def __init__(self, rows: Floats, ts: Times) -> None:
        self._rows = rows
        self._ts = ts
        self._next = 0

    def on_bars(self, event: BarsClosed) -> Sequence[float]:
        """Return the row of that closing time."""
        if self._ts[self._next] != event.ts_event:
            self._next = int(np.searchsorted(self._ts, event.ts_event))
        row: list[float] = self._rows[self._next].tolist()
        self._next = min(self._next + 1, len(self._ts) - 1)
        return row

    def on_split(self, instrument: InstrumentId, ratio: float, ex_at: int) -> None:
        """Change nothing: the rows were computed on adjusted prices."""

    def compared(self) -> tuple[int, int]:
        """Compare nothing: the rows were computed all at once."""
        return 0, 0

    def wakes(self, *, every_view: bool) -> NDArray[np.bool_]:
        """Return where a target is sized anew, shape (n_bars,): the strength changed, or there is any view."""
        seen = ~np.isnan(self._rows)
        if every_view:
            return np.asarray(seen.any(axis=1))
        out = np.zeros(len(self._rows), dtype=np.bool_)
        for k in range(self._rows.shape[1]):
            rows = np.nonzero(seen[:, k])[0]
            values = self._rows[rows, k]
            out[rows[np.append(True, values[1:] != values[:-1])] if len(rows) else rows] = True
        return out
