"""Borrow and halts on their way from the gateway to the inbox, in lock-step: before the bars of that time."""

import asyncio

from robotrader.adapters.ibkr.feed import IbkrFeed
from robotrader.adapters.ibkr.quotes import LiveQuotes
from robotrader.model import (
    BarsClosed,
    BorrowReported,
    HaltCause,
    HaltReported,
    MarketDataReported,
    MarketDataType,
)
from robotrader.simulation.gateway.record import Intervention
from tests.integration.ibkr.simulated import SESSIONS, Simulated, simulated


async def session(world: Simulated, feed: IbkrFeed) -> list[object]:
    """Let a session pass, and return what reached the inbox of it: its bars are the last."""
    seen, bars = len(world.inbox.all), len(world.inbox.of(BarsClosed))
    await world.advance()
    feed.on_time(world.gateway.now)
    await world.inbox.until(BarsClosed, bars + 1)
    return [
        a
        for a in world.inbox.all[seen:]
        if isinstance(a, BarsClosed | BorrowReported | HaltReported | MarketDataReported)
    ]


def test_each_session_tells_what_can_be_borrowed_and_halts_before_its_bars() -> None:
    async def run() -> None:
        async with simulated() as world:
            quotes, [first, *others] = LiveQuotes(world.link, world.instruments, lambda: 0), world.instruments
            feed = IbkrFeed(world.link, world.inbox, world.instruments, SESSIONS, conditions=quotes.conditions,
                            deliver_after=world.gateway.now)  # fmt: skip
            *told, bars = await session(world, feed)
            assert isinstance(bars, BarsClosed)
            assert {(t.instrument, t.level, t.shares) for t in told if isinstance(t, BorrowReported)} == {
                (i.id, 3.0, 10_000_000) for i in world.instruments
            }
            assert {(t.instrument, t.halted, t.limit_state) for t in told if isinstance(t, HaltReported)} == {
                (i.id, False, False) for i in world.instruments
            }
            assert {(t.instrument, t.data_type) for t in told if isinstance(t, MarketDataReported)} == {
                (i.id, MarketDataType.LIVE) for i in world.instruments
            }
            for deed, quantity in (("lend", 300), ("halt", 2)):
                world.gateway.tell(world.gateway.desk.intervene(
                    Intervention(deed=deed, instrument=first.id, quantity=quantity)))  # type: ignore[arg-type] # fmt: skip
            await world.broker.snapshot()
            feed.on_time(world.gateway.now)  # told at once, though time stands
            assert world.inbox.of(HaltReported)[-1] == HaltReported(
                ts_event=0,
                ts_init=0,
                instrument=first.id,
                halted=True,
                cause=HaltCause.VOLATILITY,
                limit_state=False,
            )
            told_at_once = world.inbox.of(BorrowReported)[-1]
            assert (told_at_once.instrument, told_at_once.shares) == (first.id, 300)
            for deed, quantity in (("halt", 0), ("lend", 200)):
                world.gateway.tell(world.gateway.desk.intervene(
                    Intervention(deed=deed, instrument=first.id, quantity=quantity)))  # type: ignore[arg-type] # fmt: skip
            *told, _ = await session(world, feed)
            assert [(t.instrument, t.halted) for t in told if isinstance(t, HaltReported)] == [(first.id, False)]
            assert not [t for t in told if isinstance(t, MarketDataReported)]
            shares = {t.instrument: t.shares for t in told if isinstance(t, BorrowReported)}
            assert shares == {first.id: 200} | {i.id: 10_000_000 for i in others}  # told anew: it is a day later

    asyncio.run(asyncio.wait_for(run(), 20))
