"""Corporate actions in the trader: books, prices and orders before the open, and the guard against unknown splits."""

import asyncio
from decimal import Decimal

import pytest
from msgspec import structs

from robotrader.engine.agenda import Agenda
from robotrader.engine.recovery import replay
from robotrader.engine.trader import Trader
from robotrader.model import (
    Action,
    BookAdjusted,
    CorporateAction,
    CorporateActionBooked,
    CorporateActionDue,
    CorporateActionKind,
    Hold,
    InvariantViolation,
    OrderCanceled,
    OrderState,
    PositionReported,
    Posting,
    Recovered,
    RiskLimit,
    TradingState,
)
from robotrader.portfolio.ledger import Ledger
from robotrader.ports import TimeAdvanced
from tests import builders as make
from tests.fakes import MemoryStorage, Script, ScriptedSource, scripted, snapshot
from tests.unit.engine import stage
from tests.unit.engine.stage import D, ask, buy_and_fill, cancels, denied, orders, send, states, the_order, trader
from tests.unit.engine.world import Life, commands, events, of

NAN = stage.NAN
LONG: Script = {0: (1.0, NAN)}
GUARDED = RiskLimit(profile="guarded", split_guard_ratio=0.05)


def held(one: Trader) -> int:
    return one.ledger.book(make.TREND).quantity(make.SPY.id)


def equity(one: Trader) -> Decimal:
    return one.mark(make.T0).equity


def test_a_split_multiplies_the_position_and_leaves_the_equity() -> None:
    one = trader(LONG)
    buy_and_fill(one)
    one.handle(make.bars_closed(1, 120.0, 50.0))
    before = equity(one)
    (booked,) = one.handle(make.due(make.split(3, 2, day=2)))
    assert isinstance(booked, CorporateActionBooked)
    assert booked.postings == (Posting(strategy=make.TREND, instrument=make.SPY.id, quantity=50, cash=D(0)),)
    assert (held(one), equity(one)) == (150, before)


def test_the_next_order_is_judged_by_the_price_after_the_split() -> None:
    """A collar of 5 % around the last close would refuse everything if the close stayed in old units."""
    one = trader({0: (1.0, NAN), 1: (0.0, NAN)}, limits=RiskLimit(profile="collar", price_collar_ratio=D("0.05")))
    buy_and_fill(one)
    one.handle(make.due(make.split(2)))
    sold = the_order(one.handle(make.bars_closed(1, 51.0, 50.0)))
    assert sold.quantity == 200


def test_strategies_go_on_in_new_units() -> None:
    made: list[ScriptedSource] = []
    one, action = trader(LONG, made=made), make.split(2)
    one.handle(make.bars_closed(0))
    one.handle(make.due(action))
    one.handle(make.due(make.dividend("1", day=2)))
    assert made[0].splits == [(make.SPY.id, 2.0, action.ex_at)]


def test_an_order_in_old_units_is_canceled_and_its_target_planned_anew_at_the_next_bar() -> None:
    one = trader({0: (1.0, NAN), 1: (1.0, NAN)})
    first = the_order(one.handle(make.bars_closed(0)))
    send(one, first)
    assert cancels(one.handle(make.due(make.split(2)))) == [first.id]
    one.handle(OrderCanceled(ts_event=make.T0 + 5, ts_init=make.T0 + 5, order_id=first.id))
    again = the_order(one.handle(make.bars_closed(1, 51.0, 50.0)))
    assert (again.quantity, again.id) != (0, first.id)


def test_orders_in_other_instruments_and_at_a_dividend_stand() -> None:
    one = trader({0: (1.0, 1.0)})
    spy, qqq = orders(one.handle(make.bars_closed(0)))
    send(one, spy, 1)
    send(one, qqq, 2)
    assert cancels(one.handle(make.due(make.dividend("1")))) == []
    assert cancels(one.handle(make.due(make.split(2)))) == [spy.id]


def test_a_cancel_that_is_under_way_is_not_asked_for_twice() -> None:
    one = trader(LONG)
    send(one, the_order(one.handle(make.bars_closed(0))))
    one.handle(ask(Action.HALT))
    working = next(iter(one.orders))
    one.orders.put(structs.replace(working, state=OrderState.PENDING_CANCEL))
    assert cancels(one.handle(make.due(make.split(2)))) == []


def test_a_dividend_is_credited_to_a_long_and_debited_to_a_short() -> None:
    long, short = trader(LONG), trader({0: (-1.0, NAN)})
    for one, cash in ((long, D("31.34")), (short, D("-31.34"))):
        buy_and_fill(one)
        (booked,) = one.handle(make.due(make.dividend("0.3134")))
        assert isinstance(booked, CorporateActionBooked)
        assert booked.postings[0].cash == cash


def test_a_symbol_change_carries_position_price_and_configuration_over() -> None:
    one = trader(LONG)
    buy_and_fill(one)
    before, renamed = equity(one), structs.replace(make.SPY, id="NEW.ARCA", symbol="NEW")
    action = structs.replace(make.split(1), kind=CorporateActionKind.SYMBOL_CHANGE, successor="NEW")
    one.handle(structs.replace(make.due(action), successor=renamed))
    assert (held(one), one.ledger.book(make.TREND).quantity(renamed.id), equity(one)) == (0, 100, before)


def test_a_delisting_pays_what_is_stated() -> None:
    one = trader(LONG)
    buy_and_fill(one)
    action = structs.replace(make.split(1), kind=CorporateActionKind.DELISTING, cash=D("1.5"))
    one.handle(make.due(action))
    assert (held(one), equity(one)) == (0, D(100_000) - 100 * D("100.00") + 150)


def test_a_fraction_without_any_price_stops_the_trader() -> None:
    one = trader({})
    one.ledger.apply(make.filled(make.order(quantity=15)).fill)
    with pytest.raises(InvariantViolation, match="expected a price for what is left over"):
        one.handle(make.due(make.split(1, 10)))


# The guard


def test_a_jump_like_a_split_halts_its_instrument_until_somebody_resumes_it() -> None:
    one = trader({1: (1.0, 1.0), 2: (1.0, NAN), 3: (0.5, NAN)}, limits=GUARDED)
    one.handle(make.bars_closed(0))
    out = one.handle(make.bars_closed(1, 50.5, 50.0))
    (halt,) = states(out)
    assert (halt.state, halt.instrument, halt.actor) == (TradingState.HALTED, make.SPY.id, "trader")
    assert "like an unknown split 2:1" in halt.reason
    assert [d.order.instrument for d in denied(out)] == [make.SPY.id], "no new risk on it, and the other trades on"
    assert [o.instrument for o in orders(out)] == [make.QQQ.id]
    one.handle(ask(Action.RESUME, instrument=make.SPY.id))
    assert [o.instrument for o in orders(one.handle(make.bars_closed(3, 51.0, 50.0)))] == [make.SPY.id]


def test_a_known_split_is_no_jump() -> None:
    one = trader({}, limits=GUARDED)
    one.handle(make.bars_closed(0))
    one.handle(make.due(make.split(2)))
    assert states(one.handle(make.bars_closed(1, 50.5, 50.0))) == []


def test_the_guard_looks_at_missed_bars_and_not_at_the_history_of_a_new_journal() -> None:
    one = trader({}, limits=GUARDED)
    one.handle(make.bars_closed(0, warmup=True))
    assert states(one.handle(make.bars_closed(1, 50.0, 50.0, warmup=True))) == []
    one.handle(make.bars_closed(2, 50.0, 50.0))
    assert len(states(one.handle(make.bars_closed(3, 100.0, 50.0, warmup=True)))) == 1


def test_without_a_limit_there_is_no_guard() -> None:
    one = trader({})
    one.handle(make.bars_closed(0))
    assert states(one.handle(make.bars_closed(1, 50.0, 50.0))) == []


# What is due


def agenda(*actions: CorporateAction, ledger: Ledger | None = None, since: int = make.T0) -> Agenda:
    return Agenda(lambda: actions, ledger or Ledger({}), (make.SPY, make.QQQ), since=since)


def keys(found: list[CorporateActionDue]) -> list[str]:
    return [event.action.key for event in found]


def test_an_action_is_told_once_when_its_ex_date_begins() -> None:
    action = make.split(2)
    one = agenda(action)
    assert keys(one.due(action.ex_at - 1)) == []
    assert keys(one.due(action.ex_at)) == [action.key]
    assert keys(one.due(action.ex_at + 1)) == []


def test_actions_of_others_and_of_before_the_journal_are_not_told() -> None:
    one = agenda(make.split(2, symbol="XOM"), make.split(2, day=0), make.split(3, day=2))
    assert keys(one.due(make.T0 + 9 * make.DAY)) == ["SPY/split/day 2"]


def test_an_action_that_becomes_known_late_is_told_unless_its_instrument_was_traded_since() -> None:
    late = make.split(2, day=1, known=3 * make.DAY)
    assert keys(agenda(late).due(make.T0 + 2 * make.DAY)) == []
    waiting = agenda(late)
    assert keys(waiting.due(make.T0 + 2 * make.DAY) + waiting.due(make.T0 + 3 * make.DAY)) == [late.key]
    traded = trader(LONG)
    traded.ledger.apply(make.filled(make.order(2), ts=make.T0 + 2 * make.DAY).fill)
    assert keys(agenda(late, ledger=traded.ledger).due(make.T0 + 3 * make.DAY)) == []


def test_what_is_imported_while_the_trader_runs_is_seen() -> None:
    known: list[tuple[CorporateAction, ...]] = [()]
    one = Agenda(lambda: known[0], Ledger({}), (make.SPY,), since=make.T0)
    assert one.due(make.T0 + make.DAY) == []
    known[0] = (make.split(2),)
    assert keys(one.due(make.T0 + make.DAY)) == ["SPY/split/day 1"]


def test_a_successor_is_the_configured_instrument_or_one_on_the_same_venue() -> None:
    change = structs.replace(make.split(1), kind=CorporateActionKind.SYMBOL_CHANGE, successor="QQQ")
    (known,) = agenda(change).due(change.ex_at)
    (new,) = agenda(structs.replace(change, successor="NEW")).due(change.ex_at)
    assert known.successor == make.QQQ
    assert new.successor is not None
    assert (new.successor.id, new.successor.symbol) == ("NEW.ARCA", "NEW")


# In the process


def test_a_split_overnight_is_booked_before_the_broker_is_compared_with_and_the_journal_replays() -> None:
    async def test() -> None:
        storage, action = MemoryStorage(), make.split(2)
        first = Life(storage)
        path = await first.path()
        (bought,) = orders(await path.record([make.bars_closed(0)]))
        await path.send([bought])
        await path.record([make.filled(bought)])
        second = Life(storage, now=action.ex_at + 1, run=stage.started(run_id="run-2"))
        second.broker.snapshots = [snapshot(positions={make.SPY.id: 200})]
        runner = second.runner(actions=lambda: (action,))
        await runner.start()
        (compared,) = of(storage, Recovered)
        assert isinstance(compared, Recovered)
        assert compared.breaks == ()
        order = [type(e) for e in events(storage)]
        assert order.index(CorporateActionDue) < order.index(PositionReported)
        result = replay(await storage.open().rows(), scripted({make.TREND: LONG}))
        assert result.identical
        assert result.positions == {(make.TREND, make.SPY.id): 200}
        third = Life(storage, now=action.ex_at + 2, run=stage.started(run_id="run-3"))
        third.broker.snapshots = [snapshot(positions={make.SPY.id: 200})]
        await third.runner(actions=lambda: (action,)).start()
        assert len(of(storage, CorporateActionDue)) == 1, "booked once, however often it is due"

    asyncio.run(asyncio.wait_for(test(), timeout=10))


@pytest.mark.parametrize(("hours", "tickets"), [(15, 0), (17, 1)])
def test_a_broker_that_books_a_split_later_is_no_break_until_the_close(hours: int, tickets: int) -> None:
    one, action = trader(LONG), make.split(2)
    buy_and_fill(one)
    one.handle(make.due(action))
    now = action.ex_at + hours * 3_600 * 1_000_000_000
    assert len(one.breaks.new([(make.SPY.id, 100, 200)], now)) == tickets
    assert len(one.breaks.new([(make.SPY.id, 90, 200)], now)) == 1, "what does not explain it is a break at once"


def test_a_split_that_becomes_known_late_closes_the_ticket_that_it_explains_and_no_other() -> None:
    for theirs, closed in ((200, 1), (150, 0)):
        one, action = trader(LONG), make.split(2)
        buy_and_fill(one)
        (ticket,) = one.breaks.new([(make.SPY.id, theirs, 100)], make.T0)
        one.handle(ticket)
        adjusted = [c for c in one.handle(make.due(action)) if isinstance(c, BookAdjusted)]
        assert [(c.break_id, c.fills, c.actor) for c in adjusted] == [("B1", (), "trader")] * closed
        assert bool(one.breaks) is not bool(closed)
        assert one.states.of((None, None))[0] is TradingState.HALTED, "resuming is for a person"


def test_the_running_trader_books_when_the_clock_passes_the_ex_date() -> None:
    async def test() -> None:
        storage, action = MemoryStorage(), make.split(2)
        life = Life(storage, script={0: (1.0, NAN)})
        runner = life.runner(
            batches=[[TimeAdvanced(ts=action.ex_at - 1)], [TimeAdvanced(ts=action.ex_at, ended=True)]],
            actions=lambda: (action,),
        )
        await runner.start()
        await runner.run()
        assert [e.ts_init for e in of(storage, CorporateActionDue)] == [action.ex_at]
        assert [c for c in commands(storage) if isinstance(c, Hold)] == []

    asyncio.run(asyncio.wait_for(test(), timeout=10))
