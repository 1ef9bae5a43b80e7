"""Every strategy that deceives itself is caught by the rule that is about its fault; a clean one passes them all."""

import pytest

from robotrader.data.panel import Floats
from robotrader.strategy.checks import RULES, Outcome
from tests.strategies.corpus.broken import TooSlow
from tests.strategies.corpus.table import BROKEN, CLEAN
from tests.strategies.judged import Subject, answers_elsewhere, judged, subjects
from tests.strategies.run import PAGE

SUBJECTS = subjects()


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, Floats | str]:
    return answers_elsewhere(SUBJECTS)


def work() -> float:
    """Return seconds as a count of work done: nobody's machine decides whether this passes."""
    return TooSlow.rounds * 4e-8


def test_the_corpus_is_large_enough_and_every_rule_is_needed() -> None:
    assert len(BROKEN) >= 15
    assert len(CLEAN) >= 15
    assert {expected.rule for expected in BROKEN} == set(RULES)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_what_is_broken_is_caught_and_what_is_clean_passes(
    subject: Subject, elsewhere: dict[str, Floats | str]
) -> None:
    found = judged(subject, elsewhere, work)
    assert {r.rule for r in found if r.outcome is Outcome.FAILED} == subject.caught_by, found
    assert [r.rule for r in found] == list(RULES)


def test_the_page_shows_the_whole_corpus_and_every_rule() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [e.strategy.__name__ for e in BROKEN if f"| {e.strategy.__name__} | " not in page] == []
    assert [s.__name__ for s in CLEAN if f"| {s.__name__} | " not in page] == []
    assert [rule for rule in RULES if f"| `{rule}` | " not in page] == []
