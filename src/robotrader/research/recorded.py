"""A run as it was recorded, backtest or live: what a tearsheet is made of."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from msgspec import Struct

from robotrader.data.adjust import Adjust, adjust
from robotrader.data.panel import Floats, Panel, Times
from robotrader.model import (
    CorporateAction,
    CorporateActionBooked,
    Fill,
    InstrumentId,
    StrategyConfig,
)
from robotrader.research.backtest import BacktestResult
from robotrader.research.metrics import day_ends


class Traded(Struct, frozen=True, kw_only=True):
    """An instrument of a run; `last` is the price at its end as the ledger values it, None where it never had one."""

    multiplier: Decimal
    last: Decimal | None


class Record(Struct, frozen=True, kw_only=True):
    """What ran, on what, and what changed the books beside fills."""

    configs: tuple[StrategyConfig, ...]
    instruments: dict[InstrumentId, Traded]
    booked: tuple[CorporateActionBooked, ...] = ()

    @property
    def capital(self) -> Decimal:
        """Return what the strategies began with."""
        return sum((c.capital for c in self.configs), Decimal(0))


class RecordedRun(Struct, frozen=True, kw_only=True):
    """A run: `facts` are run.json's, `paid` the commission by execution.

    `ts` and `equity` have shape (n_bars,). `daily` has the columns `ts`, `equity`, `benchmark`, `gross` and `net` of
    shape (n_days,); NaN where nobody knows.
    """

    facts: dict[str, Any]
    record: Record
    fills: tuple[Fill, ...]
    paid: dict[str, Decimal]
    ts: Any
    equity: Any
    daily: dict[str, Any]


def record_backtest(
    facts: Mapping[str, Any], panel: Panel, result: BacktestResult, *, configs: Sequence[StrategyConfig],
    actions: Sequence[CorporateAction] = (),
) -> RecordedRun:  # fmt: skip
    """Return a backtest with its benchmark: the same capital in equal parts, bought and held from each first close.

    `actions` are those that the run booked: the benchmark earns their dividends too.
    """
    close = forward_filled(panel.close)
    lasts = close[-1] if len(close) else np.full(len(panel.instruments), np.nan)
    traded = {
        i.id: Traded(multiplier=i.multiplier, last=i.price(float(last)) if last >= i.tick else None)
        for i, last in zip(panel.instruments, lasts, strict=True)
    }
    record = Record(configs=tuple(configs), instruments=traded, booked=result.booked)
    at = day_ends(panel.ts)
    value = _held(panel, result)[at] * close[at] * np.array([float(i.multiplier) for i in panel.instruments])
    whole = adjust(panel, actions, int(panel.ts[-1]), Adjust.ALL) if actions else panel
    daily = {
        "ts": panel.ts[at], "equity": result.equity[at],
        "benchmark": buy_and_hold(whole, at, float(record.capital)),
        "gross": np.nansum(np.abs(value), axis=1), "net": np.nansum(value, axis=1),
    }  # fmt: skip
    paid = {c.exec_id: c.amount for c in result.commissions}
    return RecordedRun(
        facts=dict(facts), record=record, fills=result.fills, paid=paid, ts=panel.ts, equity=result.equity, daily=daily
    )


def buy_and_hold(panel: Panel, rows: Times, capital: float) -> Floats:
    """Return what capital is worth in these rows: equal parts, in each instrument from its first close, cash before."""
    close = forward_filled(panel.close)
    known = ~np.isnan(close)
    first = close[known.argmax(axis=0), np.arange(close.shape[1])] if len(close) else close
    return np.asarray(np.where(known, close / first, 1.0)[rows].mean(axis=1) * capital)


def forward_filled(close: Floats) -> Floats:
    """Return each column with NaN replaced by the value before it; NaN before the first."""
    rows = np.where(np.isnan(close), 0, np.arange(len(close))[:, None])
    return np.take_along_axis(close, np.maximum.accumulate(rows, axis=0), axis=0)


def _held(panel: Panel, result: BacktestResult) -> Floats:
    """Return signed units at each row's end, shape (n_bars, n_instruments)."""
    column = {iid: k for k, iid in enumerate(panel.ids)}
    changes = [(f.ts_event, column[f.instrument], f.side.sign * f.quantity) for f in result.fills]
    changes += [(b.ts_event, column[p.instrument], p.quantity) for b in result.booked for p in b.postings]
    out = np.zeros(panel.close.shape)
    if changes:
        ts, columns, units = np.array(changes, dtype=np.int64).T
        np.add.at(out, (panel.ts.searchsorted(ts), columns), units)
    return np.cumsum(out, axis=0)
