"""The results page lists every strategy, and its words follow from its numbers."""

from pathlib import Path

import pytest

from robotrader import api
from robotrader.strategy.loading import LIBRARY
from tests.benchmarks.results import GOOD, HOLD, PAGE, Row, passing, rows_of, table, verdict

STRONG = Row(
    name="strong", total=2.0, sharpe=1.5, low=0.9, high=2.1, drawdown=-0.1, turnover=3.0, cost=0.01, doubled=1.4,
    first=1.6, second=1.4, deflated=0.97, hold=0.7,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, GOOD),
        ({"sharpe": 0.0}, "loses money"),
        ({"sharpe": float("nan")}, "did not trade"),
        ({"hold": 1.5}, "worse than buy and hold"),
        ({"low": 0.0}, "its interval reaches zero"),
        ({"deflated": 0.94}, "does not survive deflation"),
        ({"deflated": float("nan")}, "does not survive deflation"),
        ({"doubled": -0.1}, "does not survive twice the costs"),
        ({"second": 0.0}, "earned in one half only"),
        ({"first": -0.2, "deflated": 0.5}, "does not survive deflation; earned in one half only"),
    ],
)
def test_a_verdict_follows_from_the_numbers(change: dict[str, float], words: str) -> None:
    assert verdict(STRONG._replace(**change)) == words  # type: ignore[arg-type]


def test_the_sum_counts_who_passes_and_not_the_benchmark() -> None:
    hold, weak = STRONG._replace(name=HOLD), STRONG._replace(name="weak", deflated=0.1)
    assert passing([weak, hold]) == "Of 1 strategies none passes every test."
    assert passing([STRONG, weak, hold]) == "Of 2 strategies 1 passes every test: strong."


def test_the_page_says_of_the_sample_what_the_programs_find(tmp_path: Path) -> None:
    """The deflated Sharpe ratio depends on all sets of the page, which not every machine has: it is left out here."""
    rows = rows_of([api.load("sample:all", state=tmp_path)])[0]
    assert {row.name for row in rows} == {*LIBRARY, HOLD}
    shown = PAGE.read_text("utf-8").split("\n## ")[1]
    for line in table(rows).splitlines()[2:]:
        assert line.split(" | ")[:8] in [found.split(" | ")[:8] for found in shown.splitlines()]
