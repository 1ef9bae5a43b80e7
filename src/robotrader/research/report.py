"""A backtest as a summary and as files."""

import hashlib
import json
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


def code_hash() -> str:
    """Return a hash of this package's source files."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def write_run(folder: Path, payload: dict[str, Any], panel: Panel, result: BacktestResult) -> None:
    """Write run.json, orders.parquet, fills.parquet and equity.parquet; money as text, times ns UTC."""
    import polars as pl  # noqa: PLC0415 - only where files are asked for

    folder.mkdir(parents=True, exist_ok=True)
    orders = [msgspec.to_builtins(o) for o in result.orders]
    paid = {c.exec_id: str(c.amount) for c in result.commissions}
    fills = [{**msgspec.to_builtins(f), "commission": paid.get(f.exec_id)} for f in result.fills]
    pl.DataFrame(orders, infer_schema_length=None).write_parquet(folder / "orders.parquet")
    pl.DataFrame(fills, infer_schema_length=None).write_parquet(folder / "fills.parquet")
    pl.DataFrame({"ts": panel.ts, "equity": result.equity}).write_parquet(folder / "equity.parquet")
    text = json.dumps(payload, default=lambda value: format(value, "f"), indent=2)
    (folder / "run.json").write_text(text + "\n", encoding="utf-8")
