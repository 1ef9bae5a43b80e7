"""Backtests are counted before they run, and the count is shown."""

from pathlib import Path

import pytest

from robotrader import bootstrap
from tests.integration.cli.inside import ask

AAPL = ("backtest", "sma_crossover", "--data", "sample:AAPL")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_each_backtest_is_a_trial_of_its_family(state: Path) -> None:
    first = ask(*AAPL, state=state)
    again = ask(*AAPL, state=state)
    other = ask(*AAPL, "-p", "fast=30", state=state)
    assert [a["trial"] for a in (first, again, other)] == [1, 2, 3]
    assert [a["trials"] for a in (first, again, other)] == [1, 2, 3]
    assert first["effective_trials"] == 1
    assert again["effective_trials"] == pytest.approx(1, abs=1e-4)  # the same once more shows nothing new
    assert 1.5 < other["effective_trials"] < 3
    assert first["deflated_sharpe"] == again["deflated_sharpe"]
    assert other["deflated_sharpe"] < first["deflated_sharpe"]
    assert other["minimum_backtest_years"] > first["minimum_backtest_years"] == 0


def test_the_ledger_says_what_ran_on_what(state: Path) -> None:
    backtest = ask(*AAPL, "-p", "fast=30", "--commission", "none", state=state)
    ask("backtest", "momentum", "--data", "sample:all", state=state)
    found = ask("trials", "--strategy", "sma_crossover", state=state)
    (trial,) = found["trials"]
    assert found["effective_trials"] == 1
    for name in ("trial", "strategy", "code_hash", "data_hash", "limits"):
        assert trial[name] == backtest[name]
    assert trial["sharpe"] == pytest.approx(backtest["sharpe"])
    assert (trial["ended"], trial["purpose"], trial["parameters"]) == (True, "backtest", {"fast": 30})
    assert (trial["universe"], trial["costs"]["commission"]) == (["AAPL.NASDAQ"], "none")
    assert (trial["first"][:10], trial["last"][:10]) == ("2000-03-01", "2013-03-01")
    both = ask("trials", state=state)
    assert [f["strategy"] for f in both["families"]] == ["momentum", "sma_crossover"]
    assert (len(both["trials"]), both["effective_trials"]) == (2, 2)


def test_a_run_that_fails_is_counted_and_one_that_cannot_begin_is_not(state: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(
        "from robotrader.strategy.library.sma_crossover import SmaCrossover\n"
        "class Broken(SmaCrossover):\n    def signals(self, panel):\n        return panel.close[:1]\n",
        encoding="utf-8",
    )
    failed = ask("backtest", f"{broken}:Broken", "--data", "sample:AAPL", state=state, code=1)
    assert failed["kind"] == "StrategyError"
    ask(*AAPL, "-p", "no_such=1", state=state, code=5)
    (trial,) = ask("trials", state=state)["trials"]
    assert (trial["strategy"], trial["ended"], trial["sharpe"]) == ("Broken", False, None)


def test_a_backtest_that_cannot_be_counted_does_not_run(state: Path, tmp_path: Path) -> None:
    state.write_text("no folder", encoding="utf-8")
    refused = ask(*AAPL, "--out", str(tmp_path / "out"), state=state, code=5)
    assert "--state" in refused["error"]
    assert not (tmp_path / "out").exists()


def test_no_trials_is_no_error_and_leaves_no_ledger(state: Path) -> None:
    assert ask("trials", state=state)["trials"] == []
    assert not state.exists()


def test_only_who_asks_for_it_is_counted(state: Path) -> None:
    loaded = bootstrap.load_data("sample:AAPL", state=state)
    ask(*AAPL, "--end", "2001-01-01", state=state)
    ask("parity", "sma_crossover", "--data", "sample:AAPL", "--days", "60", state=state)
    assert len(bootstrap.recorded_trials(state)[0]) == 1
    assert loaded.panel.bar_count > 0
