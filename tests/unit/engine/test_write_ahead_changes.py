"""A change of a working order, and a family of orders, by the same protocol: journal first, then the wire, once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs

from robotrader.model import (
    Action,
    AnyEvent,
    ConnectionLost,
    InvariantViolation,
    Order,
    OrderCanceled,
    OrderPendingCancel,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReplacing,
    OrderSending,
    OrderState,
    OrderVoided,
    Purpose,
    TradingHalted,
    WorkingOrder,
)
from tests import builders as make
from tests.fakes import MemoryStorage, Script, message, snapshot
from tests.unit.engine.exchange import Exchange, Floor
from tests.unit.engine.stage import NAN, ask, config, started
from tests.unit.engine.world import Life, events, of

STOP, TARGET, ENTRY = Purpose.STOP_LOSS, Purpose.TAKE_PROFIT, Purpose.TARGET
BOTH = {"stop_loss": "percent:0.05", "take_profit": "percent:0.1"}
HALF, THEN_ALL = 50, 100
Check = Callable[[Floor], Awaitable[None]]


def on_floor(check: Check, *strengths: float, **policy: str) -> None:
    """Run a check with a strategy that has these strengths day by day, and no view afterwards."""
    script: Script = {day: (strength, NAN) for day, strength in enumerate(strengths)}

    async def run() -> None:
        await check(await Floor.open(script, policy or {"stop_loss": "percent:0.05"}))

    asyncio.run(run())


async def grown(floor: Floor) -> Order:
    """Hold 100 with a stop for 50, and let the fill that makes the rest be told. Returns the stop."""
    await floor.day(0)
    await floor.fill(floor.sent(ENTRY)[0])
    await floor.day(1)
    floor.broker.fill(floor.sent(ENTRY)[-1].id)
    floor.broker.wire.clear()
    return floor.sent(STOP)[0]


# ------------------------------------------------------------------------------------------------------------ changes
def test_a_change_goes_over_the_wire_only_after_it_was_decided_and_recorded() -> None:
    async def check(floor: Floor) -> None:
        stop = await grown(floor)
        commands = await floor.path.record([message(floor.broker.told.popleft())])
        assert floor.broker.wire == []
        assert floor.known(stop).replacing is not None
        seen: list[tuple[str, OrderState]] = []
        floor.broker.on_replace = lambda o: seen.append((floor.life.storage.rows[-1].type, floor.known(o).state))
        await floor.path.carry_out(commands)
        assert seen == [("OrderReplacing", OrderState.PENDING_REPLACE)]
        assert "Replace" in [row.type for row in floor.life.storage.rows]
        assert floor.known(stop).state is OrderState.PENDING_REPLACE
        await floor.rest()
        assert (floor.known(stop).state, floor.known(stop).replacing) == (OrderState.ACCEPTED, None)
        assert floor.known(stop).order.quantity == THEN_ALL

    on_floor(check, 0.5, 1.0)


def test_a_change_is_sent_once_however_often_it_is_carried_out() -> None:
    async def check(floor: Floor) -> None:
        await grown(floor)
        commands = await floor.path.record([message(floor.broker.told.popleft())])
        await floor.path.carry_out(commands)
        await floor.rest()
        await floor.path.carry_out(commands)
        assert floor.broker.wire == ["replace"]
        assert len(of(floor.life.storage, OrderReplacing)) == 1

    on_floor(check, 0.5, 1.0)


def test_a_change_is_never_stale_while_an_order_of_a_decision_is() -> None:
    async def check(floor: Floor) -> None:
        await floor.day(0)
        await floor.fill(floor.sent(ENTRY)[0])
        floor.broker.wire.clear()
        commands = await floor.path.record([make.bars_closed(1)])
        floor.life.clock.advance(make.T0 + 30 * make.DAY)
        await floor.path.carry_out(commands)
        assert floor.broker.wire == ["replace"], "and the order that shrinks the position is void"
        await floor.rest()
        await floor.day(31)
        assert floor.broker.stops() == floor.held == THEN_ALL

    on_floor(check, 1.0, 0.5)


@pytest.mark.parametrize("how", ["flag", "request", "event"])
def test_a_halt_between_decision_and_wire_refuses_the_change_and_the_terms_stand(how: str) -> None:
    async def check(floor: Floor) -> None:
        stop = await grown(floor)
        commands = await floor.path.record([message(floor.broker.told.popleft())])
        if how == "flag":
            floor.life.flag = "HALT file"
        elif how == "request":
            await floor.path.record([ask(Action.HALT)])
        else:
            await floor.path.record([TradingHalted(ts_event=1, ts_init=1, reason="odd")])
        await floor.path.carry_out(commands)
        assert floor.broker.wire == []
        (refused,) = of(floor.life.storage, OrderReplaceRejected)
        assert isinstance(refused, OrderReplaceRejected)
        assert refused.reason
        working = floor.known(stop)
        assert (working.state, working.order.quantity, working.replacing) == (OrderState.ACCEPTED, HALF, None)

    on_floor(check, 0.5, 1.0)


def test_a_change_of_protection_passes_while_only_reductions_do() -> None:
    async def check(floor: Floor) -> None:
        await grown(floor)
        commands = await floor.path.record([message(floor.broker.told.popleft())])
        await floor.path.record([ask(Action.REDUCE)])
        await floor.path.carry_out(commands)
        assert floor.broker.wire == ["replace"]

    on_floor(check, 0.5, 1.0)


def test_a_link_that_is_lost_at_the_wire_leaves_the_terms_as_they_were() -> None:
    def lost(order: Order) -> None:
        raise ConnectionLost("no link", order_id=order.id)

    async def check(floor: Floor) -> None:
        stop = await grown(floor)
        commands = await floor.path.record([message(floor.broker.told.popleft())])
        floor.broker.on_replace = lost
        await floor.path.carry_out(commands)
        assert [type(e) for e in events(floor.life.storage)[-2:]] == [OrderReplacing, OrderReplaceRejected]
        working = floor.known(stop)
        assert (working.state, working.order.quantity, working.replacing) == (OrderState.ACCEPTED, HALF, None)

    on_floor(check, 0.5, 1.0)


@pytest.mark.parametrize("meanwhile", ["filled", "canceling"])
def test_an_order_that_cannot_be_changed_any_more_is_not(meanwhile: str) -> None:
    async def check(floor: Floor) -> None:
        stop = await grown(floor)
        commands = await floor.path.record([message(floor.broker.told.popleft())])
        filled = make.filled(stop, quantity=HALF, exec_id="late")
        canceling = OrderPendingCancel(ts_event=1, ts_init=1, order_id=stop.id)
        later: AnyEvent = filled if meanwhile == "filled" else canceling
        await floor.path.record([message(later)])
        await floor.path.carry_out(commands)
        assert "replace" not in floor.broker.wire
        assert of(floor.life.storage, TradingHalted) == []

    on_floor(check, 0.5, 1.0)


def test_a_process_that_lost_the_journal_changes_nothing() -> None:
    async def check(floor: Floor) -> None:
        await grown(floor)
        commands = await floor.path.record([message(floor.broker.told.popleft())])
        await floor.life.storage.open().begin_run("run-2", "test")
        with pytest.raises(InvariantViolation, match="epoch 2 began"):
            await floor.path.carry_out(commands)
        assert floor.broker.wire == []

    on_floor(check, 0.5, 1.0)


# ----------------------------------------------------------------------------------------------------------- families
def test_a_refused_entry_takes_its_protection_with_it() -> None:
    async def check(floor: Floor) -> None:
        commands = await floor.path.record([make.bars_closed(0)])
        floor.life.clock.advance(make.T0 + 2 * make.DAY)  # the decision of the entry is stale
        await floor.path.carry_out(commands)
        assert floor.broker.wire == []
        assert len(of(floor.life.storage, OrderVoided)) == 3
        assert of(floor.life.storage, OrderSending) == []
        assert floor.trader.orders.open_orders() == []

    on_floor(check, 1.0, **BOTH)


def test_while_only_reductions_pass_neither_an_entry_nor_what_protects_it_is_sent() -> None:
    async def check(floor: Floor) -> None:
        commands = await floor.path.record([make.bars_closed(0)])
        await floor.path.record([ask(Action.REDUCE)])
        await floor.path.carry_out(commands)
        assert floor.broker.wire == []
        assert floor.trader.orders.open_orders() == []

    on_floor(check, 1.0, **BOTH)


def test_a_family_is_recorded_as_sending_in_one_step() -> None:
    async def check(floor: Floor) -> None:
        rows: list[int] = []
        floor.broker.on_submit = lambda _: rows.append(len(of(floor.life.storage, OrderSending)))
        await floor.bar(0)
        assert rows == [3, 3, 3]

    on_floor(check, 1.0, **BOTH)


def test_without_a_link_a_family_is_void_and_nothing_of_it_is_asked_for() -> None:
    def lost(order: Order) -> None:
        raise ConnectionLost("no link", order_id=order.id)

    async def check(floor: Floor) -> None:
        floor.broker.on_submit = lost
        await floor.bar(0)
        assert floor.broker.wire == []
        assert floor.trader.orders.open_orders() == []
        assert len(of(floor.life.storage, OrderVoided)) == 3
        assert of(floor.life.storage, TradingHalted) == []

    on_floor(check, 1.0, **BOTH)


def test_a_link_that_is_lost_within_a_family_leaves_no_entry_that_could_fill_unprotected() -> None:
    async def check(floor: Floor) -> None:
        def lost_after_the_entry(order: Order) -> None:
            if order.purpose is not ENTRY:
                raise ConnectionLost("no link", order_id=order.id)

        floor.broker.on_submit = lost_after_the_entry
        await floor.bar(0)
        assert floor.broker.transmitted == [False], "the broker keeps what nothing sets in motion"
        assert floor.broker.working == []
        (entry,) = floor.trader.orders.open_orders()
        assert (entry.order.purpose, entry.state) == (ENTRY, OrderState.SENDING)

    on_floor(check, 1.0, **BOTH)


# ----------------------------------------------------------------------------------------------------------- recovery
RUN = started(structs.replace(config(), stop_loss="percent:0.05"))
GROWS: Script = {0: (0.5, NAN), 1: (1.0, NAN)}


async def died(storage: MemoryStorage, *, after: str) -> Order:
    """Live until the stop of 50 is to be 100, and die when that was decided (T1) or recorded and written (T2)."""
    life, broker = Life(storage, script=GROWS, run=RUN), Exchange()
    life.broker = broker
    floor = Floor(life, await life.path(), broker)
    stop = await grown(floor)
    commands = await floor.path.record([message(broker.told.popleft())])
    if after == "T2":
        await floor.path.carry_out(commands)
    assert floor.known(stop).replacing is not None
    return stop


async def next_life(storage: MemoryStorage, stop: Order, *told: AnyEvent) -> tuple[Life, WorkingOrder]:
    """Start on that journal while the broker works the stop, and says this of it. Returns the stop as it is then."""
    life = Life(storage, script=GROWS, now=make.T0 + make.DAY + 1, run=structs.replace(RUN, run_id="run-2"))
    held = {make.SPY.id: THEN_ALL}
    life.broker.snapshots = [snapshot(messages=[message(e) for e in told], refs=[stop.id], positions=held)]
    runner = life.runner()
    await runner.start()
    working = runner._replayed.trader.orders.get(stop.id)
    assert working is not None
    return life, working


@pytest.mark.parametrize("after", ["T1", "T2"])
def test_a_change_that_never_reached_the_broker_is_asked_for_anew_by_the_next_life(after: str) -> None:
    async def test() -> None:
        storage = MemoryStorage()
        stop = await died(storage, after=after)
        life, working = await next_life(storage, stop)
        (refused,) = of(storage, OrderReplaceRejected)
        assert isinstance(refused, OrderReplaceRejected)
        assert refused.reason == "the broker works it on the terms before"
        assert [o.quantity for o in life.broker.replaced] == [THEN_ALL]
        assert (working.state, working.order.quantity) == (OrderState.PENDING_REPLACE, HALF)

    asyncio.run(test())


def test_a_change_that_reached_the_broker_is_adopted_and_not_asked_for_again() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        stop = await died(storage, after="T2")
        taken = OrderReplaced(ts_event=1, ts_init=1, order_id=stop.id, quantity=THEN_ALL, stop_price=stop.stop_price)
        life, working = await next_life(storage, stop, taken)
        assert life.broker.wire == []
        assert of(storage, OrderReplaceRejected) == []
        assert (working.state, working.order.quantity, working.replacing) == (OrderState.ACCEPTED, THEN_ALL, None)

    asyncio.run(test())


def test_a_family_that_was_decided_and_not_sent_is_sent_whole_by_the_next_life() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        first = Life(storage, script=GROWS, run=RUN)
        await (await first.path()).record([make.bars_closed(0)])
        second = Life(storage, script=GROWS, now=make.T0 + 1, run=structs.replace(RUN, run_id="run-2"))
        await second.runner().start()
        assert [o.purpose for o, _ in second.broker.submitted] == [ENTRY, STOP]
        assert second.broker.transmitted == [False, True]

    asyncio.run(test())


def test_a_position_that_has_no_stop_after_a_crash_gets_one_before_the_next_bar() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        stop = await died(storage, after="T1")
        gone = OrderCanceled(ts_event=1, ts_init=1, order_id=stop.id, reason="by a person, meanwhile")
        life, _ = await next_life(storage, stop, gone)
        (anew,) = (order for order, _ in life.broker.submitted)
        assert (anew.purpose, anew.quantity, anew.parent) == (STOP, THEN_ALL, None)

    asyncio.run(test())
