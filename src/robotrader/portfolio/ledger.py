"""One accounting engine, fed by fills and commissions only.

FIFO lots give realized P&L; the mean of the open lots is for display. Positions are signed: a sale
beyond what is held opens a short lot. Each strategy has its own book; the books add up to the account.
Money is exact `Decimal`, in the instrument's currency (v1: one currency).
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from robotrader.model import (
    BookMark,
    Commission,
    Exposure,
    Fill,
    Instrument,
    InstrumentId,
    InvariantViolation,
    Position,
    StrategyId,
    money,
)

_ZERO = Decimal(0)


class _Holding:
    """Open lots of one instrument: signed quantities of one sign, oldest first."""

    __slots__ = ("lots", "quantity", "realized")

    def __init__(self) -> None:
        self.lots: deque[tuple[int, Decimal]] = deque()
        self.quantity = 0
        self.realized = _ZERO

    def trade(self, signed: int, price: Decimal, multiplier: Decimal) -> None:
        """Close the oldest lots of the other sign, then open a lot with what is left."""
        self.quantity += signed
        while signed and self.lots and (self.lots[0][0] > 0) != (signed > 0):
            held, cost = self.lots.popleft()
            closed = min(abs(held), abs(signed)) * (1 if held > 0 else -1)
            self.realized += (price - cost) * closed * multiplier
            signed += closed
            if held != closed:
                self.lots.appendleft((held - closed, cost))
        if signed:
            self.lots.append((signed, price))

    def average(self) -> Decimal | None:
        """Return the mean price of the open lots, None when flat."""
        if not self.quantity:
            return None
        return money(sum((q * p for q, p in self.lots), _ZERO) / self.quantity)


class Book:
    """Cash, positions and costs of one strategy; `capital` is what it was given."""

    def __init__(self, strategy: StrategyId, capital: Decimal) -> None:
        self.strategy = strategy
        self.capital = capital
        self.cash = capital
        self.commission = _ZERO
        self._holdings: dict[InstrumentId, _Holding] = {}

    def trade(self, fill: Fill, multiplier: Decimal) -> None:
        """Book one fill."""
        signed = fill.side.sign * fill.quantity
        self.cash -= fill.price * signed * multiplier
        holding = self._holdings.get(fill.instrument)
        if holding is None:
            holding = self._holdings[fill.instrument] = _Holding()
        holding.trade(signed, fill.price, multiplier)

    def charge(self, amount: Decimal) -> None:
        """Book a cost (> 0) or a rebate (< 0)."""
        self.cash -= amount
        self.commission += amount

    def quantity(self, instrument: InstrumentId) -> int:
        """Return the signed units held, 0 when none."""
        holding = self._holdings.get(instrument)
        return holding.quantity if holding else 0

    @property
    def realized_pnl(self) -> Decimal:
        """Return realized P&L before commissions."""
        return sum((h.realized for h in self._holdings.values()), _ZERO)

    def positions(self) -> list[Position]:
        """Return every instrument ever held, flat ones too: their realized P&L stands."""
        return [
            Position(instrument=iid, quantity=h.quantity, average_price=h.average(), realized_pnl=money(h.realized),
                     strategy=self.strategy)
            for iid, h in self._holdings.items()
        ]  # fmt: skip

    def held(self) -> Iterable[tuple[InstrumentId, int]]:
        """Yield instrument and signed units of the open positions."""
        return ((iid, h.quantity) for iid, h in self._holdings.items() if h.quantity)


class Ledger:
    """All books. Equal executions count once, whoever calls twice."""

    def __init__(self, instruments: Mapping[InstrumentId, Instrument]) -> None:
        self._instruments = instruments
        self._books: dict[StrategyId, Book] = {}
        self._fills: dict[str, Fill] = {}
        self._charged: set[str] = set()

    def open_book(self, strategy: StrategyId, capital: Decimal) -> None:
        """Open a strategy's book; a changed capital is a deposit or a withdrawal."""
        book = self._books.get(strategy)
        if book is None:
            self._books[strategy] = Book(strategy, capital)
        else:
            book.cash += capital - book.capital
            book.capital = capital

    def book(self, strategy: StrategyId) -> Book:
        """Return the strategy's book.

        Raises
        ------
        InvariantViolation
            No book was opened: a fill or decision of an unknown strategy.
        """
        try:
            return self._books[strategy]
        except KeyError:
            raise InvariantViolation(f"strategy {strategy} has no book", strategy=strategy) from None

    @property
    def books(self) -> tuple[Book, ...]:
        """Return all books, in the order in which they were opened."""
        return tuple(self._books.values())

    def apply(self, fill: Fill) -> bool:
        """Book a fill; False when this execution is already booked.

        Raises
        ------
        InvariantViolation
            The same execution came with another revision: corrections are not booked by this version.
        """
        known = self._fills.get(fill.exec_id)
        if known is not None:
            if known.revision != fill.revision:
                raise InvariantViolation(
                    f"execution {fill.exec_id} was corrected (revision {fill.revision}); resolve by hand",
                    exec_id=fill.exec_id,
                )
            return False
        self.book(fill.strategy).trade(fill, self._instruments[fill.instrument].multiplier)
        self._fills[fill.exec_id] = fill
        return True

    def charge(self, commission: Commission) -> bool:
        """Book a commission; False when it is already booked or its execution is unknown."""
        fill = self._fills.get(commission.exec_id)
        if fill is None or commission.exec_id in self._charged:
            return False
        self._charged.add(commission.exec_id)
        self.book(fill.strategy).charge(commission.amount)
        return True

    def quantity(self, instrument: InstrumentId) -> int:
        """Return the account's signed units: the sum over the books."""
        return sum(book.quantity(instrument) for book in self._books.values())

    def mark(self, book: Book, price_of: Callable[[InstrumentId], Decimal]) -> BookMark:
        """Return the book at these prices; `equity` = cash + value of the open positions."""
        value = sum((q * price_of(i) * self._instruments[i].multiplier for i, q in book.held()), _ZERO)
        equity, realized = book.cash + value, book.realized_pnl
        return BookMark(
            strategy=book.strategy, cash=money(book.cash), equity=money(equity), realized_pnl=money(realized),
            unrealized_pnl=money(equity - book.capital - realized + book.commission), commission=money(book.commission),
        )  # fmt: skip

    def exposure(self, price_of: Callable[[InstrumentId], Decimal]) -> Exposure:
        """Return gross and net value of the account's positions (books netted per instrument)."""
        held = {iid for book in self._books.values() for iid, _ in book.held()}
        values = [self.quantity(i) * price_of(i) * self._instruments[i].multiplier for i in sorted(held)]
        return Exposure(gross=money(sum(map(abs, values), _ZERO)), net=money(sum(values, _ZERO)))
