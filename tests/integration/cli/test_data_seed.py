"""Seeded sets with faults: the gate finds them, and the splits are told as corporate actions."""

from pathlib import Path

from tests.integration.cli.commands import ask, run


def test_planted_faults_are_found_and_splits_are_told(state: Path) -> None:
    order = ("data", "seed", "--seed", "3", "--symbols", "AAA", "--bars", "500")
    made = ask(*order, "--splits", "2", "--jumps", "1", "--gaps", "2", "--bad-ticks", "5", state=state)
    assert (made["splits"], made["jumps"], made["gaps"], made["bad_ticks"]) == (2, 1, 2, 5)
    found = ask("data", "check", "seed", state=state)
    assert found["by_rule"] == {"swapped": 1, "positive": 1, "range": 1, "volume": 1}
    assert (found["rows"], found["quarantined"], len(found["gaps"])) == (made["rows"], 4, 2 + 4)
    assert ask("data", "actions", "import", made["actions"], state=state)["rows_written"] == 2
    (first, second) = ask("data", "actions", "list", state=state)["actions"]
    assert {first["symbol"], second["symbol"], first["kind"], second["kind"]} == {"AAA", "split"}
    assert first["ex_date"] < second["ex_date"]

    plain = ask(*order, state=state)
    assert (plain["rows"], plain["actions"]) == (500, None)
    assert not Path(made["actions"]).exists()  # they were of the set that is gone
    assert ask("data", "check", "seed", state=state)["quarantined"] == 0


def test_more_faults_than_bars_can_hold_are_refused(state: Path) -> None:
    done = run("data", "seed", "--seed", "3", "--bars", "100", "--gaps", "6", state=state)
    assert (done.code, "expected 0 to 5 gaps in 100 bars, found 6" in done.err) == (5, True)
