"""Position breaks: tickets that stand until an operator resolves them."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from robotrader.model import (
    EXTERNAL,
    BookAdjusted,
    BreakOpened,
    ExternalFill,
    Fill,
    InstrumentId,
    OrderId,
    RequestReceived,
    Side,
    StrategyId,
)
from robotrader.portfolio.ledger import Book, Ledger


class Breaks:
    """Open tickets, one an instrument; while there is one, nobody can resume trading.

    `price` gives an instrument's last one, None without any.
    """

    def __init__(self, ledger: Ledger, price: Callable[[InstrumentId], Decimal | None]) -> None:
        self._ledger = ledger
        self.price = price
        self._open: dict[InstrumentId | None, BreakOpened] = {}
        self._count = 0
        self._lags: dict[InstrumentId, tuple[int, int]] = {}

    def __bool__(self) -> bool:
        """Tell whether a ticket is open."""
        return bool(self._open)

    def add(self, event: BreakOpened) -> None:
        """Take a new ticket."""
        self._open[event.instrument] = event
        self._count += 1

    def excuse(self, instrument: InstrumentId, units: int, until: int) -> None:
        """Let the broker hold that many units until then (ns UTC): it books a corporate action later than we do."""
        self._lags[instrument] = (units, until)

    def new(
        self, found: Sequence[tuple[InstrumentId, int, int]], now: int, *, booked: bool = False
    ) -> list[BreakOpened]:
        """Return tickets for differences (instrument, broker's units, ours) that have none yet."""
        lags = {(iid, units) for iid, (units, until) in self._lags.items() if now < until}
        fresh = [(iid, theirs, ours) for iid, theirs, ours in found
                 if iid not in self._open and (iid, theirs) not in lags]  # fmt: skip
        return [
            BreakOpened(ts_event=now, ts_init=now, break_id=f"B{self._count + k}", instrument=iid, broker=theirs,
                        ledger=ours, booked=booked)
            for k, (iid, theirs, ours) in enumerate(fresh, 1)
        ]  # fmt: skip

    def offsets(self, event: ExternalFill) -> list[BreakOpened]:
        """Return a ticket where an external execution took from what a strategy believes to hold, or was forced."""
        iid, signed = event.fill.instrument, event.fill.side.sign * event.fill.quantity
        touched = any(q * signed < 0 for book in self._own() for i, q in book.held() if i == iid)
        ours = sum(book.quantity(iid) for book in self._own())
        if not (touched or event.liquidation):
            return []
        return self.new([(iid, self._ledger.quantity(iid), ours)], event.ts_init, booked=True)

    def resolve(self, request: RequestReceived) -> BookAdjusted | None:
        """Close a ticket; None: there is none.

        What the broker holds beyond our books goes into the external book, and what stands there against a strategy's
        position is taken from that strategy.
        """
        ticket = self._open.pop(request.instrument, None)
        if ticket is None:
            return None
        iid, fills = ticket.instrument, list[Fill]()

        def book(strategy: StrategyId, signed: int) -> None:
            fill = Fill(
                exec_id=f"ADJ-{ticket.break_id}-{len(fills)}", revision=1, order_id=OrderId(f"ADJ-{ticket.break_id}"),
                strategy=strategy, instrument=iid, side=Side.BUY if signed > 0 else Side.SELL, quantity=abs(signed),
                price=self.price(iid) or Decimal(0), ts_event=request.ts_event,
            )  # fmt: skip
            self._ledger.apply(fill)
            fills.append(fill)

        self._ledger.open_book(EXTERNAL, Decimal(0))
        more = 0 if ticket.booked else ticket.broker - ticket.ledger  # as it was: fills since then are in the books
        if more:
            book(EXTERNAL, more)
        for own in self._own():
            held, foreign = own.quantity(iid), self._ledger.book(EXTERNAL).quantity(iid)
            if held * foreign < 0:
                moved = min(abs(held), abs(foreign)) * (1 if foreign > 0 else -1)
                book(own.strategy, moved)
                book(EXTERNAL, -moved)
        return BookAdjusted(ts_event=request.ts_event, break_id=ticket.break_id, fills=tuple(fills),
                            reason=request.reason, actor=request.actor)  # fmt: skip

    def explain(self, instrument: InstrumentId, why: str, ts: int) -> list[BookAdjusted]:
        """Close a ticket that is no more: the books now hold what the broker held when it was opened."""
        ticket = self._open.get(instrument)
        if ticket is None or ticket.broker != self._ledger.quantity(instrument):
            return []
        del self._open[instrument]
        return [BookAdjusted(ts_event=ts, break_id=ticket.break_id, fills=(), reason=why, actor="trader")]

    def _own(self) -> list[Book]:
        return [book for book in self._ledger.books if book.strategy != EXTERNAL]
