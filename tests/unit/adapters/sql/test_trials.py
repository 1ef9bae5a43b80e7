"""The trial ledger, in memory; what needs a file is in tests/integration/sql."""

import sqlite3
from collections.abc import Iterator

import numpy as np
import pytest
from msgspec import structs

from robotrader.adapters.sql.trials import TrialLedger
from robotrader.model import DataError
from robotrader.research.significance import moments
from robotrader.research.trials import Evidence, Outcome, Purpose, independent_trials
from tests.unit.research.test_trials import DAYS, RETURNS, recorded, trial_spec

SERIES = RETURNS[:, 0]


@pytest.fixture
def ledger() -> Iterator[TrialLedger]:
    ticks = iter(range(100, 1000))
    with TrialLedger(None, lambda: next(ticks)) as opened:
        yield opened


def test_a_trial_is_there_before_it_ran_and_counts_if_it_never_ends(ledger: TrialLedger) -> None:
    specs = [trial_spec(fast=5), trial_spec(fast=6)]
    assert ledger.begin(specs) == [1, 2]
    assert ledger.begin([structs.replace(specs[0], purpose="sweep", parent="sweep-1")]) == [3]
    assert [(t.number, t.ts, t.outcome) for t in ledger.trials()] == [(1, 100, None), (2, 100, None), (3, 101, None)]
    assert [t.spec for t in ledger.trials()][:2] == specs
    assert ledger.trials()[2].spec.parent == "sweep-1"
    assert ledger.family("trend")[0] == 3


def test_an_outcome_is_kept_with_its_returns(ledger: TrialLedger) -> None:
    first, second = ledger.begin([trial_spec(), trial_spec()])
    ledger.finish(DAYS, {first: SERIES, second: np.zeros(len(DAYS))})
    moved, still = (t.outcome for t in ledger.trials())
    assert isinstance(moved, Outcome)
    assert isinstance(still, Outcome)
    assert (moved.moments, still.moments) == (moments(SERIES), None)
    assert moved.returns_hash != still.returns_hash
    days, returns = ledger.returns(first)
    assert np.array_equal(days, DAYS)
    assert np.array_equal(returns, SERIES.astype(np.float32))


def test_what_a_family_has_in_common_is_kept_as_if_all_were_added_at_once(ledger: TrialLedger) -> None:
    numbers = ledger.begin([trial_spec(fast=n + 1) for n in range(4)])
    ledger.finish(DAYS, {numbers[0]: SERIES, numbers[1]: RETURNS[:, 3]})
    ledger.finish(DAYS[50:], {numbers[2]: RETURNS[50:, 4]})
    count, alike = ledger.family("trend")
    expected = recorded((DAYS, SERIES), (DAYS, RETURNS[:, 3]), (DAYS[50:], RETURNS[50:, 4]))
    assert (count, alike.count, alike.origin) == (4, 3, expected.origin)
    assert (alike.z_sum, alike.z_squares) == pytest.approx((expected.z_sum, expected.z_squares))
    assert alike.total == pytest.approx(expected.total)
    assert independent_trials(count, alike) < 4


def test_families_are_counted_apart(ledger: TrialLedger) -> None:
    numbers = ledger.begin([trial_spec(), trial_spec("other"), trial_spec("other", fast=3)])
    ledger.finish(DAYS, dict.fromkeys(numbers, SERIES))
    assert [t.number for t in ledger.trials("other")] == [2, 3]
    assert (ledger.family("trend")[0], ledger.family("trend")[1].count) == (1, 1)
    assert (ledger.family("other")[0], ledger.family("other")[1].count) == (2, 2)
    assert ledger.family("never")[0] == 0


@pytest.mark.parametrize("number", [1, 99])
def test_an_outcome_comes_once_to_what_was_begun_and_a_batch_is_all_or_nothing(
    ledger: TrialLedger, number: int
) -> None:
    first, second = ledger.begin([trial_spec(), trial_spec()])
    ledger.finish(DAYS, {first: SERIES})
    before = ledger.trials()
    with pytest.raises(DataError, match=r"not begun|for ever"):
        ledger.finish(DAYS, {second: SERIES, number: SERIES})
    assert ledger.trials() == before
    assert ledger.family("trend")[1].count == 1
    with pytest.raises(DataError, match="no outcome"):
        ledger.returns(second)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM trials",
        "DELETE FROM results",
        "UPDATE trials SET strategy = 'x'",
        "UPDATE results SET sharpe = 9",
        "REPLACE INTO trials SELECT * FROM trials",
        "REPLACE INTO results SELECT * FROM results",
    ],
)
def test_nothing_can_be_taken_back(ledger: TrialLedger, statement: str) -> None:
    (number,) = ledger.begin([trial_spec()])
    ledger.finish(DAYS, {number: SERIES})
    before = ledger.trials()
    with pytest.raises(sqlite3.IntegrityError, match="kept for ever"):
        ledger._db.execute(statement)
    assert ledger.trials() == before


def test_what_was_found_about_a_strategy_is_kept_newest_first(ledger: TrialLedger) -> None:
    seen = Evidence(
        kind=Purpose.CHECK,
        strategy="trend",
        source_hash="s",
        parameters={"fast": 5},
        data_hash="d",
        found={"passed": True},
    )
    later = structs.replace(seen, found={"passed": False, "first": None})
    for evidence in (seen, later, structs.replace(seen, strategy="other")):
        ledger.keep(evidence)
    assert ledger.kept("trend") == [(101, later), (100, seen)]
    assert ledger.trials() == []
