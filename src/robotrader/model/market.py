"""What can be traded, and what the market did."""

import math
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import cached_property
from typing import NewType

from msgspec import Struct

from robotrader.model.errors import BadTick

InstrumentId = NewType("InstrumentId", str)
"""Symbol and primary venue, `SPY.ARCA`."""

Currency = NewType("Currency", str)
"""ISO 4217 code, `USD`."""

NANOS_PER_SECOND = 1_000_000_000


class Venue(StrEnum):
    """Primary listing venue; SMART where it is not known."""

    NASDAQ = "NASDAQ"
    NYSE = "NYSE"
    ARCA = "ARCA"
    SMART = "SMART"


class AssetClass(StrEnum):
    """Kind of instrument (the first version trades these only)."""

    STOCK = "STK"


class BarSpec(StrEnum):
    """Length of a bar."""

    SECOND_5 = "5s"
    MINUTE = "1m"
    MINUTE_5 = "5m"
    MINUTE_15 = "15m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def nanos(self) -> int:
        """Return the nominal length in nanoseconds (a day is 24 h, not a session)."""
        return _NANOS[self]


_NANOS = {
    BarSpec.SECOND_5: 5 * NANOS_PER_SECOND,
    BarSpec.MINUTE: 60 * NANOS_PER_SECOND,
    BarSpec.MINUTE_5: 300 * NANOS_PER_SECOND,
    BarSpec.MINUTE_15: 900 * NANOS_PER_SECOND,
    BarSpec.HOUR: 3_600 * NANOS_PER_SECOND,
    BarSpec.DAY: 86_400 * NANOS_PER_SECOND,
}


class Instrument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One tradable instrument.

    Attributes
    ----------
    tick : Decimal
        Smallest price step, in currency units.
    lot : int
        Smallest quantity step, in units.
    multiplier : Decimal
        Currency value of one unit at price 1.
    """

    id: InstrumentId
    symbol: str
    venue: Venue = Venue.SMART
    asset_class: AssetClass = AssetClass.STOCK
    currency: Currency = Currency("USD")
    tick: Decimal = Decimal("0.01")
    lot: int = 1
    multiplier: Decimal = Decimal(1)

    @cached_property
    def _unit(self) -> Decimal:
        return Decimal(1).scaleb(int(self.tick.as_tuple().exponent))

    def price(self, value: float | Decimal) -> Decimal:
        """Turn a number into a price on the tick grid: the only float to Decimal gate.

        Rounds half to even, to a fixed number of decimals, so that equal prices have equal text.

        Raises
        ------
        BadTick
            `value` is not finite, or its price is not positive.
        """
        if not math.isfinite(value):
            raise BadTick(f"{self.id}: a price must be finite, found {value}", instrument=self.id)
        exact = value if isinstance(value, Decimal) else Decimal(repr(value))
        steps = (exact / self.tick).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
        price = (steps * self.tick).quantize(self._unit)
        if price <= 0:
            raise BadTick(f"{self.id}: a price must be positive, found {value}", instrument=self.id)
        return price

    def on_grid(self, price: Decimal) -> bool:
        """Tell whether `price` is a positive multiple of the tick."""
        return price.is_finite() and price > 0 and price % self.tick == 0


class Bar(Struct, frozen=True, kw_only=True, gc=False):
    """One closed bar; prices are float64, `volume` in units.

    `ts_event` is the bar's end in ns UTC (a daily bar's: the session close).
    """

    instrument: InstrumentId
    ts_event: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    spec: BarSpec = BarSpec.DAY


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """Best bid and ask at `ts_event` (ns UTC); prices are float64, sizes in units."""

    instrument: InstrumentId
    ts_event: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float


class HaltCause(StrEnum):
    """Why an exchange stopped trading an instrument: by itself or its regulator, or for its price moved too fast."""

    GENERAL = "general"
    VOLATILITY = "volatility"


class MarketDataType(StrEnum):
    """How fresh the market data of a subscription are; all but live ones are older than they look."""

    LIVE = "live"
    FROZEN = "frozen"
    DELAYED = "delayed"
    DELAYED_FROZEN = "delayed-frozen"


def stock(symbol: str, venue: Venue = Venue.SMART, tick: Decimal = Decimal("0.01")) -> Instrument:
    """Make the instrument of a US stock or ETF, `SYMBOL.VENUE`."""
    return Instrument(id=InstrumentId(f"{symbol}.{venue}"), symbol=symbol, venue=venue, tick=tick)
