"""The trial ledger as a file: several writers, crashes, and places where there can be none."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from robotrader.adapters.sql.trials import LEDGER, TrialLedger
from robotrader.model import ConfigError, DataError
from robotrader.research.trials import Evidence, Purpose
from tests.unit.research.test_trials import DAYS, RETURNS, trial_spec

WRITERS, ROUNDS = 4, 15
DIES = """
import os, sys
from pathlib import Path
from robotrader.adapters.sql.trials import TrialLedger
from tests.unit.research.test_trials import trial_spec
ledger = TrialLedger(Path(sys.argv[1]), lambda: 7)
ledger.begin([trial_spec()] * 3)
os._exit(9)
"""


def write(path: Path, column: int) -> list[int]:
    numbers = []
    for _ in range(ROUNDS):
        with TrialLedger(path, lambda: 1) as ledger:
            begun = ledger.begin([trial_spec(fast=column)] * 2)
            ledger.finish(DAYS, {begun[0]: RETURNS[:, column]})
            numbers += begun
    return numbers


def test_several_writers_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state" / LEDGER
    with ThreadPoolExecutor(WRITERS) as pool:
        numbers = [n for found in pool.map(lambda k: write(path, k), range(WRITERS)) for n in found]
    assert sorted(numbers) == list(range(1, 2 * WRITERS * ROUNDS + 1))
    with TrialLedger(path, lambda: 1) as ledger:
        count, alike = ledger.family("trend")
        assert (count, alike.count) == (2 * WRITERS * ROUNDS, WRITERS * ROUNDS)
        finished = [t for t in ledger.trials() if t.outcome]
        assert len(finished) == WRITERS * ROUNDS
        assert len({(t.spec.config.parameters["fast"], t.outcome and t.outcome.returns_hash) for t in finished}) == 4


def test_trials_of_a_process_that_died_are_counted(tmp_path: Path) -> None:
    path = tmp_path / LEDGER
    done = subprocess.run([sys.executable, "-c", DIES, str(path)], check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 9
    with TrialLedger(path, lambda: 8) as ledger:
        assert [(t.ts, t.outcome) for t in ledger.trials()] == [(7, None)] * 3
        assert ledger.begin([trial_spec()]) == [4]


def test_another_program_cannot_take_trials_back(tmp_path: Path) -> None:
    with TrialLedger(tmp_path / LEDGER, lambda: 1) as ledger:
        ledger.begin([trial_spec()])
    other = sqlite3.connect(tmp_path / LEDGER)
    for statement in ("DELETE FROM trials", "REPLACE INTO trials VALUES (1, 2, 'x', NULL, '{}')"):
        with pytest.raises(sqlite3.IntegrityError, match="kept for ever"):
            other.execute(statement)
    other.close()


def test_a_ledger_of_an_older_release_is_brought_up_to_date(tmp_path: Path) -> None:
    """What release 1 had: no evidence."""
    with TrialLedger(tmp_path / LEDGER, lambda: 1) as ledger:
        ledger.begin([trial_spec()])
    older = sqlite3.connect(tmp_path / LEDGER, isolation_level=None)
    older.execute("DROP TABLE evidence")
    older.execute("PRAGMA user_version=1")
    older.close()
    seen = Evidence(kind=Purpose.CHECK, strategy="t", source_hash="s", parameters={}, data_hash="d", found={})
    with TrialLedger(tmp_path / LEDGER, lambda: 2) as ledger:
        ledger.keep(seen)
        assert (len(ledger.trials()), ledger.kept("t")) == (1, [(2, seen)])
    other = sqlite3.connect(tmp_path / LEDGER)
    with pytest.raises(sqlite3.IntegrityError, match="kept for ever"):
        other.execute("UPDATE evidence SET ts = 3")
    other.close()


def no_folder(state: Path) -> None:
    state.write_text("a file", encoding="utf-8")


def no_database(state: Path) -> None:
    state.mkdir()
    (state / LEDGER).write_bytes(b"this is no database, and long enough to be taken for a header " * 20)


def newer(state: Path) -> None:
    TrialLedger(state / LEDGER, lambda: 1).close()
    database = sqlite3.connect(state / LEDGER)
    database.execute("PRAGMA user_version=99")
    database.close()


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (no_folder, ConfigError, "--state"),
        (no_database, DataError, "cannot be used"),
        (newer, DataError, "newer version"),
    ],
)
def test_where_nothing_can_be_counted_it_is_said(
    tmp_path: Path, make: Callable[[Path], None], error: type[Exception], said: str
) -> None:
    make(tmp_path / "state")
    with pytest.raises(error, match=said):
        TrialLedger(tmp_path / "state" / LEDGER, lambda: 1)
