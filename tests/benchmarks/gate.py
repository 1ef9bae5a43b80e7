"""The gate's speed: all 26 checks of profile live on one order, alone and with the facts that a trader gathers for it.

`make bench` runs it; by itself: ``python -m tests.benchmarks.gate``. Figures are medians of single orders.
"""

import gc
import time
from collections.abc import Callable
from decimal import Decimal
from statistics import median
from typing import NamedTuple

from msgspec import structs

from robotrader.bootstrap.risk import CONTEXT
from robotrader.engine.trader import Trader
from robotrader.model import (
    Approved,
    Bar,
    BarsClosed,
    BarSpec,
    Denied,
    Fill,
    InstrumentId,
    Order,
    OrderId,
    OrderState,
    OrderType,
    RiskCheck,
    Side,
    StrategyConfig,
    WorkingOrder,
)
from robotrader.risk.gate import evaluate
from robotrader.risk.limits import LIVE
from tests import builders as make
from tests.builders import TREND
from tests.fakes import scripted

D = Decimal
ORDERS = 5_000
EQUITY = D(100_000_000)


class Measured(NamedTuple):
    """A case with the median seconds of an order; `good` when the verdict was the right one."""

    case: str
    good: bool
    seconds: float
    target: float


class Book:
    """A trader with so many positions and open orders, that has heard of bars only: what else a check needs is missing.

    A check costs the same whether it finds a limit broken or a fact missing, as all are run.
    """

    LACKING = frozenset({
        RiskCheck.MAX_ORDER_QUANTITY, RiskCheck.BUYING_POWER, RiskCheck.POSITION_LIMIT, RiskCheck.LULD,
        RiskCheck.SESSION, RiskCheck.EXPOSURE, RiskCheck.DATA_FITNESS, RiskCheck.TRADING_STATE,
    })  # fmt: skip

    def __init__(self, size: int) -> None:
        instruments = tuple(structs.replace(make.SPY, id=InstrumentId(f"S{n}.SMART")) for n in range(size))
        self.ids = [i.id for i in instruments]
        self.bars = BarsClosed(ts_event=make.T0, ts_init=make.T0, bars=tuple(_bar(iid) for iid in self.ids))
        config = StrategyConfig(id=TREND, source="", universe=tuple(self.ids), capital=EQUITY)
        self.trader = Trader(scripted({TREND: {}}))
        run = structs.replace(make.run_started(), instruments=instruments, strategies=(config,), limits=LIVE)
        for event in (run, self.bars):
            self.trader.handle(event)
        for n, iid in enumerate(self.ids):
            bought = Fill(exec_id=f"x{n}", revision=1, order_id=OrderId(f"o{n}"), strategy=TREND, instrument=iid,
                          side=Side.BUY, quantity=100, price=D(100), ts_event=make.T0)  # fmt: skip
            self.trader.ledger.apply(bought)
            resting = Order(id=OrderId(f"w{n}"), strategy=TREND, instrument=iid, side=Side.BUY, quantity=10, ts_event=0)
            self.trader.orders.put(WorkingOrder(order=resting, state=OrderState.ACCEPTED))

    def judge(self, order: Order) -> bool:
        """Gather the facts of an order as the trader does, and pass it through the gate."""
        facts = self.trader._briefing.facts(order, self.bars, known=False, shrinks=False, changes=False)
        verdict = evaluate(order, facts, LIVE)
        return isinstance(verdict, Denied) and {*verdict.reasons} - {RiskCheck.OPEN_ORDERS} == self.LACKING


def _bar(iid: InstrumentId) -> Bar:
    return Bar(instrument=iid, ts_event=make.T0, open=100.0, high=101.0, low=99.0, close=100.0, volume=1e6,
               spec=BarSpec.DAY)  # fmt: skip


def orders(ids: list[InstrumentId]) -> list[Order]:
    """Make limit orders to buy, in turn for each instrument."""
    return [
        Order(id=OrderId(f"RT-{n}"), strategy=TREND, instrument=ids[n % len(ids)], side=Side.BUY,
              quantity=100, ts_event=n, type=OrderType.LIMIT, limit_price=D("100.01"))
        for n in range(ORDERS)
    ]  # fmt: skip


def each(judge: Callable[[Order], bool], of: list[Order]) -> tuple[bool, float]:
    """Judge orders one by one; return whether all were approved, and the median seconds."""
    good, times = True, []
    gc.disable()
    try:
        for order in of:
            began = time.perf_counter()
            good &= judge(order)
            times.append(time.perf_counter() - began)
    finally:
        gc.enable()
    return good, median(times)


def measured() -> list[Measured]:
    """Measure the gate alone, and with the facts that a trader of a large book gathers for it."""
    facts = structs.replace(
        CONTEXT, snapshot=structs.replace(CONTEXT.snapshot, equity=EQUITY, position=100, open_buy=10),
        margin=structs.replace(CONTEXT.margin, net_liquidation=EQUITY, excess_after=EQUITY),
        losses=structs.replace(CONTEXT.losses, equity=EQUITY, day_start=EQUITY, peak=EQUITY),
        budget=structs.replace(CONTEXT.budget, allocated=EQUITY),
    )  # fmt: skip
    book = Book(500)
    wanted = orders(book.ids)
    return [
        Measured("gate, 26 checks, profile live", *each(
            lambda order: isinstance(evaluate(order, facts, LIVE), Approved), wanted), 30e-6),
        Measured("the same with its facts, 500 positions, 500 open orders", *each(book.judge, wanted), 100e-6),
    ]  # fmt: skip


if __name__ == "__main__":
    for row in measured():
        print(f"{row.case}: {row.seconds * 1e6:.1f} us of {row.target * 1e6:.0f}{'' if row.good else ' WRONG'}")
