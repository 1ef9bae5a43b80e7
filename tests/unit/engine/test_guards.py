"""What makes trading less by itself, and what only people can make more again."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest
from msgspec import structs

from robotrader.engine.trader import Trader
from robotrader.model import (
    Account,
    AccountReported,
    Action,
    AnyCommand,
    BorrowReported,
    Cancel,
    HaltReported,
    MarginPreviewed,
    OrderConfirmed,
    OrderRejected,
    OrderState,
    OrderSuspended,
    PreviewMargin,
    RequestReceived,
    RiskCheck,
    SessionTable,
    SetLimits,
    TradingState,
)
from tests import builders as make
from tests.fakes import scripted
from tests.unit.engine.stage import (
    NAN,
    NO_LIMITS,
    SECOND_STRATEGY,
    ask,
    buy_and_fill,
    config,
    denied,
    fill,
    orders,
    send,
    started,
    states,
    the_order,
    trader,
)

D, SECOND = Decimal, 10**9
HELD = {0: (1.0, NAN), 3: (1.0, 1.0)}
"""A strategy that buys 100 SPY at 100 of a capital of 100,000: a dollar is a thousandth."""


def set_limit(change: str, *, approver: str | None = None, actor: str = "me", n: int = 50) -> RequestReceived:
    return structs.replace(ask(Action.LIMIT, n=n), change=change, approver=approver, actor=actor)


# ----------------------------------------------------------------------------------------------------------- losses
@pytest.mark.parametrize(("limit", "state"), [
    ("soft_daily_loss_ratio", TradingState.REDUCING),
    ("max_daily_loss_ratio", TradingState.HALTED),
    ("max_drawdown_ratio", TradingState.HALTED),
])  # fmt: skip
def test_a_loss_acts_beyond_its_limit_and_not_at_it(limit: str, state: TradingState) -> None:
    one = trader(HELD, limits=structs.replace(NO_LIMITS, **{limit: D("0.02")}))
    buy_and_fill(one)
    assert states(one.handle(make.bars_closed(1, 80.0, 50.0))) == []  # a loss of 2,000 of 100,000
    other = trader(HELD, limits=structs.replace(NO_LIMITS, **{limit: D("0.02")}))
    buy_and_fill(other)
    (found,) = states(other.handle(make.bars_closed(1, 79.99, 50.0)))
    assert (found.state, found.strategy, found.actor) == (state, None, "trader")


def test_the_order_of_the_bar_that_breaks_the_limit_is_refused_already() -> None:
    one = trader({0: (1.0, NAN), 1: (1.0, 1.0)}, limits=structs.replace(NO_LIMITS, max_daily_loss_ratio=D("0.02")))
    buy_and_fill(one)
    commands = one.handle(make.bars_closed(1, 70.0, 50.0))
    assert orders(commands) == []
    assert [d.order.instrument for d in denied(commands)] == [make.QQQ.id]


def test_each_day_begins_anew_and_the_drawdown_does_not() -> None:
    limits = structs.replace(NO_LIMITS, max_daily_loss_ratio=D("0.02"), max_drawdown_ratio=D("0.03"))
    one = trader(HELD, limits=limits)
    buy_and_fill(one)
    assert states(one.handle(make.bars_closed(1, 85.0, 50.0))) == []
    (found,) = states(one.handle(make.bars_closed(2, 69.0, 50.0)))
    assert "drawdown" in found.reason
    assert found.state is TradingState.HALTED


def test_after_a_person_resumed_losses_count_from_there() -> None:
    one = trader(HELD, limits=structs.replace(NO_LIMITS, max_drawdown_ratio=D("0.02")))
    buy_and_fill(one)
    one.handle(make.bars_closed(1, 70.0, 50.0))
    assert [s.state for s in states(one.handle(ask(Action.RESUME)))] == [TradingState.ACTIVE]
    assert states(one.handle(make.bars_closed(2, 69.0, 50.0))) == []
    assert [s.state for s in states(one.handle(make.bars_closed(3, 40.0, 50.0)))] == [TradingState.HALTED]


def test_money_put_in_is_no_gain_and_money_taken_out_no_loss() -> None:
    limits = structs.replace(NO_LIMITS, max_daily_loss_ratio=D("0.02"))
    one = trader(HELD, limits=limits)
    buy_and_fill(one)
    one.handle(make.bars_closed(1, 100.0, 50.0))
    one.handle(started(config(capital="50000"), limits=limits, run_id="run-2"))
    assert states(one.handle(make.bars_closed(2, 100.0, 50.0))) == []


def test_a_strategy_that_falls_too_far_may_only_reduce_and_the_others_go_on() -> None:
    scripts = {make.TREND: HELD, SECOND_STRATEGY: {1: (NAN, 1.0)}}
    one = trader(scripts, config(), config(SECOND_STRATEGY),
                 limits=structs.replace(NO_LIMITS, max_strategy_drawdown_ratio=D("0.02")))  # fmt: skip
    buy_and_fill(one)
    commands = one.handle(make.bars_closed(1, 70.0, 50.0))
    (found,) = states(commands)
    assert (found.state, found.strategy) == (TradingState.REDUCING, make.TREND)
    assert [o.strategy for o in orders(commands)] == [SECOND_STRATEGY]


def test_a_soft_limit_never_loosens_a_halt() -> None:
    one = trader(HELD, limits=structs.replace(NO_LIMITS, soft_daily_loss_ratio=D("0.01")))
    buy_and_fill(one)
    one.handle(ask(Action.HALT))
    assert states(one.handle(make.bars_closed(1, 70.0, 50.0))) == []
    assert one.states.of((None, None))[0] is TradingState.HALTED


# ----------------------------------------------------------------------------------------------------------- bursts
def rejected(one: Trader, order_id: str, ts: int) -> list[TradingState]:
    event = OrderRejected(ts_event=ts, ts_init=ts, order_id=order_id, code=201, reason="no margin")  # type: ignore[arg-type]
    return [s.state for s in states(one.handle(event))]


def rejects(gap_s: int) -> list[TradingState]:
    """Let the broker reject an order of two strategies in two instruments, one every `gap_s`; three may be a minute."""
    scripts = {make.TREND: {0: (1.0, 1.0)}, SECOND_STRATEGY: {0: (1.0, 1.0)}}
    one = trader(scripts, config(), config(SECOND_STRATEGY),
                 limits=structs.replace(NO_LIMITS, max_rejects_per_min=3))  # fmt: skip
    sent = orders(one.handle(make.bars_closed(0)))
    for n, order in enumerate(sent, 1):
        send(one, order, n)
    return [s for n, o in enumerate(sent) for s in rejected(one, o.id, make.T0 + n * gap_s * 1_000_000_000)]


def test_one_reject_too_many_within_a_minute_halts() -> None:
    assert rejects(gap_s=19) == [TradingState.HALTED]


def test_rejects_that_are_far_apart_do_not() -> None:
    assert rejects(gap_s=20) == []


# ----------------------------------------------------------------------------------------------------------- locate
def canceled(commands: Sequence[AnyCommand]) -> list[str]:
    return [c.order_id for c in commands if isinstance(c, Cancel)]


def test_a_short_sale_waits_for_shares_so_long_and_no_longer_and_is_canceled_once() -> None:
    one = trader({0: (-1.0, NAN)}, limits=structs.replace(NO_LIMITS, max_locate_s=600.0))
    sale = the_order(one.handle(make.bars_closed(0)))
    send(one, sale, 1)
    held = OrderSuspended(ts_event=make.T0, ts_init=make.T0, order_id=sale.id, reason="locate", locating=True)
    one.handle(held)
    one.handle(structs.replace(held, ts_init=make.T0 + 300 * SECOND))  # said again: it waits since the first word
    word = BorrowReported(ts_event=make.T0, ts_init=make.T0 + 600 * SECOND, instrument=make.SPY.id)
    assert canceled(one.handle(structs.replace(word, ts_init=word.ts_init - 1))) == []
    assert canceled(one.handle(word)) == [sale.id]
    assert canceled(one.handle(word)) == []


@pytest.mark.parametrize("limit", [600.0, None])
def test_what_is_found_or_held_for_another_reason_is_not_canceled(limit: float | None) -> None:
    one = trader({0: (-1.0, NAN)}, limits=structs.replace(NO_LIMITS, max_locate_s=limit))
    sale = the_order(one.handle(make.bars_closed(0)))
    send(one, sale, 1)
    held = OrderSuspended(ts_event=make.T0, ts_init=make.T0, order_id=sale.id, reason="locate", locating=True)
    one.handle(held)
    if limit is not None:
        one.handle(OrderConfirmed(ts_event=make.T0, ts_init=make.T0, order_id=sale.id))
        one.handle(structs.replace(held, reason="Inactive", locating=False))
    assert canceled(one.handle(make.bars_closed(1))) == []


def test_a_strategy_that_is_filled_again_and_again_may_only_reduce() -> None:
    limits = structs.replace(NO_LIMITS, max_repeated_fills=1, repeated_window_s=10 * 86_400)
    one = trader({0: (0.5, NAN), 1: (1.0, NAN), 2: (0.0, NAN)}, config(sizer="percent:0.1"), limits=limits)
    first = buy_and_fill(one)
    commands = one.handle(make.bars_closed(1))
    assert [d.verdict.reasons for d in denied(commands)] == [(RiskCheck.REPEATED_EXECUTION,)]
    assert [(s.state, s.strategy) for s in states(commands)] == [(TradingState.REDUCING, make.TREND)]
    exit_ = the_order(one.handle(make.bars_closed(2)))
    assert exit_.quantity == first.quantity


def test_one_order_that_fills_in_many_pieces_is_one_fill() -> None:
    limits = structs.replace(NO_LIMITS, max_repeated_fills=2, repeated_window_s=10 * 86_400)
    one = trader({0: (0.5, NAN), 1: (1.0, NAN)}, config(sizer="percent:0.1"), limits=limits)
    order = the_order(one.handle(make.bars_closed(0)))
    send(one, order)
    for n in range(order.quantity):
        fill(one, order, "100.00", quantity=1, exec_id=f"piece{n}")
    assert len(orders(one.handle(make.bars_closed(1)))) == 1


# ---------------------------------------------------------------------------------------------------- people decide
def test_two_approvers_take_two_people_within_a_quarter_of_an_hour() -> None:
    one = trader({}, limits=structs.replace(NO_LIMITS, approvers=2))
    one.handle(ask(Action.HALT))
    me, you = ask(Action.RESUME, n=2), structs.replace(ask(Action.RESUME, n=3), actor="you")
    late = structs.replace(you, ts_event=make.T0 + 900 * 1_000_000_000)
    assert states(one.handle(me)) == []
    assert states(one.handle(me)) == []
    assert states(one.handle(late)) == []
    again = structs.replace(me, ts_event=late.ts_event + 1)
    assert [s.state for s in states(one.handle(again))] == [TradingState.ACTIVE]


def test_two_who_ask_for_different_things_do_not_agree() -> None:
    one = trader({}, limits=structs.replace(NO_LIMITS, approvers=2))
    one.handle(ask(Action.HALT))
    one.handle(ask(Action.REDUCE, n=2))
    assert states(one.handle(structs.replace(ask(Action.RESUME, n=3), actor="you"))) == []


def test_what_is_locked_takes_two_and_a_halt_does_not_loosen_it() -> None:
    one = trader({0: (1.0, NAN), 1: (0.0, NAN)})
    buy_and_fill(one)
    assert [s.state for s in states(one.handle(ask(Action.LOCK)))] == [TradingState.LOCKED]
    assert orders(one.handle(make.bars_closed(1))) == []
    assert states(one.handle(ask(Action.HALT, n=2))) == []
    assert states(one.handle(ask(Action.RESUME, n=3))) == []
    assert one.states.of((None, None))[0] is TradingState.LOCKED
    freed = states(one.handle(structs.replace(ask(Action.RESUME, n=4), actor="you")))
    assert [s.state for s in freed] == [TradingState.ACTIVE]


# ----------------------------------------------------------------------------------------------------------- limits
def limits_set(commands: object) -> list[SetLimits]:
    return [c for c in commands if isinstance(c, SetLimits)]  # type: ignore[attr-defined]


def test_a_tighter_limit_is_in_force_at_once() -> None:
    one = trader({0: (1.0, NAN)}, limits=structs.replace(NO_LIMITS, max_order_quantity=100))
    (found,) = limits_set(one.handle(set_limit("max_order_quantity=99")))
    assert (found.changed, found.limits.max_order_quantity, found.limits.profile) == (
        ("max_order_quantity",), 99, "none v2",
    )  # fmt: skip
    (refused,) = denied(one.handle(make.bars_closed(0)))
    assert refused.verdict.reasons == (RiskCheck.MAX_ORDER_QUANTITY,)
    assert refused.verdict.limits == "none v2"


@pytest.mark.parametrize("change", ["max_order_quantity=101", "max_order_quantity=none", "nonsense", "max_x=1"])
def test_a_looser_limit_or_one_that_is_none_changes_nothing_unapproved(change: str) -> None:
    one = trader({0: (1.0, NAN)}, config(sizer="fixed:101"),
                 limits=structs.replace(NO_LIMITS, max_order_quantity=100))  # fmt: skip
    assert limits_set(one.handle(set_limit(change))) == []
    assert len(denied(one.handle(make.bars_closed(0)))) == 1


def test_a_looser_limit_takes_an_approver_and_as_many_people_as_configured() -> None:
    one = trader({}, limits=structs.replace(NO_LIMITS, max_order_quantity=100, approvers=2))
    assert limits_set(one.handle(set_limit("max_order_quantity=101", approver="boss"))) == []
    (found,) = limits_set(one.handle(set_limit("max_order_quantity=101", approver="boss", actor="you")))
    assert (found.limits.max_order_quantity, found.approver, found.actor) == (101, "boss", "you")


def test_a_configuration_that_raises_a_limit_is_not_followed_and_one_that_lowers_it_is() -> None:
    limits = structs.replace(NO_LIMITS, max_order_quantity=100, max_open_orders=10)
    one = trader({0: (1.0, NAN)}, config(sizer="fixed:101"), limits=limits)
    tampered = structs.replace(limits, max_order_quantity=1_000_000, max_open_orders=9)
    (kept,) = limits_set(one.handle(started(config(sizer="fixed:101"), limits=tampered, run_id="run-2")))
    assert (kept.changed, kept.actor) == (("max_order_quantity",), "trader")
    assert (kept.limits.max_order_quantity, kept.limits.max_open_orders) == (100, 9)
    assert len(denied(one.handle(make.bars_closed(0)))) == 1


def test_what_an_operator_set_outlives_a_restart_until_the_configuration_changes_it() -> None:
    limits = structs.replace(NO_LIMITS, max_order_quantity=100)
    one = trader({}, limits=limits)
    one.handle(set_limit("max_order_quantity=90"))
    (kept,) = limits_set(one.handle(started(limits=limits, run_id="run-2")))
    assert kept.limits.max_order_quantity == 90
    lower = structs.replace(limits, max_order_quantity=80)
    one.handle(started(limits=lower, run_id="run-3"))
    assert one.limits.max_order_quantity == 80


# ------------------------------------------------------------------------------------------------------------ facts
def test_an_entry_into_a_halt_of_the_exchange_is_refused() -> None:
    sessions = SessionTable(dates=("a", "b"), opens=(make.T0 - make.DAY // 4, make.T0 + make.DAY // 2),
                            closes=(make.T0, make.T0 + make.DAY))  # fmt: skip
    one = Trader(scripted({make.TREND: {0: (1.0, NAN)}}))
    run = started(limits=structs.replace(NO_LIMITS, entry_cutoff_s=600))
    one.handle(structs.replace(run, sessions=sessions))
    one.handle(HaltReported(ts_event=make.T0, ts_init=make.T0, instrument=make.SPY.id, halted=True))
    (refused,) = denied(one.handle(make.bars_closed(0)))
    assert refused.verdict.reasons == (RiskCheck.SESSION,)
    assert one.orders.get(refused.order.id).state is OrderState.DENIED  # type: ignore[union-attr]


def test_gross_exposure_counts_what_other_instruments_hold_and_have_open() -> None:
    limits = structs.replace(NO_LIMITS, max_gross_ratio=D("0.15"))
    one = trader({0: (1.0, NAN), 1: (1.0, 1.0)}, limits=limits)
    buy_and_fill(one)  # 10,000 of 100,000
    commands = one.handle(make.bars_closed(1, 100.0, 50.0))  # and 5,000 more
    assert [o.instrument for o in orders(commands)] == [make.QQQ.id]
    other = trader({0: (1.0, NAN), 1: (1.0, 1.0)}, limits=structs.replace(limits, max_gross_ratio=D("0.1499")))
    buy_and_fill(other)
    assert [d.verdict.reasons for d in denied(other.handle(make.bars_closed(1, 100.0, 50.0)))] == [
        (RiskCheck.EXPOSURE,)
    ]


# ----------------------------------------------------------------------------------------------------------- margin
WHAT_IF = structs.replace(NO_LIMITS, what_if_equity_ratio=D("0.05"), min_excess_liquidity_ratio=D("0.2"))


def asked(commands: object) -> list[str]:
    return [c.order.id for c in commands if isinstance(c, PreviewMargin)]  # type: ignore[attr-defined]


def answer(order_id: str, *, excess: str | None) -> MarginPreviewed:
    equity = None if excess is None else D(excess)
    return MarginPreviewed(ts_event=make.T0, ts_init=make.T0, order_id=order_id, equity_after=equity,  # type: ignore[arg-type]
                           maintenance_after=None if excess is None else D(0))  # fmt: skip


def test_a_large_order_waits_for_what_the_broker_says_of_its_margin() -> None:
    one = trader({0: (1.0, NAN)}, limits=WHAT_IF)
    commands = one.handle(make.bars_closed(0))
    (order_id,) = asked(commands)
    assert orders(commands) == []
    assert one.orders.get(order_id) is None  # type: ignore[arg-type]
    assert [o.id for o in orders(one.handle(answer(order_id, excess="20000")))] == [order_id]


@pytest.mark.parametrize("excess", ["19999.99", None])
def test_too_little_excess_liquidity_or_no_answer_denies(excess: str | None) -> None:
    one = trader({0: (1.0, NAN)}, limits=WHAT_IF)
    (order_id,) = asked(one.handle(make.bars_closed(0)))
    (refused,) = denied(one.handle(answer(order_id, excess=excess)))
    assert refused.verdict.reasons == (RiskCheck.BUYING_POWER,)


def test_an_exit_asks_nobody() -> None:
    one = trader({0: (1.0, NAN), 1: (0.0, NAN)}, limits=NO_LIMITS)
    buy_and_fill(one)
    one.handle(set_limit("what_if_equity_ratio=0.0"))
    commands = one.handle(make.bars_closed(1))
    assert (asked(commands), len(orders(commands))) == ([], 1)


def test_the_answer_to_an_older_decision_is_nobodys() -> None:
    one = trader({0: (1.0, NAN), 1: (-1.0, NAN)}, limits=WHAT_IF)
    (first,) = asked(one.handle(make.bars_closed(0)))
    (second,) = asked(one.handle(make.bars_closed(1)))
    assert one.handle(answer(first, excess="90000")) == ()
    assert [o.id for o in orders(one.handle(answer(second, excess="90000")))] == [second]


def test_after_a_restart_no_answer_is_waited_for() -> None:
    one = trader({0: (1.0, NAN)}, limits=WHAT_IF)
    (order_id,) = asked(one.handle(make.bars_closed(0)))
    one.handle(started(limits=WHAT_IF, run_id="run-2"))
    assert one.handle(answer(order_id, excess="90000")) == ()


# ------------------------------------------------------------------------------------------------------- day trades
def test_a_small_account_may_not_enter_after_three_day_trades_and_may_from_the_new_rules_first_day_on() -> None:
    def denied_after_day_trades(first_day: date) -> bool:
        limits = structs.replace(NO_LIMITS, intraday_margin_from=first_day)
        one = trader({n: (float(n % 2 == 0), NAN) for n in range(7)}, limits=limits)
        account = Account(id="DU1", cash=D(1), net_liquidation=D(20_000), excess_liquidity=D(20_000))
        one.handle(AccountReported(ts_event=make.T0, ts_init=make.T0, account=account))
        for n in range(6):  # bought and sold again, three times on one day
            order = the_order(one.handle(make.bars_closed(n)))
            send(one, order, n + 1)
            one.handle(make.filled(order, exec_id=f"e{n}", ts=make.T0 + n))
        return bool(denied(one.handle(make.bars_closed(6))))

    assert denied_after_day_trades(date(2100, 1, 1))
    assert not denied_after_day_trades(date(2000, 1, 1))
