"""The planner and perfect fills reach the target; sizes never exceed what their rule states."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from robotrader.execution.planner import plan
from robotrader.model import Target
from robotrader.portfolio.sizing import SizingInputs, parse_sizer, target_quantity
from tests import builders as make

D = Decimal
units = st.integers(-(10**6), 10**6)
cents = st.integers(1, 10**8).map(lambda c: D(c) / 100)
strength = st.floats(-1, 1).map(lambda x: round(x, 9))
lots = st.sampled_from([1, 1, 1, 10, 100])


@given(units, units, units)
def test_an_order_that_fills_reaches_the_target(quantity: int, position: int, working: int) -> None:
    target = Target(strategy=make.TREND, instrument=make.SPY.id, ts_event=make.T0, quantity=quantity)
    order = plan(target, position=position, working=working, version="1")
    ordered = 0 if order is None else order.side.sign * order.quantity
    assert position + working + ordered == quantity
    assert order is None or order.quantity > 0


@given(units, units, units)
def test_what_is_planned_needs_no_second_order(quantity: int, position: int, working: int) -> None:
    target = Target(strategy=make.TREND, instrument=make.SPY.id, ts_event=make.T0, quantity=quantity)
    order = plan(target, position=position, working=working, version="1")
    ordered = 0 if order is None else order.side.sign * order.quantity
    assert plan(target, position=position, working=working + ordered, version="1") is None


rules = st.sampled_from(["notional", "percent", "all_in", "atr", "fixed"])


@given(rules, st.integers(1, 10_000), strength, cents, cents, cents, lots)
def test_a_target_never_exceeds_what_its_rule_allows(
    rule: str, number: int, view: float, equity: Decimal, price: Decimal, atr: Decimal, lot: int
) -> None:
    value = D(number) if rule in {"notional", "fixed"} else D(number) / 10_000
    text = rule if rule == "all_in" else f"{rule}:{value}"
    inputs = SizingInputs(equity=equity, price=price, multiplier=D(1), atr=atr)
    quantity = target_quantity(view, parse_sizer(text).size(inputs), lot)
    cap, used = {
        "fixed": (value, D(1)), "notional": (value, price), "percent": (equity * value, price),
        "all_in": (equity, price), "atr": (equity * value, atr),
    }[rule]  # fmt: skip
    share = abs(D(repr(view)))
    assert abs(quantity) * used <= cap * share, "the floor never exceeds the cap"
    assert (abs(quantity) + lot) * used > cap * share, "and is the largest number of lots below it"
    assert quantity % lot == 0
    assert quantity == 0 or (quantity > 0) == (view > 0)


@given(strength, st.integers(1, 10**9).map(lambda n: D(n) / 1_000), lots)
def test_long_and_short_are_mirror_images(view: float, size: Decimal, lot: int) -> None:
    assert target_quantity(-view, size, lot) == -target_quantity(view, size, lot)


@given(cents, cents, cents)
def test_twice_the_range_is_half_the_size(equity: Decimal, price: Decimal, atr: Decimal) -> None:
    sizer = parse_sizer("atr:0.01")
    once, twice = (
        target_quantity(1.0, sizer.size(SizingInputs(equity=equity, price=price, multiplier=D(1), atr=atr * k)))
        for k in (1, 2)
    )
    assert twice == once // 2


@given(st.lists(strength, min_size=2, max_size=2), st.integers(1, 10**6).map(D))
def test_a_stronger_view_is_never_a_smaller_target(views: list[float], size: Decimal) -> None:
    weak, strong = sorted(views)
    assert target_quantity(weak, size) <= target_quantity(strong, size)
