"""A short trading session recorded by the real core: what `verify`, the reader and replay are tried on."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from robotrader.adapters.sql.journal import SqlJournal
from robotrader.engine.recovery import ReplayResult, replay
from robotrader.engine.response import respond
from robotrader.engine.trader import Trader
from robotrader.model import (
    Account,
    AccountReported,
    AnyEvent,
    BarsClosed,
    BarSpec,
    Instrument,
    InstrumentId,
    Manifest,
    Order,
    OrderEvent,
    OrderFilled,
    OrderSending,
    PositionReported,
    Recovered,
    RunEnded,
    StrategyConfig,
    Submit,
)
from robotrader.ports import BrokerMessage, JournalRow
from robotrader.strategy.contract import SignalSource
from tests import builders as make

STRENGTHS = {0: (1.0, 0.0), 1: (1.0, 1.0), 2: (-1.0, 1.0), 3: (0.0, 1.0)}
"""Strengths for SPY and QQQ by day: long SPY, then also QQQ, SPY short, SPY flat."""


class Scripted:
    """A strategy that says what `STRENGTHS` says."""

    def on_bars(self, event: BarsClosed) -> Sequence[float]:
        return STRENGTHS[(event.ts_event - make.T0) // make.DAY]

    def on_split(self, instrument: InstrumentId, ratio: float, ex_at: int) -> None:
        pass

    def compared(self) -> tuple[int, int]:
        return 0, 0


def source(config: StrategyConfig, instruments: tuple[Instrument, ...]) -> tuple[Manifest, SignalSource]:
    """Give the trader its scripted strategy."""
    manifest = Manifest(
        id=config.id, version="1", hypothesis="none", bar_spec=BarSpec.DAY, warmup_bars=0, parameters={}
    )
    return manifest, Scripted()


def replayed(rows: Sequence[JournalRow]) -> ReplayResult:
    """Feed rows through today's core."""
    return replay(rows, source)


class Recorder:
    """The runner without a wire: one event a batch, projected with the core's own values."""

    def __init__(self, journal: SqlJournal) -> None:
        self.journal = journal
        self.trader = Trader(source)

    async def take(self, events: Iterable[AnyEvent]) -> list[Order]:
        """Record events and what follows; return the orders to send."""
        orders: list[Order] = []
        for event in events:
            async with self.journal.transaction() as tx:
                tx.raw(BrokerMessage(name="wire", fields={"what": type(event).__name__}, ts_init=event.ts_init))
                seq = tx.event(event)
                assert seq is not None
                response = respond(self.trader, event)
                assert response.failure is None, response.failure
                touched = {event.order_id} if isinstance(event, OrderEvent) else set()
                for command in response.commands:
                    tx.command(command, seq)
                    if isinstance(command, Submit):
                        orders.append(command.order)
                        touched.add(command.order.id)
                if isinstance(event, OrderFilled):
                    touched.add(event.fill.order_id)
                    for position in self.trader.ledger.book(event.fill.strategy).positions():
                        tx.project_position(position, event.ts_init)
                for order_id in touched:
                    working = self.trader.orders.get(order_id)
                    assert working is not None
                    tx.project_order(working, event.ts_init)
        return orders


async def record_session(journal: SqlJournal, *, days: int = 4, corrected: bool = False) -> Recorder:
    """Record one run: bars, orders, two fills each, commissions, marks, and an agreement with the broker.

    `corrected`: after the second day the broker corrects the first order's first fill, then again and late to less, and
    busts the second order's last one.
    """
    epoch = await journal.begin_run("run-1", "test")
    recorder = Recorder(journal)
    await recorder.take([make.run_started(epoch=epoch)])
    number = 0
    sent: list[Order] = []
    for day in range(days):
        orders = await recorder.take([make.bars_closed(day, 100.0 + day, 50.0 + day)])
        for order in orders:
            number += 1
            await recorder.take(_life(order, number, ts=make.T0 + day * make.DAY + number))
            sent.append(order)
        if corrected and day == 1:
            await recorder.take(_corrections(sent, ts=make.T0 + day * make.DAY + 9))
    now = make.T0 + days * make.DAY
    reports = [
        PositionReported(ts_event=now, ts_init=now, account="DU1", instrument=i.id, quantity=quantity)
        for i in (make.SPY, make.QQQ)
        if (quantity := recorder.trader.ledger.quantity(i.id))
    ]
    account = Account(id="DU1", cash=Decimal("90000.00"), net_liquidation=Decimal("100000.00"))
    await recorder.take([*reports, AccountReported(ts_event=now, ts_init=now, account=account),
                         Recovered(ts_event=now, ts_init=now, replayed=0),
                         RunEnded(ts_event=now, ts_init=now, run_id="run-1", reason="done")])  # fmt: skip
    await journal.end_run("run-1", "done")
    return recorder


def _corrections(sent: Sequence[Order], *, ts: int) -> list[AnyEvent]:
    first, second = sent
    return [
        make.filled(first, exec_id="1a", revision=3, quantity=20, price="101.00", ts=ts),
        make.commission("1a", "0.200000", revision=3, ts=ts),
        make.filled(first, exec_id="1a", revision=2, quantity=30, price="90.00", ts=ts),
        make.filled(second, exec_id="2b", revision=2, quantity=0, price="100.50", ts=ts + 1),
        make.commission("2b", "0.000000", revision=2, ts=ts + 1),
    ]


def _life(order: Order, number: int, *, ts: int) -> list[AnyEvent]:
    """Return what happens to an order that fills in two parts."""
    part = order.quantity // 3
    first, second = f"{number}a", f"{number}b"
    return [
        OrderSending(ts_event=ts, ts_init=ts, order_id=order.id, epoch=1, broker_order_id=number),
        make.accepted(order.id, perm_id=1000 + number, ts=ts),
        make.filled(order, exec_id=first, quantity=part, price="100.25", ts=ts + 1),
        make.commission(first, "0.350000", ts=ts + 1),
        make.filled(order, exec_id=second, quantity=order.quantity - part, price="100.50", ts=ts + 2),
        make.commission(second, "0.700000", ts=ts + 2),
    ]
