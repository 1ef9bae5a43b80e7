"""Budgets, and less of them in a drawdown."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.model import ConfigError, StrategyId
from robotrader.portfolio.allocation import USUAL, allocate, drawdown, parse_throttle

D = Decimal
A, B = StrategyId("a"), StrategyId("b")


@pytest.mark.parametrize(
    ("below", "factor"),
    [("0", "1"), ("0.0499", "1"), ("0.05", "0.5"), ("0.0999", "0.5"), ("0.1", "0"), ("0.9", "0")],
)
def test_the_deepest_step_that_is_reached_holds_at_its_level_not_before(below: str, factor: str) -> None:
    assert parse_throttle(USUAL).factor(D(below)) == D(factor)


@pytest.mark.parametrize(
    "text",
    ["", "0.05", "0.05:0.5:1", "x:0.5", "0.05:NaN", "0:0.5", "1:0.5", "0.05:1", "0.05:-0.1", "0.1:0.5,0.05:0",
     "0.05:0.5,0.05:0", "0.05:0.5,0.1:0.5", "0.05:0.5,0.1:0.6", "0.05:0.5,"],
)  # fmt: skip
def test_a_throttle_that_says_nothing_clear_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must be like 0\.05:0\.5,0\.10:0.*found"):
        parse_throttle(text)


def test_a_drawdown_is_measured_from_the_peak_and_in_profits() -> None:
    assert drawdown(D(100), peak_profit=D(25), profit=D(0)) == D("0.2")
    assert drawdown(D(100), peak_profit=D(0), profit=D(-10)) == D("0.1")
    assert drawdown(D(200), peak_profit=D(0), profit=D(-10)) == D("0.05"), "a deposit is no profit"
    assert drawdown(D(100), peak_profit=D(5), profit=D(5)) == 0
    assert drawdown(D(0), peak_profit=D(0), profit=D(-5)) == 0, "nothing was given: there is no part of it"


@given(st.integers(-(10**9), 10**12).map(lambda n: D(n) / 10**6), st.lists(st.integers(1, 500), min_size=1, max_size=9))
def test_parts_never_add_up_to_more_than_the_equity_and_lose_less_than_a_quantum_each(
    equity: Decimal, shares: list[int]
) -> None:
    budgets = {StrategyId(str(n)): D(share) / max(sum(shares), 1_000) for n, share in enumerate(shares)}
    budgets = {name: budget.quantize(D("1e-9"), rounding="ROUND_FLOOR") for name, budget in budgets.items()}
    found = allocate(equity, budgets)
    assert found.keys() == budgets.keys()
    usable = max(equity, D(0))
    assert 0 <= sum(found.values()) <= usable
    assert all(0 <= usable * budgets[name] - amount < D("1e-6") for name, amount in found.items())


@pytest.mark.parametrize(("a", "b"), [("0.6", "0.5"), ("0", "0.5"), ("1.1", "0.1"), ("-0.1", "0.5")])
def test_budgets_beyond_the_account_are_refused(a: str, b: str) -> None:
    with pytest.raises(ConfigError, match=f"found a {a}, b {b}"):
        allocate(D(100), {A: D(a), B: D(b)})


def test_what_no_budget_covers_stays_in_reserve() -> None:
    assert allocate(D("100.01"), {A: D("0.4"), B: D("0.5")}) == {A: D("40.004000"), B: D("50.005000")}
