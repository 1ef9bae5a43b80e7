"""What the runner does when the link to the broker changes: nothing is sent over a closed one, nothing is forgotten."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from robotrader.model import (
    BrokerUnavailable,
    ConnectionLost,
    DataError,
    Deny,
    LinkChanged,
    LinkState,
    Order,
    OrderUnresolved,
    OrderVoided,
    Recovered,
    RoboTraderError,
    TradingHalted,
    TradingState,
)
from robotrader.ports import BrokerSnapshot
from tests import builders as make
from tests.fakes import FakeBroker, MemoryStorage, Script, message, snapshot
from tests.unit.engine.stage import NAN
from tests.unit.engine.world import Life, commands, events, of, state_of

BUY_THEN_SELL: Script = {0: (1.0, NAN), 1: (0.0, NAN), 2: (0.0, 1.0)}
DOWN, SYNCING = make.link(LinkState.DISCONNECTED, "cable"), make.link(LinkState.SYNCING, sync=2)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, timeout=10))


@pytest.mark.parametrize("state", [s for s in LinkState if s is not LinkState.READY])
def test_an_entry_is_denied_in_every_state_but_ready(state: LinkState) -> None:
    async def test() -> None:
        life = Life(MemoryStorage())
        runner = life.runner()
        await runner.start()
        if state is LinkState.SYNCING:  # it stays so while its comparison fails
            life.broker.snapshots = []
        await runner._step([make.link(state), make.bars_closed(0)])
        assert life.broker.sent == []
        [denied] = [c for c in commands(life.storage) if isinstance(c, Deny)]
        [check] = [c for c in denied.verdict.checks if not c.passed]
        assert check.reason.startswith(f"trading is {make.link(state).trading}: the link is {state}")

    class Silent(FakeBroker):
        async def snapshot(self) -> BrokerSnapshot:
            if not self.snapshots:
                raise BrokerUnavailable("no answer")
            return await super().snapshot()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.unit.engine.world.FakeBroker", Silent)
        run(test())


@pytest.mark.parametrize(("state", "sold"), [(LinkState.DEGRADED, True), (LinkState.DISCONNECTED, False)])
def test_an_exit_leaves_while_the_link_is_open_and_is_planned_anew_when_it_was_not(
    state: LinkState, sold: bool
) -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY_THEN_SELL)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        await runner._step([message(make.filled(life.broker.submitted[0][0]))])
        await runner._step([make.link(state), make.bars_closed(1)])
        assert [o.side for o, _ in life.broker.submitted] == ["BUY", *(["SELL"] if sold else [])]
        if not sold:
            life.broker.snapshots = [snapshot(positions={make.SPY.id: life.broker.submitted[0][0].quantity})]
            await runner._step([SYNCING, make.bars_closed(2)])
            assert [o.side for o, _ in life.broker.submitted if o.instrument == make.SPY.id] == ["BUY", "SELL"]

    run(test())


def test_what_was_under_way_is_unknown_until_the_new_session_says_what_became_of_it() -> None:
    async def test() -> None:
        life = Life(MemoryStorage())
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        order = life.broker.submitted[0][0]
        await runner._step([DOWN])
        assert life.storage.orders[order.id].unresolved
        life.broker.snapshots = [snapshot(refs=[order.id], messages=[message(make.accepted(order.id))])]
        await runner._step([SYNCING])
        assert not life.storage.orders[order.id].unresolved
        assert state_of(life.storage, order.id) == "ACCEPTED"
        assert life.broker.sent == [order.id]
        assert life.link.synced_with == [0, 2]
        assert [e.reason for e in of(life.storage, OrderUnresolved) if isinstance(e, OrderUnresolved)] == ["cable"]

    run(test())


def test_an_order_that_two_snapshots_do_not_know_is_void_and_never_sent_again() -> None:
    async def test() -> None:
        life = Life(MemoryStorage())
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [sent] = life.broker.sent
        await runner._step([DOWN, SYNCING])
        assert state_of(life.storage, sent) == "VOIDED"
        assert life.broker.sent == [sent]

    run(test())


def test_an_order_that_had_not_left_is_void_with_proof_and_no_other() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script={0: (1.0, 1.0)})
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        (first, _), (second, number) = life.broker.submitted
        life.link.unsent = (number,)
        await runner._step([DOWN])
        assert life.storage.orders[first.id].unresolved
        assert state_of(life.storage, second.id) == "VOIDED"
        [voided] = [e for e in of(life.storage, OrderVoided) if isinstance(e, OrderVoided)]
        assert voided.proven

    run(test())


def test_an_order_that_the_socket_did_not_take_is_void_with_proof() -> None:
    def refuse(_: Order) -> None:
        raise ConnectionLost("no session")

    async def test() -> None:
        life = Life(MemoryStorage())
        runner = life.runner()
        await runner.start()
        life.broker.on_submit = refuse
        await runner._step([make.bars_closed(0)])
        [voided] = [e for e in of(life.storage, OrderVoided) if isinstance(e, OrderVoided)]
        assert (voided.proven, voided.reason) == (True, "not sent: no session")

    run(test())


def test_a_cancel_that_the_link_lost_is_repeated_when_it_is_back() -> None:
    class Deaf(FakeBroker):
        deaf = False

        def cancel(self, order_id: Any) -> None:
            if self.deaf:
                raise ConnectionLost("no session")
            super().cancel(order_id)

    async def test() -> None:
        life = Life(MemoryStorage())
        life.broker = broker = Deaf()
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [sent] = broker.sent
        await runner._step([message(make.accepted(sent))])
        broker.deaf = True
        await runner._step([DOWN, TradingHalted(ts_event=make.T0, ts_init=make.T0, reason="stop")])  # type: ignore[list-item]
        assert broker.canceled == []
        broker.deaf = False
        broker.snapshots = [snapshot(refs=[sent], messages=[message(make.accepted(sent))])]
        await runner._step([SYNCING])
        assert broker.canceled == [sent]

    run(test())


@pytest.mark.parametrize(
    ("error", "halts"), [(BrokerUnavailable("no End marker"), False), (DataError("half a share"), True)]
)
def test_a_comparison_that_fails_is_told_to_the_link_and_nonsense_also_halts(
    error: RoboTraderError, halts: bool
) -> None:
    async def test() -> None:
        life = Life(MemoryStorage())
        runner = life.runner()
        await runner.start()

        async def fails() -> BrokerSnapshot:
            raise error

        life.broker.snapshot = fails  # type: ignore[method-assign]
        await runner._step([DOWN, SYNCING])
        assert life.link.failed == [str(error)]
        last = [e for e in events(life.storage) if isinstance(e, LinkChanged)][-1]
        assert last.state is LinkState.SYNCING
        state = runner._replayed.trader.states.of((None, None))[0]
        assert (state is TradingState.HALTED) is halts

    run(test())


def test_bars_missed_while_the_link_was_down_are_fetched_and_only_the_last_one_decides() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script={1: (1.0, NAN), 2: (1.0, 1.0)})
        runner = life.runner(history=[make.bars_closed(1), make.bars_closed(2)])
        await runner.start()
        await runner._step([make.bars_closed(0)])
        runner._world.clock.advance(make.T0 + 2 * make.DAY)
        await runner._step([DOWN, SYNCING])
        assert {o.ts_event for o, _ in life.broker.submitted} == {make.T0 + 2 * make.DAY}
        assert len(of(life.storage, Recovered)) == 2

    run(test())
