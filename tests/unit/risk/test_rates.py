"""What was sent in the last seconds."""

from msgspec import structs

from robotrader.model import NANOS_PER_SECOND as SECOND
from robotrader.model import Order, StrategyId
from robotrader.risk.rates import RateWindow
from tests import builders as make

OTHER = StrategyId("other")


def of(strategy: StrategyId = make.TREND, *, quantity: int = 100, qqq: bool = False) -> Order:
    order = make.order(quantity=quantity, instrument=make.QQQ.id if qqq else make.SPY.id)
    return structs.replace(order, strategy=strategy)


def test_a_message_counts_for_one_second() -> None:
    window = RateWindow()
    window.record(of(), 0)
    assert window.counts(of(), SECOND - 1).messages == 1
    assert window.counts(of(), SECOND).messages == 0


def test_messages_count_over_all_and_per_instrument() -> None:
    window = RateWindow()
    for order in (of(), of(), of(qqq=True)):
        window.record(order, 5)
    counts = window.counts(of(qqq=True), 6)
    assert (counts.messages, counts.instrument_messages) == (3, 1)


def test_all_orders_of_one_batch_are_one_burst() -> None:
    window = RateWindow()
    for now in (10, 10, 10, 20):
        window.record(of(), now)
    assert window.counts(of(), 30).strategy_bursts == 2


def test_the_batch_that_is_being_decided_is_no_burst_yet() -> None:
    window = RateWindow()
    window.record(of(), 10)
    assert window.counts(of(), 10).strategy_bursts == 0


def test_bursts_of_other_strategies_do_not_count() -> None:
    window = RateWindow()
    window.record(of(OTHER), 10)
    assert window.counts(of(), 20).strategy_bursts == 0
    assert window.counts(of(OTHER), 20).strategy_bursts == 1


def test_equal_terms_are_found_with_the_age_of_the_last_of_them() -> None:
    window = RateWindow()
    window.record(of(), 0)
    window.record(of(), 3)
    window.record(of(quantity=7), 4)
    assert window.same_terms_age(of(), 10) == 7
    assert window.same_terms_age(of(OTHER), 10) == 7, "equal terms are equal, whoever sends them"
    assert window.same_terms_age(of(quantity=8), 10) is None
    assert window.same_terms_age(of(qqq=True), 10) is None


def test_the_window_does_not_grow_for_ever() -> None:
    window = RateWindow()
    for n in range(100):
        window.record(of(), n * SECOND)
    assert len(window._sent) < 15


def test_orders_that_go_together_count_before_they_are_sent() -> None:
    window = RateWindow()
    window.record(of(), 5)
    counts = window.counts(of(qqq=True), 6, ahead=2)
    assert (counts.messages, counts.instrument_messages) == (3, 2)


def test_an_order_is_remembered_for_ten_seconds_or_as_long_as_it_must_be() -> None:
    for asked, kept in ((None, 10), (2.0, 10), (30.0, 30)):
        window = RateWindow()
        window.remember(asked)
        window.record(of(), 0)
        window.record(of(quantity=7), kept * SECOND)
        assert window.same_terms_age(of(), kept * SECOND) == kept * SECOND
        window.record(of(quantity=7), kept * SECOND + 1)
        assert window.same_terms_age(of(), kept * SECOND + 1) is None
