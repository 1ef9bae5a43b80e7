"""Counting of losses, bursts and messages, and of who asked for what."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from robotrader.model import (
    NANOS_PER_SECOND,
    Fill,
    OrderAccepted,
    OrderEvent,
    OrderFilled,
    OrderId,
    OrderPendingCancel,
    OrderReplacing,
    OrderSending,
    RiskLimit,
    Side,
    TradingState,
)
from robotrader.risk.approvals import Approvals
from robotrader.risk.triggers import Burst, DayTrades, LossWatch, Traffic, TrafficCount, Trip
from tests import builders as make

D, SECOND, DAY = Decimal, NANOS_PER_SECOND, 86_400 * NANOS_PER_SECOND
LIMITS = RiskLimit(profile="p", soft_daily_loss_ratio=D("0.02"), max_daily_loss_ratio=D("0.03"),
                   max_drawdown_ratio=D("0.10"))  # fmt: skip


def watched(*marks: tuple[int, int], capital: int = 1_000) -> LossWatch:
    """Make a watch that saw (day, equity)."""
    watch = LossWatch()
    for n, (day, equity) in enumerate(marks):
        watch.mark(day * DAY + n * SECOND, D(equity), D(capital))
    return watch


def test_a_watch_that_was_never_marked_has_seen_nothing() -> None:
    assert not LossWatch().marked
    assert LossWatch().trip(LIMITS) is None
    assert watched((0, 1_000)).marked


def test_a_day_begins_with_what_the_day_before_ended_with() -> None:
    watch = watched((5, 1_000), (5, 1_040), (6, 1_010), (6, 1_030))
    assert (watch.equity, watch.day_start, watch.peak) == (D(1_030), D(1_040), D(1_040))


def test_the_first_day_counts_from_the_capital_on() -> None:
    assert watched((3, 990)).day_start == D(1_000)


def test_a_deposit_is_no_gain_and_a_withdrawal_no_loss() -> None:
    watch = watched((5, 1_000), (5, 1_100))
    watch.mark(6 * DAY, D(600), D(500))
    assert (watch.equity, watch.day_start, watch.peak) == (D(600), D(600), D(600))
    assert watch.trip(LIMITS) is None


@pytest.mark.parametrize(("equity", "state", "reason"), [
    (980, None, ""),
    (979, TradingState.REDUCING, "daily loss of 2.10% is beyond 2.00%"),
    (970, TradingState.REDUCING, "daily loss of 3.00% is beyond 2.00%"),
    (969, TradingState.HALTED, "daily loss of 3.10% is beyond 3.00%"),
    (899, TradingState.HALTED, "drawdown of 10.10% is beyond 10.00%"),
])  # fmt: skip
def test_a_loss_acts_beyond_each_limit_by_the_hardest_that_it_breaks(
    equity: int, state: TradingState | None, reason: str
) -> None:
    assert watched((1, equity)).trip(LIMITS) == (Trip(state, reason) if state else None)


def test_what_is_off_never_acts() -> None:
    assert watched((1, 1)).trip(RiskLimit(profile="off")) is None


def test_a_person_who_lets_trading_go_on_makes_it_count_from_now_on() -> None:
    watch = watched((1, 850))
    watch.rebase()
    assert (watch.day_start, watch.peak) == (D(850), D(850))
    assert watch.trip(LIMITS) is None
    watch.mark(DAY, D(823), D(1_000))
    assert watch.trip(LIMITS) == Trip(TradingState.HALTED, "daily loss of 3.18% is beyond 3.00%")


def test_a_book_without_money_that_loses_has_lost_all() -> None:
    assert watched((1, -1), capital=0).trip(LIMITS) == Trip(TradingState.HALTED, "drawdown of 100.00% is beyond 10.00%")
    assert watched((1, 0), capital=0).trip(LIMITS) is None


def test_a_burst_counts_different_things_of_a_kind_within_a_minute() -> None:
    burst = Burst()
    assert [burst.note("reject", thing, ts * SECOND) for thing, ts in (("a", 0), ("b", 30), ("a", 40))] == [1, 2, 2]
    assert burst.note("denied", "c", 40 * SECOND) == 1
    assert burst.count("reject", 60 * SECOND - 1) == 2
    assert burst.count("reject", 60 * SECOND) == 1, "a minute later the first is gone, though it was told again"
    assert burst.count("never", 0) == 0


def test_a_kind_that_is_forgotten_begins_anew_and_others_do_not() -> None:
    burst = Burst(10)
    for kind in ("reject", "denied"):
        burst.note(kind, "a", 5)
    burst.forget("reject")
    burst.forget("never")
    assert (burst.count("reject", 6), burst.count("denied", 6)) == (0, 1)
    assert burst.count("denied", 5 + 10 * SECOND) == 0


def message(kind: type[OrderEvent], ts: int) -> OrderEvent:
    about: dict[str, Any] = {OrderSending: {"epoch": 1, "broker_order_id": 3}, OrderReplacing: {"epoch": 1},
             OrderAccepted: {"perm_id": 7}}.get(kind, {})  # fmt: skip
    return kind(ts_event=ts, ts_init=ts, order_id=OrderId("o"), **about)


def test_messages_and_executions_are_counted_by_day_and_answers_are_not() -> None:
    count = TrafficCount()
    assert count.of(0) == Traffic()
    assert count.of(DAY - 1) == Traffic()
    count.note(OrderFilled(ts_event=DAY + 9, ts_init=DAY + 9, fill=FILL))
    kinds: tuple[type[OrderEvent], ...] = (
        OrderSending, OrderSending, OrderReplacing, OrderPendingCancel, OrderAccepted,
    )  # fmt: skip
    for n, kind in enumerate(kinds, 1):
        count.note(message(kind, DAY + n))
    count.of(2 * DAY - 2)
    assert count.of(2 * DAY - 1) == Traffic(submitted=2, revised=1, canceled=1, executed=1)
    assert count.of(2 * DAY) == Traffic()


FILL: Fill = make.filled(make.order()).fill


def test_two_people_within_a_quarter_of_an_hour_are_enough_and_one_twice_is_not() -> None:
    approvals, quarter = Approvals(), 900 * SECOND
    asked = [approvals.ask("resume", who, ts, needed=2) for who, ts in (("a", 0), ("a", 5), ("b", quarter + 4))]
    assert asked == [False, False, True]
    assert not approvals.ask("resume", "b", quarter + 5, needed=2), "it counts anew"
    assert approvals.ask("resume", "c", 2 * quarter + 4, needed=2)


def test_a_request_of_a_quarter_of_an_hour_ago_counts_no_more() -> None:
    approvals = Approvals()
    approvals.ask("resume", "a", 0, needed=2)
    assert not approvals.ask("resume", "b", 900 * SECOND, needed=2)


def test_requests_for_other_things_do_not_add_up_and_what_is_forgotten_begins_anew() -> None:
    approvals = Approvals()
    approvals.ask("resume", "a", 0, needed=2)
    assert not approvals.ask("limit", "b", 1, needed=2)
    approvals.forget("resume", "never")
    assert not approvals.ask("resume", "b", 2, needed=2)
    assert approvals.ask("limit", "a", 3, needed=2), "the other thing was not forgotten"


def test_less_than_a_dollar_falls_like_more() -> None:
    watch = LossWatch()
    watch.mark(DAY, D("0.5"), D(1))
    assert watch.trip(LIMITS) == Trip(TradingState.HALTED, "drawdown of 50.00% is beyond 10.00%")


def day_trades(*fills: tuple[float, int, int]) -> DayTrades:
    """Make a count that saw orders of (day, signed units, units held after that)."""
    trades = DayTrades()
    for n, (day, units, held) in enumerate(fills):
        order = make.order(n, side=Side.BUY if units > 0 else Side.SELL)
        fill = make.filled(order, quantity=abs(units)).fill
        trades.note(structs.replace(fill, ts_event=round(day * DAY)), held)
    return trades


@pytest.mark.parametrize(("fills", "count"), [
    ([(5.0, 10, 10), (5.1, -10, 0)], 1),
    ([(5.0, -10, -10), (5.1, 10, 0)], 1),  # sold short, bought back
    ([(5.0, 10, 10), (6.0, -10, 0)], 0),  # overnight
    ([(5.0, 10, 10), (6.0, -10, 0), (6.1, 10, 10)], 0),  # what was closed was not opened that day
    ([(5.0, 10, 10), (6.0, 10, 20), (6.1, -5, 15)], 1),  # added to and taken off
    ([(5.0, 10, 10), (5.1, -5, 5), (5.2, -5, 0)], 2),  # an order each
    ([(5.0, 10, 10), (6.0, -20, -10), (6.1, 10, 0)], 1),  # turned round, and back on the same day
    ([(5.0, 10, 10), (6.0, -20, -10)], 0),
    ([(6.0, 10, 10), (6.1, -20, -10)], 1),  # turned round on the day it was opened
])  # fmt: skip
def test_a_day_trade_takes_back_what_was_opened_that_day(fills: list[tuple[float, int, int]], count: int) -> None:
    assert day_trades(*fills).count(6 * DAY) == count


def test_what_was_opened_in_one_instrument_is_kept_while_another_is_opened() -> None:
    trades = day_trades((5.0, 10, 10))
    other = structs.replace(make.filled(make.order(7), quantity=10).fill, instrument=make.QQQ.id, ts_event=5 * DAY)
    trades.note(other, 10)
    closed = make.filled(make.order(8, side=Side.SELL), quantity=10).fill
    trades.note(structs.replace(closed, ts_event=5 * DAY), 0)
    assert trades.count(5 * DAY) == 1


def test_an_order_counts_once_however_many_executions_it_takes() -> None:
    trades = day_trades((5.0, 10, 10))
    order = make.order(9, side=Side.SELL)
    for held in (5, 0):
        fill = make.filled(order, quantity=5, exec_id=f"e{held}").fill
        trades.note(structs.replace(fill, ts_event=5 * DAY), held)
    assert trades.count(5 * DAY) == 1


def test_day_trades_are_forgotten_when_five_sessions_are_surely_over() -> None:
    trades = day_trades((5.0, 10, 10), (5.1, -10, 0))
    assert (trades.count(12 * DAY), trades.count(13 * DAY)) == (1, 0)
