"""The gate's speed: all 26 checks of profile live on one order; the facts of a book are gathered with it.

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
from robotrader.model import Approved, InstrumentId, Order, OrderId, OrderType, Side, StrategyId
from robotrader.risk.exposure import ExposureBook
from robotrader.risk.facts import Facts
from robotrader.risk.gate import evaluate
from robotrader.risk.limits import LIVE

D = Decimal
ORDERS = 5_000
EQUITY = D(100_000_000)
SIZES = {10: 30e-6, 500: 100e-6}
"""Positions (and as many open orders), and the seconds that an order may take."""


class Measured(NamedTuple):
    """A case with the median seconds of an order; `good` when the verdict was the right one."""

    case: str
    good: bool
    seconds: float
    target: float


class Book:
    """A book of so many positions and open orders, kept as an engine keeps it: a change at a time."""

    def __init__(self, size: int) -> None:
        self.ids = [InstrumentId(f"S{n}.SMART") for n in range(size)]
        self.strategy = StrategyId("trend")
        self.account, self.strategies = ExposureBook(), ExposureBook()
        self.held = dict.fromkeys(self.ids, (100, 10, 0))
        for iid in self.ids:
            self.changed(iid)
        self.facts = structs.replace(
            CONTEXT, snapshot=structs.replace(CONTEXT.snapshot, equity=EQUITY, position=100, open_buy=10),
            conduct=structs.replace(CONTEXT.conduct, open_orders=min(size, 99), instrument_open_orders=1,
                                    submitted=2 * size, executed=size),
            margin=structs.replace(CONTEXT.margin, net_liquidation=EQUITY, excess_after=EQUITY),
            losses=structs.replace(CONTEXT.losses, equity=EQUITY, day_start=EQUITY, peak=EQUITY),
        )  # fmt: skip

    def changed(self, iid: InstrumentId) -> None:
        """Take over a position, an open order or a price that changed."""
        self.account.put(iid, self.held[iid], D("100.00"), ("technology",))
        self.strategies.put((self.strategy, iid), self.held[iid], D("100.00"), (self.strategy,))

    def judge(self, order: Order) -> bool:
        """Correct the sums for what the last order changed, gather the facts of this one and pass it through."""
        iid = order.instrument
        self.changed(iid)
        return isinstance(evaluate(order, self.known(order), LIVE), Approved)

    def known(self, order: Order) -> Facts:
        """Return the facts of an order."""
        iid = order.instrument
        exposures = self.account.without(iid, ("technology",))
        mine = self.strategies.without((self.strategy, iid), (self.strategy,))
        budget = structs.replace(self.facts.budget, allocated=EQUITY, others=mine.groups[0][1], position=100,
                                 open_buy=10, all_others=mine.gross)  # fmt: skip
        return structs.replace(self.facts, exposures=exposures, budget=budget)


def orders(ids: list[InstrumentId]) -> list[Order]:
    """Make limit orders to buy, in turn for each instrument."""
    return [
        Order(id=OrderId(f"RT-{n}"), strategy=StrategyId("trend"), instrument=ids[n % len(ids)], side=Side.BUY,
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
    """Measure the gate alone, and with the facts of books of each size."""
    rows = []
    for size, target in SIZES.items():
        book = Book(size)
        wanted = orders(book.ids)
        facts = book.known(wanted[0])
        alone = each(lambda order, facts=facts: isinstance(evaluate(order, facts, LIVE), Approved), wanted)  # type: ignore[misc]
        rows.append(Measured(f"gate, 26 checks, profile live, {size} positions", *alone, target))
        if size > 10:
            whole = each(book.judge, wanted)
            rows.append(Measured(f"the same with its facts, {size} positions, {size} open orders", *whole, target))
    return rows


if __name__ == "__main__":
    for row in measured():
        print(f"{row.case}: {row.seconds * 1e6:.1f} us of {row.target * 1e6:.0f}{'' if row.good else ' WRONG'}")
