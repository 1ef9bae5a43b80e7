"""What holds for every command: help, one JSON object, an empty state is a state."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.commands import ask, run

HELPED = [
    "status", "positions", "orders", "fills", "why", "halt", "reduce", "resume", "cancel-all", "flatten", "deadman",
    "db", "db migrate", "db verify", "db stats", "data", "data list", "data import", "data check", "data release",
    "data seed", "config", "config show", "config validate", "config schema", "init", "doctor", "strategy",
    "strategy list", "strategy new", "strategy check", "strategy promote", "strategy demote", "strategy history",
    "strategy compare", "arm", "sweep", "walkforward", "montecarlo", "report", "trials",
    "risk", "risk limits", "risk check", "risk set",
]  # fmt: skip

ON_NOTHING: list[tuple[str, dict[str, Any]]] = [
    ("status", {"trading_state": "ACTIVE", "broker": "stopped", "mode": None, "session": None, "strategies": [],
                "equity": None, "day_pnl": None, "as_of": None, "alerts": []}),
    ("positions", {"positions": []}),
    ("orders", {"orders": []}),
    ("fills", {"fills": []}),
    ("db verify", {"ok": True, "events": 0, "chain_ok": True, "invariants": {}}),
    ("db stats", {"schema": None, "bytes": 0}),
]  # fmt: skip


@pytest.mark.parametrize("command", HELPED)
def test_every_command_explains_itself(command: str) -> None:
    helped = run(*command.split(), "--help")
    assert helped.code == 0
    assert "Usage:" in helped.out
    assert len(helped.out.splitlines()) > 5


@pytest.mark.parametrize(("command", "expected"), ON_NOTHING)
def test_an_empty_state_is_no_error_and_stays_empty(command: str, expected: dict[str, Any], state: Path) -> None:
    answer = ask(*command.split(), state=state)
    assert {name: answer[name] for name in expected} == expected
    assert run(*command.split(), state=state).out.strip()
    assert not state.exists()


@pytest.mark.parametrize("what", ["AAPL", "RT-ABCDEFGHIJKLMNOPQRSTU"])
def test_why_on_an_empty_state_says_that_there_is_nothing(what: str, state: Path) -> None:
    answer = ask("why", what, state=state, code=1)
    assert answer["steps"] == []
    assert what in answer["error"]
    assert not state.exists()


@pytest.mark.parametrize("command", ["status", "positions", "orders", "fills", "why SPY", "db stats", "db migrate"])
def test_a_broken_journal_is_one_sentence_and_no_traceback(command: str, state: Path) -> None:
    state.mkdir()
    (state / "journal.sqlite").write_bytes(b"this is no database, and long enough to be taken for a header " * 20)
    ran = run(*command.split(), "--json", state=state)
    assert ran.code == 7
    assert "cannot be used" in ran.json["error"]
    assert ran.err.count("\n") == 1


def test_the_state_folder_can_be_named_in_the_environment(state: Path) -> None:
    assert run("db", "migrate", environ={"ROBOTRADER_STATE": str(state)}).code == 0
    assert (state / "journal.sqlite").is_file()
