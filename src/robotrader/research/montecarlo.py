"""What a result owes to the order of its trades, its days, its parameters, its timing, its costs and its start."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats, Times
from robotrader.model import Commission, Fill, Parameter
from robotrader.research.metrics import ratios
from robotrader.research.significance import block_length, stationary_bootstrap

QUANTILES = {"p05": 0.05, "p50": 0.5, "p95": 0.95}
SHOWN = ("sharpe", "cagr", "total_return", "max_drawdown")
STARTS_APART, MOST_STARTS = 21, 60
_LEAST, _MOST = 0.1, 0.2


class Scenario(Struct, frozen=True, kw_only=True):
    """Quantiles of each ratio over `runs`; a ratio that was never there is left out. `note` says what was changed."""

    name: str
    runs: int
    quantiles: dict[str, dict[str, float]]
    losing: float | None
    note: str


def scenario(name: str, figures: Sequence[Mapping[str, Any]], note: str) -> Scenario:
    """Sum up runs by their ratios; `losing` is the share of those with a return that ended below zero."""
    known = {m: [f[m] for f in figures if np.isfinite(f.get(m, np.nan))] for m in SHOWN}
    ended = known["total_return"]
    return Scenario(
        name=name, runs=len(figures), note=note,
        losing=sum(v < 0 for v in ended) / len(ended) if ended else None,
        quantiles={m: {q: float(np.quantile(values, at)) for q, at in QUANTILES.items()}
                   for m, values in known.items() if values},
    )  # fmt: skip


def shuffled_trades(profits: Floats, capital: float, *, seed: int, draws: int) -> Scenario:
    """Put the profits of round trips, shape (n,), into other orders: the drawdowns those would have shown."""
    random, found = np.random.default_rng(seed), []
    for _ in range(draws if len(profits) > 1 else 0):
        curve = capital + np.cumsum(np.concatenate(([0.0], random.permutation(profits))))
        found.append({"max_drawdown": float((curve / np.maximum.accumulate(curve) - 1).min())})
    note = f"{len(profits)} round trips in other orders; only the drawdown between trades can change"
    return scenario("trade shuffle", found, note)


def bootstrapped(returns: Floats, *, seed: int, draws: int) -> Scenario:
    """Draw years like those that were: a stationary block bootstrap of daily returns, shape (n,)."""
    if len(returns) < 2:
        return scenario("block bootstrap", [], "too few days")
    block = block_length(returns)
    drawn = stationary_bootstrap(returns, seed=seed, draws=draws, block=block)
    found = ratios(np.cumprod(np.concatenate([np.ones((1, draws)), 1 + drawn]), axis=0))
    figures = [{name: float(found[name][n]) for name in SHOWN} for n in range(draws)]
    return scenario("block bootstrap", figures, f"days drawn anew in blocks of {block:.1f} on average")


def jittered(
    parameters: Mapping[str, int | float], declared: Mapping[str, Parameter], *, seed: int, count: int
) -> list[dict[str, int | float]]:
    """Return distinct sets in which each parameter is 10 to 20 % off, up or down, rounded where it is whole.

    Values stay in their declared ranges; one that cannot be so little off, as 2, may stay as it is.
    """
    random = np.random.default_rng(seed)
    found: dict[tuple[int | float, ...], None] = {}
    start = {name: parameters.get(name, p.default) for name, p in declared.items()}
    for _ in range(count):
        drawn = []
        for name, value in start.items():
            off = value * (1 + random.choice([-1, 1]) * random.uniform(_LEAST, _MOST))
            held = min(max(float(off), declared[name].low), declared[name].high)
            drawn.append(round(held) if isinstance(declared[name].default, int) else held)
        found[tuple(drawn)] = None
    found.pop(tuple(start.values()), None)
    return [dict(zip(start, values, strict=True)) for values in found]


def paid_twice(ts: Times, equity: Floats, fills: Sequence[Fill], commissions: Sequence[Commission]) -> Floats:
    """Return the equity, shape (n_bars,), with each commission taken once more at its fill."""
    at = {fill.exec_id: int(ts.searchsorted(fill.ts_event)) for fill in fills}
    more = np.zeros(len(equity))
    for commission in commissions:
        more[min(at[commission.exec_id], len(more) - 1)] += float(commission.amount)
    return equity - np.cumsum(more)
