"""The journal as a database."""

import sqlite3
from pathlib import Path

from tests.integration.cli.commands import ask, run
from tests.integration.cli.conftest import Left


def test_migrate_makes_a_journal_and_then_leaves_it_alone(state: Path) -> None:
    made = ask("db", "migrate", state=state)
    assert (made["ok"], made["before"]) == (True, None)
    again = ask("db", "migrate", state=state)
    assert again["before"] == again["schema"] == made["schema"]
    assert (state / "journal.sqlite").stat().st_mode & 0o777 == 0o600
    verified = ask("db", "verify", state=state)
    assert (verified["ok"], verified["events"]) == (True, 0)


def test_verify_checks_what_a_trader_left(left: Left) -> None:
    answer = ask("db", "verify", state=left.state)
    assert (answer["ok"], answer["chain_ok"]) == (True, True)
    assert answer["events"] > 20
    assert answer["invariants"]["I1"] == {"ok": True, "checked": 1, "detail": ""}
    assert answer["invariants"]["I10"]["checked"] > 5  # the library strategy was replayed
    assert "I10" in run("db", "verify", state=left.state).out


def test_verify_finds_a_changed_row(left: Left) -> None:
    other = sqlite3.connect(left.state / "journal.sqlite")
    with other:
        other.execute("DROP TRIGGER journal_no_update")
        other.execute("UPDATE journal SET payload = replace(payload, '102.0', '103.0') WHERE type = 'BarsClosed'")
    other.close()
    answer = ask("db", "verify", state=left.state, code=1)
    assert (answer["ok"], answer["chain_ok"], answer["triggers_ok"]) == (False, False, False)
    assert "NOT OK" in run("db", "verify", state=left.state).out


def test_verify_of_a_broken_file_fails(state: Path) -> None:
    state.mkdir()
    (state / "journal.sqlite").write_bytes(b"no database at all " * 100)
    answer = ask("db", "verify", state=state, code=1)
    assert (answer["ok"], answer["chain_ok"], answer["events"]) == (False, False, 0)


def test_stats_count_the_rows(left: Left) -> None:
    answer = ask("db", "stats", state=left.state)
    assert (answer["rows"]["orders"], answer["rows"]["fills"], answer["rows"]["bars"]) == (3, 2, 10)
    assert answer["bytes"] > 10_000
