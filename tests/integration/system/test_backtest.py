"""The backtest command: results, bad input, exit codes."""

from pathlib import Path

import pytest

from tests.integration.system.running import robotrader

HEAD = "symbol,timestamp,open,high,low,close,volume\n"
GOOD = "".join(f"X,2024-01-{d:02d},10,11,9,{10 + d % 3},1000\n" for d in (2, 3, 4, 5, 8, 9, 10, 11, 12))


def test_the_result_has_every_field_of_the_contract(tmp_path: Path) -> None:
    found = robotrader("backtest", "sma_crossover", "--data", "sample:AAPL", "--out", str(tmp_path / "o")).json
    for name in (
        "run_id", "engine", "limits", "bars", "orders", "fills", "orders_hash", "fills_hash", "round_trips", "denied",
        "final_equity", "total_return", "cagr", "sharpe", "sortino", "max_drawdown", "volatility", "turnover",
        "commission", "slippage_cost", "seconds", "bars_per_second", "data_hash", "code_hash", "trial",
    ):  # fmt: skip
        assert name in found
    assert (found["bars"], found["orders"], found["fills"], found["round_trips"]) == (3270, 80, 80, 40)
    assert {p.name for p in (tmp_path / "o").iterdir()} == {
        "run.json", "orders.parquet", "fills.parquet", "equity.parquet", "daily.parquet", "tearsheet.html",
        "tearsheet.json",
    }  # fmt: skip


def test_equal_calls_give_equal_results(tmp_path: Path) -> None:
    calls = [robotrader("backtest", "momentum", "--data", "sample:all", "--sizer", "percent:0.2") for _ in range(2)]
    first, second = (c.json for c in calls)
    for name in ("run_id", "orders_hash", "fills_hash", "final_equity", "data_hash"):
        assert first[name] == second[name]
    assert first["fills"] > 50


@pytest.mark.parametrize(
    "row",
    [
        "X,2024-01-16,ten,11,9,10,1000\n",
        "X,2024-01-16,nan,11,9,10,1000\n",
        "X,2024-01-16,10,9,11,10,1000\n",
        "X,2024-01-16,10\n",
        "X,2024-01-15,10,11,9,10,5\n",  # a holiday
    ],
)
def test_a_bad_row_is_set_aside_and_named(row: str, tmp_path: Path) -> None:
    clean, dirty = tmp_path / "clean.csv", tmp_path / "dirty.csv"
    clean.write_text(HEAD + GOOD, encoding="utf-8")
    dirty.write_text(HEAD + GOOD + row, encoding="utf-8")
    arguments = ("backtest", "sma_crossover", "-p", "fast=2", "-p", "slow=3", "--data")
    done = robotrader(*arguments, str(dirty))
    assert done.code == 0, done.err
    assert "quarantined" in done.err
    assert done.json["final_equity"] == robotrader(*arguments, str(clean)).json["final_equity"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nothing", "--data", "sample:AAPL"), 5, "unknown strategy"),
        (("sma_crossover", "--data", "sample:ZZZ"), 7, "ZZZ"),
        (("sma_crossover", "--data", "no/such/file.csv"), 7, "no/such/file.csv"),
        (("sma_crossover", "--data", "sample:AAPL", "-p", "fsat=3"), 5, "fsat"),
        (("sma_crossover", "--data", "sample:AAPL", "-p", "fast=60"), 5, "fast must be below slow"),
        (("sma_crossover", "--data", "sample:AAPL", "--sizer", "percent:2"), 5, "sizer"),
        (("sma_crossover", "--data", "sample:AAPL", "--commission", "free"), 5, "commission"),
        (("sma_crossover", "--data", "sample:AAPL", "--cash", "nan"), 5, "cash"),
        (("sma_crossover", "--data", "sample:AAPL", "--limits", "none"), 5, "profile"),
        (("sma_crossover",), 2, "--data"),
    ],
)
def test_bad_input_is_a_clear_error(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = robotrader("backtest", *arguments)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_file_without_a_usable_row_is_a_data_problem(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(HEAD + "X,yesterday,a,b,c,d,e\n", encoding="utf-8")
    assert robotrader("backtest", "sma_crossover", "--data", str(path)).code == 7
