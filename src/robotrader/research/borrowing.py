"""What it costs to be short over night, in a backtest."""

from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from robotrader.data.panel import Panel, Times
from robotrader.model import BarSpec, BorrowFeeCharged, InstrumentId
from robotrader.portfolio.ledger import Ledger
from robotrader.portfolio.short import borrow_fee


def nights_of(panel: Panel) -> Times:
    """Return the nights (calendar days) between each bar's open and the end of the bar before, shape (n_bars,)."""
    days = BarSpec.DAY.nanos
    return panel.opened // days - np.concatenate((panel.opened[:1], panel.ts[:-1])) // days


class Borrowing:
    """Charge shorts at each open for the nights (calendar days) since the bar before; `rate` is per year."""

    def __init__(self, panel: Panel, rate: Decimal, ledger: Ledger) -> None:
        self._panel, self._rate, self._ledger = panel, rate, ledger
        self._nights = nights_of(panel)
        self._multipliers = {i.id: i.multiplier for i in panel.instruments}
        self._done = 0
        self.total = Decimal(0)

    def due(self, row: int) -> Iterator[tuple[int, BorrowFeeCharged]]:
        """Yield (row, fee) up to the open of `row`, oldest first; the books are as they were since the last call."""
        first, self._done = self._done, row + 1
        shorts = [(b.strategy, i, -held) for b in self._ledger.books for i, held in b.held() if held < 0]
        for at in (first + np.flatnonzero(self._nights[first : row + 1])).tolist() if shorts else ():
            opened, nights = int(self._panel.opened[at]), int(self._nights[at])
            for strategy, iid, short in shorts:
                price = self._last_close(iid, at) * self._multipliers[iid]
                amount = borrow_fee(short, price, self._rate, nights)
                self.total += amount
                yield at, BorrowFeeCharged(ts_event=opened, ts_init=opened, strategy=strategy, instrument=iid,
                                           amount=amount)  # fmt: skip

    def _last_close(self, iid: InstrumentId, row: int) -> Decimal:
        column = self._panel.close[:row, self._panel.ids.index(iid)]
        return Decimal(repr(float(column[~np.isnan(column)][-1])))
