"""The replayed market: its time, its sessions, and what can be seen of its bars so far."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from decimal import Decimal
from math import ceil, isnan
from typing import NamedTuple

import numpy as np
from msgspec import structs

from robotrader.data.panel import Floats, Panel, Times
from robotrader.model import NANOS_PER_SECOND, Bar, BarSpec, ConfigError, Instrument, InstrumentId

_HOUR = 3_600 * NANOS_PER_SECOND
_EASTERN_STANDARD = 5 * _HOUR  # shifts every hour of a US trading day, summer or winter, onto one calendar day


class Segment(NamedTuple):
    """A stretch of trading: bars from `opened` to `ts`; `ends_session` when the market closes at `ts`."""

    opened: int
    ts: int
    bars: list[Bar]
    ends_session: bool


class Series(NamedTuple):
    """One instrument's bars without gaps: start and end (ns UTC); open, high, low, close and volume, shape (n, 5)."""

    opened: Times
    ts: Times
    table: Floats

    def rows(self, start: int, stop: int) -> list[tuple[float, ...]]:
        """Return rows as (opened, ts, open, high, low, close, volume) of plain numbers."""
        parts = [a[start:stop].tolist() for a in (self.opened, self.ts, *self.table.T)]
        return list(zip(*parts, strict=True))


class Quote(NamedTuple):
    """An instrument at one moment: its last trade, and its session so far (None before the session's first trade).

    `ts` is the time of the last trade, ns UTC; `previous` the close of the session before.
    """

    ts: int
    last: Decimal
    volume: float
    average: float
    open: float | None = None
    high: float | None = None
    low: float | None = None
    previous: float | None = None


class Market:
    """Bars replayed in order of time; nothing after `now` can be seen.

    Within a bar the price runs open, nearer extreme, other extreme, close, straight and at thirds of
    the bar: made up, but always inside the bar and the same in every run. `start` is the market time
    to begin with, ns UTC; None: an hour before the first session.
    """

    def __init__(self, panel: Panel, start: int | None = None) -> None:
        if not len(panel):
            raise ConfigError("the gateway simulator needs at least one bar of market data")
        self.instruments = {i.id: i for i in panel.instruments}
        self.spec = panel.spec
        self._panel = panel
        self._opened: list[int] = panel.opened.tolist()
        self._ends: list[int] = panel.ts.tolist()
        first = first_rows(panel)
        self.opens = [self._opened[r] for r in first]
        self.closes = [self._ends[r - 1] for r in (*first[1:], len(self._ends))]
        self.now = self.traded = self.opens[0] - _HOUR if start is None else start
        self._row = bisect_right(self._ends, self.now)
        self._series: dict[InstrumentId, Series] = {}
        self._quotes: dict[InstrumentId, Quote | None] = {}
        self.last = {iid: price for iid in self.instruments if (price := self.last_close(iid)) is not None}

    def last_close(self, instrument: InstrumentId) -> float | None:
        """Return the close of the last bar that ended; None before the first."""
        series = self.series(instrument)
        at = int(series.ts.searchsorted(self.now, "right"))
        return float(series.table[at - 1, 3]) if at else None

    @property
    def next_close(self) -> int | None:
        """Return when the session under way, or else the next one, closes; None at the end of the data."""
        at = bisect_right(self.closes, self.now)
        return self.closes[at] if at < len(self.closes) else None

    @property
    def next_end(self) -> int | None:
        """Return when the bar under way, or else the next one, ends; None at the end of the data."""
        return self._ends[self._row] if self._row < len(self._ends) else None

    @property
    def next_open(self) -> int | None:
        """Return when the next session opens; None in the last one."""
        at = bisect_right(self.opens, self.now)
        return self.opens[at] if at < len(self.opens) else None

    @property
    def session_open(self) -> int:
        """Return when the session under way, or else the last one, opened; 0 before the first."""
        at = bisect_left(self.opens, self.now)
        return self.opens[at - 1] if at else 0

    def after(self, trading_ns: int) -> int:
        """Return the time when the market will have been open for that long; nights pass in no time."""
        now, at = self.now, bisect_right(self.closes, self.now)
        while trading_ns > 0 and at < len(self.closes):
            now = max(now, self.opens[at])
            step = min(trading_ns, self.closes[at] - now)
            now, trading_ns, at = now + step, trading_ns - step, at + 1
        return now

    def advance(self, until: int) -> Iterator[Segment]:
        """Move the time to `until`, yielding what trades on the way; `now` follows segment by segment."""
        while self._row < len(self._ends) and max(self._opened[self._row], self.now) < until:
            row = self._row
            start, end = max(self.now, self._opened[row]), min(until, self._ends[row])
            bars = self._bars(row, start, end)
            self.now = self.traded = end
            self._quotes.clear()
            self.last.update((bar.instrument, bar.close) for bar in bars)
            closed = end == self._ends[row]
            self._row += closed
            yield Segment(start, end, bars, closed and self._ends[row] == self.closes[bisect_left(self.closes, end)])
        self.now = max(self.now, until)

    def series(self, instrument: InstrumentId) -> Series:
        """Return all bars of an instrument, also those to come."""
        if instrument not in self._series:
            p, k = self._panel, self._panel.ids.index(instrument)
            there = ~np.isnan(p.close[:, k])
            table = np.column_stack([c[there, k] for c in (p.open, p.high, p.low, p.close, p.volume)])
            self._series[instrument] = Series(p.opened[there], p.ts[there], table)
        return self._series[instrument]

    def forming(self, instrument: InstrumentId, at: int) -> tuple[int, Bar] | None:
        """Return start and state of the bar that is under way at that time, if there is one."""
        series = self.series(instrument)
        k = int(series.ts.searchsorted(at, "right"))
        if k >= len(series.ts) or not series.opened[k] < at:
            return None
        opened = int(series.opened[k])
        return opened, self._traded(instrument, k, (opened, at))

    def slices(self, instrument: InstrumentId, span: tuple[int, int], step: int) -> Iterator[tuple[int, Bar]]:
        """Return start and state of every stretch of `step` ns that begins in a span and in which it trades."""
        series = self.series(instrument)
        for k in range(int(series.ts.searchsorted(span[0], "right")), int(series.opened.searchsorted(span[1]))):
            first = max(span[0], int(series.opened[k]))
            for start in range(first - first % step, min(span[1], int(series.ts[k])), step):
                yield start, self._traded(instrument, k, (start, start + step))

    def quote(self, instrument: InstrumentId, late_ns: int = 0) -> Quote | None:
        """Return what is known of an instrument now, or was known `late_ns` ago; None before its first bar."""
        if late_ns:
            return self._quote(instrument, self.now - late_ns)
        if instrument not in self._quotes:  # while nothing trades, it stays as it is
            self._quotes[instrument] = self._quote(instrument, self.now)
        return self._quotes[instrument]

    def _quote(self, iid: InstrumentId, at: int) -> Quote | None:
        series, session = self.series(iid), bisect_left(self.opens, at) - 1
        first = int(series.opened.searchsorted(self.opens[session])) if session >= 0 else 0
        stop = int(series.ts.searchsorted(at, "right"))
        day = series.table[first:stop]
        under_way = self.forming(iid, at)
        if under_way is not None:
            bar = under_way[1]
            day = np.vstack([day, (bar.open, bar.high, bar.low, bar.close, bar.volume)])
        elif not stop:
            return None
        ts = int(series.ts[stop - 1]) if under_way is None else at
        previous = float(series.table[first - 1, 3]) if first else None
        last = float(day[-1, 3] if len(day) else series.table[stop - 1, 3])
        quote = Quote(ts=ts, last=self.instruments[iid].price(last), volume=0.0, average=last, previous=previous)
        if not len(day):
            return quote
        volume, high, low = float(day[:, 4].sum()), float(day[:, 1].max()), float(day[:, 2].min())
        paid = float(day[:, 1:4].sum(axis=1) @ day[:, 4]) / 3
        average = round(paid / volume, 6) if volume else last
        return quote._replace(volume=volume, average=average, open=float(day[0, 0]), high=high, low=low)

    def _traded(self, instrument: InstrumentId, k: int, span: tuple[int, int]) -> Bar:
        """Return what trades of an instrument's bar number k between two times, cut to the bar."""
        ((opened, ts, *prices, volume),) = self.series(instrument).rows(k, k + 1)
        o, h, lo, c = prices
        bar = Bar(
            instrument=instrument, ts_event=int(ts), open=o, high=h, low=lo, close=c, volume=volume, spec=self.spec
        )
        start, end = max(span[0], int(opened)), min(span[1], int(ts))
        whole = (start, end) == (opened, ts)
        return bar if whole else part(bar, self.instruments[instrument], int(opened), (start, end))

    def _bars(self, row: int, start: int, end: int) -> list[Bar]:
        p, opened, ts = self._panel, self._opened[row], self._ends[row]
        cells = zip(
            p.ids, p.open[row].tolist(), p.high[row].tolist(), p.low[row].tolist(), p.close[row].tolist(),
            p.volume[row].tolist(), strict=True,
        )  # fmt: skip
        bars = [
            Bar(instrument=iid, ts_event=ts, open=o, high=h, low=lo, close=c, volume=v, spec=p.spec)
            for iid, o, h, lo, c, v in cells
            if not isnan(c)
        ]
        if (start, end) == (opened, ts):
            return bars
        return [part(bar, self.instruments[bar.instrument], opened, (start, end)) for bar in bars]


def first_rows(panel: Panel) -> list[int]:
    """Return the rows that begin a session: a daily bar is one, others share a day."""
    if panel.spec is BarSpec.DAY:
        return list(range(len(panel)))
    days = (panel.opened - _EASTERN_STANDARD) // (24 * _HOUR)
    return [0, *(np.flatnonzero(np.diff(days)) + 1).tolist()]


def part(bar: Bar, instrument: Instrument, opened: int, span: tuple[int, int]) -> Bar:
    """Return what trades of a bar between two times, on the straight path through its four prices."""
    low_first = bar.close >= bar.open
    path = (bar.open, *((bar.low, bar.high) if low_first else (bar.high, bar.low)), bar.close)
    length = bar.ts_event - opened
    start, end = ((t - opened) / length for t in span)

    def price_at(where: float) -> float:
        leg = min(int(where * 3), 2)
        raw = path[leg] + (path[leg + 1] - path[leg]) * (where * 3 - leg)
        return min(max(float(instrument.price(raw)), bar.low), bar.high)

    inner = [price for k, price in enumerate(path) if start < k / 3 < end]
    prices = [price_at(start) if start > 0 else bar.open, *inner, price_at(end) if end < 1 else bar.close]
    return structs.replace(
        bar, ts_event=span[1], open=prices[0], high=max(prices), low=min(prices), close=prices[-1],
        volume=float(ceil(bar.volume * end) - ceil(bar.volume * start)),  # so that the parts' sum is the bar's
    )  # fmt: skip
