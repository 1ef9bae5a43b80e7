"""What-ifs over the wire: each ends in one answer, and none is ever an order."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from robotrader.adapters.ibkr.broker import IbkrBroker
from robotrader.adapters.ibkr.connection import IbkrConnection
from robotrader.model import ConnectionLost, MarginPreviewed
from robotrader.ports import BrokerMessage
from robotrader.simulation.gateway import GatewayRecord
from tests.integration.ibkr.arrivals import Arrivals
from tests.integration.ibkr.scripted import ScriptedGateway
from tests.integration.ibkr.session import connected
from tests.integration.ibkr.simulated import simulated
from tests.integration.ibkr.test_gateway import buy
from tests.unit.adapters.ibkr.messages import AAPL, order

Scenario = Callable[[IbkrBroker, Arrivals, ScriptedGateway], Awaitable[None]]


def previewing(scenario: Scenario, *, timeout_s: float = 5.0) -> None:
    async def run(link: IbkrConnection, inbox: Arrivals, peer: ScriptedGateway) -> None:
        await scenario(IbkrBroker(link, [AAPL], preview_timeout_s=timeout_s), inbox, peer)

    connected(run)


async def errors(broker: IbkrBroker, inbox: Arrivals, count: int = 1) -> list[str]:
    """Return what answers to previews say, once there are so many."""
    found = [e for m in await inbox.until(BrokerMessage, count) for e in broker.interpret(m)]
    assert {type(e) for e in found} == {MarginPreviewed}
    return [e.error for e in found if isinstance(e, MarginPreviewed)]


def test_a_what_if_without_an_answer_ends_in_time_and_a_late_answer_is_nobodys() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        broker.preview(order(), 5)
        broker.preview(order(), 6)  # one at a time
        assert await errors(broker, inbox) == ["the gateway did not answer within 0.05 s"]
        assert not broker.previewing()
        peer.say("4|2|5|201|Order rejected - reason:MARGIN|")
        broker.preview(order(), 7)
        assert len(await errors(broker, inbox, 3)) == 2  # the late one means nothing
        assert [fields[1] for fields in peer.requests("3")] == ["5", "7"]

    previewing(scenario, timeout_s=0.05)


def test_a_refused_what_if_is_an_answer_and_no_rejected_order() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        broker.preview(order(), 5)
        await peer.until("3")
        peer.say("4|2|5|2109|Attribute 'Outside Regular Trading Hours' is ignored|")  # a warning is no answer
        peer.say("4|2|5|201|Order rejected - reason:MARGIN|")
        [error] = await errors(broker, inbox)
        assert "201: Order rejected - reason:MARGIN" in error

    previewing(scenario)


def test_a_lost_link_ends_what_was_asked_and_without_one_nothing_is_asked() -> None:
    async def scenario(broker: IbkrBroker, inbox: Arrivals, peer: ScriptedGateway) -> None:
        broker.preview(order(), 5)
        await peer.until("3")
        peer.hang_up()
        await inbox.ended()
        assert "closed the connection" in (await errors(broker, inbox))[0]
        with pytest.raises(ConnectionLost):
            broker.preview(order("RT-B"), 6)
        assert not broker.previewing()

    previewing(scenario)


def test_a_gateway_has_no_placement_of_a_what_if_and_takes_the_order_after_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with simulated(state=tmp_path) as world:
            await world.advance()
            for number in (1, 2, 3):
                world.broker.preview(buy(world, number, 0), number)
            before = await world.broker.snapshot()
            assert (before.messages, before.order_refs) == ((), frozenset())
            assert not world.broker.previewing()
            world.broker.submit(buy(world, 5, 0), 4)
            assert (await world.broker.snapshot()).next_order_id == 5
        record = GatewayRecord.read(tmp_path)
        assert [(p.order_ref, p.order.order_id, p.order.what_if) for p in record.placements] == [("RT-5", 4, False)]

    asyncio.run(asyncio.wait_for(run(), 20))
