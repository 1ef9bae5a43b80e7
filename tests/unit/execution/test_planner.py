"""Target minus position minus working orders."""

import pytest

from robotrader.execution.planner import plan
from robotrader.model import OrderType, Purpose, Side, StrategyId, Target, TimeInForce, derive_order_id
from tests import builders as make


def target(quantity: int) -> Target:
    return Target(strategy=make.TREND, instrument=make.SPY.id, ts_event=make.T0, quantity=quantity)


@pytest.mark.parametrize(
    ("wanted", "position", "working", "side", "quantity"),
    [
        (100, 0, 0, Side.BUY, 100),
        (0, 100, 0, Side.SELL, 100),
        (-50, 100, 0, Side.SELL, 150),
        (100, 0, 60, Side.BUY, 40),
        (0, 100, -60, Side.SELL, 40),
        (0, 0, 100, Side.SELL, 100),  # what is still being bought is sold again
        (100, 150, -100, Side.BUY, 50),
    ],
)
def test_the_order_is_what_is_missing(wanted: int, position: int, working: int, side: Side, quantity: int) -> None:
    order = plan(target(wanted), position=position, working=working, version="1")
    assert order is not None
    assert (order.side, order.quantity) == (side, quantity)
    assert (order.type, order.tif, order.purpose) == (OrderType.MARKET, TimeInForce.DAY, Purpose.TARGET)
    assert (order.strategy, order.instrument, order.ts_event) == (make.TREND, make.SPY.id, make.T0)


@pytest.mark.parametrize(("wanted", "position", "working"), [(0, 0, 0), (100, 100, 0), (100, 60, 40), (-5, 0, -5)])
def test_nothing_is_ordered_when_nothing_is_missing(wanted: int, position: int, working: int) -> None:
    assert plan(target(wanted), position=position, working=working, version="1") is None


def test_the_same_decision_is_the_same_intent_whatever_its_size() -> None:
    first, second = (plan(target(q), position=0, working=0, version="1") for q in (100, 200))
    assert first is not None
    assert second is not None
    assert first.id == second.id == derive_order_id(
        strategy=make.TREND, version="1", ts_event=make.T0, instrument=make.SPY.id, purpose=Purpose.TARGET, n=0
    )  # fmt: skip


def test_each_part_of_a_decision_makes_another_intent() -> None:
    parts = {
        "strategy": (make.TREND, StrategyId("other")), "version": ("1", "2"), "ts_event": (make.T0, make.T0 + 1),
        "instrument": (make.SPY.id, make.QQQ.id), "purpose": (Purpose.TARGET, Purpose.FLATTEN), "n": (0, 1),
    }  # fmt: skip
    first = {name: values[0] for name, values in parts.items()}
    ids = {derive_order_id(**first)}  # type: ignore[arg-type]
    ids |= {derive_order_id(**{**first, name: values[1]}) for name, values in parts.items()}  # type: ignore[arg-type]
    assert len(ids) == 1 + len(parts)
    assert all(len(i) == 24 and i.startswith("RT-") for i in ids)
