"""What the writer records is what the reader shows, in memory."""

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.reader import SqlJournalReader
from robotrader.adapters.sql.verify import stats
from robotrader.model import (
    Account,
    AccountReported,
    Action,
    OrderState,
    Position,
    RequestReceived,
    RunEnded,
    SetTradingState,
    Side,
    StrategyId,
    TradingState,
)
from robotrader.ports import JournalReader, RequestRow, Transaction
from tests import builders as make
from tests.conformance.journal_sql import SqlStorage

Batch = Callable[[Transaction], None]


@pytest.fixture
def storage() -> Iterator[SqlStorage]:
    found = SqlStorage(None)
    yield found
    found.close()


@pytest.fixture
def reader(storage: SqlStorage) -> JournalReader:
    return SqlJournalReader(storage.database)


@pytest.fixture
def record(storage: SqlStorage) -> Iterator[Callable[..., None]]:
    """Give a function that writes batches, one transaction each."""
    journal = SqlJournal(storage.database)
    asyncio.run(_begin(journal))

    def write(*batches: Batch) -> None:
        asyncio.run(_write(journal, batches))

    yield write
    asyncio.run(journal.close())


async def _begin(journal: SqlJournal) -> None:
    await journal.begin_run("run-1", "code")


async def _write(journal: SqlJournal, batches: tuple[Batch, ...]) -> None:
    for batch in batches:
        async with journal.transaction() as tx:
            batch(tx)


Record = Callable[..., None]


def cause(tx: Transaction, day: int = 0) -> int:
    """Append bars to have a cause."""
    seq = tx.event(make.bars_closed(day))
    assert seq is not None
    return seq


def counts(storage: SqlStorage) -> dict[str, int]:
    return stats(storage.database).rows


def test_an_empty_journal_reads_as_empty(reader: JournalReader, storage: SqlStorage) -> None:
    assert reader.head() == 0
    assert reader.run() is None
    assert reader.account().mark is None
    assert reader.order(make.order().id) is None
    assert not [*reader.orders(), *reader.positions(), *reader.equity(), *reader.trading_state(), *reader.books()]
    assert reader.last_bar_times() == {}
    assert set(counts(storage).values()) == {0}


def test_run_shows_how_it_began_and_ended(reader: JournalReader, record: Record) -> None:
    started = make.run_started()
    record(lambda tx: tx.event(started))
    row = reader.run()
    assert row is not None
    assert (row.started, row.ended) == (started, None)
    record(lambda tx: tx.event(RunEnded(ts_event=make.T0 + 9, ts_init=make.T0 + 9, run_id="run-1", reason="done")))
    row = reader.run()
    assert row is not None
    assert row.ended == make.T0 + 9


def test_restated_bars_are_a_new_version_and_a_conflict(
    reader: JournalReader, record: Record, storage: SqlStorage
) -> None:
    record(
        lambda tx: tx.event(make.bars_closed(0, 100.0, 50.0)),
        lambda tx: tx.event(make.bars_closed(0, 100.0, 50.0, warmup=True, ts_init=5)),
        lambda tx: tx.event(make.bars_closed(0, 100.0, 50.5, ts_init=9)),
        lambda tx: tx.event(make.bars_closed(0, 100.0, 50.5, ts_init=10)),
    )
    assert [bar.close for bar in reader.bars(make.SPY.id)] == [100.0]
    assert [bar.close for bar in reader.bars(make.QQQ.id)] == [50.5]
    rows = counts(storage)
    assert (rows["journal"], rows["bars"], rows["conflicts"]) == (1, 3, 1)
    (conflict,) = reader.conflicts()
    assert (conflict.seq, conflict.type, conflict.ts_init) == (1, "BarsClosed", 9)


def test_bars_restated_in_one_batch_and_back_again_are_versions(
    reader: JournalReader, record: Record, storage: SqlStorage
) -> None:
    def write(tx: Transaction) -> None:
        for close in (50.0, 50.5, 50.0):
            tx.event(make.bars_closed(0, 100.0, close))

    record(write)
    assert [bar.close for bar in reader.bars(make.QQQ.id)] == [50.0]
    assert counts(storage)["bars"] == 1 + 3


def test_a_bar_that_was_missing_is_added(reader: JournalReader, record: Record, storage: SqlStorage) -> None:
    record(lambda tx: tx.event(make.bars_closed(0, 100.0)), lambda tx: tx.event(make.bars_closed(0, 100.0, 50.0)))
    assert [bar.close for bar in reader.bars(make.QQQ.id)] == [50.0]
    assert counts(storage)["bars"] == 2


def test_bars_are_the_last_ones_oldest_first(reader: JournalReader, record: Record) -> None:
    record(lambda tx: tx.event(make.run_started()), *(lambda tx, d=d: tx.event(make.bars_closed(d)) for d in range(5)))
    assert [bar.ts_event for bar in reader.bars(make.SPY.id, limit=2)] == [make.T0 + d * make.DAY for d in (3, 4)]
    assert reader.last_bar_times() == {i.id: make.T0 + 4 * make.DAY for i in (make.SPY, make.QQQ)}


def test_an_order_shows_its_life_its_fills_and_why(reader: JournalReader, record: Record) -> None:
    order = make.order(quantity=100)

    def decided(tx: Transaction) -> None:
        tx.command(make.submit(order), cause(tx))
        tx.project_order(make.working(order), 1)

    def partly(tx: Transaction) -> None:
        tx.event(make.filled(order, exec_id="a", quantity=40, price="100.00"))
        tx.project_order(make.working(order, OrderState.PARTIALLY_FILLED, filled=40), 2)
        tx.project_order(make.working(order, OrderState.PARTIALLY_FILLED, filled=40), 2)

    def done(tx: Transaction) -> None:
        tx.event(make.filled(order, exec_id="b", quantity=60, price="100.50"))
        tx.event(make.commission("a", "0.35"))
        tx.project_order(make.working(order, OrderState.FILLED, filled=100), 3)

    record(decided, partly)
    assert [row.average_price for row in reader.orders()] == [Decimal("100.000000")]
    record(done)
    detail = reader.order(order.id)
    assert detail is not None
    assert detail.order.working == make.working(order, OrderState.FILLED, filled=100)
    assert detail.order.average_price == Decimal("100.300000")
    assert [(s.state, s.filled, s.ts) for s in detail.states] == [
        (OrderState.AUTHORIZED, 0, 1), (OrderState.PARTIALLY_FILLED, 40, 2), (OrderState.FILLED, 100, 3),
    ]  # fmt: skip
    assert [(f.fill.exec_id, f.fill.price, f.commission) for f in detail.fills] == [
        ("a", Decimal("100.00"), Decimal("0.35")), ("b", Decimal("100.50"), None),
    ]  # fmt: skip
    (why,) = detail.decisions
    assert (why.outcome, why.order_id, why.target) == ("submit", order.id, 100)
    assert why.detail["decision"]["inputs"] == {"close": "100.00"}
    assert why.detail["checks"][0]["numbers"] == {"price": "100.00"}


def test_orders_and_fills_page_backwards(reader: JournalReader, record: Record) -> None:
    orders = [make.order(n=n) for n in range(5)]

    def write(tx: Transaction) -> None:
        for n, order in enumerate(orders):
            tx.event(make.filled(order, exec_id=str(n)))
            tx.project_order(make.working(order, OrderState.FILLED if n else OrderState.ACCEPTED, filled=100), 1)

    record(write)
    first = reader.orders(limit=2)
    rest = reader.orders(after=first[-1].id)
    assert [row.working.order.id for row in (*first, *rest)] == [order.id for order in orders[::-1]]
    assert [row.working.order.id for row in reader.orders(states=[OrderState.ACCEPTED])] == [orders[0].id]
    newest = reader.fills(limit=3)
    assert [row.fill.exec_id for row in (*newest, *reader.fills(after=newest[-1].id))] == ["4", "3", "2", "1", "0"]


def test_a_denial_keeps_every_reason(reader: JournalReader, record: Record) -> None:
    order = make.order()

    def write(tx: Transaction) -> None:
        tx.command(make.deny(order), cause(tx))
        tx.project_order(make.working(order, OrderState.DENIED), 1)

    record(write)
    (denial,) = reader.denials()
    assert denial.reasons == ("max_order_quantity", "allow_list")
    assert denial.checks[0]["numbers"] == {"limit": "10"}
    (why,) = reader.decisions(order_id=order.id)
    assert (why.outcome, why.reason) == ("deny", "max_order_quantity, allow_list")
    assert [row.working.state for row in reader.orders()] == [OrderState.DENIED]


def test_a_signal_is_a_change_of_view(reader: JournalReader, record: Record, storage: SqlStorage) -> None:
    for day, strength in enumerate((1.0, 1.0, 0.0, 1.0)):
        order = make.order(day)
        record(lambda tx, o=order, d=day, s=strength: tx.command(make.hold(o, strength=s), cause(tx, d)))
    rows = counts(storage)
    assert (rows["decisions"], rows["signals"]) == (4, 3)
    early = reader.decisions(instrument=make.SPY.id, at=make.T0 + make.DAY)
    assert [row.ts_event for row in early] == [make.T0 + make.DAY, make.T0]
    assert not reader.decisions(instrument=make.QQQ.id)


def test_positions_are_shown_by_strategy_and_in_sum(reader: JournalReader, record: Record) -> None:
    def position(strategy: str, quantity: int) -> Position:
        return Position(instrument=make.SPY.id, quantity=quantity, average_price=Decimal("100.1"),
                        realized_pnl=Decimal("1.50"), strategy=StrategyId(strategy))  # fmt: skip

    def write(tx: Transaction) -> None:
        tx.event(make.bars_closed(0, 101.5))
        tx.project_position(position("a", 5), 1)
        tx.project_position(position("b", -20), 2)
        tx.project_position(position("a", 30), 3)

    record(write)
    assert [(r.strategy, r.quantity, r.realized_pnl, r.last_price) for r in reader.positions()] == [
        ("a", 30, Decimal("1.50"), 101.5), ("b", -20, Decimal("1.50"), 101.5), (None, 10, Decimal("3.00"), 101.5),
    ]  # fmt: skip


def test_the_latest_state_of_each_scope_stands(reader: JournalReader, record: Record) -> None:
    def state(value: TradingState, strategy: StrategyId | None = None) -> SetTradingState:
        return SetTradingState(ts_event=1, state=value, reason="r", actor="a", strategy=strategy)

    def write(tx: Transaction) -> None:
        seq = cause(tx)
        for command in (
            state(TradingState.HALTED), state(TradingState.REDUCING, make.TREND), state(TradingState.ACTIVE)
        ):  # fmt: skip
            tx.command(command, seq)

    record(write)
    assert [(row.state, row.strategy) for row in reader.trading_state()] == [
        (TradingState.REDUCING, make.TREND), (TradingState.ACTIVE, None),
    ]  # fmt: skip


def test_the_equity_curve_keeps_its_troughs_when_thinned(reader: JournalReader, record: Record) -> None:
    values = [1000 + day for day in range(400)]
    values[123] = 7

    def write(tx: Transaction) -> None:
        for day, value in enumerate(values):
            tx.command(make.marked(day, equity=f"{value}.00"), 1)

    record(write)
    assert len(reader.equity()) == 400
    thinned = reader.equity(max_points=20)
    assert len(thinned) <= 21
    assert [row.seq for row in thinned] == sorted(row.seq for row in thinned)
    assert Decimal(7) in [row.equity for row in thinned]
    assert thinned[-1].equity == Decimal(1399)
    assert len(reader.equity(since=make.T0 + 390 * make.DAY)) == 10
    assert [row.equity for row in reader.books()] == [Decimal(1399)]


def test_the_account_shows_our_mark_beside_the_brokers(reader: JournalReader, record: Record) -> None:
    account = Account(id="DU1", cash=Decimal("5.10"), net_liquidation=None)
    record(
        lambda tx: tx.command(make.marked(0, cash="4.10"), 1),
        lambda tx: tx.event(AccountReported(ts_event=1, ts_init=2, account=account)),
    )
    row = reader.account()
    assert row.mark is not None
    assert (row.mark.cash, row.broker, row.reported) == (Decimal("4.10"), account, 2)


def test_a_request_shows_whether_it_was_taken(reader: JournalReader, record: Record, storage: SqlStorage) -> None:
    for name in ("one", "two"):
        storage.request(RequestRow(id=name, ts=1, action=Action.HALT, reason="r", actor="me"))
    event = RequestReceived(ts_event=3, ts_init=3, request_id="one", action=Action.HALT, reason="r", actor="me")
    record(lambda tx: tx.event(event))
    assert [(row.id, row.taken) for row in reader.requests()] == [("two", None), ("one", 1)]


def test_prices_are_stored_as_plain_text(storage: SqlStorage, record: Record) -> None:
    order = make.order(side=Side.SELL)
    record(lambda tx: tx.event(make.filled(order, price="1E+2")), lambda tx: tx.event(make.commission(amount="1E-7")))
    with storage.database.read.begin() as connection:
        assert connection.exec_driver_sql("SELECT price FROM fills").scalar_one() == "100"
        assert connection.exec_driver_sql("SELECT amount FROM commissions").scalar_one() == "0.0000001"
