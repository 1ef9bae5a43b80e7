"""What there is to borrow and whether trading is halted: changes and refreshes, however many ticks come."""

from hypothesis import given
from hypothesis import strategies as st

from robotrader.adapters.ibkr.conditions import Conditions
from robotrader.model import (
    NANOS_PER_SECOND,
    BorrowReported,
    HaltCause,
    HaltReported,
    MarketDataReported,
    MarketDataType,
)
from tests.unit.adapters.ibkr.messages import AAPL, SPY

LEVEL, HALTED, SHARES, BID, ASK, LAST = 46, 49, 89, 1, 2, 4
MINUTE = 60 * NANOS_PER_SECOND


def borrow(level: float | None, shares: int | None) -> BorrowReported:
    return BorrowReported(ts_event=0, ts_init=0, instrument=AAPL.id, level=level, shares=shares)


def halt(cause: HaltCause | None, *, limit_state: bool | None = None) -> HaltReported:
    return HaltReported(ts_event=0, ts_init=0, instrument=AAPL.id, halted=cause is not None, cause=cause,
                        limit_state=limit_state)  # fmt: skip


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


def test_a_limit_state_holds_while_either_side_of_the_quote_is_past_its_limit() -> None:
    conditions, found = Conditions(), []
    for kind, attributes in ((BID, 1), (ASK, 1), (ASK, 3), (BID, 1), (LAST, 2), (ASK, 5), (BID, 2), (BID, 0)):
        conditions.hear(AAPL.id, kind, 10.0, attributes)
        found += list(conditions.news(0))
    assert found == [halt(None, limit_state=state) for state in (False, True, False, True, False)]


def test_a_new_subscription_forgets_neither_a_halt_nor_a_limit_state_before_it_is_told_better() -> None:
    conditions, found = Conditions(), []
    conditions.hear(AAPL.id, HALTED, 2.0)
    conditions.hear(AAPL.id, BID, 10.0, 2)
    for tick in ((BID, 10.0, 2), (HALTED, 0.0), (BID, 10.0, 1)):
        found += list(conditions.news(0))
        conditions.forget(AAPL.id)
        conditions.hear(AAPL.id, *tick)
    found += list(conditions.news(0))
    volatile = HaltCause.VOLATILITY
    assert found == [halt(volatile, limit_state=True), halt(None, limit_state=True), halt(None, limit_state=False)]


def test_the_market_data_type_is_told_when_it_changes_and_nonsense_is_none() -> None:
    conditions, found = Conditions(), []
    for number in (1, 1, 3, 7, 4, 2, 1):
        conditions.hear_type(AAPL.id, number)
        found += [e.data_type for e in conditions.news(0) if isinstance(e, MarketDataReported)]
    kind = MarketDataType
    assert found == [kind.LIVE, kind.DELAYED, kind.DELAYED_FROZEN, kind.FROZEN, kind.LIVE]


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
