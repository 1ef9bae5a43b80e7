"""The books at the last prices."""

import pytest

from robotrader.model import InvariantViolation
from tests import builders as make
from tests.unit.engine.stage import NAN, D, buy_and_fill, execution, trader


def test_books_are_marked_at_the_last_close() -> None:
    one = trader({0: (1.0, NAN)})
    buy_and_fill(one, price="100.00")
    for close, equity in ((105.0, D(100_500)), (95.0, D(99_500))):
        one.handle(make.bars_closed(int(close), close, 50.0))
        mark = one.mark(7)
        assert (mark.ts_event, mark.equity, mark.gross, mark.net) == (7, equity, D(close) * 100, D(close) * 100)


def test_what_is_held_but_never_had_a_price_cannot_be_valued() -> None:
    one = trader({})
    with pytest.raises(InvariantViolation, match="never decided"):
        one.handle(execution(make.order(), "100.00"))
    with pytest.raises(InvariantViolation, match="held but never had a bar"):
        one.mark(7)
