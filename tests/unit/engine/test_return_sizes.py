"""Sizes from the returns of an instrument, as the trader decides with them."""

import pytest

from robotrader.model import Hold, Resize, Side, Submit
from robotrader.portfolio.sizing import CLOSES
from tests import builders as make
from tests.unit.engine.stage import NAN, config, fill, orders, send, the_order, trader


def falling(day: int) -> float:
    return 100.0 - day + (day % 2)


def test_a_size_is_zero_until_its_returns_are_known_and_the_decision_says_so() -> None:
    script = {day: ((1.0, NAN) if day in {CLOSES - 2, CLOSES - 1} else (NAN, NAN)) for day in range(CLOSES)}
    one = trader(script, config(sizer="volatility:0.1"), resize=Resize.EVERY_BAR)
    found = [one.handle(make.bars_closed(day, 100.0 + day % 2)) for day in range(CLOSES)]
    (hold,) = found[-2]
    assert isinstance(hold, Hold)
    assert hold.decision.target.quantity == 0
    assert hold.decision.target.sizing["volatility"] == "None"
    (submit,) = found[-1]
    assert isinstance(submit, Submit)
    assert submit.decision is not None
    said = submit.decision.target.sizing
    # returns of 1 / 100 and -1 / 101 in turn: 15.9 % a year, and 100,000 x 0.1 / 0.159 at a close of 100
    assert float(said["volatility"]) == pytest.approx(((1 / 100 + 1 / 101) / 2) * (252 * 62 / 61) ** 0.5)
    assert submit.order.quantity == 627


def test_kelly_buys_nothing_of_what_falls_and_may_sell_it_short() -> None:
    for strength, sides in ((1.0, []), (-1.0, [Side.SELL])):
        script = {day: ((strength, NAN) if day == CLOSES else (NAN, NAN)) for day in range(CLOSES + 1)}
        one = trader(script, config(sizer="kelly:0.5"))
        found = [one.handle(make.bars_closed(day, falling(day))) for day in range(CLOSES + 1)]
        assert [o.side for o in orders(found[-1])] == sides


def test_a_shock_shrinks_the_book_at_the_next_decision() -> None:
    one = trader(dict.fromkeys(range(CLOSES + 1), (1.0, NAN)), config(sizer="volatility:0.1"), resize=Resize.EVERY_BAR)
    for day in range(CLOSES - 1):
        one.handle(make.bars_closed(day, 100.0 + day % 2))
    bought = the_order(one.handle(make.bars_closed(CLOSES - 1, 100.0)))
    send(one, bought)
    fill(one, bought, "100.00")
    sold = the_order(one.handle(make.bars_closed(CLOSES, 75.0)))
    assert (sold.side, 2 * sold.quantity > bought.quantity) == (Side.SELL, True)
