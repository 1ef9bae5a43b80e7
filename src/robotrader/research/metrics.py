"""What an equity curve and a list of fills say."""

from collections.abc import Iterable
from decimal import Decimal
from operator import itemgetter
from typing import Any

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats, Times
from robotrader.model import CorporateActionBooked, Fill, InstrumentId, StrategyId

SESSIONS_PER_YEAR = 252
_DAY_NS = 86_400_000_000_000


class Metrics(Struct, frozen=True, kw_only=True):
    """Plain ratios (0.01 = 1 %) over daily returns; None where too little happened to say."""

    total_return: float
    cagr: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float
    volatility: float | None


def day_ends(ts: Times) -> Times:
    """Return the last row of each UTC day."""
    if not len(ts):
        return np.empty(0, dtype=np.int64)
    midnights = np.arange(ts[0] // _DAY_NS + 1, ts[-1] // _DAY_NS + 2) * _DAY_NS
    return np.unique(np.searchsorted(ts, midnights) - 1)


def daily_equity(ts: Times, equity: Floats) -> tuple[Times, Floats]:
    """Return the last equity of each UTC day: arrays of equal length."""
    last = day_ends(ts)
    return ts[last], equity[last]


def measure(ts: Times, equity: Floats, capital: float) -> Metrics:
    """Measure an equity curve that started with `capital`.

    Parameters
    ----------
    ts, equity : arrays of shape (n,)
        Time in ns UTC and equity at it.
    """
    curve = np.concatenate(([capital], daily_equity(ts, equity)[1]))
    found = {name: float(value[0]) for name, value in ratios(curve[:, None]).items()}
    said: dict[str, Any] = {name: value if np.isfinite(value) else None for name, value in found.items()}
    return Metrics(**said)


def ratios(curve: Floats) -> dict[str, Floats]:
    """Return the ratios of daily equity curves, shape (n_days + 1, n_curves), by name; NaN where too little happened.

    As empyrical defines them: 252 sessions a year, no risk-free rate, standard deviations of a sample, and the downside
    of all days.
    """
    returns = curve[1:] / curve[:-1] - 1
    count, year, unsaid = len(returns), np.sqrt(SESSIONS_PER_YEAR), np.full(curve.shape[1], np.nan)
    spread, downside = unsaid, unsaid
    with np.errstate(divide="ignore", invalid="ignore"):
        if count > 1:
            deviation = returns.std(axis=0, ddof=1)
            spread = np.where(deviation > 0, deviation, np.nan)
            downside = np.sqrt((np.minimum(returns, 0) ** 2).sum(axis=0) / count)
        mean = returns.sum(axis=0) / max(count, 1)
        growth = (curve[-1] / curve[0]) ** (SESSIONS_PER_YEAR / max(count, 1)) - 1
        return {
            "total_return": curve[-1] / curve[0] - 1,
            "cagr": np.where(returns.any(axis=0), growth, np.nan),
            "sharpe": mean / spread * year,
            "sortino": mean / downside * year,
            "max_drawdown": (curve / np.maximum.accumulate(curve, axis=0) - 1).min(axis=0),
            "volatility": spread * year,
        }


def round_trips(fills: Iterable[Fill], booked: Iterable[CorporateActionBooked] = ()) -> int:
    """Count the times a strategy's position in an instrument came back to zero or changed its sign."""
    changes = [(f.ts_event, 1, f.strategy, f.instrument, f.side.sign * f.quantity) for f in fills]
    changes += [(b.ts_event, 0, p.strategy, p.instrument, p.quantity) for b in booked for p in b.postings]
    held: dict[tuple[StrategyId, InstrumentId], int] = {}
    trips = 0
    for _, _, strategy, instrument, units in sorted(changes, key=itemgetter(0, 1)):  # actions before fills at the open
        before = held.get((strategy, instrument), 0)
        held[strategy, instrument] = after = before + units
        trips += before * after < 0 or (before != 0 and after == 0)
    return trips


def turnover(fills: Iterable[Fill], average_equity: float) -> float:
    """Return traded value over average equity (not annualised)."""
    traded = sum((f.price * f.quantity for f in fills), Decimal(0))
    return float(traded) / average_equity if average_equity else 0.0
