"""Sizes follow volatility, and are never more than all of the equity. What all rules have in common: `test_planner`."""

from decimal import Decimal
from itertools import accumulate

from hypothesis import assume, given
from hypothesis import strategies as st

from robotrader.portfolio.sizing import (
    CLOSES,
    CONSTRUCTIONS,
    SizingInputs,
    annual_returns,
    average_true_range,
    parse_sizer,
    target_quantity,
)

D = Decimal
cents = st.integers(1, 10**8).map(lambda c: D(c) / 100)
ratios = st.integers(1, 10_000).map(lambda n: D(n) / 10_000)
moves = st.lists(st.floats(-0.2, 0.2), min_size=CLOSES - 1, max_size=CLOSES - 1)
prices = st.lists(st.one_of(st.floats(), st.floats(1, 1_000), st.floats(99, 101)), max_size=CLOSES + 1)


def closes(returns: list[float], scale: float) -> list[float]:
    return list(accumulate(returns, lambda close, step: close * (1 + step * scale), initial=100.0))


@given(moves, ratios, cents, cents)
def test_twice_the_volatility_is_half_the_size(
    returns: list[float], ratio: Decimal, equity: Decimal, price: Decimal
) -> None:
    sizer = parse_sizer(f"volatility:{ratio}")
    once, twice = (annual_returns(closes(returns, scale), 252) for scale in (1, 2))
    assert once is not None
    assert twice is not None
    assume(once.volatility > ratio)  # else the cap holds
    size, half = (
        sizer.size(SizingInputs(equity=equity, price=price, multiplier=D(1), returns=r)) for r in (once, twice)
    )
    assert abs(half * 2 / size - 1) < D("1e-9")
    assert abs(target_quantity(1.0, size) - 2 * target_quantity(1.0, half)) <= 2


@given(st.sampled_from(["volatility", "kelly"]), ratios, prices, st.sampled_from([1, -1]), cents, cents)
def test_a_size_is_a_number_from_nothing_to_all_in_whatever_the_closes(
    rule: str, ratio: Decimal, seen: list[float], direction: int, equity: Decimal, price: Decimal
) -> None:  # fmt: skip
    inputs = SizingInputs(equity=equity, price=price, multiplier=D(1), returns=annual_returns(seen, 98_280),
                          direction=direction)  # fmt: skip
    size = parse_sizer(f"{rule}:{ratio}").size(inputs)
    assert size.is_finite()
    assert 0 <= size <= parse_sizer("all_in").size(inputs)


@given(moves, ratios, cents, cents)
def test_kelly_takes_one_side_at_most_and_the_whole_is_no_less_than_its_fraction(
    returns: list[float], ratio: Decimal, equity: Decimal, price: Decimal
) -> None:
    def size(text: str, direction: int) -> Decimal:
        return parse_sizer(text).size(SizingInputs(
            equity=equity, price=price, multiplier=D(1), returns=annual_returns(closes(returns, 1), 252),
            direction=direction,
        ))  # fmt: skip

    long, short = (size(f"kelly:{ratio}", direction) for direction in (1, -1))
    assert long == 0 or short == 0
    assert long <= size("kelly:1", 1)
    assert short <= size("kelly:1", -1)


ranges = st.lists(st.integers(1, 1_000), min_size=15, max_size=15)


@given(ranges, ratios, cents, cents)
def test_twice_the_true_range_is_half_the_size(
    cents_each: list[int], ratio: Decimal, equity: Decimal, price: Decimal
) -> None:
    sizer = parse_sizer(f"atr:{ratio}")
    bars = ([(100 + scale * n / 200, 100 - scale * n / 200, 100.0) for n in cents_each] for scale in (1, 2))
    size, half = (
        sizer.size(SizingInputs(equity=equity, price=price, multiplier=D(1), atr=average_true_range(seen)))
        for seen in bars
    )
    assert abs(half * 2 / size - 1) < D("1e-9")
    assert abs(target_quantity(1.0, size) - 2 * target_quantity(1.0, half)) <= 2


@given(st.sampled_from(CONSTRUCTIONS), ratios, cents, cents, st.integers(0, 10**9).map(lambda n: D(n) / 10**9))
def test_a_share_of_a_construction_is_worth_its_part_of_the_gross(
    rule: str, ratio: Decimal, equity: Decimal, price: Decimal, weight: Decimal
) -> None:
    inputs = SizingInputs(equity=equity, price=price, multiplier=D(10), weight=weight)
    size = parse_sizer(f"{rule}:{ratio}").size(inputs)
    assert abs(size * price * 10 - equity * ratio * weight) <= equity * D("1e-20")
