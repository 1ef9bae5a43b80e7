"""Opposite intents of several strategies meet inside; the broker sees only what is left."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from robotrader.engine.trader import Trader
from robotrader.model import (
    Action,
    AnyCommand,
    Crossed,
    Hold,
    RiskLimit,
    Side,
    Stage,
    StrategyId,
    Submit,
)
from tests import builders as make
from tests.unit.engine.stage import NAN, NO_LIMITS, SECOND_STRATEGY, ask, buy_and_fill, config, orders, started, trader

SPY, TREND = make.SPY.id, make.TREND
STAY, AGAINST = {0: (1.0, NAN), 1: (0.0, NAN)}, {1: (1.0, NAN)}


def two(first: Any = STAY, second: Any = AGAINST, *, sizer: str = "fixed:60", limits: RiskLimit = NO_LIMITS,
        **fields: Any) -> Trader:  # fmt: skip
    """Make a trader of one strategy that sells 100 on day 1, and another that buys 60 then."""
    other = structs.replace(config(SECOND_STRATEGY, sizer=sizer), **fields)
    return trader({TREND: first, SECOND_STRATEGY: second}, config(), other, limits=limits)


def crossed(commands: Any) -> list[Crossed]:
    return [c for c in commands if isinstance(c, Crossed)]


def held(one: Trader) -> dict[StrategyId, int]:
    return {book.strategy: book.quantity(SPY) for book in one.ledger.books}


def day_one(one: Trader) -> list[AnyCommand]:
    buy_and_fill(one)
    return list(one.handle(make.bars_closed(1, 110.0)))


def test_what_one_sells_another_buys_at_the_last_close_and_only_the_rest_is_sent() -> None:
    one = two()
    commands = day_one(one)
    (meeting,) = crossed(commands)
    assert [(f.strategy, f.side, f.quantity, f.price) for f in meeting.fills] == [
        (SECOND_STRATEGY, Side.BUY, 60, Decimal("110.00")), (TREND, Side.SELL, 60, Decimal("110.00")),
    ]  # fmt: skip
    assert [(o.strategy, o.side, o.quantity) for o in orders(commands)] == [(TREND, Side.SELL, 40)]
    assert held(one) == {TREND: 40, SECOND_STRATEGY: 60}
    books = {book.strategy: book for book in one.ledger.books}
    assert books[TREND].realized_pnl == 600, "60 units bought at 100"
    assert books[TREND].cash + books[SECOND_STRATEGY].cash == 190_000, "the account's cash is as before"
    assert one.ledger.account[SPY] == 100


def test_the_decisions_say_what_met_inside() -> None:
    commands = day_one(two())
    [rest] = [c.decision for c in commands if isinstance(c, Submit)]
    [whole] = [c.decision for c in commands if isinstance(c, Hold)]
    assert rest is not None
    assert (rest.position, rest.inputs["crossed"]) == (40, "-60 at 110.00")
    assert (whole.position, whole.inputs["crossed"]) == (60, "+60 at 110.00")


def test_a_later_decision_says_nothing_of_it() -> None:
    one = two(STAY, {1: (1.0, NAN), 2: (0.0, NAN)})
    day_one(one)
    [later] = [c.decision for c in one.handle(make.bars_closed(2, 111.0)) if isinstance(c, Submit)]
    assert later is not None
    assert "crossed" not in later.inputs


def test_equal_sides_do_not_meet() -> None:
    one = two({0: (1.0, NAN)}, {0: (1.0, NAN)})
    commands = one.handle(make.bars_closed(0))
    assert crossed(commands) == []
    assert [o.quantity for o in orders(commands)] == [100, 60]


@pytest.mark.parametrize(
    "request_", [ask(Action.REDUCE), ask(Action.HALT, instrument=SPY), ask(Action.HALT, strategy=SECOND_STRATEGY)],
    ids=["all", "instrument", "strategy"],
)  # fmt: skip
def test_nothing_meets_where_trading_is_restricted(request_: Any) -> None:
    one = two()
    buy_and_fill(one)
    one.handle(request_)
    assert crossed(one.handle(make.bars_closed(1, 110.0))) == []
    assert held(one) == {TREND: 100, SECOND_STRATEGY: 0}


@pytest.mark.parametrize(("limits", "meets"), [
    ({"max_order_quantity": 59}, False), ({"max_order_quantity": 100}, True),
    ({"max_order_notional": Decimal(6_599)}, False), ({"max_budget_ratio": Decimal("0.0659")}, False),
    ({"min_order_notional": Decimal(100_000)}, True), ({"messages_per_s": 0}, True),
    ({"min_borrow_level": 2.5}, True)], ids=str)  # fmt: skip
def test_an_order_that_is_denied_for_itself_takes_no_part_one_that_the_market_forbids_does(
    limits: dict[str, Any], meets: bool
) -> None:
    one = two()
    buy_and_fill(one)
    both = (config(), config(SECOND_STRATEGY, sizer="fixed:60"))
    one.handle(started(*both, limits=RiskLimit(profile="strict", **limits), run_id="run-2"))
    assert bool(crossed(one.handle(make.bars_closed(1, 110.0)))) is meets


def test_paper_money_never_meets_real_money() -> None:
    assert crossed(day_one(two(stage=Stage.LIVE))) == []


def test_a_position_that_came_of_it_is_protected_and_what_is_left_of_the_other_as_well() -> None:
    one = two(stop_loss="percent:0.1")
    commands = day_one(one)
    stops = [o for o in orders(commands) if o.purpose.protective]
    assert [(o.strategy, o.side, o.quantity) for o in stops] == [(SECOND_STRATEGY, Side.SELL, 60)]
