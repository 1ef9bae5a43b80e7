"""The orders that protect a position: made with its entry, sized to it, gone with it."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from robotrader.model import (
    EXTERNAL,
    Action,
    Deny,
    ExternalFill,
    Fill,
    Hold,
    OrderId,
    OrderReplaceRejected,
    OrderState,
    Purpose,
    RiskLimit,
    Side,
    TradingState,
)
from tests import builders as make
from tests.fakes import Script
from tests.unit.engine.exchange import TS, Floor
from tests.unit.engine.stage import NAN, NO_LIMITS, ask
from tests.unit.engine.world import commands

STOP, TARGET, ENTRY = Purpose.STOP_LOSS, Purpose.TAKE_PROFIT, Purpose.TARGET
BOTH = {"stop_loss": "percent:0.05", "take_profit": "percent:0.1"}
Check = Callable[[Floor], Awaitable[None]]


def on_floor(check: Check, *strengths: float, limits: RiskLimit = NO_LIMITS, **policy: str) -> None:
    """Run a check with a strategy that has these strengths day by day, and no view afterwards."""
    script: Script = {day: (strength, NAN) for day, strength in enumerate(strengths)}

    async def run() -> None:
        await check(await Floor.open(script, policy or BOTH, limits=limits))

    asyncio.run(run())


# -------------------------------------------------------------------------------------------------------- the entry
def test_an_entry_takes_its_protection_along_and_only_the_last_of_them_sets_all_in_motion() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        entry, stop, target = (order for order, _ in floor.broker.submitted)
        assert floor.broker.transmitted == [False, False, True]
        assert (entry.purpose, stop.purpose, target.purpose) == (ENTRY, STOP, TARGET)
        assert {stop.parent, target.parent} == {entry.id}
        assert (stop.side, stop.quantity, stop.stop_price) == (Side.SELL, 100, Decimal("95.00"))
        assert (target.side, target.quantity, target.limit_price) == (Side.SELL, 100, Decimal("110.00"))
        assert stop.oca_group == target.oca_group

    on_floor(check, 1.0)


def test_a_short_entry_is_protected_above() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        (stop,) = floor.sent(STOP)
        assert (stop.side, stop.stop_price) == (Side.BUY, Decimal("105.00"))

    on_floor(check, -1.0, stop_loss="percent:0.05")


def test_two_families_of_one_batch_are_set_in_motion_each_by_its_last() -> None:
    async def check() -> None:
        floor = await Floor.open({0: (1.0, 1.0)}, BOTH)
        await floor.bar(0)
        assert floor.broker.transmitted == [False, False, True, False, False, True]

    asyncio.run(check())


def test_without_an_atr_there_is_no_entry_and_the_reason_is_kept() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        assert floor.broker.sent == []
        (hold,) = (c for c in commands(floor.life.storage) if isinstance(c, Hold))
        assert "no price for its protection" in hold.reason

    on_floor(check, 1.0, stop_loss="atr:2")


def test_a_target_below_nothing_holds_the_entry_instead_of_breaking_the_trader() -> None:
    async def check() -> None:
        floor = await Floor.open({20: (-1.0, NAN)}, {"take_profit": "atr:60"})
        for day in range(21):
            await floor.day(day)
        assert floor.broker.sent == []
        assert floor.trader.states.entries() == []

    asyncio.run(check())


def test_an_entry_whose_protection_is_refused_is_denied() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        assert floor.broker.sent == []
        (deny,) = (c for c in commands(floor.life.storage) if isinstance(c, Deny))
        assert deny.order.purpose is ENTRY
        assert floor.known(deny.order).state is OrderState.DENIED
        assert "its take_profit: message_rate" in floor.known(deny.order).reason
        assert floor.trader.orders.open_orders() == []

    limits = RiskLimit(profile="tight", messages_per_s_instrument=2)
    on_floor(check, 1.0, limits=limits, **BOTH)


# ------------------------------------------------------------------------------------------------------- the position
def test_while_the_entry_fills_the_broker_sizes_its_protection_and_nothing_is_asked_of_it() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        entry, stop = floor.sent(ENTRY)[0], floor.sent(STOP)[0]
        await floor.fill(entry, 30)
        assert (floor.known(stop).order.quantity, floor.known(stop).leaves) == (30, 30)
        await floor.fill(entry, 70)
        assert floor.known(stop).leaves == 100
        assert floor.broker.stops() == floor.held == 100
        assert floor.broker.replaced == []

    on_floor(check, 1.0)


def test_a_position_that_grows_has_each_order_changed_once() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        (more,) = floor.sent(ENTRY)[1:]
        assert (more.quantity, more.oca_group, floor.broker.transmitted[-1]) == (50, None, True)
        await floor.fill(more, 20)
        await floor.fill(more, 30)
        assert [(o.purpose, o.quantity) for o in floor.broker.replaced] == [
            (STOP, 70), (TARGET, 70), (STOP, 100), (TARGET, 100),
        ]  # fmt: skip
        assert floor.broker.stops() == floor.held == 100
        await floor.day(2)
        assert len(floor.broker.replaced) == 4, "nothing is left to change"

    on_floor(check, 0.5, 1.0)


def test_a_change_that_is_on_its_way_is_waited_for() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        (more,) = floor.sent(ENTRY)[1:]
        floor.broker.fill(more.id, 20)
        floor.broker.fill(more.id, 30)
        while floor.broker.told:
            await floor.hear()  # both fills, before the broker has looked at the first change
        assert [o.quantity for o in floor.broker.replaced] == [70]
        await floor.rest()  # its answer says that the next can go, and it does not wait for a bar
        assert [o.quantity for o in floor.broker.replaced] == [70, 100]
        assert floor.broker.stops() == 100

    on_floor(check, 0.5, 1.0, stop_loss="percent:0.05")


def test_the_stop_is_changed_before_the_order_that_shrinks_the_position_leaves() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        floor.broker.wire.clear()
        await floor.bar(1)
        assert floor.broker.wire == ["replace", "submit"]
        assert floor.broker.replaced[0].quantity == 50
        await floor.rest()
        less = floor.sent(ENTRY)[-1]
        assert (less.side, less.quantity, less.oca_group) == (Side.SELL, 50, None)
        await floor.fill(less)
        assert floor.broker.stops() == floor.held == 50
        assert len(floor.broker.replaced) == 1

    on_floor(check, 1.0, 0.5, stop_loss="percent:0.05")


def test_a_shrinking_order_that_comes_to_nothing_gives_the_stop_its_size_back() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        floor.broker.end(floor.sent(ENTRY)[-1].id)
        await floor.rest()
        assert [o.quantity for o in floor.broker.replaced] == [50, 100]
        assert floor.broker.stops() == floor.held == 100

    on_floor(check, 1.0, 0.5, stop_loss="percent:0.05")


def test_a_trailing_stop_that_shrinks_follows_the_price_in_a_change_of_its_own() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1, 110.0, 50.0)
        changes = [(o.quantity, o.stop_price) for o in floor.broker.replaced]
        assert changes == [(50, Decimal("95.00")), (50, Decimal("104.50"))]

    on_floor(check, 1.0, 0.5, stop_loss="trailing_percent:0.05")


def test_an_exit_joins_the_group_so_that_only_one_of_them_ends_the_position() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        leave, stop = floor.sent(ENTRY)[-1], floor.sent(STOP)[0]
        assert leave.oca_group == stop.oca_group
        assert floor.broker.replaced == [], "its stop stays whole until the exit fills"
        await floor.fill(leave, 60)
        assert floor.broker.stops() == floor.held == 40
        await floor.fill(leave)
        assert floor.held == 0
        assert floor.broker.working == []
        assert floor.trader.orders.open_orders() == []

    on_floor(check, 1.0, 0.0)


def test_a_stop_that_fills_takes_the_exit_of_its_group_along() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        await floor.fill(floor.sent(STOP)[0])
        assert floor.held == 0
        assert floor.broker.working == []
        await floor.day(2)
        assert len(floor.broker.submitted) == 4, "there is nothing left to exit from"

    on_floor(check, 1.0, 0.0)


def test_a_position_that_turns_round_has_new_orders_for_the_other_side() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        turn = floor.sent(ENTRY)[-1]
        assert (turn.quantity, turn.oca_group) == (150, floor.sent(STOP)[0].oca_group)
        await floor.fill(turn)
        old, new = floor.sent(STOP)
        assert (new.side, new.quantity, new.stop_price, new.parent) == (Side.BUY, 50, Decimal("105.00"), None)
        assert new.oca_group != old.oca_group
        assert floor.broker.stops() == floor.held == -50
        assert {t.order.side for t in floor.broker.working} == {Side.BUY}

    on_floor(check, 1.0, -0.5)


def test_protection_of_a_group_that_had_a_fill_makes_way_for_the_exit() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.fill(floor.sent(TARGET)[0], 40)
        assert floor.broker.stops() == floor.held == 60
        floor.broker.wire.clear()
        await floor.bar(1)
        leave = floor.sent(ENTRY)[-1]
        assert (leave.quantity, leave.oca_group) == (60, None)
        assert floor.broker.wire == ["cancel", "cancel", "submit"]
        await floor.rest()
        await floor.fill(leave)
        assert floor.held == 0
        assert floor.broker.working == []

    on_floor(check, 1.0, 0.0)


def test_a_stop_that_was_lost_from_a_group_that_had_a_fill_is_made_anew_in_another() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.fill(floor.sent(TARGET)[0], 40)
        floor.broker.end(floor.sent(STOP)[0].id)  # a person cancels it
        await floor.rest()
        await floor.day(1)
        old, new = floor.sent(STOP)
        assert new.oca_group != old.oca_group
        assert floor.broker.stops() == floor.held == 60
        assert [t.order.purpose for t in floor.broker.working] == [STOP, TARGET], "the old target made way"

    on_floor(check, 1.0)


def test_a_stop_that_was_lost_joins_what_is_left_of_its_group_at_the_next_bar() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        floor.broker.end(floor.sent(STOP)[0].id)
        await floor.rest()
        assert len(floor.sent(STOP)) == 1, "a refusal would repeat for ever"
        await floor.day(1)
        assert [o.oca_group for o in floor.sent(STOP)] == [floor.sent(TARGET)[0].oca_group] * 2
        assert floor.broker.stops() == floor.held == 100
        assert len(floor.sent(TARGET)) == 1

    on_floor(check, 1.0)


def test_an_order_that_only_opens_never_joins_a_group_that_ends_something() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)  # the exit works, and has not filled when the next day turns the view round
        await floor.day(2)
        leave, short = floor.sent(ENTRY)[1:]
        assert (short.side, short.quantity, short.oca_group) == (Side.SELL, 50, None)
        await floor.fill(leave)
        assert floor.broker.book[short.id].open, "the exit's fill takes nothing off it"
        await floor.fill(short)
        assert floor.broker.stops() == floor.held == -50

    on_floor(check, 1.0, 0.0, -0.5)


def test_protection_of_an_entry_that_never_filled_ends_with_it() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        floor.broker.end(floor.sent(ENTRY)[0].id)
        await floor.rest()
        await floor.day(1)
        assert floor.trader.orders.open_orders() == []
        assert floor.broker.replaced == []

    on_floor(check, 1.0)


def test_a_change_that_was_refused_is_asked_for_again_at_the_next_bar() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        floor.broker.fill(floor.sent(ENTRY)[-1].id)
        while floor.broker.told:
            await floor.hear()
        floor.broker.asked.clear()
        floor.broker.changing.clear()
        (stop,) = floor.sent(STOP)
        floor.broker.told.append(OrderReplaceRejected(ts_event=TS, ts_init=TS, order_id=stop.id, reason="201"))
        await floor.rest()
        assert floor.broker.stops() == 50
        assert len(floor.broker.replaced) == 1, "not at once: a refusal would repeat for ever"
        await floor.day(2)
        assert floor.broker.stops() == floor.held == 100

    on_floor(check, 0.5, 1.0, stop_loss="percent:0.05")


def test_a_stop_of_a_run_that_had_one_still_goes_with_its_position() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.on(make.run_started("run-2"))  # of the same strategy, without a stop-loss
        await floor.day(1)
        leave = floor.sent(ENTRY)[-1]
        assert leave.oca_group == floor.sent(STOP)[0].oca_group
        await floor.fill(leave)
        assert floor.broker.working == [], "a stop that stays would open a position one day"
        await floor.day(2)
        assert len(floor.sent(STOP)) == 1

    on_floor(check, 1.0, 0.0)


def test_a_stop_of_a_run_that_had_one_shrinks_with_its_position_and_is_not_renewed() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.on(make.run_started("run-2"))
        await floor.day(1)
        await floor.fill(floor.sent(ENTRY)[-1])
        assert floor.broker.stops() == floor.held == 50
        floor.broker.end(floor.sent(STOP)[0].id)
        await floor.rest()
        await floor.day(2)
        assert len(floor.sent(STOP)) == 1

    on_floor(check, 1.0, 0.5, stop_loss="percent:0.05")


@pytest.mark.parametrize("purpose", [STOP, TARGET])
def test_what_protects_nothing_any_more_is_canceled(purpose: Purpose) -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        await floor.day(1)
        leave, kept = floor.sent(ENTRY)[-1], floor.sent(purpose)[0]
        assert leave.quantity == 100
        await floor.fill(leave)
        assert kept.id not in floor.trader.orders.open_ids
        assert floor.known(kept).state is OrderState.CANCELED

    on_floor(check, 1.0, 0.0)


def test_a_strategy_without_a_policy_has_no_such_orders() -> None:
    async def check() -> None:
        floor = await Floor.open({0: (1.0, NAN)})
        await floor.day(0)
        (entry,) = (order for order, _ in floor.broker.submitted)
        assert (entry.parent, entry.oca_group, floor.broker.transmitted) == (None, None, [True])

    asyncio.run(check())


def test_ids_tell_the_orders_of_one_moment_apart() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        ids: list[OrderId] = [order.id for order, _ in floor.broker.submitted]
        assert len(set(ids)) == 3
        assert all(i.startswith("RT-") for i in ids)

    on_floor(check, 1.0)


def test_a_position_that_a_person_closed_has_no_stop_once_the_ticket_is_resolved() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        by_hand = Fill(exec_id="h", revision=1, order_id=OrderId("EXT-1"), strategy=EXTERNAL, instrument=make.SPY.id,
                       side=Side.SELL, quantity=100, price=Decimal(100), ts_event=TS)  # fmt: skip
        await floor.on(ExternalFill(ts_event=TS, ts_init=TS, fill=by_hand))
        assert floor.trader.states.of((None, None))[0] is TradingState.HALTED
        assert floor.broker.stops() == 100, "who knows what the person means to do"
        await floor.on(ask(Action.RESOLVE, instrument=make.SPY.id))
        await floor.rest()
        assert floor.trader.ledger.book(make.TREND).quantity(make.SPY.id) == 0
        assert floor.broker.working == [], "it would sell what is not held"

    on_floor(check, 1.0)
