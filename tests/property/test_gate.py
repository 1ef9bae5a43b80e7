"""The gate: tighter limits never let more through, and reducing means reducing whatever then fills."""

import itertools
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from robotrader.model import Approved, Denied, Order, OrderType, RiskCheck, RiskLimit, Side, Stage, TradingState
from robotrader.risk.facts import (
    Authority,
    Borrow,
    Budget,
    Conduct,
    Exposures,
    Facts,
    Losses,
    Margin,
    Market,
    RateCounts,
    Session,
    Standing,
    is_reducing,
)
from robotrader.risk.gate import evaluate
from tests import builders as make
from tests.unit.risk.facts import OFF, SNAPSHOT, D

IDS = (make.SPY.id, make.QQQ.id)


def tighter_number(kind: Any) -> Any:
    """Draw a limit, None for off, and one that is at least as tight."""
    some = st.tuples(kind, kind).map(lambda pair: (max(pair), min(pair)))
    return st.one_of(st.just((None, None)), some, kind.map(lambda x: (None, x)))


def higher_is_tighter(kind: Any) -> Any:
    """Draw a limit, None for off, and one that is at least as tight where more is tighter."""
    return tighter_number(kind).map(lambda pair: pair if None in pair else pair[::-1])


def make_day(n: int) -> date:
    """Return a day by its distance to that of the orders."""
    return date(1970, 1, 1) + timedelta(days=make.T0 // (86_400 * 10**9) + n)


ratio = st.integers(0, 100).map(lambda n: D(n) / 100)
part = st.integers(0, 100).map(lambda n: n / 100)
seconds = st.integers(0, 10).map(float)
few_messages = st.integers(0, 30)
switch = st.sampled_from([(None, None), (None, True), (False, True), (True, True)])
LIMITS = {
    "max_order_quantity": tighter_number(st.integers(0, 300)),
    "max_order_adv_ratio": tighter_number(st.integers(0, 100).map(lambda n: n / 100)),
    "max_order_notional": tighter_number(st.integers(0, 30_000).map(D)),
    "max_order_equity_ratio": tighter_number(ratio),
    "price_collar_ratio": tighter_number(ratio),
    "fat_finger_ratio": tighter_number(ratio),
    "reference_max_age_bars": tighter_number(st.integers(0, 4).map(lambda n: n / 2)),
    "duplicate_window_s": higher_is_tighter(seconds),
    "min_order_notional": higher_is_tighter(st.integers(0, 30_000).map(D)),
    "max_repeated_fills": tighter_number(st.integers(0, 10)),
    "max_open_orders": tighter_number(st.integers(0, 10)),
    "max_open_orders_instrument": tighter_number(st.integers(0, 10)),
    "what_if_equity_ratio": tighter_number(ratio),
    "min_excess_liquidity_ratio": higher_is_tighter(ratio),
    "max_position_adv_ratio": tighter_number(part),
    "luld_bands": switch,
    "entry_cutoff_s": higher_is_tighter(seconds),
    "min_borrow_level": higher_is_tighter(seconds),
    "min_borrow_cover": higher_is_tighter(seconds),
    "max_borrow_age_s": tighter_number(seconds),
    "max_borrow_fee_ratio": tighter_number(part),
    "short_price_test": switch,
    "max_gross_ratio": tighter_number(ratio),
    "max_net_ratio": tighter_number(ratio),
    "max_leverage": tighter_number(ratio),
    "max_budget_ratio": tighter_number(ratio),
    "max_strategies_gross_ratio": tighter_number(ratio),
    "max_group_ratio": tighter_number(ratio),
    "max_order_efficiency": tighter_number(seconds),
    "order_efficiency_floor": st.tuples(few_messages, few_messages).map(lambda pair: (max(pair), min(pair)))
    | few_messages.map(lambda n: (n, None)),
    "intraday_margin_from": higher_is_tighter(st.sampled_from([make_day(n) for n in range(-1, 3)])),
    "soft_daily_loss_ratio": tighter_number(ratio),
    "max_daily_loss_ratio": tighter_number(ratio),
    "max_drawdown_ratio": tighter_number(ratio),
    "quote_max_age_s": tighter_number(seconds),
    "live_data_required": switch,
    "max_clock_skew_s": tighter_number(seconds),
    "standing_required": switch,
    "authority_required": switch,
    "allow_list": st.sampled_from([(None, None), (None, IDS), (None, ()), (IDS, IDS[:1]), (IDS, ()), (IDS[:1], ())]),
    "messages_per_s": tighter_number(st.integers(0, 50)),
    "messages_per_s_instrument": tighter_number(st.integers(0, 10)),
    "bursts_per_s_strategy": tighter_number(st.integers(0, 4)),
    "max_position_equity_ratio": tighter_number(ratio),
}
limit_pairs = st.fixed_dictionaries(LIMITS).map(
    lambda pairs: tuple(structs.replace(OFF, **{name: pair[k] for name, pair in pairs.items()}) for k in (0, 1))
)

price = st.integers(5_000, 20_000).map(lambda c: D(c) / 100)
maybe_price = st.none() | price
units = st.integers(0, 300)
few, yes, age = st.none() | st.integers(0, 12), st.none() | st.booleans(), st.none() | st.integers(0, 11_000_000_000)
money = st.integers(-50_000, 50_000).map(D)
maybe_money = st.none() | money
GROUPS: dict[str, st.SearchStrategy[Any]] = {
    "conduct": st.builds(Conduct, recent_fills=few, open_orders=few, instrument_open_orders=few, submitted=few,
                         revised=few, canceled=few, executed=few,
                         opposite=st.none() | st.just(()) | st.just((make.order(9, side=Side.SELL),))),
    "market": st.builds(Market, bid=maybe_price, ask=maybe_price, quote_age_ns=age, live=yes,
                        clock_skew_s=st.none() | st.floats(-9, 9), halted=yes, limit_state=yes,
                        lower_band=maybe_price, upper_band=maybe_price, luld_tier=st.sampled_from([None, 1, 2]),
                        short_restricted=yes),
    "session": st.builds(Session, executes=age, opens=age, closes=age),
    "borrow": st.builds(Borrow, level=st.none() | st.floats(0, 9), shares=st.none() | st.integers(0, 900),
                        fee_rate=st.none() | st.floats(0, 1), age_ns=age),
    "margin": st.builds(Margin, net_liquidation=maybe_money, excess_liquidity=maybe_money, excess_after=maybe_money,
                        day_trades=few),
    "exposures": st.none() | st.builds(
        Exposures, money.map(abs), money, money, st.just(()) | money.map(lambda m: (("tech", abs(m)),))),
    "budget": st.builds(Budget, allocated=maybe_money, others=maybe_money, position=few, open_buy=few, open_sell=few,
                        all_others=maybe_money),
    "losses": st.builds(Losses, equity=maybe_money, day_start=maybe_money, peak=maybe_money),
    "standing": st.builds(Standing, connected=yes, heartbeat_fresh=yes, reconciled=yes, outside_reset=yes,
                          lease_held=yes),
    "authority": st.builds(Authority, mode=st.sampled_from([None, "live", "paper", "backtest"]),
                           stage=st.none() | st.sampled_from(Stage), model_signed=yes, role_allowed=yes),
}  # fmt: skip


@st.composite
def orders(draw: st.DrawFn) -> Order:
    order = make.order(side=draw(st.sampled_from(Side)), quantity=draw(st.integers(1, 300)),
                       instrument=draw(st.sampled_from(IDS)))  # fmt: skip
    match draw(st.sampled_from(OrderType)):
        case OrderType.LIMIT:
            return structs.replace(order, type=OrderType.LIMIT, limit_price=draw(price))
        case OrderType.STOP:
            return structs.replace(order, type=OrderType.STOP, stop_price=draw(price))
        case _:
            return order


@st.composite
def all_facts(draw: st.DrawFn) -> Facts:
    snapshot = structs.replace(
        SNAPSHOT, equity=D(draw(st.integers(-1_000, 100_000))), position=draw(st.integers(-300, 300)),
        open_buy=draw(units), open_sell=draw(units), last_close=draw(maybe_price), reference_price=draw(maybe_price),
        reference_age_ns=draw(st.none() | st.integers(0, 3 * make.DAY)),
        average_daily_volume=draw(st.none() | st.integers(0, 1_000).map(float)),
    )  # fmt: skip
    rates = RateCounts(messages=draw(st.integers(0, 50)), instrument_messages=draw(st.integers(0, 10)),
                       strategy_bursts=draw(st.integers(0, 4)))  # fmt: skip
    return Facts(snapshot=snapshot, rates=rates, known_intent=draw(st.booleans()), same_terms_age_ns=draw(age),
                 state=draw(st.sampled_from(TradingState)), state_reason="",
                 **draw(st.fixed_dictionaries(GROUPS)))  # fmt: skip


@given(orders(), all_facts(), limit_pairs)
def test_approved_means_that_every_check_passed_and_none_was_left_out(
    order: Order, facts: Facts, pair: tuple[RiskLimit, RiskLimit]
) -> None:
    verdict = evaluate(order, facts, pair[1])
    assert [r.check for r in verdict.checks] == list(RiskCheck)
    assert isinstance(verdict, Approved) == all(r.passed for r in verdict.checks)
    assert all(r.passed == (not r.reason) for r in verdict.checks)
    assert not any("cannot be judged" in r.reason for r in verdict.checks)
    for result in verdict.checks:
        if {"used", "limit"} <= result.numbers.keys() and result.passed:
            used, limit = result.numbers["used"], result.numbers["limit"]
            assert used >= limit if "at_least" in result.numbers else limit is None or used <= limit


_ODD = st.sampled_from([D(0), D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity"), D(-5), D("1e999999"), None, "text"])


@given(
    orders(),
    all_facts(),
    limit_pairs,
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("equity", "last_close", "reference_price", "average_daily_volume"), _ODD)
    ),
)
def test_facts_that_are_no_numbers_are_refused_and_never_raise(
    order: Order, facts: Facts, pair: tuple[RiskLimit, RiskLimit], odd: dict[str, Any]
) -> None:
    broken = structs.replace(facts, snapshot=structs.replace(facts.snapshot, **odd),
                             margin=Margin(excess_after=odd.get("equity")))  # fmt: skip
    assert len(evaluate(order, broken, pair[1]).checks) == len(RiskCheck)


_NEVER_FOR_EXITS = set(RiskCheck) - {
    RiskCheck.MAX_ORDER_QUANTITY, RiskCheck.PRICE_COLLAR, RiskCheck.FAT_FINGER, RiskCheck.PRICE_GRID,
    RiskCheck.DUPLICATE_INTENT, RiskCheck.ALLOW_LIST, RiskCheck.MESSAGE_RATE, RiskCheck.LULD, RiskCheck.SESSION,
    RiskCheck.LOSS_LIMIT, RiskCheck.TRADING_STATE,
}  # fmt: skip


@given(orders(), all_facts(), limit_pairs)
def test_no_exposure_check_ever_blocks_an_order_that_reduces(
    order: Order, facts: Facts, pair: tuple[RiskLimit, RiskLimit]
) -> None:
    held = structs.replace(facts.snapshot, position=-order.side.sign * order.quantity, open_buy=0, open_sell=0)
    assert is_reducing(order, held)
    verdict = evaluate(order, structs.replace(facts, snapshot=held), pair[1])
    assert not {r.check for r in verdict.checks if not r.passed} & _NEVER_FOR_EXITS


@given(orders(), all_facts(), limit_pairs)
def test_a_tighter_limit_never_lets_more_through(order: Order, facts: Facts, pair: tuple[RiskLimit, RiskLimit]) -> None:
    wide, tight = (evaluate(order, facts, limits) for limits in pair)
    failed = set(wide.reasons) if isinstance(wide, Denied) else set()
    assert failed <= (set(tight.reasons) if isinstance(tight, Denied) else set())


@given(orders(), all_facts(), st.sampled_from(sorted(TradingState, key=lambda s: s.severity)))
def test_a_worse_state_never_lets_more_through(order: Order, facts: Facts, state: TradingState) -> None:
    now, then = (evaluate(order, structs.replace(facts, state=s), OFF) for s in (facts.state, state))
    if state.severity >= facts.state.severity and isinstance(now, Denied):
        assert isinstance(then, Denied)


@given(
    st.integers(-50, 50),
    st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 40)), min_size=1, max_size=6),
)
def test_while_reducing_no_mix_of_fills_makes_the_position_larger_or_turns_it(
    position: int, wanted: list[tuple[Side, int]]
) -> None:
    let_through: list[int] = []
    for side, quantity in wanted:
        snapshot = structs.replace(
            SNAPSHOT, position=position, open_buy=sum(q for q in let_through if q > 0),
            open_sell=-sum(q for q in let_through if q < 0),
        )  # fmt: skip
        order = make.order(side=side, quantity=quantity)
        facts = structs.replace(_REDUCING, snapshot=snapshot)
        if isinstance(evaluate(order, facts, OFF), Approved):
            let_through.append(side.sign * quantity)
    for n in range(len(let_through) + 1):
        for filled in itertools.combinations(let_through, n):
            after = position + sum(filled)
            assert abs(after) <= abs(position)
            assert after * position >= 0


_REDUCING = Facts(
    snapshot=SNAPSHOT, rates=RateCounts(messages=0, instrument_messages=0, strategy_bursts=0), known_intent=False,
    same_terms_age_ns=None, state=TradingState.REDUCING, state_reason="",
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 150)), max_size=8), st.integers(1, 100))
def test_the_position_limit_holds_whatever_fills(wanted: list[tuple[Side, int]], percent: int) -> None:
    """Approved orders may fill in any mix: the position's value stays within the limit."""
    limits = structs.replace(OFF, max_position_equity_ratio=Decimal(percent) / 100)
    most = 100_000 * percent // 100 // 100  # equity 100,000 at a price of 100
    opened = {Side.BUY: 0, Side.SELL: 0}
    for side, quantity in wanted:
        snapshot = structs.replace(SNAPSHOT, open_buy=opened[Side.BUY], open_sell=opened[Side.SELL])
        facts = structs.replace(_REDUCING, state=TradingState.ACTIVE, snapshot=snapshot)
        if isinstance(evaluate(make.order(side=side, quantity=quantity), facts, limits), Approved):
            opened[side] += quantity
    assert max(opened.values()) <= most
