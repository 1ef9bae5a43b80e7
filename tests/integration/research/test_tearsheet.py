"""Tearsheets of real backtests: what they say, that it adds up, and a page that needs nothing else."""

import re
from collections.abc import Sequence
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from msgspec import json, structs

from robotrader import bootstrap
from robotrader.data.panel import Panel
from robotrader.model import CorporateAction, DataError, StrategyConfig, StrategyId
from robotrader.research.backtest import BacktestResult
from robotrader.research.metrics import measure
from robotrader.research.recorded import RecordedRun, buy_and_hold, record_backtest
from robotrader.research.report import summary
from robotrader.research.run_folder import read_run, write_run
from robotrader.research.tearsheet import Table, as_json, tearsheet
from robotrader.research.tearsheet_page import cell, page
from tests import builders as make

D = Decimal
NAN = float("nan")
HOSTILE = "<script>alert(1)</script>"
CHECKED = {"passed": True, "failed": [], "not_applicable": ["lag"], "rules": 6, "data": "sample:all"}
WALKED = {
    "is_sharpe": 1.5, "oos_sharpe": 0.25, "folds": [
        {"test_first": "2004-01-02T21:00:00Z", "test_last": "2004-06-30T20:00:00Z", "parameters": {"fast": 2},
         "is": {"sharpe": 1.5}, "oos": {"sharpe": -0.25}, "fills": 7},
        {"test_first": "2004-07-01T20:00:00Z", "test_last": "2004-12-31T21:00:00Z", "parameters": None, "is": None,
         "oos": None, "fills": 0},
    ],
}  # fmt: skip


def config(panel: Panel, *, name: str = "sma", sizer: str = "percent:0.5", slow: int = 5) -> StrategyConfig:
    return StrategyConfig(id=StrategyId(name), source="sma_crossover", universe=panel.ids, capital=D(100_000),
                          sizer=sizer, parameters={"fast": 2, "slow": slow})  # fmt: skip


def walk(days: int, columns: int = 2) -> Panel:
    steps = np.random.default_rng(5).normal(0.0004, 0.015, (days, columns))
    return make.daily_panel((50 * np.exp(np.cumsum(steps, axis=0))).round(2).tolist())


def played(
    panel: Panel, *, actions: Sequence[CorporateAction] = (), short: bool = False, **facts: Any
) -> tuple[RecordedRun, BacktestResult]:
    """Run a crossover with all costs on; `short` sells instead of going flat."""
    made = config(panel)
    if short:
        made = structs.replace(made, source=f"{Path(__file__).parent / 'reversing.py'}:Reversing", parameters={})
    result = bootstrap.backtest([made], panel, actions=actions)
    payload = {**summary(made, panel, result, data_hash="abc"), **facts}
    return record_backtest(payload, panel, result, configs=[made], actions=actions), result


def profit(table: Table) -> tuple[Decimal, Decimal]:
    """Return the sum of the parts and the total of the attribution."""
    amounts = [row[-1] for row in table.rows]
    return sum(amounts[:-1], D(0)), amounts[-1]


@pytest.mark.parametrize("short", [False, True])
def test_the_instruments_profits_add_up_to_the_cent(short: bool) -> None:
    run, result = played(walk(300), short=short)
    parts, total = profit(tearsheet(run).sections["attribution"])
    assert total == result.final.equity - 100_000
    assert abs(parts - total) < D("0.01")
    assert len(run.fills) > 20
    assert (result.borrow_cost > 0) == short
    names = [row[0] for row in tearsheet(run).sections["attribution"].rows]
    assert ("borrow fees" in names) == short
    assert "not in the fills" not in names


def test_a_split_and_a_dividend_add_up_too() -> None:
    closes = np.concatenate((np.linspace(20, 40, 20), np.linspace(20, 25, 20)))
    panel = make.daily_panel([[c] for c in closes.tolist()])
    run, result = played(panel, actions=(make.split(2, day=20), make.dividend("0.50", day=25)))
    assert len(result.booked) == 2
    parts, total = profit(tearsheet(run).sections["attribution"])
    assert abs(parts - total) < D("0.01")
    assert run.daily["benchmark"][-1] == pytest.approx(100_000 * 2.5 * (1 + 0.5 / closes[24]), rel=2e-3)


def test_the_headline_is_that_of_the_summary_and_costs_once_are_the_run() -> None:
    run, result = played(walk(300))
    sheet = tearsheet(run)
    found = measure(run.ts, run.equity, 100_000.0)
    shown = {row[0]: row[2] for row in sheet.headline.rows}
    assert (shown["Sharpe"], shown["CAGR"], shown["Max drawdown"]) == (found.sharpe, found.cagr, found.max_drawdown)
    as_run = dict(zip(("x", "total", "cagr", "sharpe", "fall"), sheet.sections["sensitivity"].rows[1], strict=True))
    assert as_run["sharpe"] == pytest.approx(found.sharpe)
    costs = {row[0]: row[1] for row in sheet.sections["costs"].rows}
    assert costs["Commission and fees"] == result.final.commission
    assert costs["Spread"] + costs["Market impact"] == result.slippage_cost
    returns = [row[1] for row in sheet.sections["sensitivity"].rows]
    assert (returns[0] - returns[1]) * 100_000 == pytest.approx(float(costs["All"]))


def test_exposure_is_what_was_held_at_the_close() -> None:
    panel = walk(60, columns=1)
    run, result = played(panel)
    last = sum(f.side.sign * f.quantity for f in result.fills) * panel.close[-1, 0]
    assert run.daily["gross"][-1] == pytest.approx(last)
    assert run.daily["gross"].tolist() == run.daily["net"].tolist()
    assert 0.3 < (run.daily["gross"] / run.daily["equity"]).max() < 0.7


def test_buy_and_hold_buys_each_at_its_first_close_and_waits_in_cash() -> None:
    panel = make.daily_panel([[10.0, NAN], [20.0, 5.0], [NAN, 10.0]])
    assert buy_and_hold(panel, np.arange(3), 100.0).tolist() == [100.0, 150.0, 200.0]


def test_a_run_reads_back_as_it_was_written_and_makes_the_same_sheet(tmp_path: Path) -> None:
    panel = walk(300)
    run, result = played(panel, quarantined=3)
    made = write_run(tmp_path, run.facts, panel, result, configs=run.record.configs)
    back = read_run(tmp_path)
    assert (back.fills, back.paid, back.record) == (made.fills, made.paid, made.record)
    assert page(tearsheet(back)) == (tmp_path / "tearsheet.html").read_text("utf-8") == page(tearsheet(made))
    twin = json.decode((tmp_path / "tearsheet.json").read_bytes())
    assert twin == json.decode(as_json(tearsheet(back)))
    assert twin["sections"]["attribution"]["rows"][-1][-1] == str(result.final.equity - 100_000)
    assert len(twin["curves"]["equity"]["values"]) == 300


@pytest.mark.parametrize("damage", ["run.json", "fills.parquet", "daily.parquet"])
def test_a_damaged_folder_is_one_named_error(tmp_path: Path, damage: str) -> None:
    panel = walk(30)
    run, result = played(panel)
    write_run(tmp_path, run.facts, panel, result, configs=run.record.configs)
    (tmp_path / damage).write_bytes(b"{}")
    with pytest.raises(DataError, match="backtest --out"):
        read_run(tmp_path)


def said(run: RecordedRun) -> str:
    return "\n".join(f"{c.level}: {c.text}" for c in tearsheet(run).cautions)


def test_what_speaks_against_the_numbers_comes_first() -> None:
    run, _ = played(walk(40))
    text = said(run)
    assert text.startswith("stop: ")
    for part in ("stop: Small sample", "stop: Short history: 40 sessions", "warn: Number of trials unknown",
                 "warn: Not checked for look-ahead", "note: Capital and rate limits were off"):  # fmt: skip
        assert part in text
    assert "Assumed" not in text
    easy = {"commission": "none", "fill": "this_close", "participation": "all"}
    free = structs.replace(run, facts={**run.facts, "assumptions": easy})
    assert "warn: Assumed: no commission" in said(free)
    assert "the very close that decided" in said(free)
    assert "note: Assumed: orders of any size fill whole" in said(free)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"trials": 40, "effective_trials": 12.5, "deflated_sharpe": 0.41}, "stop: 40 trials of this strategy (12.5 "),
        ({"trials": 2, "effective_trials": 1.0, "deflated_sharpe": 0.99}, "note: 2 trials of this strategy"),
        ({"trials": 2, "deflated_sharpe": None}, "stop: 2 trials of this strategy: deflated Sharpe unknown because"),
        ({"trials": 2, "minimum_backtest_years": 6.4}, "stop: 1.2 years are less than the 6.4"),
        ({"checks": CHECKED | {"passed": False, "failed": ["lag"]}}, "stop: The strategy failed its checks for self-"),
        ({"checks": CHECKED}, "note: Checked for look-ahead on sample:all: passed, but lag could not look."),
        (
            {"walkforward": WALKED | {"oos_sharpe": -0.1}},
            "warn: Walk-forward: parameters chosen on the past earned noth",
        ),
        ({"quarantined": 7}, "warn: 7 rows of data were refused"),
        ({"denied": 3}, "warn: 3 orders were denied"),
    ],
)
def test_selection_bias_and_bad_data_are_said(facts: dict[str, Any], expected: str) -> None:
    run, _ = played(walk(300), **facts)
    assert expected in said(run)


def test_idle_capital_is_said() -> None:
    run, _ = played(walk(300))
    assert "idle" not in said(run)
    held = {**run.daily, "gross": run.daily["gross"] / 100}
    assert "warn: Nearly all capital was idle" in said(structs.replace(run, daily=held))


class Outside(HTMLParser):
    """Collects whatever makes a page ask for something, or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        asking = [name for name, _ in attrs if name in {"src", "href", "srcset", "action", "data"} or name[:2] == "on"]
        self.found += [f"{tag} {name}" for name in asking]
        self.found += [tag] if tag in {"script", "link", "iframe", "img", "object"} else []


@pytest.mark.parametrize("days", [1, 2, 30, 300, 5_000])
def test_a_page_is_small_valid_and_refers_to_nothing(days: int) -> None:
    run, _ = played(walk(days), data_note=HOSTILE)
    run = structs.replace(run, facts={**run.facts, "strategy": HOSTILE})
    made = page(tearsheet(run))
    outside = Outside()
    outside.feed(made)
    assert outside.found == []
    assert not re.search(r"https?://|@import|url\(", made)
    assert len(made.encode()) < 500_000
    charts = re.findall(r"<svg.*?</svg>", made, re.DOTALL)
    assert len(charts) == 7
    for chart in charts:
        assert ET.fromstring(chart).findall("title")  # noqa: S314 - our own text
    assert "&lt;script&gt;" in made
    assert not re.search(r">\s*(nan|None|inf)\b", made)


def test_a_run_without_a_fill_is_unknown_not_zero() -> None:
    run, _ = played(make.daily_panel([[10.0]] * 30))
    sheet = tearsheet(run)
    shown = {row[0]: row[2] for row in sheet.headline.rows}
    assert (shown["Sharpe"], shown["CAGR"], shown["Volatility"]) == (None, None, None)
    made = page(sheet)
    assert "No fill: nothing was traded" in made
    assert made.count("unknown because") >= 3
    assert ">unknown<" in made


def test_a_walk_forward_shows_its_folds() -> None:
    run, _ = played(walk(60), walkforward=WALKED)
    folds = tearsheet(run).sections["folds"]
    first, second = folds.rows
    assert first == ("2004-01-02", "2004-06-30", "fast=2", 1.5, -0.25, 7)
    assert second == ("2004-07-01", "2004-12-31", None, None, None, 0)
    assert folds.note == "Sharpe ratio of all training 1.50, of all tests 0.25."
    assert "Walk-forward folds" in page(tearsheet(run))
    assert "folds" not in tearsheet(played(walk(60))[0]).sections


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(None, "money", "unknown"), (D("-1234.505"), "money", "−1,234.50"), (D("0"), "money", "0.00"),
     (D("-0.001"), "money", "0.00"), (D("12.3400"), "price", "12.34"), (D("12"), "price", "12.00"),
     (D("0.1234"), "price", "0.1234"), (1234, "count", "1,234"), (0.5, "%", "50.00 %"), (HOSTILE, "text", HOSTILE)],
)  # fmt: skip
def test_a_value_is_written_by_its_unit(value: object, unit: str, text: str) -> None:
    assert cell(value, unit) == text
