"""What it costs to be short over night while a trader runs: each night once, on what was held over it."""

import asyncio
from decimal import Decimal
from math import nan

from msgspec import structs

from robotrader.engine.borrowing import BorrowFees
from robotrader.engine.recovery import replay
from robotrader.model import EXTERNAL, BorrowFeeCharged, InstrumentId, SessionTable, Side, StrategyId
from robotrader.portfolio.ledger import Ledger
from robotrader.portfolio.short import borrow_fee
from tests import builders as make
from tests.fakes import MemoryStorage, Script, scripted, snapshot
from tests.unit.engine.stage import orders, started
from tests.unit.engine.world import Life, of

D = Decimal
HOUR = make.DAY // 24
OPENS = [n * make.DAY + 14 * HOUR for n in (0, 1, 4)]  # after the second session, a weekend
TABLE = SessionTable(dates=("1", "2", "5"), opens=tuple(OPENS), closes=tuple(o + 7 * HOUR for o in OPENS))
SECOND = 10**9
SHORT: Script = {0: (-1.0, nan)}


def price(_: InstrumentId) -> Decimal:
    return D("43.21")


def ledger() -> Ledger:
    made = Ledger({make.SPY.id: make.SPY})
    for strategy in (make.TREND, EXTERNAL):
        made.open_book(strategy, D(10_000))
    return made


def trade(books: Ledger, side: Side, quantity: int, name: str, strategy: StrategyId = make.TREND) -> None:
    sent = structs.replace(make.order(side=side, quantity=quantity), strategy=strategy)
    books.apply(make.filled(sent, exec_id=name).fill)


def fees(books: Ledger, *, rate: str = "0.02", since: int = 0) -> BorrowFees:
    return BorrowFees(books, TABLE, rate=D(rate), price=price, instruments=(make.SPY,), since=since)


def test_a_night_costs_once_and_a_weekend_three_times_as_much() -> None:
    books = ledger()
    one = fees(books)
    assert one.due(OPENS[0]) == []  # no session before it is known
    trade(books, Side.SELL, 200, "a")
    assert one.due(OPENS[1] - SECOND) == []
    [night] = one.due(OPENS[1])
    assert night == BorrowFeeCharged(ts_event=OPENS[1], ts_init=OPENS[1], strategy=make.TREND, instrument=make.SPY.id,
                                     amount=borrow_fee(200, D("43.21"), D("0.02"), 1))  # fmt: skip
    assert one.due(OPENS[1] + SECOND) == []
    assert [fee.amount for fee in one.due(OPENS[2] + HOUR)] == [3 * night.amount]


def test_what_was_held_over_the_night_pays_and_what_came_at_the_open_does_not() -> None:
    books = ledger()
    one = fees(books)
    one.due(OPENS[0] + HOUR)
    trade(books, Side.SELL, 200, "a")
    one.due(OPENS[0] + 7 * HOUR)
    trade(books, Side.BUY, 150, "b")  # fills of the open are taken in before its time is
    [fee] = one.due(OPENS[1] + 7 * HOUR)
    assert fee.amount == borrow_fee(200, D("43.21"), D("0.02"), 1)
    [fee] = one.due(OPENS[2])
    assert fee.amount == borrow_fee(50, D("43.21"), D("0.02"), 3)


def test_longs_what_is_not_ours_and_a_rate_of_zero_pay_nothing() -> None:
    books = ledger()
    trade(books, Side.BUY, 100, "a")
    trade(books, Side.SELL, 100, "b", EXTERNAL)
    assert fees(books).due(OPENS[2]) == []
    trade(books, Side.SELL, 200, "c")
    assert fees(books, rate="0").due(OPENS[2]) == []


def test_nights_without_a_trader_are_charged_by_the_next_one_and_none_twice() -> None:
    books = ledger()
    trade(books, Side.SELL, 200, "a")
    assert [fee.ts_event for fee in fees(books, since=OPENS[0]).due(OPENS[2])] == OPENS[1:]
    assert [fee.ts_event for fee in fees(books, since=OPENS[1]).due(OPENS[2])] == [OPENS[2]]


def test_a_runner_books_the_nights_of_a_journal_once() -> None:
    async def test() -> None:
        storage = MemoryStorage()
        first = Life(storage, script=SHORT)
        path = await first.path()
        [sold] = orders(await path.record([make.bars_closed(0)]))
        await path.send([sold])
        await path.record([make.filled(sold)])
        for number, day in enumerate((1, 1, 2), 2):
            life = Life(storage, script=SHORT, now=make.SESSIONS.opens[5 + day] + number * SECOND,
                        run=started(run_id=f"run-{number}"))  # fmt: skip
            life.broker.snapshots = [snapshot(positions={make.SPY.id: -100})]
            await life.runner(borrow_rate="0.02").start()
        charged = [e for e in of(storage, BorrowFeeCharged) if isinstance(e, BorrowFeeCharged)]
        assert [e.ts_event for e in charged] == [make.SESSIONS.opens[6], make.SESSIONS.opens[7]]
        assert {e.amount for e in charged} == {borrow_fee(100, D(100), D("0.02"), 1)}
        result = replay(await storage.open().rows(), scripted({make.TREND: SHORT}))
        assert result.identical
        assert result.trader.ledger.book(make.TREND).realized_pnl == -sum(e.amount for e in charged)

    asyncio.run(asyncio.wait_for(test(), timeout=10))
