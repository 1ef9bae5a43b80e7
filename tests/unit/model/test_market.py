"""Prices on the grid, and the one gate from float to Decimal."""

from decimal import Decimal

import pytest
from msgspec import structs

from robotrader.model import BadTick, BarSpec, InstrumentId, Venue, stock
from tests import builders as make

D = Decimal


@pytest.mark.parametrize(
    ("value", "tick", "text"),
    [
        (100.0, "0.01", "100.00"),
        (100.004, "0.01", "100.00"),
        (100.006, "0.01", "100.01"),
        (0.1 + 0.2, "0.01", "0.30"),
        (1.005, "0.01", "1.00"),  # as written: half to even, not the 1.00499... of the float
        (1.015, "0.01", "1.02"),
        (D("1.025"), "0.01", "1.02"),
        (99.97, "0.05", "99.95"),
        (99.98, "0.05", "100.00"),
        (1.23456, "0.0001", "1.2346"),
        (7, "1", "7"),
    ],
)
def test_a_price_is_a_multiple_of_the_tick_and_equal_prices_have_equal_text(
    value: float | Decimal, tick: str, text: str
) -> None:
    price = structs.replace(make.SPY, tick=D(tick)).price(value)
    assert str(price) == text
    assert structs.replace(make.SPY, tick=D(tick)).on_grid(price)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), 0.0, -1.0, 0.004, D("NaN"), D("Infinity")]
)
def test_what_is_no_positive_price_is_a_bad_tick(value: float | Decimal) -> None:
    with pytest.raises(BadTick, match=r"SPY\.ARCA"):
        make.SPY.price(value)


def test_the_grid_has_no_zero_no_negatives_and_nothing_between() -> None:
    found = [make.SPY.on_grid(D(text)) for text in ("0.01", "0", "-0.01", "0.015", "NaN", "Infinity")]
    assert found == [True, False, False, False, False, False]


def test_a_stock_is_named_symbol_and_venue() -> None:
    assert stock("SPY", Venue.ARCA).id == InstrumentId("SPY.ARCA")
    assert stock("SPY").id == "SPY.SMART"


def test_bar_lengths_in_nanoseconds() -> None:
    assert [spec.nanos // 10**9 for spec in BarSpec] == [5, 60, 300, 900, 3_600, 86_400]
