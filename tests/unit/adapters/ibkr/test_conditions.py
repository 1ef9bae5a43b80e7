"""What there is to borrow and whether trading is halted: changes and refreshes, however many ticks come."""

from hypothesis import given
from hypothesis import strategies as st

from robotrader.adapters.ibkr.conditions import Conditions
from robotrader.model import NANOS_PER_SECOND, BorrowReported, HaltCause, HaltReported
from tests.unit.adapters.ibkr.messages import AAPL, SPY

LEVEL, HALTED, SHARES, BID = 46, 49, 89, 1
MINUTE = 60 * NANOS_PER_SECOND


def borrow(level: float | None, shares: int | None) -> BorrowReported:
    return BorrowReported(ts_event=0, ts_init=0, instrument=AAPL.id, level=level, shares=shares)


def halt(cause: HaltCause | None) -> HaltReported:
    return HaltReported(ts_event=0, ts_init=0, instrument=AAPL.id, halted=cause is not None, cause=cause)


def hear(conditions: Conditions, *ticks: tuple[int, float]) -> None:
    for kind, value in ticks:
        conditions.hear(AAPL.id, kind, value)


def test_both_ticks_of_one_moment_are_one_event_and_what_stays_the_same_is_none() -> None:
    conditions = Conditions()
    hear(conditions, (LEVEL, 3.0), (SHARES, 5_000.0))
    assert list(conditions.news(0)) == [borrow(3.0, 5_000)]
    hear(conditions, (LEVEL, 3.0), (SHARES, 5_000.0), (BID, 10.0))
    assert list(conditions.news(MINUTE)) == []
    hear(conditions, (SHARES, 300.0))
    assert list(conditions.news(MINUTE)) == [borrow(3.0, 300)]


def test_while_anything_comes_it_stands_and_is_told_again_every_five_minutes_but_silence_lets_it_age() -> None:
    conditions = Conditions()
    hear(conditions, (LEVEL, 2.0))
    assert list(conditions.news(0)) == [borrow(2.0, None)]
    for minute in range(1, 11):
        hear(conditions, (BID, 10.0 + minute))
        assert list(conditions.news(minute * MINUTE)) == ([borrow(2.0, None)] if minute % 5 == 0 else [])
    assert list(conditions.news(60 * MINUTE)) == []


def test_a_halt_and_its_end_are_told_and_at_first_also_that_there_is_none() -> None:
    conditions, found = Conditions(), []
    for value in (0.0, 0.0, 2.0, -1.0, 2.0, 0.0, 1.0):
        hear(conditions, (HALTED, value))
        found += list(conditions.news(0))
    assert found == [halt(None), halt(HaltCause.VOLATILITY), halt(None), halt(HaltCause.GENERAL)]


def test_a_new_subscription_begins_anew_but_repeats_no_news() -> None:
    conditions = Conditions()
    hear(conditions, (LEVEL, 3.0), (HALTED, 0.0))
    assert len(list(conditions.news(0))) == 2
    conditions.forget(AAPL.id)
    hear(conditions, (BID, 10.0))
    assert list(conditions.news(10 * MINUTE)) == []  # what was told before it is not confirmed by its quotes
    hear(conditions, (LEVEL, 3.0), (HALTED, 0.0))
    assert list(conditions.news(11 * MINUTE)) == [borrow(3.0, None)]


def test_nonsense_is_not_taken_in() -> None:
    conditions = Conditions()
    hear(conditions, (LEVEL, float("nan")), (SHARES, float("inf")), (SHARES, 1.7976931348623157e308), (HALTED, 7.0))
    assert list(conditions.news(0)) == []


@given(ticks=st.lists(st.tuples(st.sampled_from([LEVEL, SHARES, BID]), st.integers(0, 3)), min_size=100, max_size=300))
def test_without_changes_of_value_a_minute_has_at_most_one_event_an_instrument(ticks: list[tuple[int, int]]) -> None:
    conditions, told = Conditions(), dict[int, int]()
    for second, (kind, _) in enumerate(ticks):
        conditions.hear(AAPL.id, kind, 3.0)
        conditions.hear(SPY.id, BID, 10.0)
        told[second // 60] = told.get(second // 60, 0) + len(list(conditions.news(second * NANOS_PER_SECOND)))
    assert all(count <= 1 for minute, count in told.items() if minute)
    assert sum(told.values()) <= 2 + len(ticks) // 300
