"""Rule 201: at a tenth below the close before, that day and the next."""

from decimal import Decimal
from typing import Any

import pytest

from robotrader.portfolio.short import borrow_fee, price_test

D = Decimal
QUIET: dict[str, Any] = {"previous_close": D(100), "low": D(99), "previous_low": D(99), "close_before": D(100)}


def test_without_a_fall_shorts_are_free_also_before_the_first_trade() -> None:
    assert not price_test(**QUIET)
    assert not price_test(**{**QUIET, "low": None})


@pytest.mark.parametrize(("low", "restricted"), [("90.01", False), ("90.00", True), ("89.99", True)])
def test_the_test_is_set_off_at_ten_percent_and_not_a_cent_before(low: str, *, restricted: bool) -> None:
    assert price_test(**{**QUIET, "low": D(low)}) is restricted
    assert price_test(**{**QUIET, "previous_low": D(low)}) is restricted


def test_it_holds_all_of_the_next_session_whatever_the_price_does_and_no_longer() -> None:
    fallen = {"previous_low": D(85), "close_before": D(100)}
    assert price_test(previous_close=D(110), low=D(109), **fallen)
    assert price_test(previous_close=D(110), low=None, **fallen)
    assert not price_test(previous_close=D(112), low=D(111), previous_low=D(109), close_before=D(110))


def test_each_day_is_measured_by_the_close_before_it() -> None:
    assert not price_test(previous_close=D(80), low=D(75), previous_low=D(99), close_before=D(100))


def test_a_short_pays_on_102_percent_in_whole_dollars_over_360_days() -> None:
    # 102 % of 43.21 is 44.0742: 45 dollars x 200 x 2 % x 3 / 360
    assert borrow_fee(200, D("43.21"), D("0.02"), 3) == D("1.500000")
