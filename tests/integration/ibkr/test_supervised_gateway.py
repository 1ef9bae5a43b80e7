"""The supervised session on the gateway simulator, in virtual time."""

import asyncio
import contextlib
import random

import pytest

from robotrader.adapters.ibkr.supervisor import Endpoint, Supervisor
from robotrader.model import AccountReported, BrokerUnavailable, LinkChanged
from robotrader.ports import TimeAdvanced
from tests.integration.ibkr.simulated import Simulated, make_gateway
from tests.virtual.loop import VirtualLoop, run


class MarketClock:
    """A clock that nobody moves."""

    def now(self) -> int:
        return 0

    def advance(self, ts: int) -> None: ...
    def pull(self) -> None: ...
    def reconnected(self) -> None: ...


def test_a_gateway_that_restarts_is_found_again_with_all_that_was_asked_for() -> None:
    async def body(loop: VirtualLoop) -> None:
        gateway = make_gateway()
        world = Simulated(gateway, await gateway.serve())
        endpoint = Endpoint(host="127.0.0.1", port=world.port, client_id=world.client_id)
        supervisor = Supervisor(world.link, world.inbox, MarketClock(), endpoint, rng=random.Random(1))  # noqa: S311
        await supervisor.open()
        world.broker.watch_account()
        task = asyncio.create_task(supervisor.run())
        try:
            supervisor.synced(1)
            await world.advance()
            before = await world.broker.snapshot()
            await gateway.close()
            with pytest.raises(BrokerUnavailable):
                await world.broker.snapshot()
            await asyncio.sleep(300)
            gateway = make_gateway()
            await gateway.serve(port=world.port)
            await asyncio.sleep(73)
            changes = world.inbox.of(LinkChanged)
            assert [(c.state, c.sync) for c in changes] == [("SYNCING", 1), ("CONNECTING", 1), ("SYNCING", 2)]
            after = await world.broker.snapshot()
            assert supervisor.synced(2).state == "READY"
            assert (before.account.cash, before.next_order_id) == (after.account.cash, after.next_order_id)
            world.link.request_time()
            assert not (await world.inbox.until(TimeAdvanced, 3))[-1].ended
            assert {a.account.cash for a in world.inbox.of(AccountReported)} == {after.account.cash}
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await supervisor.close()
            await gateway.close()

    run(body)
