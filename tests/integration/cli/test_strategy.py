"""`strategy check` and `strategy list`, and the other process that a strategy is asked in."""

from pathlib import Path

import numpy as np

from robotrader import bootstrap
from robotrader.strategy.checks import RULES
from tests import builders as make
from tests.integration.cli.commands import run
from tests.integration.cli.inside import ask

BROKEN = Path(__file__).parents[2] / "strategies" / "corpus" / "broken.py"
CONSTANT = Path(__file__).parents[2] / "unit" / "strategy" / "strategies.py"


def test_a_clean_strategy_passes_every_rule_and_is_no_trial(state: Path) -> None:
    answer = ask("strategy", "check", "sma_crossover", "-p", "fast=5", state=state)
    assert (answer["passed"], answer["parameters"], answer["data"]) == (True, {"fast": 5}, "sample:all")
    assert [rule["rule"] for rule in answer["rules"]] == list(RULES)
    assert {rule["outcome"] for rule in answer["rules"]} == {"passed"}
    assert all(rule["found"] and rule["numbers"] and rule["hint"] == "" for rule in answer["rules"])
    assert ask("trials", state=state)["trials"] == []


def test_a_strategy_that_looks_ahead_fails_with_the_first_bar_and_a_hint(state: Path) -> None:
    answer = ask("strategy", "check", f"{BROKEN}:NegativeShift", "--data", "sample:IBM", state=state, code=1)
    failed = {rule["rule"]: rule for rule in answer["rules"] if rule["outcome"] == "failed"}
    assert answer["passed"] is False
    assert set(failed) == {"truncation", "future_noise", "lag"}
    first = failed["truncation"]["first"]
    assert (first["instrument"], first["data"], first["found"]) == ("IBM.NYSE", "data", None)
    assert first["full"] in {1.0, -1.0}
    assert first["ts"].endswith("T20:00:00Z")
    assert "shift(-1)" in failed["truncation"]["hint"]


def test_what_depends_on_hashes_differs_in_another_process(state: Path) -> None:
    answer = ask("strategy", "check", f"{BROKEN}:HashOrder", state=state, code=1)
    outcomes = {rule["rule"]: rule["outcome"] for rule in answer["rules"]}
    assert outcomes["determinism"] == "failed"
    assert outcomes["truncation"] == "not_applicable"


def test_people_read_what_failed_where_and_what_to_do(state: Path) -> None:
    ran = run("strategy", "check", f"{BROKEN}:KnowsTheEnd", state=state)
    assert ran.code == 1
    lines = ran.out.splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("FAIL  truncation"))
    assert "expected 1, found 0" in lines[at + 1]
    assert lines[at + 2].lstrip().startswith("-> ")
    assert lines[-1] == "do not trust its backtests: it fails truncation"


def test_where_nothing_can_be_kept_it_is_said_before_the_work(state: Path) -> None:
    state.write_text("no folder", encoding="utf-8")
    ran = run("strategy", "check", f"{BROKEN}:KnowsTheEnd", state=state)
    assert ran.code == 5, "and not 1, as its verdict would be"
    assert "--state" in ran.err


def test_what_cannot_be_checked_is_refused(state: Path) -> None:
    check = ("strategy", "check")
    assert "unknown strategy" in ask(*check, "nothing", state=state, code=5)["error"]
    assert "fast must be below slow" in ask(*check, "sma_crossover", "-p", "fast=60", state=state, code=5)["error"]
    ask("data", "seed", "--seed", "7", "--spec", "1m", "--bars", "100", state=state)
    refused = ask(*check, "sma_crossover", "--data", "seed", state=state, code=5)["error"]
    assert "declares bars of 1d, seed has 1m" in refused


def test_the_library_is_listed_with_its_bets_and_ranges(state: Path) -> None:
    listed = {s["source"]: s for s in ask("strategy", "list", state=state)["strategies"]}
    sma = listed["sma_crossover"]
    assert (sma["id"], sma["warmup_bars"], sma["bar_spec"]) == ("sma_crossover", 50, "1d")
    assert sma["parameters"]["fast"] == {"default": 10, "low": 1, "high": 1_000, "doc": "bars in the fast average"}
    assert all(s["hypothesis"] for s in listed.values())
    text = run("strategy", "list", state=state).out
    assert "-p slow=50" in text
    assert sma["hypothesis"] in text


def test_another_process_answers_for_each_strategy_or_says_why_not(tmp_path: Path) -> None:
    loud = tmp_path / "loud.py"
    loud.write_text(
        "import numpy as np\nfrom robotrader.strategy.library.sma_crossover import SmaCrossover\n"
        "class Loud(SmaCrossover):\n    def signals(self, panel):\n        print('loud')\n"
        "        return super().signals(panel)\n"
    )
    panel = make.daily_panel([[float(k), 1.0] for k in range(1, 61)])
    said = bootstrap.in_another_process([
        ((f"{loud}:Loud", {}), panel), ((f"{CONSTANT}:Constant", {"say": 2.0}), panel),
        ((f"{CONSTANT}:Constant", {"say": 0.5}), panel),
    ])  # fmt: skip
    assert not isinstance(said[0], str)
    assert said[0][-1].tolist() == [1.0, 0.0]
    assert said[1] == "constant: strengths must lie in [-1, 1], found 2.0"
    assert np.array_equal(said[2], np.full(panel.close.shape, 0.5))
