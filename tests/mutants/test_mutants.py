"""A sample of the planted bugs is killed; `make mutants` hunts all of them."""

import pytest

from tests.mutants.hunt import hunt, sound
from tests.mutants.planted import BY_NAME, MUTANTS, Mutant

SAMPLE = ("resend on timeout", "no execId dedupe", "stale epoch can send")


@pytest.mark.parametrize("name", SAMPLE)
def test_a_planted_bug_is_noticed_by_every_test_that_is_named_for_it(name: str) -> None:
    assert hunt(BY_NAME[name]).silent == ()


def test_a_test_that_notices_nothing_is_named() -> None:
    harmless = Mutant(name="synchronous=OFF", plant=lambda _: None, tests=(BY_NAME["float money"].tests))
    assert hunt(harmless).silent == harmless.tests


def test_the_tests_of_the_sample_hold_without_a_bug() -> None:
    assert sound(sorted({test for name in SAMPLE for test in BY_NAME[name].tests})) == ""


def test_the_list_has_each_bug_once() -> None:
    assert len(BY_NAME) == len(MUTANTS) == 18 + 6
