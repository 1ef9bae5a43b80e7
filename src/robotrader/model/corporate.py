"""Corporate actions as point-in-time facts, and what they did to the books."""

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from msgspec import Struct

from robotrader.model.market import InstrumentId
from robotrader.model.orders import StrategyId


class CorporateActionKind(StrEnum):
    """What can happen to a holding without a trade."""

    SPLIT = "split"
    DIVIDEND = "dividend"
    SYMBOL_CHANGE = "symbol_change"
    DELISTING = "delisting"


class CorporateAction(Struct, frozen=True, kw_only=True):
    """One fact about one symbol.

    Attributes
    ----------
    last_cum_day, ex_date : str
        ISO dates of the last session that trades with the entitlement, and of the first without.
    ex_at : int
        Midnight at the exchange when `ex_date` begins, ns UTC: what ends by then is in old units.
    known_at : int
        When this could be known, ns UTC; of two versions of one action the later known one counts.
    new, old : int
        Units after for units before (a split 7:1 is 7 for 1; 1 and 1 where the count stays).
    cash : Decimal or None
        Money a unit: the dividend, the price paid at a delisting, of a split the price of a fraction if it is known.
    successor : str or None
        The symbol after a change.
    """

    symbol: str
    kind: CorporateActionKind
    last_cum_day: str
    ex_date: str
    ex_at: int
    known_at: int
    source: str
    new: int = 1
    old: int = 1
    cash: Decimal | None = None
    successor: str | None = None

    @property
    def key(self) -> str:
        """Return what two versions of one action have in common."""
        return f"{self.symbol}/{self.kind}/{self.ex_date}"

    @property
    def ratio(self) -> Fraction:
        """Return units after for one unit before."""
        return Fraction(self.new, self.old)


class Posting(Struct, frozen=True, kw_only=True):
    """What an action changed in one book: signed units and money, both added."""

    strategy: StrategyId
    instrument: InstrumentId
    quantity: int
    cash: Decimal
