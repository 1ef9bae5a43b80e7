"""A backtest as a summary and as files."""

import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from robotrader.research.backtest import BacktestResult
from robotrader.research.report import summary
from robotrader.research.run_folder import write_run
from tests.unit.research.test_backtest import DAYS, backtest, sma, spy_panel

FLAT = ((10.0, 10.0),) * 3


def golden() -> BacktestResult:
    return backtest(spy_panel(), costs="ibkr_fixed", bps="10")


def test_a_summary_says_what_the_backtest_did() -> None:
    found = summary(sma(), spy_panel(), golden(), data_hash="abc")
    assert {name: found[name] for name in ("bars", "orders", "fills", "round_trips", "denied", "limits")} == {
        "bars": 8, "orders": 6, "fills": 5, "round_trips": 2, "denied": 0, "limits": "research",
    }  # fmt: skip
    assert (found["final_equity"], found["commission"]) == (Decimal("99949.904306"), Decimal("5.095694"))
    assert found["total_return"] == pytest.approx(99949.904306 / 100_000 - 1)
    # the peak is day 2, 100,098; the last close is the lowest after it
    assert found["max_drawdown"] == pytest.approx(99945.954238 / 100_098 - 1)
    traded = 1101 + 1049 + 1141 + 1199 + 1301
    assert found["turnover"] == pytest.approx(traded / float(golden().equity.mean()))


def test_the_id_of_a_run_follows_from_what_ran_on_what() -> None:
    ids = {
        summary(config, spy_panel(), golden(), data_hash=data)["run_id"]
        for config, data in ((sma(), "a"), (sma(), "b"), (sma(sizer="fixed:1"), "a"))
    }
    assert len(ids) == 3
    assert summary(sma(), spy_panel(), golden(), data_hash="a")["run_id"] in ids


@pytest.mark.parametrize("days", [DAYS, FLAT])
def test_files_hold_the_same_numbers_money_as_text(tmp_path: Path, days: tuple[tuple[float, float], ...]) -> None:
    panel = spy_panel(days)
    result = backtest(panel, costs="ibkr_fixed", bps="10")
    payload = summary(sma(), panel, result, data_hash="abc")
    write_run(tmp_path / "run", payload, panel, result, configs=[sma()])
    read = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert read["final_equity"] == str(result.final.equity)
    assert read["run_id"] == payload["run_id"]
    assert pl.read_parquet(tmp_path / "run" / "orders.parquet").height == len(result.orders)
    fills = pl.read_parquet(tmp_path / "run" / "fills.parquet")
    assert fills.height == len(result.fills)
    if result.fills:
        assert fills["price"].to_list() == [str(f.price) for f in result.fills]
        assert fills["commission"].to_list() == [str(c.amount) for c in result.commissions]
    equity = pl.read_parquet(tmp_path / "run" / "equity.parquet")
    assert (equity["ts"].to_list(), equity["equity"].to_list()) == (panel.ts.tolist(), result.equity.tolist())
