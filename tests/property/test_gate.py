"""The gate: tighter limits never let more through, and reducing means reducing whatever then fills."""

import itertools
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from robotrader.model import Approved, Denied, Order, OrderType, RiskLimit, Side, TradingState
from robotrader.risk.checks import Facts, RateCounts
from robotrader.risk.gate import evaluate
from tests import builders as make
from tests.unit.risk.facts import OFF, SNAPSHOT, D

IDS = (make.SPY.id, make.QQQ.id)


def tighter_number(kind: Any) -> Any:
    """Draw a limit, None for off, and one that is at least as tight."""
    some = st.tuples(kind, kind).map(lambda pair: (max(pair), min(pair)))
    return st.one_of(st.just((None, None)), some, kind.map(lambda x: (None, x)))


ratio = st.integers(0, 100).map(lambda n: D(n) / 100)
LIMITS = {
    "max_order_quantity": tighter_number(st.integers(0, 300)),
    "max_order_adv_ratio": tighter_number(st.integers(0, 100).map(lambda n: n / 100)),
    "max_order_notional": tighter_number(st.integers(0, 30_000).map(D)),
    "max_order_equity_ratio": tighter_number(ratio),
    "price_collar_ratio": tighter_number(ratio),
    "fat_finger_ratio": tighter_number(ratio),
    "reference_max_age_bars": tighter_number(st.integers(0, 4).map(lambda n: n / 2)),
    "duplicate_window_s": tighter_number(st.integers(0, 10).map(float)).map(
        lambda pair: pair if None in pair else pair[::-1]
    ),
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
    age = draw(st.none() | st.integers(0, 11_000_000_000))
    return Facts(snapshot=snapshot, rates=rates, known_intent=draw(st.booleans()), same_terms_age_ns=age,
                 state=draw(st.sampled_from(TradingState)), state_reason="")  # fmt: skip


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
