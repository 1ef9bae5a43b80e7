"""A trader's day over the genuine protocol: connect, look, trade, in lock-step and on a running clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from robotrader.model import (
    Account,
    AnyEvent,
    BarsClosed,
    BrokerUnavailable,
    CommissionReported,
    ConfigError,
    ConnectionLost,
    ExternalOrder,
    InvariantViolation,
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderId,
    OrderSuspended,
    OrderType,
    Side,
    StrategyId,
)
from robotrader.ports import Arrival, BrokerMessage, TimeAdvanced
from robotrader.simulation.gateway.record import Intervention
from tests.integration.ibkr.simulated import PANEL, SESSIONS, Simulated, make_gateway, simulated


def on_gateway(scenario: Callable[[Simulated], Awaitable[None]], **config: Any) -> None:
    async def run() -> None:
        async with simulated(**config) as world:
            await scenario(world)

    asyncio.run(asyncio.wait_for(run(), 60))


def buy(world: Simulated, number: int, ts: int, *, quantity: int = 100) -> Order:
    """Return a market order; even numbers sell."""
    return Order(
        id=OrderId(f"RT-{number}"),
        strategy=StrategyId("s"),
        instrument=world.instruments[number % len(world.instruments)].id,
        side=Side.BUY if number % 2 else Side.SELL,
        quantity=quantity,
        ts_event=ts,
    )


async def arrivals(world: Simulated) -> AsyncIterator[Arrival]:
    """Yield what arrives, pulling the time when idle as the runner does, until time ends."""
    taken, ended = 0, False
    while not ended or len(world.inbox.all) > taken:
        if len(world.inbox.all) == taken:
            if not world.feed.pending():
                world.link.request_time()
            await world.inbox.next()
        arrival, taken = world.inbox.all[taken], taken + 1
        ended = ended or (isinstance(arrival, TimeAdvanced) and arrival.ended)
        yield arrival


async def trade_to_the_end(world: Simulated) -> list[AnyEvent]:
    """Order something every third session; return all events, each key once."""
    events: dict[object, AnyEvent] = {}
    number, sections = 0, 0
    world.feed.on_time(world.gateway.now)
    async for arrival in arrivals(world):
        match arrival:
            case TimeAdvanced():
                world.feed.on_time(arrival.ts)
            case BrokerMessage():
                for event in world.broker.interpret(arrival):
                    events.setdefault((type(event), event.source_id), event)
            case BarsClosed():
                events[arrival.ts_event] = arrival
                sections += 1
                if sections % 3 == 0:
                    number += 1
                    world.broker.submit(buy(world, number, arrival.ts_event), number)
            case _:
                pytest.fail(f"unexpected: {arrival}")
    return list(events.values())


def test_fifty_sessions_in_lock_step_give_every_bar_and_fill_at_the_next_open() -> None:
    async def scenario(world: Simulated) -> None:
        events = await trade_to_the_end(world)
        bars = [e for e in events if isinstance(e, BarsClosed)]
        assert [b.ts_event for b in bars] == list(SESSIONS.closes[:50])
        for k, event in enumerate(bars):
            for column, bar in enumerate(event.bars):
                wanted = [float(c[k, column]) for c in (PANEL.open, PANEL.high, PANEL.low, PANEL.close, PANEL.volume)]
                assert [bar.open, bar.high, bar.low, bar.close, bar.volume] == wanted
        fills = [e for e in events if isinstance(e, OrderFilled)]
        assert len([e for e in events if isinstance(e, OrderAccepted)]) == len(fills) == 16
        assert len([e for e in events if isinstance(e, CommissionReported)]) == 16
        assert {f.ts_event for f in fills} <= set(SESSIONS.opens)
        last = await world.broker.snapshot()
        held: dict[str, int] = {}
        for e in fills:
            held[e.fill.instrument] = held.get(e.fill.instrument, 0) + e.fill.side.sign * e.fill.quantity
        assert last.positions == {iid: units for iid, units in held.items() if units}
        spent = sum((f.fill.side.sign * f.fill.quantity * f.fill.price for f in fills), Decimal(0))
        paid = sum((e.commission.amount for e in events if isinstance(e, CommissionReported)), Decimal(0))
        assert last.account.cash == Decimal(1_000_000) - spent - paid  # to the last digit
        assert world.link.lost.count == 0

    on_gateway(scenario)


def test_old_servers_speak_of_lots_but_volume_is_in_shares() -> None:
    async def scenario(world: Simulated) -> None:
        [event] = await world.feed.warmup(world.gateway.now, 1)
        assert [b.volume for b in event.bars] == [float(v // 100 * 100) for v in PANEL.volume[4]]

    on_gateway(scenario, server_version=157, start=SESSIONS.closes[4])


def test_lock_step_is_deterministic() -> None:
    runs: list[list[AnyEvent]] = []

    async def scenario(world: Simulated) -> None:
        runs.append(await trade_to_the_end(world))

    on_gateway(scenario)
    on_gateway(scenario)
    assert runs[0] == runs[1]


def test_the_first_look_at_a_new_account() -> None:
    async def scenario(world: Simulated) -> None:
        found = await world.broker.snapshot()
        assert found.messages == ()
        assert found.order_refs == frozenset()
        assert found.account == Account(
            id="DU1234567", cash=Decimal(1_000_000), net_liquidation=Decimal(1_000_000), initial_margin=Decimal(0),
            maintenance_margin=Decimal(0), available_funds=Decimal(1_000_000), excess_liquidity=Decimal(1_000_000),
        )  # fmt: skip
        assert found.next_order_id == 1
        assert world.inbox.all == []

    on_gateway(scenario)


def test_warmup_and_missing_over_more_than_a_year_of_history() -> None:
    async def scenario(world: Simulated) -> None:
        found = await world.feed.warmup(world.gateway.now, 20)
        assert [e.ts_event for e in found] == list(SESSIONS.closes[20:40])
        assert all(len(e.bars) == 3 for e in found)
        missed = await world.feed.missing(SESSIONS.closes[9], SESSIONS.closes[14])
        assert [e.ts_event for e in missed] == list(SESSIONS.closes[10:15])
        world.feed.on_time(world.gateway.now)
        assert not world.feed.pending()

    on_gateway(scenario, start=SESSIONS.closes[39])


def test_the_wrong_kind_of_account_is_refused() -> None:
    async def run() -> None:
        gateway = make_gateway(account="U1234567")
        port = await gateway.serve()
        world = Simulated(gateway, port)
        other = Simulated(gateway, port, account="DU7654321")
        for trader, words in ((world, "begins with DU"), (other, "expected account DU7654321")):
            with pytest.raises(ConfigError, match=words):
                await trader.connect()
            assert not trader.link.connected
        await gateway.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_second_trader_with_the_same_client_id_is_refused_and_the_first_goes_on() -> None:
    async def scenario(world: Simulated) -> None:
        second = Simulated(world.gateway, world.port)
        with pytest.raises(ConnectionLost, match="client id is in use"):
            await second.connect()
        assert (await world.broker.snapshot()).next_order_id == 1

    on_gateway(scenario)


def test_a_gateway_that_goes_away_is_a_lost_link() -> None:
    async def run() -> None:
        gateway = make_gateway()
        world = Simulated(gateway, await gateway.serve())
        await world.connect()
        await gateway.close()
        await world.inbox.ended()
        assert not world.link.connected
        with pytest.raises(ConnectionLost):
            world.broker.submit(buy(world, 1, 0), 1)
        with pytest.raises(BrokerUnavailable):
            await world.broker.snapshot()
        with pytest.raises(ConnectionLost, match="nothing listens"):
            await world.connect()
        await world.link.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_orders_of_another_client_are_seen_but_not_ours() -> None:
    async def scenario(world: Simulated) -> None:
        other = Simulated(world.gateway, world.port, client_id=8)
        await other.connect()
        other.broker.submit(buy(other, 1, 0), 1)
        await other.broker.snapshot()
        found = await world.broker.snapshot()
        assert found.order_refs == {"RT-1"}
        assert {type(e) for e in world.events(found.messages)} == {ExternalOrder}
        world.broker.submit(buy(world, 3, 0), 1)  # the same order id: another order
        await world.broker.snapshot()
        await world.advance()
        found = await world.broker.snapshot()
        assert {e.fill.order_id for e in world.events(found.messages) if isinstance(e, OrderFilled)} == {"RT-3"}
        await other.link.close()

    on_gateway(scenario)


def test_a_short_sale_without_shares_is_held_not_filled_and_ends_with_its_day() -> None:
    async def scenario(world: Simulated) -> None:
        await world.advance()
        short = buy(world, 2, 0)
        lend = Intervention(deed="lend", instrument=short.instrument, quantity=0)
        world.gateway.tell(world.gateway.desk.intervene(lend))
        world.broker.submit(short, 1)
        await world.broker.snapshot()
        held = world.events(world.taken())
        assert {type(e) for e in held} == {OrderAccepted, OrderSuspended}
        reasons = [e.reason for e in held if isinstance(e, OrderSuspended)]
        assert any(reason.startswith("404") for reason in reasons)
        await world.advance()
        assert OrderFilled not in {type(e) for e in world.events(world.taken())}
        await world.advance()
        found = await world.broker.snapshot()
        assert {type(e) for e in world.events(found.messages)} == {OrderCanceled}
        assert found.positions == {}

    on_gateway(scenario)


def test_an_order_off_the_grid_never_leaves() -> None:
    async def scenario(world: Simulated) -> None:
        terms = {"type": OrderType.LIMIT, "limit_price": Decimal("10.005")}
        off = Order(
            id=OrderId("RT-1"), strategy=StrategyId("s"), instrument=world.instrument.id, side=Side.BUY, quantity=1,
            ts_event=0, **terms,  # type: ignore[arg-type]
        )  # fmt: skip
        with pytest.raises(InvariantViolation):
            world.broker.submit(off, 1)
        assert (await world.broker.snapshot()).order_refs == frozenset()

    on_gateway(scenario)


def test_on_a_running_clock_orders_fill_by_themselves() -> None:
    async def scenario(world: Simulated) -> None:
        world.broker.submit(buy(world, 1, 0), 1)
        found: list[AnyEvent] = []
        while not any(isinstance(e, OrderFilled) for e in found):
            await asyncio.wait_for(world.inbox.next(), 10)
            found += world.events(world.taken())

    on_gateway(scenario, lock_step=False, speed=100.0)
