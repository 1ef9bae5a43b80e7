"""A backtest as a summary."""

import functools
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from robotrader import __version__
from robotrader.data.panel import Panel
from robotrader.model import StrategyConfig
from robotrader.research.backtest import BacktestResult
from robotrader.research.metrics import measure, round_trips, turnover


def summary(config: StrategyConfig, panel: Panel, result: BacktestResult, *, data_hash: str) -> dict[str, Any]:
    """Return what a backtest found; money as Decimal, ratios as plain floats, None where there is nothing to say."""
    metrics = measure(panel.ts, result.equity, float(config.capital))
    mean = float(np.mean(result.equity)) if len(result.equity) else 0.0
    orders, fills = result.orders_hash, result.fills_hash
    run = msgspec.json.encode((config, data_hash, result.limits, orders, fills), order="sorted")
    return {
        "run_id": f"bt-{hashlib.sha256(run).hexdigest()[:16]}",
        "strategy": config.id,
        "engine": result.engine,
        "limits": result.limits,
        "bars": panel.bar_count,
        "orders": len(result.orders),
        "fills": len(result.fills),
        "orders_hash": orders,
        "fills_hash": fills,
        "round_trips": round_trips(result.fills, result.booked),
        "denied": len(result.denied),
        "corporate_actions": len(result.booked),
        "final_equity": result.final.equity,
        "total_return": metrics.total_return,
        "cagr": metrics.cagr,
        "sharpe": metrics.sharpe,
        "sortino": metrics.sortino,
        "max_drawdown": metrics.max_drawdown,
        "volatility": metrics.volatility,
        "turnover": turnover(result.fills, mean),
        "commission": result.final.commission,
        "slippage_cost": result.slippage_cost,
        "borrow_cost": result.borrow_cost,
        "assumptions": result.assumptions,
        "seconds": round(result.seconds, 6),
        "bars_per_second": round(panel.bar_count / result.seconds, 1) if result.seconds else None,
        "data_hash": data_hash,
        "code_hash": code_hash(),
        "code_version": __version__,
        "trial": None,
    }


@functools.cache
def code_hash() -> str:
    """Return a hash of this package's source files."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
