"""Bad rows are set aside with their rule and number; everything else goes on."""

import time

import numpy as np
import pytest

from robotrader.data.quality import Rule, check
from tests.unit.data.bars import DAY, MINUTE, Row, bar, frame_of, weekdays

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (("A", MINUTE, NAN, 11, 9, 10, 100), Rule.FINITE),
        (("A", MINUTE, 10, INF, 9, 10, 100), Rule.FINITE),
        (("A", MINUTE, 10, 11, 9, 10, NAN), Rule.FINITE),
        (("A", MINUTE, 10, 11, 0, 10, 100), Rule.POSITIVE),
        (("A", MINUTE, -10, 11, -10, 10, 100), Rule.POSITIVE),
        (("A", MINUTE, 10, 11, 9, 12, 100), Rule.RANGE),
        (("A", MINUTE, 8, 11, 9, 10, 100), Rule.RANGE),
        (("A", MINUTE, 10, 9, 11, 10, 100), Rule.RANGE),
        (("A", MINUTE, 10, 11, 9, 10, -1), Rule.VOLUME),
    ],
)
def test_each_value_rule_sets_exactly_its_row_aside(row: Row, rule: Rule) -> None:
    clean, bad = check(frame_of([bar(0), row, bar(2 * MINUTE)]))
    assert [(q.row, q.rule) for q in bad] == [(2, rule)]
    assert clean.row.tolist() == [1, 3]
    assert "found open=" in bad[0].detail


def test_edges_are_allowed() -> None:
    flat: Row = ("A", 0, 10, 10, 10, 10, 0)
    clean, bad = check(frame_of([flat, ("A", MINUTE, 9, 11, 9, 11, 0)]))
    assert len(clean) == 2
    assert bad == ()


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 1, 2, 9, 3, 4], [(5, Rule.ORDER), (6, Rule.ORDER)]),  # nothing stays that is not after the last one
        ([0, 1, 2, 1, 3, 4], [(4, Rule.DUPLICATE)]),
        ([0, 2, 4, 3, 6], [(4, Rule.ORDER)]),
        ([0, 2, 4, 3], [(4, Rule.ORDER)]),
        ([5, 0, 1, 2], [(2, Rule.ORDER), (3, Rule.ORDER), (4, Rule.ORDER)]),
        ([3, 3, 3], [(2, Rule.DUPLICATE), (3, Rule.DUPLICATE)]),
    ],
)
def test_time_ascends(times: list[int], expected: list[tuple[int, Rule]]) -> None:
    _, bad = check(frame_of([bar(t * MINUTE) for t in times]))
    assert [(q.row, q.rule) for q in bad] == expected


def test_the_same_time_with_other_values_is_a_conflict_and_the_first_stays() -> None:
    clean, bad = check(frame_of([bar(0), bar(0, close=10.5), bar(MINUTE)]))
    assert [(q.row, q.rule) for q in bad] == [(2, Rule.CONFLICT)]
    assert clean.close[0] == 10.0


def test_symbols_have_their_own_time() -> None:
    rows = [bar(0, "A"), bar(0, "B"), bar(MINUTE, "A"), bar(MINUTE, "B"), bar(0, "B")]
    clean, bad = check(frame_of(rows))
    assert [(q.row, q.rule) for q in bad] == [(5, Rule.DUPLICATE)]
    assert len(clean) == 4


def test_a_bad_row_does_not_disturb_the_order_of_the_others() -> None:
    wild: Row = ("A", 99 * MINUTE, 10, 11, 9, 12, 100)  # breaks a value rule and stands in the future
    _, bad = check(frame_of([bar(0), wild, bar(MINUTE), bar(2 * MINUTE)]))
    assert [(q.row, q.rule) for q in bad] == [(2, Rule.RANGE)]


def test_daily_bars_need_a_session() -> None:
    monday = int(np.datetime64("2020-01-06", "ns").astype(np.int64))
    rows = [bar(monday + k * DAY) for k in (0, 1, 5, 7)]  # Monday, Tuesday, Saturday, Monday
    clean, bad = check(frame_of(rows), weekdays(10))
    assert [(q.row, q.rule) for q in bad] == [(3, Rule.SESSION)]
    assert "2020-01-11" in bad[0].detail
    assert len(clean) == 3


def test_nothing_and_everything() -> None:
    assert check(frame_of([]))[1] == ()
    clean, bad = check(frame_of([("A", k, NAN, 1, 1, 1, 1) for k in range(5)]))
    assert len(clean) == 0
    assert [q.row for q in bad] == [1, 2, 3, 4, 5]


def test_checking_costs_little_beside_python_itself() -> None:
    n = 200_000
    frame = frame_of([bar(0)]).take(np.zeros(n, np.int64))
    frame.start[:] = np.arange(n) * MINUTE
    begin = time.perf_counter()
    total = 0.0
    for value in frame.close.tolist():
        total += value
    loop = time.perf_counter() - begin
    begin = time.perf_counter()
    assert check(frame)[1] == ()
    assert time.perf_counter() - begin < 20 * loop  # vectorized: about one Python loop over a single column
