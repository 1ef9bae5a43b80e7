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


def rolling(returns: Floats, window: int) -> dict[str, Floats]:
    """Return the annual Sharpe ratio and volatility of each `window` daily returns, shape (n,); NaN before."""
    out = {name: np.full(len(returns), np.nan) for name in ("sharpe", "volatility")}
    if len(returns) >= window > 1:
        seen = np.lib.stride_tricks.sliding_window_view(returns, window)
        deviation = seen.std(axis=1, ddof=1)
        spread = np.where(deviation > 0, deviation, np.nan) * np.sqrt(SESSIONS_PER_YEAR)
        out["sharpe"][window - 1 :] = seen.mean(axis=1) * SESSIONS_PER_YEAR / spread
        out["volatility"][window - 1 :] = spread
    return out


def monthly(ts: Times, curve: Floats) -> dict[str, float]:
    """Return the return of each calendar month, by `2024-01`; `curve`, shape (n + 1,), starts with the capital."""
    months = ts.astype("datetime64[ns]").astype("datetime64[M]")
    last = np.flatnonzero(np.append(months[1:] != months[:-1], True)) if len(ts) else np.empty(0, dtype=np.int64)
    values = curve[np.concatenate(([0], last + 1))]
    return dict(zip(months[last].astype(str).tolist(), (values[1:] / values[:-1] - 1).tolist(), strict=True))


class Drawdown(Struct, frozen=True, kw_only=True):
    """A fall from a peak: times in ns UTC (`recovery` None: not yet), `depth` a negative ratio."""

    depth: float
    peak: int
    trough: int
    recovery: int | None


def worst_drawdowns(ts: Times, curve: Floats, count: int = 5) -> list[Drawdown]:
    """Return the deepest falls that do not overlap, deepest first; `ts` and `curve` of equal length."""
    depth = curve / np.maximum.accumulate(curve) - 1
    below = np.concatenate(([False], depth < 0, [False]))
    falls = np.flatnonzero(below[1:] != below[:-1]).reshape(-1, 2).tolist()  # first row below the peak, first not below
    found = [
        Drawdown(depth=float(depth[start:end].min()), peak=int(ts[start - 1]),
                 trough=int(ts[start + int(depth[start:end].argmin())]),
                 recovery=int(ts[end]) if end < len(ts) else None)
        for start, end in falls
    ]  # fmt: skip
    return sorted(found, key=lambda fall: fall.depth)[:count]


def tails(returns: Floats) -> dict[str, float]:
    """Return what the normal distribution would miss in returns: shape (n,), at least two of them different.

    `value_at_risk` is the 5 % quantile and `expected_shortfall` the mean of the returns up to it; `beyond_3_sigma` is
    the share of days further than three deviations from the mean (normal: 0.0027).
    """
    off = (returns - returns.mean()) / returns.std()
    risk = float(np.percentile(returns, 5))
    return {
        "best_day": float(returns.max()), "worst_day": float(returns.min()),
        "positive_days": float((returns > 0).mean()), "skewness": float((off**3).mean()),
        "excess_kurtosis": float((off**4).mean()) - 3, "value_at_risk": risk,
        "expected_shortfall": float(np.sort(returns)[: int((len(returns) - 1) * 0.05) + 1].mean()),
        "beyond_3_sigma": float((np.abs(off) > 3).mean()),
    }  # fmt: skip


def beta(returns: Floats, benchmark: Floats) -> float | None:
    """Return the slope of returns on those of a benchmark, shape (n,) each; None where that did not move."""
    if len(returns) < 2 or np.ptp(benchmark) <= 0:
        return None
    return float(np.cov(returns, benchmark)[0, 1] / benchmark.var(ddof=1))
