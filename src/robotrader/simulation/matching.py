"""What one bar does to one order: prices and times of fills, without quantities or costs."""

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from robotrader.model import Bar, DataError, Instrument, InstrumentId, OrderType, Side, TimeInForce


class FillAt(StrEnum):
    """When a market order fills."""

    NEXT_OPEN = "next_open"
    THIS_CLOSE = "this_close"
    NEXT_CLOSE = "next_close"


class VenueOrder(Struct, frozen=True, kw_only=True):
    """An order at the venue; `quantity` in whole units, > 0.

    A trailing stop keeps `trail` (in price) or `trail_percent` away from the best price since it came; `stop_price`
    is where it begins, None: as far from the last price. `expires` is the end of a GTD order, ns UTC.
    """

    key: str
    instrument: InstrumentId
    side: Side
    quantity: int
    type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    tif: TimeInForce = TimeInForce.DAY
    trail: Decimal | None = None
    trail_percent: Decimal | None = None
    expires: int | None = None


STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAIL})
"""Types that wait for a trigger."""
AUCTION = (OrderType.MARKET_ON_CLOSE, OrderType.LIMIT_ON_CLOSE)  # tuples: the hash of an enum member is slow
AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK, TimeInForce.OPG)
"""Orders that an opening price fills or ends."""


class Resting:
    """An open order with what it has filled and paid so far; `stop` is where a trailing stop stands."""

    __slots__ = ("filled", "notional", "order", "paid", "stop", "triggered")

    def __init__(self, order: VenueOrder) -> None:
        self.order = order
        self.filled = 0
        self.notional = Decimal(0)
        self.paid = Decimal(0)
        self.stop: Decimal | None = None
        self.triggered = False

    @property
    def leaves(self) -> int:
        """Return the quantity that can still fill."""
        return self.order.quantity - self.filled


class Hit(NamedTuple):
    """A price that an order meets, and when, ns UTC; `takes`: it takes what is there, so that it pays the spread."""

    price: Decimal
    ts: int
    takes: bool = False


class Session(NamedTuple):
    """A bar as orders meet it: `opened_at` is its start, ns UTC; `fill` when market orders fill."""

    instrument: Instrument
    bar: Bar
    opened_at: int
    fill: FillAt

    def turn(self, resting: Resting) -> int:
        """Return when in the bar an order can meet it: 0 at the open, 1 stops, 2 limits, 3 at the close."""
        order = resting.order
        if order.type is OrderType.MARKET or (resting.triggered and order.limit_price is None):
            return 3 if self.fill is FillAt.NEXT_CLOSE and order.tif not in AT_ONCE else 0
        if order.tif in AT_ONCE:
            return 0
        if order.type is OrderType.LIMIT or resting.triggered:
            return 0 if (limit_of(order) - self.instrument.price(self.bar.open)) * order.side.sign >= 0 else 2
        return 1

    def hit(self, resting: Resting) -> Hit | None:
        """Return what the bar gives the order, if anything; stops are triggered or moved."""
        order = resting.order
        if order.type is OrderType.MARKET or (resting.triggered and order.limit_price is None):
            found: Hit | None = self._market(order)
        elif order.type is OrderType.LIMIT or resting.triggered:
            found = self._limit(order)
        else:
            found = self._stop(resting)
        return None if found is not None and order.tif in AT_ONCE and found.ts != self.opened_at else found

    def _market(self, order: VenueOrder) -> Hit:
        if self.fill is FillAt.NEXT_CLOSE and order.tif not in AT_ONCE:
            return Hit(_exact(self.bar.close), self.bar.ts_event, takes=True)
        return Hit(_exact(self.bar.open), self.opened_at, takes=True)

    def _limit(self, order: VenueOrder) -> Hit | None:
        price, tick = self.instrument.price, self.instrument.tick
        opened, limit = price(self.bar.open), limit_of(order)
        if (limit - opened) * order.side.sign >= 0:
            return Hit(opened, self.opened_at)
        buys = order.side is Side.BUY
        through = price(self.bar.low) <= limit - tick if buys else price(self.bar.high) >= limit + tick
        return Hit(limit, self.bar.ts_event) if through else None

    def _stop(self, resting: Resting) -> Hit | None:
        """Test a stop that waits for its trigger; a bar that does not trigger a trailing one moves it."""
        order, bar, price = resting.order, self.bar, self.instrument.price
        buys, sign = order.side is Side.BUY, order.side.sign
        if order.type is OrderType.TRAIL and resting.stop is None:  # there was no price yet to keep away from
            resting.stop = trailed(order, bar.open, self.instrument)
        stop = _required(resting.stop if order.type is OrderType.TRAIL else order.stop_price, order)
        gap = (price(bar.open) - stop) * sign >= 0
        resting.triggered = gap or (price(bar.high if buys else bar.low) - stop) * sign >= 0
        if resting.triggered and order.type is OrderType.STOP_LIMIT:
            if gap:
                return self._limit(order)
            # what the bar did after it reached the stop is unknown: a limit short of the stop waits for the next one
            return Hit(stop, bar.ts_event) if (limit_of(order) - stop) * sign >= 0 else None
        if resting.triggered:
            return Hit(_exact(bar.open), self.opened_at, takes=True) if gap else Hit(stop, bar.ts_event, takes=True)
        if order.type is OrderType.TRAIL:
            moved = trailed(order, bar.low if buys else bar.high, self.instrument)
            resting.stop = min(stop, moved) if buys else max(stop, moved)
        return None


def trailed(order: VenueOrder, raw: float, instrument: Instrument) -> Decimal:
    """Return where a trailing stop stands behind a price: at least at the lowest one there is."""
    away = order.trail
    if away is None:
        away = _exact(raw) * _required(order.trail_percent, order) / 100
    return instrument.price(max(_exact(raw) + order.side.sign * away, instrument.tick))


def limit_of(order: VenueOrder) -> Decimal:
    """Return the limit of an order that must have one; DataError when it has none."""
    return _required(order.limit_price, order)


def _exact(raw: float) -> Decimal:
    return Decimal(repr(raw))


def _required(price: Decimal | None, order: VenueOrder) -> Decimal:
    if price is None:
        raise DataError(f"{order.type} order {order.key} needs its price")
    return price
