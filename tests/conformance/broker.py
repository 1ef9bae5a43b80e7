"""What every broker keeps to: one check a promise, each on a fresh world.

A test module of an adapter parametrizes over `CHECKS` (or calls `check_broker`) with its own `World`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any, Protocol

import pytest

from robotrader.model import (
    AnyEvent,
    CommissionReported,
    DataError,
    ExternalFill,
    ExternalOrder,
    Instrument,
    MarginPreviewed,
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderId,
    OrderRejected,
    OrderType,
    Side,
    StrategyId,
    TimeInForce,
)
from robotrader.ports import Broker, BrokerMessage

UNAFFORDABLE = 10_000_000
"""Units that no account of a conformance world can pay for."""


class World(Protocol):
    """One broker and its market, with nothing sent yet; a market order fills within one session."""

    @property
    def broker(self) -> Broker: ...

    @property
    def instrument(self) -> Instrument: ...

    def taken(self) -> list[BrokerMessage]:
        """Take what has reached the inbox since the last call."""

    async def advance(self) -> None:
        """Let one session pass."""

    def fresh(self) -> Broker:
        """Return a broker on the same world that knows of no order yet, as after a restart."""


Make = Callable[[], AbstractAsyncContextManager[World]]


def order(world: World, name: str, **terms: Any) -> Order:
    """Return a market order to buy 100, good till canceled, with other terms where given."""
    default: dict[str, Any] = {
        "id": OrderId(name), "strategy": StrategyId("conformance"), "instrument": world.instrument.id,
        "side": Side.BUY, "quantity": 100, "ts_event": 0, "tif": TimeInForce.GTC,
    }  # fmt: skip
    return Order(**{**default, **terms})


def resting(world: World, name: str) -> Order:
    """Return an order that does not fill."""
    return order(world, name, type=OrderType.LIMIT, limit_price=Decimal("1.00"))


class Story:
    """What was told so far: `news` are the events that were not among it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._keys: set[tuple[type, str | None]] = set()

    async def news(self) -> list[AnyEvent]:
        """Return the events of what has arrived, each key once; a snapshot is the barrier."""
        await self._world.broker.snapshot()
        return self.read(self._world.broker, self._world.taken())

    def read(self, broker: Broker, messages: Sequence[BrokerMessage]) -> list[AnyEvent]:
        """Interpret messages and leave out what was told before."""
        found = []
        for event in (e for m in messages for e in broker.interpret(m)):
            key = type(event), event.source_id
            if event.source_id is None or key not in self._keys:
                found.append(event)
            self._keys.add(key)
        return found


def keys(events: Sequence[AnyEvent]) -> set[tuple[type, str | None]]:
    """Return what makes the events what they are."""
    return {(type(e), e.source_id) for e in events}


async def accepts_then_fills_and_charges(world: World) -> None:
    """A market order is acknowledged, then fills completely, and each execution has its commission."""
    sent, story = order(world, "RT-1"), Story(world)
    world.broker.submit(sent, 1)
    assert [type(e) for e in await story.news()] == [OrderAccepted]
    await world.advance()
    events = await story.news()
    fills = [e.fill for e in events if isinstance(e, OrderFilled)]
    assert {(f.order_id, f.strategy, f.instrument, f.side) for f in fills} == {
        (sent.id, sent.strategy, sent.instrument, sent.side)
    }
    assert sum(f.quantity for f in fills) == sent.quantity
    assert all(world.instrument.on_grid(f.price) for f in fills)
    charged = {e.commission.exec_id for e in events if isinstance(e, CommissionReported)}
    assert charged == {f.exec_id for f in fills}


async def shows_what_it_has(world: World) -> None:
    """A snapshot holds every order, the position, the cash, and an order id that was not used."""
    world.broker.submit(order(world, "RT-1"), 1)
    world.broker.submit(resting(world, "RT-2"), 2)
    before = await world.broker.snapshot()
    assert before.order_refs == {"RT-1", "RT-2"}
    assert before.positions == {}
    await world.advance()
    after = await world.broker.snapshot()
    assert after.order_refs == {"RT-1", "RT-2"}
    assert after.positions == {world.instrument.id: 100}
    assert after.account.cash is not None
    assert before.account.cash is not None
    assert after.account.cash < before.account.cash
    assert after.next_order_id > 2
    assert after == await world.broker.snapshot()


async def tells_the_same_after_a_restart(world: World) -> None:
    """A snapshot alone gives a broker that was bound to the orders every event of theirs that is still to see."""
    sent = [order(world, "RT-1"), resting(world, "RT-2"), order(world, "RT-3", side=Side.SELL, quantity=50)]
    for number, one in enumerate(sent, 1):
        world.broker.submit(one, number)
    await world.advance()
    live = await Story(world).news()
    broker = world.fresh()
    for number, one in enumerate(sent, 1):
        broker.bind(one, number)
    later = keys(Story(world).read(broker, (await broker.snapshot()).messages))
    filled = keys([e for e in live if isinstance(e, OrderFilled)])
    rests = keys([e for e in live if isinstance(e, OrderAccepted) and e.order_id == "RT-2"])
    assert filled
    assert rests
    assert filled | rests <= later <= keys(live)


async def cancels_once(world: World) -> None:
    """A cancel ends the order, and however often the broker says so it is one event."""
    story = Story(world)
    world.broker.submit(resting(world, "RT-1"), 1)
    world.broker.cancel(OrderId("RT-1"))
    assert [type(e) for e in await story.news()] == [OrderAccepted, OrderCanceled]
    await world.advance()
    assert await story.news() == []
    after = await world.broker.snapshot()
    assert after.positions == {}
    assert after.order_refs == {"RT-1"}  # ended, not forgotten


async def a_cancel_that_is_too_late_ends_nothing(world: World) -> None:
    """The order has filled: the refused cancel says nothing of it."""
    story = Story(world)
    world.broker.submit(order(world, "RT-1"), 1)
    await world.advance()
    assert OrderFilled in [type(e) for e in await story.news()]
    world.broker.cancel(OrderId("RT-1"))
    assert await story.news() == []


async def rejects_as_an_event(world: World) -> None:
    """What the broker refuses is an outcome, not an error of ours, and later orders are not touched by it."""
    await world.advance()  # a market without a price yet cannot tell what is too much
    world.broker.submit(order(world, "RT-1", quantity=UNAFFORDABLE), 1)
    world.broker.submit(resting(world, "RT-2"), 2)
    events = await Story(world).news()
    assert [type(e) for e in events] == [OrderRejected, OrderAccepted]
    assert isinstance(events[0], OrderRejected)
    assert events[0].code
    assert events[0].reason


async def previews_an_order_and_places_nothing(world: World) -> None:
    """A what-if is answered once, with what stands in the account if the order fills; the order can follow it."""
    await world.advance()  # a market without a price yet cannot tell
    story = Story(world)
    await story.news()
    asked = order(world, "RT-1")
    for _ in range(2):
        world.broker.preview(asked, 1)
    assert world.broker.previewing()
    [told] = await story.news()
    assert isinstance(told, MarginPreviewed)
    assert (told.order_id, told.error, world.broker.previewing()) == (asked.id, "", False)
    after = await world.broker.snapshot()
    assert (after.order_refs, after.positions) == (frozenset(), {})
    assert told.initial_after is not None
    assert told.maintenance_after is not None
    assert told.initial_after >= told.maintenance_after > 0
    assert told.commission is not None
    assert after.account.net_liquidation is not None
    assert told.equity_after == pytest.approx(after.account.net_liquidation - told.commission)
    world.broker.submit(asked, 2)
    assert [type(e) for e in await story.news()] == [OrderAccepted]


async def previews_also_what_cannot_be_paid(world: World) -> None:
    """The answer to a what-if is a number, or the broker's objection; never a rejected order."""
    await world.advance()
    story = Story(world)
    await story.news()
    world.broker.preview(order(world, "RT-1", quantity=UNAFFORDABLE), 1)
    [told] = await story.news()
    assert isinstance(told, MarginPreviewed)
    assert told.error or (told.initial_after or 0) > (told.equity_after or 0)


async def takes_orders_of_others_for_external(world: World) -> None:
    """Messages about orders that were neither submitted nor bound are of external orders, fills and their costs."""
    world.broker.submit(order(world, "RT-1"), 1)
    await world.advance()
    await world.broker.snapshot()
    messages = world.taken()
    assert messages
    found = {type(e) for e in Story(world).read(world.fresh(), messages)}
    assert found == {ExternalOrder, ExternalFill, CommissionReported}


async def stamps_what_it_reads_with_the_time_of_receipt(world: World) -> None:
    """`ts_init` is the message's, so that the runner's clock alone decides it."""
    world.broker.submit(resting(world, "RT-1"), 1)
    await world.broker.snapshot()
    late = [BrokerMessage(name=m.name, fields=m.fields, ts_init=77) for m in world.taken()]
    assert {e.ts_init for e in Story(world).read(world.broker, late)} == {77}


async def refuses_what_it_cannot_read(world: World) -> None:
    """A message without sense is an error of the datum, so that it can be set aside."""
    with pytest.raises(DataError):
        world.broker.interpret(BrokerMessage(name="no such message", fields={}))


Check = Callable[[World], Awaitable[None]]

CHECKS: tuple[Check, ...] = (
    accepts_then_fills_and_charges,
    shows_what_it_has,
    tells_the_same_after_a_restart,
    cancels_once,
    a_cancel_that_is_too_late_ends_nothing,
    rejects_as_an_event,
    previews_an_order_and_places_nothing,
    previews_also_what_cannot_be_paid,
    takes_orders_of_others_for_external,
    stamps_what_it_reads_with_the_time_of_receipt,
    refuses_what_it_cannot_read,
)


def check_broker(make: Make, checks: Sequence[Check] = CHECKS) -> None:
    """Run the checks, each on a world of its own."""

    async def run(check: Check) -> None:
        async with make() as world:
            await check(world)

    for check in checks:
        asyncio.run(asyncio.wait_for(run(check), 30))
