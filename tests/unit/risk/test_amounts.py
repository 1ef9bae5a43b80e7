"""What an order may come to, worked out by hand."""

import pytest
from msgspec import structs

from robotrader.risk.checks.amounts import sides, to_borrow, unit_value
from tests import builders as make
from tests.unit.risk.facts import D, buy, facts, sell


@pytest.mark.parametrize(
    ("limit", "stop", "value"),
    [(None, None, "500"), ("101.00", None, "505"), ("99.00", None, "500"), (None, "104.00", "520"),
     (None, "96.00", "500"), ("101.00", "104.00", "520"), ("104.00", "101.00", "520")],
)  # fmt: skip
def test_a_unit_counts_at_the_highest_price_that_it_may_trade_at(
    limit: str | None, stop: str | None, value: str
) -> None:
    known = facts(instrument=structs.replace(make.SPY, multiplier=D(5)), reference_price=D(100)).snapshot
    order = structs.replace(buy(1), limit_price=limit and D(limit), stop_price=stop and D(stop))
    assert unit_value(order, known) == D(value)


def test_the_worst_case_of_a_side_is_that_all_of_it_fills_and_nothing_of_the_other() -> None:
    assert sides(buy(7), 100, 20, 30) == (127, 70)
    assert sides(sell(7), 100, 20, 30) == (120, 63)


@pytest.mark.parametrize(
    ("position", "waiting", "units", "borrowed"),
    [(10, 0, 5, 0), (10, 0, 10, 0), (10, 4, 10, 4), (0, 0, 3, 3), (-8, 2, 3, 5)],
)
def test_what_is_sold_beyond_what_is_held_must_be_borrowed(
    position: int, waiting: int, units: int, borrowed: int
) -> None:
    assert to_borrow(sell(units), facts(position=position, open_sell=waiting).snapshot) == borrowed
    assert to_borrow(buy(units), facts(position=position, open_sell=waiting).snapshot) == 0
