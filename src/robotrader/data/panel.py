"""A rectangle of bars: what backtests run over and what vectorized strategies see."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from robotrader.model import Bar, BarSpec, DataError, Instrument, InstrumentId

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")

_CHUNK = 65_536  # bars


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panel:
    """Bars of several instruments on one time axis.

    Attributes
    ----------
    instruments : tuple of Instrument
        Length n_instruments, the columns.
    opened, ts : int64, shape (n_bars,)
        Start and end of each row's bars in ns UTC, strictly ascending (a daily row's: session open and close).
    open, high, low, close, volume : float64, shape (n_bars, n_instruments)
        NaN in all five where an instrument has no bar in that row. Volume in units.
    """

    instruments: tuple[Instrument, ...]
    spec: BarSpec
    opened: Times
    ts: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __post_init__(self) -> None:
        """Raise `DataError` for shapes and times that do not fit together."""
        shape = (len(self.ts), len(self.instruments))
        for name in VALUES:
            if getattr(self, name).shape != shape:
                raise DataError(f"panel: {name} must have shape {shape}, found {getattr(self, name).shape}")
        if len(self.ts) > 1 and not bool(np.all(np.diff(self.ts) > 0)):
            raise DataError("panel: bar ends must ascend strictly")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ts)

    @property
    def ids(self) -> tuple[InstrumentId, ...]:
        """Return the instrument ids, the columns in order."""
        return tuple(i.id for i in self.instruments)

    @property
    def bar_count(self) -> int:
        """Return the number of bars that are there (NaN cells are not)."""
        return int(np.count_nonzero(~np.isnan(self.close)))

    def rows(self, start: int, stop: int) -> "Panel":
        """Return the rows start <= i < stop, as views."""
        cut = slice(start, stop)
        return replace(self, **{name: getattr(self, name)[cut] for name in ("opened", "ts", *VALUES)})

    def columns(self, ids: tuple[InstrumentId, ...]) -> "Panel":
        """Return the panel of these instruments, in this order; `DataError` where one is not in it."""
        where = {iid: k for k, iid in enumerate(self.ids)}
        unknown = [iid for iid in ids if iid not in where]
        if unknown:
            raise DataError(f"no data for {', '.join(unknown)}; there is: {', '.join(self.ids)}")
        pick = [where[iid] for iid in ids]
        cells = {name: getattr(self, name)[:, pick] for name in VALUES}
        return replace(self, instruments=tuple(self.instruments[k] for k in pick), **cells)

    def cross_sections(self) -> Iterator[tuple[int, int, tuple[Bar, ...]]]:
        """Yield (opened, ts, bars) row by row; instruments without a bar are left out.

        Bars are built from plain floats in chunks: numpy scalars would cost several times as much.
        """
        size = max(_CHUNK // len(self.instruments), 1)
        for start in range(0, len(self), size):
            part = self.rows(start, min(start + size, len(self)))
            columns = [_column(part, k) for k in range(len(self.instruments))]
            rows = zip(part.opened.tolist(), part.ts.tolist(), zip(*columns, strict=True), strict=True)
            if bool(np.isnan(part.close).any()):
                yield from ((opened, ts, tuple(filter(None, bars))) for opened, ts, bars in rows)
            else:
                yield from rows

    def cross_section(self, row: int) -> tuple[int, int, tuple[Bar, ...]]:
        """Return (opened, ts, bars) of one row."""
        ts = int(self.ts[row])
        bars = tuple(
            Bar(instrument=i.id, ts_event=ts, open=float(self.open[row, k]), high=float(self.high[row, k]),
                low=float(self.low[row, k]), close=float(self.close[row, k]), volume=float(self.volume[row, k]),
                spec=self.spec)
            for k, i in enumerate(self.instruments)
            if not math.isnan(self.close[row, k])
        )  # fmt: skip
        return int(self.opened[row]), ts, bars


def _column(panel: Panel, k: int) -> list[Bar | None]:
    """Return column `k` as bars, None where there is no bar."""
    iid, spec = panel.instruments[k].id, panel.spec
    cells = (getattr(panel, name)[:, k].tolist() for name in VALUES)
    bars: list[Bar | None] = [
        Bar(instrument=iid, ts_event=ts, open=o, high=h, low=lo, close=c, volume=v, spec=spec)
        for ts, o, h, lo, c, v in zip(panel.ts.tolist(), *cells, strict=True)
    ]
    for row in np.nonzero(np.isnan(panel.close[:, k]))[0]:
        bars[row] = None
    return bars
