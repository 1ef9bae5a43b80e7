"""Sweep, walk-forward and Monte Carlo as commands: fields, files, refusals."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from tests.integration.cli.inside import ask

DATA = ("--data", "sample:AAPL", "--end", "2004-12-31")
RANGES = ("-p", "fast=5:15:5", "-p", "slow=10:50:20")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def check_page(file: Path) -> str:
    """Return a page's text: no script, no outside reference, no placeholder, charts that are XML."""
    text = file.read_text("utf-8")
    assert len(text) < 500_000
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|src=|@import|url\(|\bnan\b|None|\{\{", text)
    drawn = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    for svg in drawn:
        assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own
    assert drawn
    return text


def test_a_sweep_answers_and_leaves_its_results(state: Path) -> None:
    found = ask("sweep", "sma_crossover", *DATA, *RANGES, state=state)
    assert (found["combinations"], found["skipped"], found["failed"]) == (7, 2, 0)
    assert found["combinations_per_second"] == pytest.approx(7 / found["seconds"], rel=0.1)
    rows = pl.read_parquet(found["results_file"])
    assert rows.height == 9
    assert {"trial", "fast", "slow", "sharpe", "max_drawdown", "fills", "error"} <= set(rows.columns)
    assert rows.filter(pl.col("trial").is_null())["error"].str.contains("fast must be below slow").all()
    best = rows.filter(pl.col("sharpe") == pl.col("sharpe").max()).to_dicts()[0]
    assert found["best"]["parameters"] == {"fast": best["fast"], "slow": best["slow"]}
    assert found["best"]["sharpe"] == best["sharpe"]
    assert 0 <= found["deflated_sharpe"] <= 1
    assert 0 <= found["pbo"] <= 1
    assert Path(found["results_file"]).parent == state / "sweeps"
    assert "Probability of overfitting" in check_page(Path(found["page"]))
    assert len(ask("trials", "--strategy", "sma_crossover", state=state)["trials"]) == 7


@pytest.mark.parametrize(("method", "executor"), [("random", "inline"), ("tpe", "inline"), ("grid", "local")])
def test_a_sweep_takes_its_searches_and_places(method: str, executor: str, state: Path, tmp_path: Path) -> None:
    found = ask("sweep", "sma_crossover", *DATA, *RANGES, "--search", method, "--trials", "9", "--executor", executor,
                "--workers", "2", "--metric", "total_return", "--out", str(tmp_path / "x.parquet"),
                state=state)  # fmt: skip
    assert found["results_file"] == str(tmp_path / "x.parquet")
    assert found["combinations"] + found["skipped"] <= 9
    assert found["best"]["total_return"] == pl.read_parquet(found["results_file"])["total_return"].max()
    check_page(tmp_path / "x.html")


def test_one_parameter_has_bars_and_three_have_a_map_each_pair(state: Path) -> None:
    def titles(*ranges: str) -> list[str]:
        found = ask("sweep", "sma_crossover", *DATA, *ranges, state=state)
        return re.findall(r"<title>(sharpe[^<]*)", check_page(Path(found["page"])))

    assert titles("-p", "fast=5:15:5") == ["sharpe by fast"]
    assert titles("-p", "fast=5:15:5", "-p", "slow=50") == ["sharpe by fast"]
    assert titles(*RANGES) == ["sharpe"]


def test_a_walk_forward_answers_and_leaves_its_folds(state: Path, tmp_path: Path) -> None:
    arguments = (
        "walkforward",
        "sma_crossover",
        *DATA,
        *RANGES,
        "--train",
        "252",
        "--test",
        "126",
        "--out",
        str(tmp_path),
    )
    found = ask(*arguments, "--cpcv", "5,2", state=state)
    assert len(found["folds"]) == 8
    for fold in found["folds"]:
        assert fold["train_first"] < fold["train_last"] < fold["test_first"] <= fold["test_last"]
    assert found["degradation"] == pytest.approx(1 - found["oos_sharpe"] / found["is_sharpe"])
    assert 0 <= found["parameter_stability"] <= 1
    assert found["cpcv"]["paths"] == len(found["cpcv"]["sharpes"]) == 4
    assert len(found["oos_equity"]["ts"]) == len(found["oos_equity"]["growth"])
    written: dict[str, Any] = json.loads((tmp_path / "walkforward.json").read_text("utf-8"))
    assert written["folds"] == found["folds"]
    assert "Combinatorial cross-validation, 4 paths" in check_page(tmp_path / "walkforward.html")
    anchored = ask(*arguments, "--anchored", "--purge", "0", state=state)
    assert len({fold["train_first"] for fold in anchored["folds"]}) == 1
    assert {fold["purged"] for fold in anchored["folds"]} == {0}
    assert anchored["cpcv"] is None


def test_monte_carlo_of_a_strategy_and_of_its_record_agree(state: Path, tmp_path: Path) -> None:
    few = ("--draws", "50", "--jitters", "5")
    found = ask("montecarlo", "sma_crossover", *DATA, "-p", "fast=5", *few, "--out", str(tmp_path / "mc"), state=state)
    names = [s["name"] for s in found["scenarios"]]
    assert names == ["trade shuffle", "block bootstrap", "parameter jitter", "entry delay", "cost x2", "start dates"]
    check_page(tmp_path / "mc" / "montecarlo.html")
    run = tmp_path / "run"
    ask("backtest", "sma_crossover", *DATA, "-p", "fast=5", "--out", str(run), state=state)
    again = ask("montecarlo", str(run), *DATA, *few, state=state)
    assert again["scenarios"] == found["scenarios"]
    assert again["base"] == found["base"]
    assert again["file"] == str(run / "montecarlo.json")
    alone = ask("montecarlo", str(run), *few, state=state)
    assert alone["scenarios"] == found["scenarios"][:2]
    assert alone["not_run"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("sweep", "sma_crossover", *DATA, "-p", "fast=5:"), 5, "a range must be"),
        (("sweep", "sma_crossover", *DATA, "-p", "fast=50", "-p", "slow=20"), 5, "takes none of the 1 sets"),
        (("sweep", "sma_crossover", *DATA, *RANGES, "--metric", "luck"), 5, "metric must be one of sharpe"),
        (("sweep", "sma_crossover", *DATA, *RANGES, "--executor", "cloud"), 5, "executor must be one of"),
        (("walkforward", "sma_crossover", *DATA, *RANGES, "--train", "5000"), 5, "5000 of training"),
        (("walkforward", "sma_crossover", *DATA, *RANGES, "--cpcv", "5"), 5, "N,K"),
        (("walkforward", "sma_crossover", *DATA, *RANGES, "--cpcv", "2,2"), 5, "K of N blocks"),
        (("montecarlo", "sma_crossover"), 5, "a strategy needs --data"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(arguments: tuple[str, ...], code: int, said: str, state: Path) -> None:
    assert said in ask(*arguments, state=state, code=code)["error"]


def test_the_record_of_other_bars_is_refused(state: Path, tmp_path: Path) -> None:
    ask("backtest", "sma_crossover", *DATA, "--out", str(tmp_path), state=state)
    error = ask("montecarlo", str(tmp_path), "--data", "sample:AAPL", state=state, code=7)["error"]
    assert "the run was on bars" in error
