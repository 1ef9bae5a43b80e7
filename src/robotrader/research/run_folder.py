"""The folder of a recorded run: what `backtest --out` writes and `report` reads."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from robotrader.data.panel import Panel
from robotrader.model import CorporateAction, DataError, Fill, StrategyConfig
from robotrader.research.backtest import BacktestResult
from robotrader.research.recorded import Record, RecordedRun, record_backtest
from robotrader.research.tearsheet import as_json, tearsheet
from robotrader.research.tearsheet_page import page

RUN, FILLS, EQUITY, DAILY = "run.json", "fills.parquet", "equity.parquet", "daily.parquet"


def write_run(
    folder: Path, payload: dict[str, Any], panel: Panel, result: BacktestResult, *, configs: Sequence[StrategyConfig],
    actions: Sequence[CorporateAction] = (),
) -> RecordedRun:  # fmt: skip
    """Write run.json, Parquet files of orders, fills, bars' and days' equity, and the tearsheet as HTML and JSON.

    `actions` are those that the run booked. Money is text, times are ns UTC.
    """
    run = record_backtest(payload, panel, result, configs=configs, actions=actions)
    orders = [msgspec.to_builtins(o) for o in result.orders]
    fills = [{**msgspec.to_builtins(f), "commission": _text(run.paid.get(f.exec_id))} for f in run.fills]
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(orders, infer_schema_length=None).write_parquet(folder / "orders.parquet")
    pl.DataFrame(fills, infer_schema_length=None).write_parquet(folder / FILLS)
    pl.DataFrame({"ts": run.ts, "equity": run.equity}).write_parquet(folder / EQUITY)
    pl.DataFrame(run.daily).write_parquet(folder / DAILY)
    facts = {**run.facts, "record": msgspec.to_builtins(run.record)}
    (folder / RUN).write_text(json.dumps(facts, default=_text, indent=2) + "\n", encoding="utf-8")
    sheet = tearsheet(run)
    (folder / "tearsheet.json").write_bytes(as_json(sheet))
    (folder / "tearsheet.html").write_text(page(sheet), encoding="utf-8")
    return run


def read_run(folder: Path) -> RecordedRun:
    """Read a run that `write_run` wrote.

    Raises
    ------
    DataError
        A file is missing or damaged, or an older version wrote it.
    """
    try:
        facts = json.loads((folder / RUN).read_text("utf-8"))
        rows = pl.read_parquet(folder / FILLS).to_dicts()
        curve, daily = (pl.read_parquet(folder / name).to_dict() for name in (EQUITY, DAILY))
        return RecordedRun(
            record=msgspec.convert(facts.pop("record"), Record), facts=facts,
            fills=msgspec.convert(rows, tuple[Fill, ...]),
            paid={row["exec_id"]: Decimal(row["commission"]) for row in rows if row["commission"] is not None},
            ts=curve["ts"].to_numpy(), equity=curve["equity"].to_numpy(),
            daily={name: column.to_numpy() for name, column in daily.items()},
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        detail = f"{type(error).__name__}: {error}"
        raise DataError(f"{folder} must hold a run that `backtest --out` wrote; found {detail}") from error


def _text(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value
