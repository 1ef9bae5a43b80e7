"""Simulated matching: one venue for backtests and for the gateway simulator.

It knows neither strategies nor brokers: orders carry an opaque `key` of the caller.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct, structs

from robotrader.model import (
    NANOS_PER_SECOND,
    Bar,
    DataError,
    Instrument,
    InstrumentId,
    OrderType,
    Side,
    TimeInForce,
)
from robotrader.simulation.costs import CostModel


class FillAt(StrEnum):
    """When a market order fills."""

    NEXT_OPEN = "next_open"
    THIS_CLOSE = "this_close"
    NEXT_CLOSE = "next_close"


class VenueOrder(Struct, frozen=True, kw_only=True):
    """An order at the venue; `quantity` in whole units, > 0."""

    key: str
    instrument: InstrumentId
    side: Side
    quantity: int
    type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    tif: TimeInForce = TimeInForce.DAY


class VenueFill(Struct, frozen=True, kw_only=True):
    """One execution: `price` on the tick grid, `commission` >= 0 a cost, `number` counts executions from 1."""

    key: str
    number: int
    instrument: InstrumentId
    side: Side
    quantity: int
    price: Decimal
    ts: int
    commission: Decimal


_NO_FILLS: tuple[VenueFill, ...] = ()


class _Resting:
    """An open order with what it has filled and paid so far."""

    __slots__ = ("filled", "notional", "order", "paid")

    def __init__(self, order: VenueOrder) -> None:
        self.order = order
        self.filled = 0
        self.notional = Decimal(0)
        self.paid = Decimal(0)


class Venue:
    """Match orders against bars.

    Market orders fill by `fill`; limits fill at the open when it is at or through the limit, else at
    the limit when the bar trades through it by a tick (a touch is not enough); stops fill at the open
    when it gaps through, else at the stop. Market and stop fills pay `half_spread_bps` of the price.
    Bars without volume fill nothing.
    """

    def __init__(
        self,
        instruments: Mapping[InstrumentId, Instrument],
        costs: CostModel,
        *,
        fill: FillAt = FillAt.NEXT_OPEN,
        half_spread_bps: Decimal = Decimal(1),
    ) -> None:
        self._instruments = instruments
        self._costs = costs
        self._fill_at = fill
        self._half_spread = half_spread_bps / 10_000
        self._resting: dict[str, _Resting] = {}
        self._last: dict[InstrumentId, Bar] = {}
        self._number = 0
        self.slippage_cost = Decimal(0)

    @property
    def open_orders(self) -> Mapping[str, VenueOrder]:
        """Return the resting orders by key, oldest first; `quantity` is what is left."""
        return {key: structs.replace(r.order, quantity=r.order.quantity - r.filled) for key, r in self._resting.items()}

    @property
    def idle(self) -> bool:
        """Tell whether no order rests here."""
        return not self._resting

    def place(self, order: VenueOrder) -> Sequence[VenueFill]:
        """Take an order, or new terms for an open one of the same key.

        Returns
        -------
        sequence of VenueFill
            Fills at once (only `this_close` gives any).
        """
        resting = self._resting.get(order.key)
        if resting is None:
            resting = self._resting[order.key] = _Resting(order)
        else:
            resting.order = order
        last = self._last.get(order.instrument)
        at_once = self._fill_at is FillAt.THIS_CLOSE and order.type is OrderType.MARKET
        if at_once and last is not None and last.volume > 0:
            return (self._execute(resting, self._slipped(order, last.close), last.ts_event),)
        return _NO_FILLS

    def cancel(self, key: str) -> bool:
        """Take an order out; False when it is not open."""
        return self._resting.pop(key, None) is not None

    def on_bar(self, bar: Bar, opened_at: int) -> Sequence[VenueFill]:
        """Match the resting orders of the bar's instrument; `opened_at` is the bar's start, ns UTC."""
        self._last[bar.instrument] = bar
        if not self._resting or not bar.volume > 0:
            return _NO_FILLS
        fills = []
        for resting in list(self._resting.values()):
            if resting.order.instrument != bar.instrument:
                continue
            hit = self._match(resting.order, bar, opened_at)
            if hit is not None:
                fills.append(self._execute(resting, *hit))
        return fills

    def end_session(self, ts: int) -> Sequence[str]:
        """Expire the DAY orders and return their keys."""
        keys = [key for key, r in self._resting.items() if r.order.tif is TimeInForce.DAY]
        for key in keys:
            del self._resting[key]
        return keys

    def _match(self, order: VenueOrder, bar: Bar, opened_at: int) -> tuple[Decimal, int] | None:
        """Return price and time of the fill that this bar gives the order, if any."""
        if order.type is OrderType.MARKET:
            if self._fill_at is FillAt.NEXT_CLOSE:
                return self._slipped(order, bar.close), bar.ts_event
            return self._slipped(order, bar.open), opened_at
        price = self._instruments[order.instrument].price
        opened, high, low = price(bar.open), price(bar.high), price(bar.low)
        if order.type is OrderType.LIMIT:
            return self._match_limit(order, (opened, high, low), (opened_at, bar.ts_event))
        stop = _required(order.stop_price, order)
        if (opened - stop) * order.side.sign >= 0:
            return self._slipped(order, bar.open), opened_at
        if (high >= stop) if order.side is Side.BUY else (low <= stop):
            return self._slipped(order, float(stop)), bar.ts_event
        return None

    def _match_limit(
        self, order: VenueOrder, prices: tuple[Decimal, Decimal, Decimal], times: tuple[int, int]
    ) -> tuple[Decimal, int] | None:
        """Match a limit against (open, high, low) at (start, end)."""
        opened, high, low = prices
        limit = _required(order.limit_price, order)
        tick = self._instruments[order.instrument].tick
        if (limit - opened) * order.side.sign >= 0:
            return opened, times[0]
        through = low <= limit - tick if order.side is Side.BUY else high >= limit + tick
        return (limit, times[1]) if through else None

    def _slipped(self, order: VenueOrder, raw: float) -> Decimal:
        """Return `raw` on the grid, moved against the order by half the spread; counts what that cost."""
        instrument = self._instruments[order.instrument]
        plain = instrument.price(raw)
        if not self._half_spread:
            return plain
        price = instrument.price(Decimal(repr(raw)) * (1 + order.side.sign * self._half_spread))
        self.slippage_cost += (price - plain) * order.side.sign * order.quantity * instrument.multiplier
        return price

    def _execute(self, resting: _Resting, price: Decimal, ts: int) -> VenueFill:
        """Fill the rest of the order and charge what the order as a whole costs more than before."""
        order = resting.order
        quantity = order.quantity - resting.filled
        resting.filled += quantity
        resting.notional += price * quantity * self._instruments[order.instrument].multiplier
        day = datetime.fromtimestamp(ts // NANOS_PER_SECOND, tz=UTC).date()
        total = self._costs.total(side=order.side, quantity=resting.filled, notional=resting.notional, day=day)
        paid, resting.paid = total - resting.paid, total
        self._resting.pop(order.key, None)
        self._number += 1
        return VenueFill(
            key=order.key, number=self._number, instrument=order.instrument, side=order.side,
            quantity=quantity, price=price, ts=ts, commission=paid,
        )  # fmt: skip


def _required(price: Decimal | None, order: VenueOrder) -> Decimal:
    if price is None:
        raise DataError(f"{order.type} order {order.key} needs its price")
    return price
