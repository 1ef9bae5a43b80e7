"""What an event says of itself."""

import pytest

from robotrader.model import BreakOpened
from tests import builders as make


@pytest.mark.parametrize(
    ("broker", "ledger", "bought_in"),
    [(-20, -50, True), (0, -50, True), (10, -50, True), (-60, -50, False), (5, 0, False), (60, 50, False),
     (-5, 5, False)],
)  # fmt: skip
def test_a_short_position_that_shrank_without_us_was_bought_in(broker: int, ledger: int, *, bought_in: bool) -> None:
    ticket = BreakOpened(ts_event=1, ts_init=2, break_id="B1", instrument=make.SPY.id, broker=broker, ledger=ledger)
    assert ticket.bought_in is bought_in
