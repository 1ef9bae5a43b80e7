"""The public Python surface: frames out, trials counted, a class of a notebook as good as a name."""

import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

import robotrader
from robotrader import api
from robotrader.data.panel import Floats, Panel
from robotrader.model import BarSpec, ConfigError, DataError, Manifest, Parameter, StrategyId
from robotrader.strategy.loading import load_strategy, register
from tests.integration.cli.commands import run as command


class Always:
    """In from the first bar on, with as much as its parameter says."""

    PARAMETERS: ClassVar[dict[str, Parameter]] = {"much": Parameter(default=1.0, low=0.0, high=1.0)}

    def __init__(self, *, much: float) -> None:
        self._much = much

    @property
    def manifest(self) -> Manifest:
        return Manifest(id=StrategyId("always"), version="1", hypothesis="", bar_spec=BarSpec.DAY, warmup_bars=1)

    def signals(self, panel: Panel) -> Floats:
        return np.where(np.isnan(panel.close), np.nan, self._much)


@pytest.fixture
def data(tmp_path: Path) -> api.Data:
    return api.load("sample:AAPL", start="2005-01-01", end="2006-12-31", state=tmp_path)


def test_bars_come_out_as_a_frame_of_those_that_are_there(tmp_path: Path) -> None:
    data = api.load("sample:all", start="2004-08-18", end="2004-08-20", state=tmp_path)
    assert data.bars.columns == ["instrument", "ts", "open", "high", "low", "close", "volume"]
    assert data.bars["ts"].dtype == pl.Datetime("ns", "UTC")
    google = data.bars.filter(pl.col("instrument") == "GOOG.NASDAQ")
    assert google["ts"].dt.date().cast(pl.String).to_list() == ["2004-08-19", "2004-08-20"], "listed on the 19th"
    assert "from 2004-08-18 to 2004-08-20" in repr(data)


def test_a_backtest_finds_what_the_command_line_finds(data: api.Data, tmp_path: Path) -> None:
    found = api.backtest(
        "sma_crossover", data, {"fast": 5, "slow": 20}, cash=50_000, sizer="percent:0.5", stop_loss="percent:0.05",
        take_profit="atr:4", time_exit="20d",
    ).metrics  # fmt: skip
    said = command(
        "backtest", "sma_crossover", "--data", "sample:AAPL", "--start", "2005-01-01", "--end", "2006-12-31",
        "-p", "fast=5", "-p", "slow=20", "--cash", "50000", "--sizer", "percent:0.5",
        "--stop-loss", "percent:0.05", "--take-profit", "atr:4", "--time-exit", "20d",
        "--json", state=tmp_path,
    ).json  # fmt: skip
    own = {"seconds", "bars_per_second", "trial", "trials", "effective_trials", "deflated_sharpe",
           "minimum_backtest_years", "as_of", "schema_version", "code_hash"}  # fmt: skip
    assert said["trials"] == found["trials"] + 1 == 2, "both are counted, in one ledger"
    plain: dict[str, Any] = {k: str(v) if isinstance(v, Decimal) else v for k, v in found.items()}
    assert Decimal(plain["assumptions"].pop("impact")) == Decimal(said["assumptions"].pop("impact"))
    assert {k: v for k, v in plain.items() if k not in own} == {k: v for k, v in said.items() if k not in own}


def test_results_are_frames_with_a_row_for_each_bar_order_and_fill(data: api.Data) -> None:
    result = api.backtest("sma_crossover", data, {"fast": 5, "slow": 20})
    assert result.equity.height == len(data.panel)
    assert result.equity["equity"][-1] == pytest.approx(float(result.metrics["final_equity"]))
    assert (result.orders.height, result.fills.height) == (result.metrics["orders"], result.metrics["fills"])
    assert set(result.fills["order_id"]) <= set(result.orders["order_id"])
    assert result.fills["commission"].sum() == pytest.approx(float(result.metrics["commission"]))
    assert (result.fills["ts"] > result.orders["ts"]).all(), "decided at a close, filled at the next open"


def test_a_run_without_a_fill_has_frames_of_the_same_columns(data: api.Data) -> None:
    busy, idle = api.backtest(Always, data), api.backtest(Always, data, {"much": 0.0})
    assert idle.fills.is_empty()
    assert (idle.fills.schema, idle.orders.schema) == (busy.fills.schema, busy.orders.schema)


def test_a_result_shows_itself_in_a_notebook_with_what_is_not_known_as_a_dash(data: api.Data) -> None:
    shown = api.backtest(Always, data, {"much": 0.0})._repr_html_()
    assert "<tr><th>sharpe</th><td>-</td></tr>" in shown
    assert shown.startswith("<table><caption>Always {&#x27;much&#x27;: 0.0} on sample:AAPL")


def test_a_report_is_one_page_in_the_place_that_was_named(data: api.Data, tmp_path: Path) -> None:
    file = api.report(api.backtest("sma_crossover", data), tmp_path / "new" / "page.html")
    assert file == tmp_path / "new" / "page.html"
    assert file.read_text("utf-8").startswith("<!doctype html>")


def test_a_class_of_this_process_is_a_strategy_and_a_class_defined_anew_another(data: api.Data) -> None:
    first = api.backtest(Always, data)
    again: Any = type("Always", (Always,), {"signals": lambda self, panel: np.zeros(panel.close.shape)})
    second = api.backtest(again, data)
    assert (first.metrics["fills"], second.metrics["fills"]) == (1, 0)
    assert (first.config.source, second.config.source) == ("class Always", "class Always~2")
    assert second.metrics["trials"] == 2, "one family: the name counts"
    assert register(Always) == "class Always"
    assert isinstance(load_strategy("class Always", {}), Always)


def test_a_sweep_is_a_row_a_set_each_of_them_counted(data: api.Data) -> None:
    heard: list[int] = []
    found = api.sweep(
        "sma_crossover", data, {"fast": [5, 10, 20], "slow": [20, 50]}, sizer="percent:0.5", progress=heard.append
    )
    assert found.table["trial"].to_list() == [1, 2, 3, 4, None, 5]
    refused = found.table.filter(pl.col("error").is_not_null())
    assert refused.select("fast", "slow").rows() == [(20, 20)]
    assert (heard[-1], api.trials("sma_crossover", state=data.state).height) == (5, 5)
    best = found.table.filter(pl.col("sharpe").is_not_nan()).sort("sharpe")[-1]
    assert found.best == best.select("fast", "slow").row(0, named=True)
    single = api.backtest("sma_crossover", data, found.best, sizer="percent:0.5").metrics
    assert single["sharpe"] == pytest.approx(best["sharpe"][0])
    assert found.deflated_sharpe is not None
    assert f"best {found.best}".replace("'", "&#x27;") in found._repr_html_()


def test_a_file_that_changes_between_load_and_sweep_is_noticed_and_read_anew(tmp_path: Path) -> None:
    file, days = tmp_path / "bars.csv", ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]

    def write(last: float) -> api.Data:
        closes = [10.0, 11.0, 12.0, last]
        rows = [f"SPY,{day},{c},{c + 5},{c - 5},{c},100" for day, c in zip(days, closes, strict=True)]
        file.write_text("\n".join(["symbol,timestamp,open,high,low,close,volume", *rows]), encoding="utf-8")
        return api.load(str(file), state=tmp_path)

    old = write(12.0)
    before = api.sweep(Always, old, {"much": [1.0]}).table["total_return"][0]
    new = write(13.0)
    with pytest.raises(DataError, match="has changed since it was loaded: load it again"):
        api.sweep(Always, old, {"much": [1.0]})
    assert api.sweep(Always, new, {"much": [1.0]}).table["total_return"][0] > before


def test_a_class_is_swept_here_and_nowhere_else(data: api.Data) -> None:
    assert api.sweep(Always, data, {"much": [0.25, 0.5]}).table["error"].to_list() == [None, None]
    with pytest.raises(ConfigError, match="other processes cannot see Always"):
        api.sweep(Always, data, {"much": [0.25, 0.5]}, executor="local")


def test_the_ledger_is_a_frame_of_every_run_begun(data: api.Data) -> None:
    assert api.trials(state=data.state).is_empty()
    api.backtest("sma_crossover", data, {"slow": 30})
    api.backtest(Always, data, {"much": 0.0})
    found = api.trials(state=data.state).drop("ts")
    assert found.drop("sharpe").rows() == [
        (1, "sma_crossover", '{"slow":30}', "backtest", True), (2, "Always", '{"much":0.0}', "backtest", True)
    ]  # fmt: skip
    assert found["sharpe"].is_null().to_list() == [False, True]
    assert api.trials("Always", state=data.state).height == 1


def test_costs_may_be_floats_and_mean_the_decimals_that_they_look_like(data: api.Data) -> None:
    found = api.backtest(Always, data, costs=api.Costs(half_spread_bps=2.5, impact=0.1, borrow_rate=0.02))  # type: ignore[arg-type]
    assert found.metrics["assumptions"]["half_spread_bps"] == "2.5"
    assert found.metrics["assumptions"]["impact"] == "0.1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cash": 0}, "cash must be a positive amount; found 0"),
        ({"cash": float("nan")}, "cash must be a positive amount; found nan"),
        ({"resize": "daily"}, "resize must be one of None, on_change, every_bar; found 'daily'"),
        ({"engine": "quick"}, "engine must be one of auto, event, fast; found 'quick'"),
        ({"costs": api.Costs(fill="now")}, "fill must be one of next_open, this_close, next_close; found 'now'"),
        ({"parameters": {"much": 2}}, r"much must lie in \[0.0, 1.0\], found 2"),
    ],
)
def test_what_does_not_fit_is_refused_and_not_counted(data: api.Data, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        api.backtest(Always, data, **options)
    assert api.trials(state=data.state).is_empty()


def test_a_dataset_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no dataset"):
        api.load("sample:XYZ", state=tmp_path)


def test_the_package_is_imported_without_what_only_research_needs() -> None:
    heavy = ("numpy", "polars", "robotrader.api")  # a module of ours is looked for as a name of the API first
    code = (f"import robotrader, sys; from robotrader import model; print([m for m in {heavy!r} if m in sys.modules]); "
            "robotrader.load")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def names(text: str) -> Iterator[str]:
    yield from (line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("from robotrader.api import"))


def test_the_package_shows_the_names_of_the_api_and_tells_type_checkers_the_same() -> None:
    stub = Path(robotrader.__file__).with_suffix(".pyi").read_text("utf-8")
    assert sorted(names(stub)) == sorted(api.__all__)
    assert robotrader.backtest is api.backtest
    with pytest.raises(AttributeError, match="no attribute 'bactkest'"):
        robotrader.bactkest  # type: ignore[attr-defined]  # noqa: B018
    assert set(api.__all__) <= set(dir(robotrader))
