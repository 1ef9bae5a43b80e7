"""What protects a position passes the same gate as everything else, and only what is left of it counts."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

from robotrader.model import (
    Action,
    Approved,
    Deny,
    OrderUnresolved,
    Purpose,
    Replace,
    RiskCheck,
    RiskLimit,
    TradingState,
)
from tests.fakes import Script
from tests.unit.engine.exchange import TS, Floor
from tests.unit.engine.stage import NAN, NO_LIMITS, ask
from tests.unit.engine.world import commands

STOP, TARGET, ENTRY = Purpose.STOP_LOSS, Purpose.TAKE_PROFIT, Purpose.TARGET
RATIO = Decimal("0.03")
JUST_STOP = {"stop_loss": "percent:0.05"}
Check = Callable[[Floor], Awaitable[None]]


def on_floor(check: Check, *strengths: float, limits: RiskLimit = NO_LIMITS, **policy: str) -> None:
    """Run a check with a strategy that has these strengths day by day, and no view afterwards."""
    script: Script = {day: (strength, NAN) for day, strength in enumerate(strengths)}

    async def run() -> None:
        await check(await Floor.open(script, policy or JUST_STOP, limits=limits))

    asyncio.run(run())


def denials(floor: Floor) -> list[Deny]:
    return [c for c in commands(floor.life.storage) if isinstance(c, Deny)]


def test_an_entry_counts_as_held_where_its_protection_is_checked() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        assert len(floor.sent(STOP)) == 1, "a sale of 100 would be too large, but it only reduces"

    on_floor(check, 0.4, limits=RiskLimit(profile="test", max_order_quantity=40))


def test_the_price_limits_of_protection_are_its_own() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        assert len(floor.sent(STOP)) == 1

    on_floor(check, 1.0, limits=RiskLimit(profile="test", price_collar_ratio=RATIO, fat_finger_ratio=RATIO))


def test_a_stop_that_would_fill_at_once_is_not_changed_until_it_would_not() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.bar(1, 94.0, 50.0)  # below the stop at 95, which has not filled (yet)
        await floor.rest()
        await floor.fill(floor.sent(ENTRY)[-1])
        assert floor.broker.replaced == []
        await floor.day(2, 96.0, 50.0)
        assert floor.broker.stops() == floor.held == 100

    on_floor(check, 0.5, 1.0, limits=RiskLimit(profile="test", price_collar_ratio=RATIO))


def test_a_stop_that_the_price_has_passed_still_shrinks_with_its_position() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.bar(1, 94.0, 50.0)  # below the stop at 95, which has not filled (yet)
        await floor.rest()
        await floor.fill(floor.sent(ENTRY)[-1])
        assert floor.broker.stops() == floor.held == 50

    on_floor(check, 1.0, 0.5, limits=RiskLimit(profile="test", price_collar_ratio=RATIO))


def test_of_a_change_only_what_is_left_is_checked() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.fill(floor.sent(TARGET)[0], 40)
        await floor.day(1)
        await floor.fill(floor.sent(ENTRY)[-1])
        changes = [c for c in commands(floor.life.storage) if isinstance(c, Replace)]
        assert [(c.order.purpose, c.order.quantity) for c in changes] == [(STOP, 100), (TARGET, 140)]
        assert all(isinstance(c.verdict, Approved) for c in changes)
        assert [t.leaves for t in floor.broker.working] == [100, 100]

    limits = RiskLimit(profile="test", max_order_quantity=120)
    on_floor(check, 0.5, 1.0, limits=limits, take_profit="percent:0.1", **JUST_STOP)


def test_a_change_back_to_earlier_terms_is_no_order_repeated() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        await floor.fill(floor.sent(ENTRY)[1])
        await floor.day(2)
        assert [o.quantity for o in floor.broker.replaced] == [100, 40]
        assert denials(floor) == []

    on_floor(check, 0.4, 1.0, 0.4, limits=RiskLimit(profile="test", duplicate_window_s=2.0))


def test_an_order_and_what_protects_it_are_counted_together() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        (deny,) = denials(floor)
        failed = [c.check for c in deny.verdict.checks if not c.passed]
        assert (deny.order.purpose, failed) == (ENTRY, [RiskCheck.MESSAGE_RATE])
        assert floor.broker.sent == []

    limits = RiskLimit(profile="test", messages_per_s=2)
    on_floor(check, 1.0, limits=limits, take_profit="percent:0.1", **JUST_STOP)


def test_a_halt_leaves_protection_alone_and_lets_none_of_it_be_changed_until_it_is_lifted() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        floor.broker.fill(floor.sent(ENTRY)[-1].id)
        await floor.on(ask(Action.HALT))
        await floor.rest()
        await floor.day(2)
        assert (floor.held, floor.broker.stops(), floor.broker.replaced) == (100, 50, [])
        assert floor.sent(STOP)[0].id not in floor.broker.canceled
        await floor.on(ask(Action.RESUME, n=2))
        await floor.rest()
        assert floor.broker.stops() == 100

    on_floor(check, 0.5, 1.0)


def test_while_only_reductions_are_let_through_protection_is_one() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        floor.broker.fill(floor.sent(ENTRY)[-1].id)
        await floor.on(ask(Action.REDUCE))
        await floor.rest()
        assert floor.trader.states.of((None, None))[0] is TradingState.REDUCING
        assert floor.broker.stops() == floor.held == 100

    on_floor(check, 0.5, 1.0)


def test_while_an_outcome_is_unknown_nothing_is_changed_in_that_instrument() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        more = floor.sent(ENTRY)[-1]
        await floor.fill(more, 20)
        assert len(floor.broker.replaced) == 1
        await floor.on(OrderUnresolved(ts_event=TS, ts_init=TS, order_id=floor.sent(STOP)[0].id, reason="lost"))
        floor.broker.end(more.id)
        await floor.rest()
        await floor.day(2)
        assert len(floor.broker.replaced) == 1

    on_floor(check, 0.5, 1.0)
