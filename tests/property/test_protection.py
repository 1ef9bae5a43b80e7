"""Whatever fills, ends and is decided meanwhile: a position has its stop, once, and nothing else does."""

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from robotrader.model import OrderState, TradingState
from tests.unit.engine.exchange import Floor

STRENGTHS = (-1.0, -0.5, 0.0, 0.3, 0.5, 1.0)
DAYS = 8
fills = st.tuples(st.just("fill"), st.integers(0, 5), st.integers(1, 120))
ends = st.tuples(st.just("end"), st.integers(0, 5), st.just(0))
moments = st.tuples(st.sampled_from(["bar", "work", "hear"]), st.just(0), st.just(0))
strengths = st.lists(st.sampled_from(STRENGTHS), min_size=DAYS, max_size=DAYS)
policies = st.sampled_from(
    [{"stop_loss": "percent:0.05"}, {"stop_loss": "percent:0.05", "take_profit": "percent:0.1"}]
)  # fmt: skip


class Story:
    """A trader and a broker that do what is drawn; not `slow`: each thing comes to rest before the next."""

    def __init__(self, floor: Floor, *, slow: bool) -> None:
        self.floor = floor
        self.slow = slow
        self.day = 0

    async def bar(self, *_: int) -> None:
        """Let the strategy decide."""
        if self.day < DAYS:
            await self.floor.bar(self.day)
            self.day += 1

    async def work(self, *_: int) -> None:
        """Let the broker do one thing."""
        self.floor.work()

    async def hear(self, *_: int) -> None:
        """Let the trader hear one thing."""
        await self.floor.hear()

    async def fill(self, which: int, quantity: int) -> None:
        """Fill some of what works at the broker."""
        broker = self.floor.broker
        ticket, before = broker.working[which % len(broker.working)], broker.position
        broker.fill(ticket.order.id, min(quantity, ticket.leaves))
        if ticket.order.purpose.protective and not self.slow:
            assert 0 <= broker.position * (1 if before > 0 else -1) < abs(before), "protection only reduces"

    async def end(self, which: int, _: int) -> None:
        """End some of what works at the broker, as a person or a session would."""
        broker = self.floor.broker
        broker.end(broker.working[which % len(broker.working)].order.id)

    async def play(self, deeds: list[tuple[str, int, int]]) -> None:
        """Play to the end: all was done and heard, what a decision asked for has ended, and bars closed since."""
        for what, which, quantity in deeds:
            if what not in {"fill", "end"} or self.floor.broker.working:
                await getattr(self, what)(which, quantity)
            if not self.slow:
                await self.floor.rest()
        await self.floor.rest()
        for ticket in [t for t in self.floor.broker.working if not t.order.purpose.protective]:
            self.floor.broker.end(ticket.order.id)
        await self.floor.rest()
        await self.floor.day(DAYS)
        await self.floor.day(DAYS + 1)


async def played(said: list[float], deeds: list[tuple[str, int, int]], policy: dict[str, str], *, slow: bool) -> Floor:
    """Return what came of a story; after what is `said` the strategy has no view."""
    script = {day: (strength, float("nan")) for day, strength in enumerate(said)}
    story = Story(await Floor.open(script, policy), slow=slow)
    await story.play(deeds)
    return story.floor


GROWS = [("bar", 0, 0), ("fill", 0, 120), ("bar", 0, 0), ("fill", 1, 120)]


@pytest.mark.parametrize("slow", [False, True])
@given(said=strengths, deeds=st.lists(st.one_of(moments, moments, fills, ends), max_size=30), policy=policies)
@example(said=[0.5] + [1.0] * (DAYS - 1), deeds=GROWS, policy={"stop_loss": "percent:0.05"})  # chance may miss it
def test_at_rest_the_stops_are_for_what_is_held(
    slow: bool, said: list[float], deeds: list[tuple[str, int, int]], policy: dict[str, str]
) -> None:
    floor = asyncio.run(played(said, deeds, policy, slow=slow))
    broker = floor.broker
    assert floor.held == broker.position
    assert broker.stops() == broker.position, [(t.order.purpose, t.order.side, t.leaves) for t in broker.working]
    open_ids = {w.order.id for w in floor.trader.orders.open_orders()}
    assert open_ids == {t.order.id for t in broker.book.values() if t.open}
    assert all(w.state in {OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED} for w in floor.trader.orders.open_orders())
    assert len(set(broker.sent)) == len(broker.sent), "nothing is sent twice"
    assert floor.trader.states.of((None, None))[0] is TradingState.ACTIVE
