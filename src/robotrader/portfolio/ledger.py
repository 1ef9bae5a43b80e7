"""One accounting engine, fed by fills, commissions and corporate actions only.

FIFO lots give realized P&L; the mean of the open lots is for display. Positions are signed: a sale
beyond what is held opens a short lot. Each strategy has its own book; the books add up to the account.
Money is exact `Decimal`, in the instrument's currency (v1: one currency).
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from robotrader.model import (
    BookMark,
    Commission,
    Exposure,
    Fill,
    Instrument,
    InstrumentId,
    InvariantViolation,
    OrderId,
    Position,
    Posting,
    StrategyId,
    money,
)
from robotrader.portfolio.corporate import Lot, carried_over, whole_units

_ZERO = Decimal(0)


class _Holding:
    """Open lots of one instrument: signed quantities of one sign, oldest first.

    `opening`: lots and realized P&L before the first fill that can still be corrected.
    """

    __slots__ = ("lots", "opening", "quantity", "realized")

    def __init__(self) -> None:
        self.lots: deque[Lot] = deque()
        self.opening: tuple[tuple[Lot, ...], Decimal] = ((), _ZERO)
        self.quantity = 0
        self.realized = _ZERO

    def rewind(self) -> None:
        """Go back to the opening."""
        lots, self.realized = self.opening
        self.lots, self.quantity = deque(lots), sum(q for q, _ in lots)

    def earn(self, amount: Decimal) -> None:
        """Realize an amount that no correction takes back."""
        self.realized += amount
        self.opening = (self.opening[0], self.opening[1] + amount)

    def take_out(self) -> list[Lot]:
        """Empty the holding and return its lots."""
        lots = list(self.lots)
        self.lots.clear()
        self.quantity = 0
        return lots

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


class Conversion(NamedTuple):
    """Holdings of `instrument` become `ratio` units of `target` each; what is left over is paid at `price` a unit."""

    instrument: InstrumentId
    target: InstrumentId
    ratio: Fraction
    price: Decimal
    all_paid: bool = False


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
        self._holding(fill.instrument).trade(signed, fill.price, multiplier)

    def _holding(self, instrument: InstrumentId) -> _Holding:
        holding = self._holdings.get(instrument)
        if holding is None:
            holding = self._holdings[instrument] = _Holding()
        return holding

    def correct(self, old: Fill, new: Fill, fills: Iterable[Fill], multiplier: Decimal) -> None:
        """Book `new` in place of `old`: the instrument's lots come anew of its opening and `fills`, oldest first."""
        self.cash += (old.price * old.quantity - new.price * new.quantity) * old.side.sign * multiplier
        holding = self._holdings[old.instrument]
        holding.rewind()
        for fill in fills:
            holding.trade(fill.side.sign * fill.quantity, fill.price, multiplier)

    def charge(self, amount: Decimal) -> None:
        """Book a cost (> 0) or a rebate (< 0)."""
        self.cash -= amount
        self.commission += amount

    def earn(self, instrument: InstrumentId, amount: Decimal) -> None:
        """Book a dividend (> 0), or a payment in lieu of one (< 0), as realized."""
        self.cash += amount
        self._holding(instrument).earn(amount)

    def convert(self, move: Conversion, whole: int, multiplier: Decimal) -> Decimal:
        """Turn a holding into `whole` units of the target and return the cash for what is left over."""
        source, target = self._holdings[move.instrument], self._holding(move.target)
        rest = source.quantity * move.ratio - whole
        lots = source.take_out()
        after = carried_over(lots, move.ratio, whole)
        cash = money(Decimal(rest.numerator) / rest.denominator * move.price * multiplier)
        self.cash += cash
        if rest:  # its share of the cost leaves with it
            source.realized += cash - (_cost(lots) - _cost(after)) * multiplier
        for quantity, cost in after:
            target.trade(quantity, cost, multiplier)
        return cash

    def seal(self, instruments: Iterable[InstrumentId]) -> None:
        """Make the lots as they are now the opening: fills before are not corrected any more."""
        for holding in (self._holdings[iid] for iid in instruments if iid in self._holdings):
            holding.opening = (tuple(holding.lots), holding.realized)

    def quantity(self, instrument: InstrumentId) -> int:
        """Return the signed units held, 0 when none."""
        holding = self._holdings.get(instrument)
        return holding.quantity if holding else 0

    @property
    def realized_pnl(self) -> Decimal:
        """Return realized P&L, dividends included, before commissions."""
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


def _cost(lots: Iterable[Lot]) -> Decimal:
    return sum((quantity * cost for quantity, cost in lots), _ZERO)


class Ledger:
    """All books. Equal executions count once, whoever calls twice; of a corrected one the highest revision counts.

    `filled` by order and `account` by instrument (signed) count the units once more, past the books: for invariants.
    """

    def __init__(self, instruments: Mapping[InstrumentId, Instrument]) -> None:
        self._instruments = instruments
        self._books: dict[StrategyId, Book] = {}
        self._fills: dict[str, Fill] = {}
        self._charged: dict[str, Commission] = {}
        self._closed: set[str] = set()  # executions that a corporate action made into an opening
        self.filled: defaultdict[OrderId, int] = defaultdict(int)
        self.account: defaultdict[InstrumentId, int] = defaultdict(int)

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
        """Book a fill; False when this execution is already booked in this or a higher revision.

        A higher revision replaces the one before it, in the same place of the order in which lots close; quantity 0
        is a bust.

        Raises
        ------
        InvariantViolation
            A correction of another order's execution: what it means is for a person to say.
        """
        old, book = self._fills.get(fill.exec_id), self.book(fill.strategy)
        if old is None:
            book.trade(fill, self._instruments[fill.instrument].multiplier)
            self._count(fill, fill.quantity)
            return True
        if fill.revision <= old.revision:
            return False
        if (fill.order_id, fill.strategy, fill.instrument, fill.side) != (
            old.order_id, old.strategy, old.instrument, old.side,
        ):  # fmt: skip
            text = f"execution {fill.exec_id} was {old.side} for order {old.order_id}, its revision {fill.revision} is"
            raise InvariantViolation(f"{text} {fill.side} for {fill.order_id}; compare with TWS", exec_id=fill.exec_id)
        if fill.exec_id in self._closed:
            text = f"execution {fill.exec_id} was corrected after a corporate action in {fill.instrument}"
            raise InvariantViolation(f"{text}: what it means now is for a person to say", exec_id=fill.exec_id)
        self._count(fill, fill.quantity - old.quantity)
        own = [f for f in self._fills.values() if (f.strategy, f.instrument) == (fill.strategy, fill.instrument)
               and f.exec_id not in self._closed]  # fmt: skip
        book.correct(old, fill, own, self._instruments[fill.instrument].multiplier)
        return True

    def _count(self, fill: Fill, more: int) -> None:
        self._fills[fill.exec_id] = fill
        self.filled[fill.order_id] += more
        self.account[fill.instrument] += fill.side.sign * more

    def execution(self, exec_id: str) -> Fill | None:
        """Return an execution in the revision that counts, None when it is not booked."""
        return self._fills.get(exec_id)

    def traded_since(self, instrument: InstrumentId, ts: int) -> bool:
        """Tell whether an execution in the instrument is later than `ts`, ns UTC."""
        return any(f.instrument == instrument and f.ts_event > ts for f in self._fills.values())

    def charge(self, commission: Commission) -> bool:
        """Book a commission, a higher revision in place of the one before; False for old news and strangers' costs."""
        fill, old = self._fills.get(commission.exec_id), self._charged.get(commission.exec_id)
        if fill is None or (old is not None and commission.revision <= old.revision):
            return False
        self._charged[commission.exec_id] = commission
        self.book(fill.strategy).charge(commission.amount - (old.amount if old else _ZERO))
        return True

    def earn(self, instrument: InstrumentId, amount: Decimal) -> tuple[Posting, ...]:
        """Book `amount` a unit to every holder: longs receive it, shorts pay it."""
        postings = []
        for book in self._books.values():
            if held := book.quantity(instrument):
                cash = money(held * amount * self._instruments[instrument].multiplier)
                book.earn(instrument, cash)
                postings.append(Posting(strategy=book.strategy, instrument=instrument, quantity=0, cash=cash))
        return tuple(postings)

    def convert(self, move: Conversion) -> tuple[Posting, ...]:
        """Convert every book's holding; `all_paid` leaves no units.

        Executions in both instruments so far are final: a later correction of one is refused.
        """
        books = [book for book in self._books.values() if book.quantity(move.instrument)]
        held = [book.quantity(move.instrument) for book in books]
        whole = [0] * len(held) if move.all_paid else whole_units(held, move.ratio)
        postings: list[Posting] = []
        for book, before, after in zip(books, held, whole, strict=True):
            cash = book.convert(move, after, self._instruments[move.instrument].multiplier)
            self.account[move.instrument] -= before
            self.account[move.target] += after
            changes = {move.instrument: -before}
            changes[move.target] = changes.get(move.target, 0) + after
            paid = {move.instrument: cash}
            postings += [Posting(strategy=book.strategy, instrument=iid, quantity=quantity, cash=paid.get(iid, _ZERO))
                         for iid, quantity in changes.items()]  # fmt: skip
        both = {move.instrument, move.target}
        self._closed |= {f.exec_id for f in self._fills.values() if f.instrument in both}
        for book in self._books.values():
            book.seal(both)
        return tuple(postings)

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
