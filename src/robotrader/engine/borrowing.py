"""What it is estimated to cost to be short over night, while a trader runs."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from decimal import Decimal

from robotrader.model import EXTERNAL, BarSpec, BorrowFeeCharged, Instrument, InstrumentId, SessionTable, StrategyId
from robotrader.portfolio.ledger import Ledger
from robotrader.portfolio.short import borrow_fee

_DAY_NS = BarSpec.DAY.nanos


class BorrowFees:
    """Charge shorts at each open for the nights (calendar days) since the close before it, as a backtest does.

    An estimate in our books: IBKR's own charge comes a month later in its cash, which nothing takes over into them.

    Parameters
    ----------
    rate : Decimal
        What shorts pay a year; 0 charges nothing.
    price : callable
        Gives an instrument's last close, None without any.
    since : int
        When the journal ends, ns UTC: every open after it is charged, once, on what the books held then.
    """

    def __init__(
        self,
        ledger: Ledger,
        sessions: SessionTable,
        *,
        rate: Decimal,
        price: Callable[[InstrumentId], Decimal | None],
        instruments: Sequence[Instrument],
        since: int,
    ) -> None:
        self._ledger = ledger
        self._sessions = sessions
        self._rate = rate
        self._price = price
        self._multipliers = {i.id: i.multiplier for i in instruments}
        self._seen = since
        self._short = self._shorts()

    def due(self, now: int) -> list[BorrowFeeCharged]:
        """Return the fees of the opens since the last call; the shorts are those of that call: what was held over."""
        opens, closes = self._sessions.opens, self._sessions.closes
        first, stop = bisect_right(opens, self._seen), bisect_right(opens, now)
        fees = [
            fee for k in range(max(first, 1), stop) if self._rate
            for fee in self._charged(opens[k], opens[k] // _DAY_NS - closes[k - 1] // _DAY_NS, now)
        ]  # fmt: skip
        self._seen, self._short = max(now, self._seen), self._shorts()
        return fees

    def _charged(self, opened: int, nights: int, now: int) -> list[BorrowFeeCharged]:
        return [
            BorrowFeeCharged(
                ts_event=opened, ts_init=now, strategy=strategy, instrument=iid,
                amount=borrow_fee(units, price * self._multipliers.get(iid, Decimal(1)), self._rate, nights),
            )
            for strategy, iid, units in self._short if (price := self._price(iid)) is not None
        ]  # fmt: skip

    def _shorts(self) -> list[tuple[StrategyId, InstrumentId, int]]:
        return [(book.strategy, iid, -held) for book in self._ledger.books if book.strategy != EXTERNAL
                for iid, held in book.held() if held < 0]  # fmt: skip
