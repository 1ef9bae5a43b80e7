"""What an equity curve and a list of fills say; ratios come from empyrical."""

from collections.abc import Iterable
from decimal import Decimal

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats, Times
from robotrader.model import Fill, InstrumentId, StrategyId

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


def daily_equity(ts: Times, equity: Floats) -> tuple[Times, Floats]:
    """Return the last equity of each UTC day: arrays of equal length."""
    last = np.append(np.nonzero(np.diff(ts // _DAY_NS))[0], len(ts) - 1) if len(ts) else np.empty(0, dtype=np.int64)
    return ts[last], equity[last]


def measure(ts: Times, equity: Floats, capital: float) -> Metrics:
    """Measure an equity curve that started with `capital`.

    Parameters
    ----------
    ts, equity : arrays of shape (n,)
        Time in ns UTC and equity at it.
    """
    import empyrical  # noqa: PLC0415 - pulls pandas and scipy: only when something is measured

    _, daily = daily_equity(ts, equity)
    curve = np.concatenate(([capital], daily))
    returns = curve[1:] / curve[:-1] - 1
    drawdown = curve / np.maximum.accumulate(curve) - 1
    moved = bool(np.any(returns))
    named = {"sharpe": empyrical.sharpe_ratio, "sortino": empyrical.sortino_ratio,
             "volatility": empyrical.annual_volatility, "cagr": empyrical.cagr}  # fmt: skip
    values = {name: _finite(f(returns, period="daily")) if moved else None for name, f in named.items()}
    return Metrics(total_return=float(curve[-1] / capital - 1), max_drawdown=float(drawdown.min()), **values)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def round_trips(fills: Iterable[Fill]) -> int:
    """Count the times a strategy's position in an instrument came back to zero or changed its sign."""
    held: dict[tuple[StrategyId, InstrumentId], int] = {}
    trips = 0
    for fill in fills:
        key = (fill.strategy, fill.instrument)
        before = held.get(key, 0)
        held[key] = after = before + fill.side.sign * fill.quantity
        trips += before * after < 0 or (before != 0 and after == 0)
    return trips


def turnover(fills: Iterable[Fill], average_equity: float) -> float:
    """Return traded value over average equity (not annualised)."""
    traded = sum((f.price * f.quantity for f in fills), Decimal(0))
    return float(traded) / average_equity if average_equity else 0.0
