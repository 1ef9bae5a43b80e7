"""Tickets, orders that vanish, reservations, and when the broker is compared with."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from msgspec import structs

from robotrader.engine.runner import Runner
from robotrader.model import (
    EXTERNAL,
    Action,
    AnyEvent,
    BookAdjusted,
    BreakOpened,
    BrokerUnavailable,
    Deny,
    ExternalFill,
    ExternalOrder,
    InstrumentId,
    LinkState,
    OrderCanceled,
    OrderExpired,
    OrderId,
    OrderUnresolved,
    OrderVoided,
    Recovered,
    Side,
    TradingState,
)
from robotrader.ports import BrokerMessage, RequestRow, TimeAdvanced
from tests import builders as make
from tests.fakes import MemoryStorage, Script, message, snapshot
from tests.unit.engine.stage import NAN
from tests.unit.engine.world import Life, commands, of, state_of

BUY: Script = {0: (1.0, NAN)}
MINUTE = 60_000_000_000
DOWN, SYNCING = make.link(LinkState.DISCONNECTED), make.link(LinkState.SYNCING, sync=2)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, timeout=10))


def ask(life: Life, action: Action, instrument: InstrumentId | None = None, n: int = 1) -> None:
    life.storage.request(
        RequestRow(id=f"r{n}-{action}", ts=0, action=action, reason="looked", actor="me", instrument=instrument)
    )


def state(runner: Runner) -> TradingState:
    return runner._replayed.trader.states.of((None, None))[0]


def unresolved(order_id: OrderId) -> OrderUnresolved:
    return OrderUnresolved(ts_event=make.T0, ts_init=make.T0, order_id=order_id, reason="10147")


async def bought(life: Life, *, batches: Sequence[Any] = ()) -> Runner:
    """Return a runner that bought 100 SPY."""
    runner = life.runner()
    await runner.start()
    await runner._step([make.bars_closed(0)])
    await runner._step([message(make.filled(life.broker.submitted[0][0]))])
    life.broker.snapshots = [snapshot(positions={make.SPY.id: 100})]
    return runner


def test_a_break_is_a_ticket_that_stops_trading_until_it_is_resolved_with_a_reason() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = await bought(life)
        life.broker.snapshots = [snapshot(positions={make.SPY.id: 70})]
        ask(life, Action.RECONCILE)
        await runner._step([])
        [ticket] = [e for e in of(life.storage, BreakOpened) if isinstance(e, BreakOpened)]
        assert (ticket.break_id, ticket.instrument, ticket.broker, ticket.ledger) == ("B1", make.SPY.id, 70, 100)
        assert state(runner) is TradingState.HALTED
        ask(life, Action.RESUME, n=2)
        await runner._step([])
        assert state(runner) is TradingState.HALTED
        ask(life, Action.RESOLVE, make.QQQ.id, n=3)
        ask(life, Action.RESOLVE, make.SPY.id, n=4)
        await runner._step([])
        [adjusted] = [c for c in commands(life.storage) if isinstance(c, BookAdjusted)]
        booked = [(f.strategy, f.side, f.quantity) for f in adjusted.fills]
        assert booked == [(EXTERNAL, Side.SELL, 30), (make.TREND, Side.SELL, 30), (EXTERNAL, Side.BUY, 30)]
        assert (adjusted.reason, adjusted.actor) == ("looked", "me")
        assert runner._replayed.trader.ledger.quantity(make.SPY.id) == 70
        ask(life, Action.RESUME, n=5)
        ask(life, Action.RECONCILE, n=6)
        await runner._step([])
        assert state(runner) is TradingState.ACTIVE
        assert len(of(life.storage, BreakOpened)) == 1

    run(test())


def test_what_a_ticket_hid_is_a_ticket_of_its_own_before_anybody_can_resume() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = await bought(life)
        life.broker.snapshots = [snapshot(positions={make.SPY.id: 70})]
        ask(life, Action.RECONCILE)
        await runner._step([])
        life.broker.snapshots = [snapshot(positions={make.SPY.id: 60})]
        ask(life, Action.RESOLVE, make.SPY.id, n=2)
        await runner._step([])
        tickets = [e for e in of(life.storage, BreakOpened) if isinstance(e, BreakOpened)]
        assert [(t.break_id, t.broker, t.ledger) for t in tickets] == [("B1", 70, 100), ("B2", 60, 70)]
        ask(life, Action.RESUME, n=3)
        await runner._step([])
        assert state(runner) is TradingState.HALTED

    run(test())


def test_a_difference_that_stays_is_one_ticket_and_another_one_is_another() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = await bought(life)
        for n, positions in enumerate(({make.SPY.id: 70}, {make.SPY.id: 60}, {make.SPY.id: 60, make.QQQ.id: 5})):
            life.broker.snapshots = [snapshot(positions=positions)]
            ask(life, Action.RECONCILE, n=n)
            await runner._step([])
        tickets = [e for e in of(life.storage, BreakOpened) if isinstance(e, BreakOpened)]
        assert [(t.break_id, t.instrument) for t in tickets] == [("B1", make.SPY.id), ("B2", make.QQQ.id)]

    run(test())


@pytest.mark.parametrize(
    ("side", "liquidation", "ticket"), [("SELL", False, True), ("BUY", False, False), ("BUY", True, True)]
)
def test_a_trade_of_somebody_else_is_booked_beside_ours_and_a_ticket_where_it_takes_from_us_or_was_forced(
    side: str, liquidation: bool, ticket: bool
) -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = await bought(life)
        fill = structs.replace(
            make.filled(life.broker.submitted[0][0], exec_id="x").fill, strategy=EXTERNAL, side=Side(side), quantity=60,
            order_id=OrderId("EXT-5"),
        )  # fmt: skip
        await runner._step(
            [message(ExternalFill(ts_event=make.T0, ts_init=make.T0, fill=fill, liquidation=liquidation))]
        )
        ledger = runner._replayed.trader.ledger
        assert ledger.book(make.TREND).quantity(make.SPY.id) == 100
        assert ledger.quantity(make.SPY.id) == 100 + Side(side).sign * 60
        assert (state(runner) is TradingState.HALTED) is ticket
        assert bool(of(life.storage, BreakOpened)) is ticket
        if side == "SELL":
            ask(life, Action.RESOLVE, make.SPY.id)
            await runner._step([])
            assert (ledger.book(make.TREND).quantity(make.SPY.id), ledger.book(EXTERNAL).quantity(make.SPY.id)) == (
                40,
                0,
            )

    run(test())


def test_an_order_of_somebody_else_counts_at_worst_case_until_its_end() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner()
        await runner.start()
        orders = runner._replayed.trader.orders
        for remaining in (70, 0):
            order = ExternalOrder(
                ts_event=make.T0,
                ts_init=make.T0,
                perm_id=5,
                instrument=make.SPY.id,
                side=Side.SELL,
                remaining=remaining,
            )
            await runner._step([message(order)])
            assert orders.open_quantity(make.SPY.id, Side.SELL) == remaining

    run(test())


def test_tickets_survive_a_restart() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        first = Life(storage, script=BUY)
        runner = await bought(first)
        first.broker.snapshots = [snapshot(positions={make.SPY.id: 70})]
        ask(first, Action.RECONCILE)
        await runner._step([])
        second = Life(storage, script=BUY)
        second.broker.snapshots = [snapshot(positions={make.SPY.id: 70})]
        again = second.runner()
        await again.start()
        ask(second, Action.RESUME, n=2)
        await again._step([])
        assert state(again) is TradingState.HALTED
        assert len(of(storage, BreakOpened)) == 1

    run(test())


def test_an_order_that_the_broker_had_and_knows_no_more_is_unknown_and_blocks_its_instrument() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script={0: (1.0, NAN), 1: (0.0, 1.0)})
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [sent] = life.broker.sent
        await runner._step([message(make.accepted(sent))])
        ask(life, Action.RECONCILE)
        await runner._step([])
        assert life.storage.orders[sent].unresolved
        ask(life, Action.RECONCILE, n=2)
        await runner._step([])
        assert len(of(life.storage, OrderUnresolved)) == 1
        await runner._step([make.bars_closed(1)])
        assert sent in life.broker.sent
        assert {o.instrument for o, _ in life.broker.submitted[1:]} == {make.QQQ.id}

    run(test())


def test_one_in_doubt_that_the_broker_works_is_confirmed() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [sent] = life.broker.sent
        await runner._step([message(make.accepted(sent)), message(unresolved(sent))])
        assert life.storage.orders[sent].unresolved
        life.broker.interpret = lambda _: ()  # type: ignore[method-assign,assignment]
        shown = BrokerMessage(name="openOrder", fields={"orderRef": sent, "status": "Submitted"})
        life.broker.snapshots = [snapshot(refs=[sent], messages=[shown])]
        ask(life, Action.RECONCILE)
        await runner._step([])
        assert (state_of(life.storage, sent), life.storage.orders[sent].unresolved) == ("ACCEPTED", False)

    run(test())


def test_one_that_the_broker_calls_done_without_telling_how_is_unknown_until_it_does() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [(order, _)] = life.broker.submitted
        interpret, life.broker.interpret = life.broker.interpret, lambda _: ()  # type: ignore[method-assign,assignment]
        done = BrokerMessage(name="completedOrder", fields={"orderRef": order.id, "status": "Filled"})
        life.broker.snapshots = [snapshot(refs=[order.id], messages=[done])]
        ask(life, Action.RECONCILE)
        await runner._step([])
        ask(life, Action.RECONCILE, n=2)
        await runner._step([])
        [told] = of(life.storage, OrderUnresolved)
        assert told == structs.replace(unresolved(order.id), reason="the broker calls it done, and tells no executions")
        life.broker.interpret = interpret  # type: ignore[method-assign]
        await runner._step([message(make.filled(order))])
        assert (state_of(life.storage, order.id), life.storage.orders[order.id].unresolved) == ("FILLED", False)

    run(test())


def test_a_cancel_without_an_answer_is_repeated_at_each_comparison_while_the_broker_works_the_order() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [sent] = life.broker.sent
        await runner._step([message(make.accepted(sent))])
        ask(life, Action.HALT)
        await runner._step([])
        assert life.broker.canceled == [sent]
        life.broker.interpret = lambda _: ()  # type: ignore[method-assign,assignment]
        shown = BrokerMessage(name="openOrder", fields={"orderRef": sent, "status": "Submitted", "totalQuantity": 100})
        life.broker.snapshots = [snapshot(refs=[sent], messages=[shown])]
        for minutes, times in ((0.5, 1), (1.5, 2), (2.6, 3)):  # in doubt, from a minute on
            now = make.T0 + round(minutes * MINUTE)
            runner._world.clock.advance(now)
            await runner._step([TimeAdvanced(ts=now)])
            assert life.broker.canceled == [sent] * times
        life.broker.snapshots = [snapshot(refs=[sent])]
        runner._world.clock.advance(make.T0 + 4 * MINUTE)
        await runner._step([TimeAdvanced(ts=make.T0 + 4 * MINUTE)])
        assert life.broker.canceled == [sent] * 3

    run(test())


def test_what_was_sent_moments_ago_or_after_the_broker_was_asked_is_not_absent_yet() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [sent] = life.broker.sent
        for minutes, expected in ((0.5, "SENDING"), (1.5, "VOIDED")):
            runner._world.clock.advance(make.T0 + round(minutes * MINUTE))
            ask(life, Action.RECONCILE, n=round(minutes * 2))
            await runner._step([])
            assert state_of(life.storage, sent) == expected

    run(test())


def test_an_order_that_ends_while_the_broker_is_asked_is_not_taken_for_one_that_came_back() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [sent] = life.broker.sent
        end = OrderCanceled(ts_event=make.T0, ts_init=make.T0, order_id=sent, reason="Cancelled")
        said: dict[str, AnyEvent] = {"openOrder": make.accepted(sent), "completedOrder": end}
        words = [structs.replace(message(event), name=name) for name, event in said.items()]
        words[0].fields["status"] = "PreSubmitted"
        life.inbox.put(words[0])  # as it comes from the wire: in the answer, and in the inbox
        life.broker.snapshots = [snapshot(refs=[sent], messages=words)]
        ask(life, Action.RECONCILE)
        await runner._step([])
        life.inbox.wake()
        await runner._step(await life.inbox.take())
        assert (state_of(life.storage, sent), state(runner)) == ("CANCELED", TradingState.ACTIVE)

    run(test())


def test_one_whose_outcome_stays_unknown_for_a_quarter_of_an_hour_halts_trading() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [sent] = life.broker.sent
        await runner._step([message(make.accepted(sent))])
        for n, minutes in enumerate((1, 16)):
            runner._world.clock.advance(make.T0 + minutes * MINUTE)
            ask(life, Action.RECONCILE, n=n)
            await runner._step([])
            assert (state(runner) is TradingState.HALTED) is (minutes == 16)

    run(test())


def test_one_that_was_canceled_before_the_broker_said_a_word_of_it_is_unknown_until_its_day_ends() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [sent] = life.broker.sent
        ask(life, Action.HALT)
        await runner._step([])
        assert state_of(life.storage, sent) == "PENDING_CANCEL"
        ask(life, Action.RECONCILE, n=2)
        await runner._step([])
        assert life.storage.orders[sent].unresolved
        runner._world.clock.advance(make.T0 + make.DAY)
        await runner._step([TimeAdvanced(ts=make.T0 + make.DAY)])
        assert state_of(life.storage, sent) == "EXPIRED"

    run(test())


def test_one_whose_day_is_over_has_expired() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        [sent] = life.broker.sent
        await runner._step([message(make.accepted(sent))])
        runner._world.clock.advance(make.T0 + make.DAY + 1)
        ask(life, Action.RECONCILE)
        await runner._step([])
        [expired] = of(life.storage, OrderExpired)
        assert (expired.ts_event, state_of(life.storage, sent)) == (make.T0 + make.DAY, "EXPIRED")

    run(test())


def test_an_order_given_up_unproven_counts_at_worst_case_until_its_day_ends() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner()
        await runner.start()
        await runner._step([make.bars_closed(0)])
        await runner._step([DOWN, SYNCING])
        [voided] = [e for e in of(life.storage, OrderVoided) if isinstance(e, OrderVoided)]
        assert (voided.proven, voided.until) == (False, make.T0 + make.DAY)
        orders = runner._replayed.trader.orders
        assert (orders.net(make.TREND, make.SPY.id), orders.open_quantity(make.SPY.id, Side.BUY)) == (0, 100)
        await runner._step([make.bars_closed(1)])
        assert orders.open_quantity(make.SPY.id, Side.BUY) == 0

    run(test())


@pytest.mark.parametrize(("positions", "complete"), [({make.SPY.id: 100}, True), ({make.SPY.id: 70}, False)])
def test_executions_without_an_end_are_none_only_where_none_can_be_missing(
    positions: dict[Any, int], complete: bool
) -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = await bought(life)
        life.broker.snapshots = [snapshot(positions=positions, executions_ended=False)]
        ask(life, Action.RECONCILE)
        await runner._step([])
        assert bool(life.link.failed) is not complete
        assert len(of(life.storage, Recovered)) == (2 if complete else 1)
        assert of(life.storage, BreakOpened) == []

    run(test())


def test_a_glance_every_minute_and_a_whole_comparison_every_quarter_of_an_hour() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        looks: list[int] = []
        whole = life.broker.snapshot

        async def look() -> Any:
            looks.append(runner._world.clock.now())
            return await whole()

        runner = life.runner(reconciles=True)
        await runner.start()
        life.broker.snapshot = look  # type: ignore[method-assign]
        start = runner._world.clock.now()
        for minute in range(1, 31):
            await runner._step([TimeAdvanced(ts=start + minute * MINUTE)])
        counted = [sum(ts == start + minute * MINUTE for ts in looks) for minute in range(1, 31)]
        assert counted == [1] * 14 + [2] + [1] * 14 + [2]

    run(test())


def test_a_glance_that_finds_a_difference_is_followed_by_a_whole_comparison() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner(reconciles=True)
        await runner.start()
        life.broker.snapshots = [snapshot(positions={make.QQQ.id: 5})]
        await runner._step([TimeAdvanced(ts=runner._world.clock.now() + MINUTE)])
        assert len(of(life.storage, BreakOpened)) == 1

    run(test())


def test_a_glance_without_an_answer_asks_the_link_for_a_new_comparison() -> None:
    async def test() -> None:
        life = Life(MemoryStorage(), script=BUY)
        runner = life.runner(reconciles=True)
        await runner.start()

        async def silent() -> Any:
            raise BrokerUnavailable("no End marker")

        life.broker.snapshot = silent  # type: ignore[method-assign]
        await runner._step([TimeAdvanced(ts=runner._world.clock.now() + MINUTE)])
        assert life.link.failed == ["no End marker"]
        assert [c for c in commands(life.storage) if isinstance(c, Deny)] == []

    run(test())
