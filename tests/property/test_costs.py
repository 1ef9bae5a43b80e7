"""What an order costs does not depend on how it is cut into fills."""

from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.model import Side
from robotrader.simulation.costs import BasisPoints, CostModel, IbkrFixed, IbkrTiered, tiered_commission

D = Decimal
MODELS = (IbkrFixed(), IbkrTiered(), BasisPoints(D("1.5")))
fill = st.tuples(st.integers(1, 100_000), st.integers(1, 100_000).map(lambda c: D(c) / 100))
days = st.dates(date(2020, 1, 1), date(2027, 12, 31))


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
@given(fills=st.lists(fill, min_size=1, max_size=6), side=st.sampled_from(Side), day=days)
def test_partial_fills_cost_together_what_one_fill_costs_and_none_pays_back(
    model: CostModel, fills: list[tuple[int, Decimal]], side: Side, day: date
) -> None:
    quantity, notional, paid = 0, D(0), [D(0)]
    for units, price in fills:
        quantity, notional = quantity + units, notional + units * price
        paid.append(model.total(side=side, quantity=quantity, notional=notional, day=day))
    steps = [after - before for before, after in pairwise(paid)]
    assert all(step >= 0 for step in steps)
    assert sum(steps) == model.total(side=side, quantity=quantity, notional=notional, day=day)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 2 * 10**8))
def test_tiers_add_up(first: int, second: int, monthly: int) -> None:
    """Two large orders cost what one of both costs, the second one counted after the first."""
    worth = D(10**12)  # no cap
    a, b = max(first, 1_000), max(second, 1_000)  # no minimum
    apart = tiered_commission(a, worth, monthly) + tiered_commission(b, worth, monthly + a)
    assert tiered_commission(a + b, worth, monthly) == apart


@given(st.integers(1, 10**6), st.integers(1, 10**6).map(lambda c: D(c) / 100), days)
def test_a_sale_never_costs_less_than_a_purchase(quantity: int, price: Decimal, day: date) -> None:
    for model in MODELS:
        bought, sold = (model.total(side=s, quantity=quantity, notional=quantity * price, day=day) for s in Side)
        assert sold >= bought > 0 or bought == 0
