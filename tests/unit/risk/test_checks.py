"""Each check passes at its limit and fails one unit beyond; what it does not know, it refuses."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from robotrader.model import CheckResult, Order, Purpose, RiskCheck, RiskLimit, TradingState
from robotrader.risk import checks
from robotrader.risk.checks import CHECKS
from robotrader.risk.checks.check import Check, Exempt
from robotrader.risk.facts import Facts, RateCounts, is_exit, is_reducing
from robotrader.risk.limits import LIVE
from tests import builders as make
from tests.unit.risk import edges
from tests.unit.risk.edges import Case, Unknown, limits
from tests.unit.risk.facts import KNOWN, OFF, UNKNOWN, D, buy, facts, knowing, sell

WINDOW = 2_000_000_000
"""Two seconds, the duplicate window below, in ns."""


def aged(age_ns: int | None, *, known: bool = False) -> Facts:
    return structs.replace(KNOWN, same_terms_age_ns=age_ns, known_intent=known)


def rated(messages: int = 0, instrument: int = 0, bursts: int = 0) -> Facts:
    rates = RateCounts(messages=messages, instrument_messages=instrument, strategy_bursts=bursts)
    return structs.replace(KNOWN, rates=rates)


# check, limits, (order, facts) at the limit, (order, facts) one unit beyond
EDGES: dict[str, Case] = {
    "quantity": (checks.max_order_quantity, limits(max_order_quantity=100), (buy(100), KNOWN), (buy(101), KNOWN)),
    "quantity-short": (
        checks.max_order_quantity, limits(max_order_quantity=100), (sell(100), KNOWN), (sell(101), KNOWN),
    ),
    "quantity-adv": (
        checks.max_order_quantity, limits(max_order_adv_ratio=0.01),
        (buy(100), facts(average_daily_volume=10_000.0)), (buy(101), facts(average_daily_volume=10_000.0)),
    ),
    "quantity-adv-floor": (
        checks.max_order_quantity, limits(max_order_adv_ratio=0.5),
        (buy(49), facts(average_daily_volume=99.0)), (buy(50), facts(average_daily_volume=99.0)),
    ),
    "quantity-smaller-of-both": (
        checks.max_order_quantity, limits(max_order_quantity=200, max_order_adv_ratio=0.01),
        (buy(100), facts(average_daily_volume=10_000.0)), (buy(101), facts(average_daily_volume=10_000.0)),
    ),
    "quantity-reducing": (
        checks.max_order_quantity, limits(max_order_quantity=10),
        (sell(100), facts(position=100)), (sell(101), facts(position=100)),
    ),
    "notional": (checks.max_order_notional, limits(max_order_notional=D(10_000)), (buy(100), KNOWN), (buy(101), KNOWN)),
    "notional-cent": (
        checks.max_order_notional, limits(max_order_notional=D(10_000)),
        (buy(100, limit="100.00"), KNOWN), (buy(100, limit="100.01"), KNOWN),
    ),
    "notional-equity": (
        checks.max_order_notional, limits(max_order_equity_ratio=D("0.1")), (sell(100), KNOWN), (sell(101), KNOWN),
    ),
    "notional-smaller-of-both": (
        checks.max_order_notional, limits(max_order_notional=D(10_000), max_order_equity_ratio=D("0.05")),
        (buy(50), KNOWN), (buy(51), KNOWN),
    ),
    "notional-multiplier": (
        checks.max_order_notional, limits(max_order_notional=D(10_000)),
        (buy(20), facts(instrument=structs.replace(make.SPY, multiplier=D(5)))),
        (buy(21), facts(instrument=structs.replace(make.SPY, multiplier=D(5)))),
    ),
    "collar-above": (
        checks.price_collar, limits(price_collar_ratio=D("0.03")),
        (buy(1, limit="103.00"), KNOWN), (buy(1, limit="103.01"), KNOWN),
    ),
    "collar-below": (
        checks.price_collar, limits(price_collar_ratio=D("0.03")),
        (sell(1, stop="97.00"), KNOWN), (sell(1, stop="96.99"), KNOWN),
    ),
    "collar-age": (
        checks.price_collar, limits(price_collar_ratio=D("0.03"), reference_max_age_bars=1.5),
        (buy(1), facts(reference_age_ns=make.DAY * 3 // 2)), (buy(1), facts(reference_age_ns=make.DAY * 3 // 2 + 1)),
    ),
    "fat-finger": (
        checks.fat_finger, limits(fat_finger_ratio=D("0.2")),
        (buy(1, limit="120.00"), KNOWN), (buy(1, limit="120.01"), KNOWN),
    ),
    "fat-finger-market": (
        checks.fat_finger, limits(fat_finger_ratio=D("0.2")),
        (buy(1), facts(reference_price=D("80.00"))), (buy(1), facts(reference_price=D("79.99"))),
    ),
    "grid-tick": (checks.price_grid, OFF, (buy(1, limit="100.01"), KNOWN), (buy(1, limit="100.005"), KNOWN)),
    "grid-sign": (checks.price_grid, OFF, (buy(1, stop="0.01"), KNOWN), (buy(1, stop="0.00"), KNOWN)),
    "grid-lot": (
        checks.price_grid, OFF, (buy(200), facts(instrument=structs.replace(make.SPY, lot=100))),
        (buy(201), facts(instrument=structs.replace(make.SPY, lot=100))),
    ),
    "duplicate-window": (
        checks.duplicate_intent, limits(duplicate_window_s=2.0), (buy(1), aged(WINDOW)), (buy(1), aged(WINDOW - 1)),
    ),
    "duplicate-intent": (checks.duplicate_intent, OFF, (buy(1), aged(0)), (buy(1), aged(None, known=True))),
    "allow-list": (
        checks.allow_list, limits(allow_list=(make.SPY.id,)),
        (buy(1), KNOWN), (make.order(instrument=make.QQQ.id), KNOWN),
    ),
    "rate": (
        checks.message_rate, limits(messages_per_s=40), (buy(1), rated(messages=39)), (buy(1), rated(messages=40)),
    ),
    "rate-instrument": (
        checks.message_rate, limits(messages_per_s_instrument=5),
        (buy(1), rated(instrument=4)), (buy(1), rated(instrument=5)),
    ),
    "rate-bursts": (
        checks.message_rate, limits(bursts_per_s_strategy=2), (buy(1), rated(bursts=1)), (buy(1), rated(bursts=2)),
    ),
    "position": (
        checks.position_limit, limits(max_position_equity_ratio=D("0.1")), (buy(100), KNOWN), (buy(101), KNOWN),
    ),
    "position-held": (
        checks.position_limit, limits(max_position_equity_ratio=D("0.1")),
        (buy(40), facts(position=60)), (buy(41), facts(position=60)),
    ),
    "position-open-buys-count": (
        checks.position_limit, limits(max_position_equity_ratio=D("0.1")),
        (buy(10), facts(position=60, open_buy=30)), (buy(11), facts(position=60, open_buy=30)),
    ),
    "position-open-sells-do-not-help": (
        checks.position_limit, limits(max_position_equity_ratio=D("0.1")),
        (buy(40), facts(position=60, open_sell=60)), (buy(41), facts(position=60, open_sell=60)),
    ),
    "position-short": (
        checks.position_limit, limits(max_position_equity_ratio=D("0.1")),
        (sell(30), facts(position=-50, open_sell=20)), (sell(31), facts(position=-50, open_sell=20)),
    ),
    "position-through-zero": (
        checks.position_limit, limits(max_position_equity_ratio=D("0.1")),
        (sell(150), facts(position=50)), (sell(151), facts(position=50)),
    ),
    "state-active": (checks.trading_state, OFF, (buy(1), KNOWN), (buy(1), facts(TradingState.REDUCING))),
    "state-reducing": (
        checks.trading_state, OFF,
        (sell(100), facts(TradingState.REDUCING, position=100)),
        (sell(101), facts(TradingState.REDUCING, position=100)),
    ),
    "state-reducing-open-orders-count": (
        checks.trading_state, OFF,
        (sell(40), facts(TradingState.REDUCING, position=100, open_sell=60)),
        (sell(41), facts(TradingState.REDUCING, position=100, open_sell=60)),
    ),
    "state-reducing-short": (
        checks.trading_state, OFF,
        (buy(40), facts(TradingState.REDUCING, position=-100, open_buy=60)),
        (buy(41), facts(TradingState.REDUCING, position=-100, open_buy=60)),
    ),
    "state-halted": (
        checks.trading_state, OFF,
        (sell(1), facts(TradingState.REDUCING, position=1)), (sell(1), facts(TradingState.HALTED, position=1)),
    ),
    "state-locked": (
        checks.trading_state, OFF,
        (sell(1), facts(TradingState.REDUCING, position=1)), (sell(1), facts(TradingState.LOCKED, position=1)),
    ),
}  # fmt: skip


ALL = EDGES | edges.EDGES


@pytest.mark.parametrize("case", ALL.values(), ids=ALL.keys())
def test_a_check_passes_at_its_limit_and_fails_one_unit_beyond(case: Case) -> None:
    check, limit, at, beyond = case
    assert check(*at, limit).passed
    refused = check(*beyond, limit)
    assert not refused.passed
    assert refused.reason, "a refusal says why"
    assert "cannot be judged" not in refused.reason
    assert check(*at, limit).reason == "", "a pass needs no reason"


def test_every_check_has_an_edge_here_and_its_own_name() -> None:
    assert {case[0] for case in ALL.values()} == set(CHECKS)
    assert [check.name for check in CHECKS] == list(RiskCheck)
    assert [check(buy(1), KNOWN, OFF).check for check in CHECKS] == list(RiskCheck)
    assert [check.row for check in CHECKS] == list(range(1, 27)), "the rows of the table, in its order"


def test_each_limit_of_a_check_switches_it_on_alone_and_live_has_all_checks_on() -> None:
    assert all(check.on(LIVE) for check in CHECKS)
    for check in CHECKS:
        assert check.on(OFF) is (not check.limits)
        for name in check.limits:
            assert check.on(structs.replace(OFF, **{name: getattr(LIVE, name) or 0}))
    assert not checks.luld.on(limits(luld_bands=False))


OLD_UNKNOWNS: dict[str, Unknown] = {
    "adv": (checks.max_order_quantity, limits(max_order_quantity=100, max_order_adv_ratio=0.01), buy(1),
            facts(average_daily_volume=None)),
    "notional": (checks.max_order_notional, limits(max_order_notional=D(10**9)), buy(1), facts(reference_price=None)),
    "collar": (checks.price_collar, limits(price_collar_ratio=D(1)), buy(1), facts(reference_price=None)),
    "collar-age": (checks.price_collar, limits(price_collar_ratio=D(1)), buy(1), facts(reference_age_ns=None)),
    "collar-spec": (checks.price_collar, limits(price_collar_ratio=D(1)), buy(1), facts(reference_spec_ns=None)),
    "fat-finger-close": (checks.fat_finger, limits(fat_finger_ratio=D(1)), buy(1), facts(last_close=None)),
    "fat-finger-price": (checks.fat_finger, limits(fat_finger_ratio=D(1)), buy(1), facts(reference_price=None)),
    "position": (checks.position_limit, limits(max_position_equity_ratio=D(1)), buy(1), facts(reference_price=None)),
}  # fmt: skip
UNKNOWNS = OLD_UNKNOWNS | edges.UNKNOWNS


@pytest.mark.parametrize("case", UNKNOWNS.values(), ids=UNKNOWNS.keys())
def test_what_a_check_needs_and_does_not_know_is_a_refusal(case: Unknown) -> None:
    check, limit, order, unknown = case
    assert check(order, knowing("market", short_restricted=False), limit).passed
    refused = check(order, unknown, limit)
    assert not refused.passed
    assert refused.reason.startswith(("not known: ", "not ", "no ", "average daily volume is not known"))
    assert check(order, unknown, OFF).passed, "a limit that is off asks for nothing"


@pytest.mark.parametrize(("check", "limit"), [
    (checks.exposure, limits(max_gross_ratio=D(1))), (checks.group_exposure, limits(max_group_ratio=D(1))),
])  # fmt: skip
def test_a_refusal_names_what_is_not_known(check: Check, limit: RiskLimit) -> None:
    no_book = structs.replace(KNOWN, exposures=None)
    assert check(buy(1), no_book, limit).reason == "not known: exposures"
    assert check(buy(1), facts(reference_price=None), limit).reason == "not known: reference price"


JUDGED = {
    RiskCheck.MAX_ORDER_QUANTITY, RiskCheck.PRICE_COLLAR, RiskCheck.FAT_FINGER, RiskCheck.PRICE_GRID,
    RiskCheck.DUPLICATE_INTENT, RiskCheck.ALLOW_LIST, RiskCheck.MESSAGE_RATE, RiskCheck.LULD, RiskCheck.SESSION,
    RiskCheck.LOSS_LIMIT, RiskCheck.TRADING_STATE,
}  # fmt: skip
"""What judges exits too, each for itself; the table in docs/guide/risk.md says how."""


def test_only_the_named_checks_judge_an_exit() -> None:
    held = structs.replace(UNKNOWN, snapshot=facts(position=100).snapshot, standing=KNOWN.standing)
    for check in CHECKS:
        found = check(sell(100), held, LIVE)
        assert (check.exempt in {Exempt.NONE, Exempt.PROTECTIVE}) == (check.name in JUDGED)
        assert found.passed, f"not knowing the facts of {check.name} would trap a position"


def test_a_stop_that_protects_skips_what_it_cannot_break() -> None:
    stop = structs.replace(sell(100, stop="95.00"), purpose=Purpose.STOP_LOSS)
    halted = structs.replace(UNKNOWN, market=structs.replace(UNKNOWN.market, halted=True, limit_state=True))
    assert is_exit(stop, halted.snapshot)
    assert not is_reducing(stop, halted.snapshot)
    for check in (checks.luld, checks.session, checks.borrow, checks.short_price_test, checks.loss_limit):
        assert check(stop, halted, LIVE).passed


def test_a_known_halt_or_limit_state_holds_exits_back_too() -> None:
    held = facts(position=100)
    assert not checks.session(sell(100), knowing("market", held, halted=True), LIVE).passed
    assert not checks.luld(sell(100), knowing("market", held, limit_state=True), LIVE).passed
    closed = knowing("session", held, executes=0)
    assert checks.session(sell(100), closed, LIVE).passed, "an exit may be placed at any hour"


def test_what_flattens_goes_whatever_was_lost() -> None:
    gone = knowing("losses", facts(position=100), equity=D(1))
    flatten = structs.replace(sell(100), purpose=Purpose.FLATTEN)
    assert not checks.loss_limit(sell(100), gone, LIVE).passed
    assert checks.loss_limit(flatten, gone, LIVE).passed


def test_selling_what_is_held_needs_no_borrow_and_buying_none() -> None:
    unknown = structs.replace(UNKNOWN, snapshot=facts(position=100, open_sell=50).snapshot)
    for check in (checks.borrow, checks.short_price_test):
        assert check(sell(50), unknown, LIVE).passed
        assert not check(sell(51), unknown, LIVE).passed
        assert check(buy(51), unknown, LIVE).passed


def test_order_efficiency_warns_before_it_refuses() -> None:
    limit = structs.replace(LIVE, order_efficiency_floor=None)
    found = [checks.order_efficiency(buy(1), knowing("conduct", submitted=n), limit) for n in (9, 10, 14, 15)]
    assert [(f.passed, f.numbers["warning"]) for f in found] == [
        (True, False), (True, True), (True, True), (False, True)
    ]  # fmt: skip


def test_the_orders_of_one_rebalance_are_no_ratio() -> None:
    found = [checks.order_efficiency(buy(1), knowing("conduct", submitted=n), LIVE) for n in (99, 100)]
    assert [(f.passed, f.numbers["warning"]) for f in found] == [(True, False), (False, True)]


def test_day_trades_count_by_the_older_rule_alone_and_never_hold_an_exit_back() -> None:
    small = knowing("margin", facts(position=100), net_liquidation=D(24_999), day_trades=9)
    assert checks.buying_power(buy(1), small, edges.FROM_NEXT_DAY).reason == "it could become a day trade too many"
    assert checks.buying_power(sell(100), small, edges.FROM_NEXT_DAY).passed
    assert checks.buying_power(buy(1), small, limits(min_excess_liquidity_ratio=D(0))).passed
    unknown: list[dict[str, Any]] = [{"net_liquidation": None}, {"day_trades": None}]
    older = [checks.buying_power(buy(1), knowing("margin", **lacking), edges.FROM_NEXT_DAY) for lacking in unknown]
    assert [f.reason for f in older] == ["not known: net_liquidation", "not known: day_trades"]
    assert checks.buying_power(buy(1), knowing("margin", net_liquidation=None), edges.FROM_THAT_DAY).passed


@pytest.mark.parametrize(("check", "limit", "found"), [
    (checks.data_fitness, limits(max_clock_skew_s=2.0), knowing("market", clock_skew_s=float("nan"))),
    (checks.borrow, edges.BORROW, knowing("borrow", level=float("nan"))),
    (checks.borrow, edges.BORROW, knowing("borrow", fee_rate=float("nan"))),
    (checks.max_order_quantity, limits(max_order_adv_ratio=0.01), facts(average_daily_volume=float("nan"))),
    (checks.position_limit, limits(max_position_adv_ratio=0.01), facts(average_daily_volume=float("inf"))),
])  # fmt: skip
def test_a_fact_that_is_no_number_refuses(check: Check, limit: RiskLimit, found: Facts) -> None:
    assert check(sell(1), KNOWN, limit).passed
    assert not check(sell(1), found, limit).passed


def test_a_check_that_cannot_be_computed_refuses() -> None:
    found = checks.price_collar(buy(1, limit="1.00"), edges.broken(D("NaN")), limits(price_collar_ratio=D(1)))
    assert not found.passed
    assert found.reason.startswith("cannot be judged: ")
    assert not checks.fat_finger(buy(1), edges.broken(D(0)), limits(fat_finger_ratio=D(1))).passed


def test_an_unknown_volume_does_not_trap_a_position() -> None:
    limit, held = (
        limits(max_order_quantity=10, max_order_adv_ratio=0.01),
        facts(average_daily_volume=None, position=100),
    )
    assert checks.max_order_quantity(sell(100), held, limit).passed
    assert not checks.max_order_quantity(sell(101), held, limit).passed


TRAPS: tuple[Callable[[Order, Facts, RiskLimit], CheckResult], ...] = (
    checks.max_order_quantity, checks.max_order_notional, checks.position_limit,
)  # fmt: skip


@pytest.mark.parametrize("check", TRAPS)
@pytest.mark.parametrize("sign", [1, -1])
def test_no_limit_on_size_or_value_traps_a_position(check: Check, sign: int) -> None:
    tight = limits(
        max_order_quantity=1, max_order_notional=D(1), max_order_equity_ratio=D("0.00001"),
        max_position_equity_ratio=D("0.00001"),
    )  # fmt: skip
    held = facts(position=sign * 1_000, reference_price=D("100.00"))
    close, more = (sell(1_000), buy(2)) if sign > 0 else (buy(1_000), sell(2))
    assert check(close, held, tight).passed
    assert not check(more, held, tight).passed


@pytest.mark.parametrize(
    ("order", "position", "open_buy", "open_sell", "reducing"),
    [
        (sell(100), 100, 0, 0, True),
        (sell(101), 100, 0, 0, False),  # through zero
        (sell(50), 100, 0, 51, False),  # with what is already being sold
        (sell(50), 100, 500, 50, True),  # buys that may never fill do not count as held
        (sell(1), 0, 0, 0, False),
        (sell(1), -5, 0, 0, False),
        (buy(100), -100, 0, 0, True),
        (buy(50), -100, 51, 0, False),
        (buy(1), 5, 0, 0, False),
    ],
)
def test_an_order_reduces_only_if_it_does_so_when_every_open_order_fills(
    order: Order, position: int, open_buy: int, open_sell: int, reducing: bool
) -> None:
    found = facts(position=position, open_buy=open_buy, open_sell=open_sell).snapshot
    assert is_reducing(order, found) is reducing


def test_results_carry_the_numbers_that_were_used_and_the_limit() -> None:
    quantity = checks.max_order_quantity(buy(101), KNOWN, limits(max_order_quantity=100))
    assert quantity.numbers == {"used": 101, "limit": 100}
    worth = checks.max_order_notional(buy(101), KNOWN, limits(max_order_notional=D(10_000)))
    assert worth.numbers == {"used": D("10100.00"), "limit": D(10_000)}
    collar = checks.price_collar(buy(1, limit="105.00"), KNOWN, limits(price_collar_ratio=D("0.03")))
    assert collar.numbers == {"reference": D("100.00"), "used": D("0.05"), "limit": D("0.03")}
    position = checks.position_limit(buy(41), facts(position=60), limits(max_position_equity_ratio=D("0.1")))
    assert position.numbers == {"units": 101, "used": D("10100.00"), "limit": Decimal("10000.0"), "of": "value"}
    rate = checks.message_rate(buy(1), rated(1, 2, 3), limits(messages_per_s=1, bursts_per_s_strategy=9))
    assert rate.numbers == {
        "used": 2, "limit": 1, "of": "messages", "bursts": 4, "bursts_limit": 9
    }  # fmt: skip
    least = checks.min_order_notional(buy(1), KNOWN, limits(min_order_notional=D(200)))
    assert least.numbers == {"used": D("100.00"), "limit": D(200), "at_least": True}


def test_of_several_limits_a_broken_one_is_reported_first_and_all_with_their_headroom() -> None:
    tight = limits(max_open_orders=100, max_open_orders_instrument=5)
    near = knowing("conduct", open_orders=50, instrument_open_orders=1)
    assert checks.open_orders(buy(1), near, tight).numbers == {
        "used": 51, "limit": 100, "of": "account", "instrument": 2, "instrument_limit": 5
    }  # fmt: skip
    broken = checks.open_orders(buy(1), knowing("conduct", near, instrument_open_orders=5), tight)
    assert broken.numbers == {"used": 6, "limit": 5, "of": "instrument", "account": 51, "account_limit": 100}
    assert broken.reason == "too many open orders: instrument"
    both = checks.open_orders(buy(1), KNOWN, limits(max_open_orders=0, max_open_orders_instrument=0))
    assert (both.passed, both.numbers["of"]) == (False, "account")


def test_a_window_of_zero_is_off() -> None:
    assert checks.duplicate_intent(buy(1), aged(0), limits(duplicate_window_s=0.0)).passed


def test_a_refusal_by_state_says_who_stopped_trading() -> None:
    halted = structs.replace(facts(TradingState.HALTED), state_reason="operator: lunch")
    assert checks.trading_state(buy(1), halted, OFF).reason == "trading is HALTED: operator: lunch"


def test_no_rate_limit_means_any_rate() -> None:
    assert checks.message_rate(buy(1), rated(10**6, 10**6, 10**6), OFF).passed


def test_a_check_without_limits_is_on_under_a_profile_of_any_name() -> None:
    assert checks.price_grid.on(RiskLimit(profile="x"))
