"""Each check passes at its limit and fails one unit beyond; what it does not know, it refuses."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec import structs

from robotrader.model import CheckResult, Order, RiskCheck, RiskLimit, TradingState
from robotrader.risk import checks
from robotrader.risk.checks import CHECKS, Check, Facts, RateCounts, is_reducing
from tests import builders as make
from tests.unit.risk.facts import KNOWN, OFF, D, buy, facts, sell

WINDOW = 2_000_000_000
"""Two seconds, the duplicate window below, in ns."""


def limits(**kwargs: object) -> RiskLimit:
    return structs.replace(OFF, **kwargs)


def aged(age_ns: int | None, *, known: bool = False) -> Facts:
    return structs.replace(KNOWN, same_terms_age_ns=age_ns, known_intent=known)


def rated(messages: int = 0, instrument: int = 0, bursts: int = 0) -> Facts:
    rates = RateCounts(messages=messages, instrument_messages=instrument, strategy_bursts=bursts)
    return structs.replace(KNOWN, rates=rates)


Case = tuple[Check, RiskLimit, tuple[Order, Facts], tuple[Order, Facts]]

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
    "grid-quantity": (checks.price_grid, OFF, (buy(1), KNOWN), (buy(0), KNOWN)),
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


@pytest.mark.parametrize("case", EDGES.values(), ids=EDGES.keys())
def test_a_check_passes_at_its_limit_and_fails_one_unit_beyond(case: Case) -> None:
    check, limit, at, beyond = case
    assert check(*at, limit).passed
    refused = check(*beyond, limit)
    assert not refused.passed
    assert refused.reason, "a refusal says why"
    assert check(*at, limit).reason == "", "a pass needs no reason"


def test_every_check_has_an_edge_here_and_its_own_name() -> None:
    assert {case[0] for case in EDGES.values()} == set(CHECKS)
    assert [check(buy(1), KNOWN, OFF).check for check in CHECKS] == list(RiskCheck)


UNKNOWN: dict[str, tuple[Check, RiskLimit, Facts]] = {
    "adv": (checks.max_order_quantity, limits(max_order_quantity=100, max_order_adv_ratio=0.01),
            facts(average_daily_volume=None)),
    "notional": (checks.max_order_notional, limits(max_order_notional=D(10**9)), facts(reference_price=None)),
    "collar": (checks.price_collar, limits(price_collar_ratio=D(1)), facts(reference_price=None)),
    "collar-age": (checks.price_collar, limits(price_collar_ratio=D(1)), facts(reference_age_ns=None)),
    "collar-spec": (checks.price_collar, limits(price_collar_ratio=D(1)), facts(reference_spec_ns=None)),
    "fat-finger-close": (checks.fat_finger, limits(fat_finger_ratio=D(1)), facts(last_close=None)),
    "fat-finger-price": (checks.fat_finger, limits(fat_finger_ratio=D(1)), facts(reference_price=None)),
    "position": (checks.position_limit, limits(max_position_equity_ratio=D(1)), facts(reference_price=None)),
}  # fmt: skip


@pytest.mark.parametrize(("check", "limit", "unknown"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_a_check_needs_and_does_not_know_is_a_refusal(check: Check, limit: RiskLimit, unknown: Facts) -> None:
    assert check(buy(1), KNOWN, limit).passed
    assert not check(buy(1), unknown, limit).passed
    assert check(buy(1), unknown, OFF).passed, "a limit that is off asks for nothing"


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


def test_results_carry_the_numbers_that_were_used() -> None:
    quantity = checks.max_order_quantity(buy(101), KNOWN, limits(max_order_quantity=100))
    assert quantity.numbers == {"quantity": 101, "limit": 100}
    worth = checks.max_order_notional(buy(101), KNOWN, limits(max_order_notional=D(10_000)))
    assert worth.numbers == {"value": D("10100.00"), "limit": D(10_000)}
    collar = checks.price_collar(buy(1, limit="105.00"), KNOWN, limits(price_collar_ratio=D("0.03")))
    assert collar.numbers == {"reference": D("100.00"), "off": D("0.05"), "limit": D("0.03")}
    position = checks.position_limit(buy(41), facts(position=60), limits(max_position_equity_ratio=D("0.1")))
    assert position.numbers == {"units": 101, "value": D("10100.00"), "limit": Decimal("10000.0")}
    rate = checks.message_rate(buy(1), rated(1, 2, 3), limits(messages_per_s=1))
    assert rate.numbers == {"messages": 1, "instrument": 2, "bursts": 3}


def test_a_window_of_zero_is_off() -> None:
    assert checks.duplicate_intent(buy(1), aged(0), limits(duplicate_window_s=0.0)).passed


def test_a_refusal_by_state_says_who_stopped_trading() -> None:
    halted = structs.replace(facts(TradingState.HALTED), state_reason="operator: lunch")
    assert checks.trading_state(buy(1), halted, OFF).reason == "trading is HALTED: operator: lunch"


def test_no_rate_limit_means_any_rate() -> None:
    assert checks.message_rate(buy(1), rated(10**6, 10**6, 10**6), OFF).passed
