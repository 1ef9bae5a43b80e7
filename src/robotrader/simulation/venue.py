"""Simulated matching: one venue for backtests and for the gateway simulator.

It knows neither strategies nor brokers: orders carry an opaque `key` of the caller.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from msgspec import Struct, structs

from robotrader.model import NANOS_PER_SECOND, Bar, Instrument, InstrumentId, OrderType, Side, TimeInForce
from robotrader.simulation.costs import CostModel
from robotrader.simulation.impact import Impact
from robotrader.simulation.matching import (
    AT_ONCE,
    AUCTION,
    STOPS,
    FillAt,
    Hit,
    Resting,
    Session,
    VenueOrder,
    limit_of,
    trailed,
)

__all__ = ["FillAt", "Venue", "VenueChange", "VenueFill", "VenueOrder"]


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


class VenueChange(NamedTuple):
    """An order that changed without a fill.

    It `lapsed` (IOC, FOK, OPG), `expired`, was `triggered` (it waited for its stop), `canceled`, or `resized`: it has
    other terms, with `quantity` in all.
    """

    key: str
    what: Literal["lapsed", "expired", "triggered", "canceled", "resized"]
    quantity: int = 0


_NO_FILLS: tuple[VenueFill, ...] = ()
_NO_LIMIT = 1 << 62


class Venue:
    """Match orders against bars.

    Market orders fill by `fill`; limits fill at the open when it is at or through the limit, else at
    the limit when the bar trades through it by a tick (a touch is not enough); stops fill at the open
    when it gaps through, else at the stop. Market and stop fills pay `half_spread_bps` of the price, and `impact`.
    A triggered stop limit is a limit from then on; a trailing stop is tested before its bar moves it.
    IOC and FOK fill at the next bar's open or lapse, OPG orders at the next session's open; MOC and LOC
    at its close. Bars without volume fill nothing; at most `participation` of a bar's volume fills.

    What was first in a bar is taken as far as it is known: the open, then stops before limits (the worse of two exits
    that both lie within the bar), and its close. An order that comes in answer to a fill meets what is left of the
    bar: all of it after a fill at the open; else a stop may be reached, a limit is not.
    """

    def __init__(
        self,
        instruments: Mapping[InstrumentId, Instrument],
        costs: CostModel,
        *,
        fill: FillAt = FillAt.NEXT_OPEN,
        half_spread_bps: Decimal = Decimal(1),
        participation: float | None = None,
        impact: Impact | None = None,
    ) -> None:
        self._instruments = instruments
        self._costs = costs
        self._fill_at = fill
        self._half_spread = half_spread_bps / 10_000
        self._participation = participation
        self._impact = impact
        self._resting: dict[str, Resting] = {}
        self._came: list[Resting] = []
        self._last: dict[InstrumentId, Bar] = {}
        self._ended = 0  # when the last session did
        self._number = 0
        self.halted: set[InstrumentId] = set()  # where nothing fills, whatever the bars say
        self.slippage_cost = Decimal(0)

    @property
    def open_orders(self) -> Mapping[str, VenueOrder]:
        """Return the resting orders by key, oldest first; `quantity` is what is left."""
        return {key: structs.replace(r.order, quantity=r.leaves) for key, r in self._resting.items()}

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
        at_once = resting is None and self._fill_at is FillAt.THIS_CLOSE and order.type is OrderType.MARKET
        if resting is None:
            resting = self._resting[order.key] = Resting(order)
            self._came.append(resting)
        before, resting.order = resting.order, order
        last = self._last.get(order.instrument)
        if order.type is OrderType.TRAIL and (resting.stop is None or not _trails_alike(before, order)):
            trail = trailed(order, last.close, self._instruments[order.instrument]) if last else None
            resting.stop = order.stop_price or trail
        if not at_once or order.tif is TimeInForce.OPG or last is None or not self._trades(last):
            return _NO_FILLS
        hit = Hit(Decimal(repr(last.close)), last.ts_event, takes=True)
        return [fill for fill in (self._fill(resting, self._room(last), hit),) if fill is not None]

    def cancel(self, key: str) -> bool:
        """Take an order out; False when it is not open."""
        return self._resting.pop(key, None) is not None

    def on_bar(self, bar: Bar, opened_at: int) -> Sequence[VenueFill]:
        """Match the resting orders of the bar's instrument; `opened_at` is the bar's start, ns UTC."""
        if not self._resting:
            self._last[bar.instrument] = bar
            return _NO_FILLS
        return [event for event in self.trade(bar, opened_at) if isinstance(event, VenueFill)]

    def trade(self, bar: Bar, opened_at: int) -> Iterator[VenueFill | VenueChange]:
        """Match as `on_bar`, one order at a time: what a caller changes or cancels meanwhile counts at once."""
        before = self._last.get(bar.instrument)
        first = before is None or before.ts_event <= self._ended
        self._last[bar.instrument] = bar
        if not self._trades(bar):
            return
        session = Session(self._instruments[bar.instrument], bar, opened_at, self._fill_at)
        room = self._room(bar)
        queue = [r for r in self._resting.values() if r.order.instrument == bar.instrument and _meets(r, first=first)]
        while queue:
            if len(queue) > 1:
                queue.sort(key=session.turn)
            resting = queue.pop(0)
            order = resting.order
            if self._resting.get(order.key) is not resting:
                continue
            waited = not resting.triggered
            self._came.clear()
            fill = self._fill(resting, room, session.hit(resting))
            if fill is not None:
                room -= fill.quantity
                yield fill
                whole, late = fill.ts == opened_at, self._fill_at is FillAt.NEXT_CLOSE
                queue += [r for r in self._came if r.order.instrument == bar.instrument and _meets(r, first=first)
                          and (whole or (r.order.type in STOPS and not late))]  # fmt: skip
            if order.tif in AT_ONCE and self._resting.pop(order.key, None) is not None:
                yield VenueChange(order.key, "lapsed")
            elif waited and resting.triggered:
                yield VenueChange(order.key, "triggered")

    def close_auction(self) -> Iterator[VenueFill]:
        """Fill the MOC and LOC orders at the close of the last bars, one at a time; call it before `end_session`."""
        for resting in [r for r in self._resting.values() if r.order.type in AUCTION]:
            order, bar = resting.order, self._last.get(resting.order.instrument)
            gone = self._resting.get(order.key) is not resting
            if gone or bar is None or bar.ts_event <= self._ended or not self._trades(bar):
                continue
            price = self._instruments[order.instrument].price(bar.close)
            if order.type is OrderType.MARKET_ON_CLOSE or (limit_of(order) - price) * order.side.sign >= 0:
                fill = self._fill(resting, self._room(bar), Hit(price, bar.ts_event))
                if fill is not None:
                    yield fill

    def end_session(self, ts: int) -> Sequence[str]:
        """Expire the orders that are for this session only and return their keys."""
        self._ended = ts
        keys = [k for k, r in self._resting.items() if r.order.tif is TimeInForce.DAY]
        for key in keys:
            del self._resting[key]
        return [*keys, *self.expire(ts)]

    def expire(self, ts: int) -> Sequence[str]:
        """Expire the orders whose date (GTD) has come and return their keys."""
        ends = [(key, r.order.expires) for key, r in self._resting.items()]
        keys = [key for key, end in ends if end is not None and end <= ts]
        for key in keys:
            del self._resting[key]
        return keys

    def settle(self, order: VenueOrder, price: Decimal, ts: int) -> VenueFill:
        """Execute an order whole, outside the market, at a price that was made elsewhere."""
        return self._execute(Resting(order), order.quantity, price, ts)

    def commission(self, order: VenueOrder, price: Decimal, ts: int) -> Decimal:
        """Return what an order would cost if it filled whole at this price."""
        return self._total(order, order.quantity, price * order.quantity * self._multiplier(order), ts)

    def _trades(self, bar: Bar) -> bool:
        return bar.volume > 0 and bar.instrument not in self.halted

    def _room(self, bar: Bar) -> int:
        """Return how many units a bar can fill."""
        return _NO_LIMIT if self._participation is None else int(bar.volume * self._participation)

    def _fill(self, resting: Resting, room: int, hit: Hit | None) -> VenueFill | None:
        """Fill as much as there is room for; FOK whole or not at all."""
        order, quantity = resting.order, min(resting.leaves, room)
        if hit is None or not quantity or (order.tif is TimeInForce.FOK and quantity < resting.leaves):
            return None
        price = self._slipped(order, hit.price, quantity) if hit.takes else hit.price
        return self._execute(resting, quantity, price, hit.ts)

    def _slipped(self, order: VenueOrder, raw: Decimal, quantity: int) -> Decimal:
        """Return `raw` on the grid, moved against the order by half the spread and impact; counts what that cost."""
        instrument, moved = self._instruments[order.instrument], self._half_spread
        if self._impact is not None:
            moved += self._impact.share(order.instrument, self._last[order.instrument].ts_event, quantity)
        plain = instrument.price(raw)
        if not moved:
            return plain
        price = instrument.price(raw * (1 + order.side.sign * moved))
        self.slippage_cost += (price - plain) * order.side.sign * quantity * instrument.multiplier
        return price

    def _execute(self, resting: Resting, quantity: int, price: Decimal, ts: int) -> VenueFill:
        """Fill so much of the order and charge what the order as a whole costs more than before."""
        order = resting.order
        resting.filled += quantity
        resting.notional += price * quantity * self._multiplier(order)
        total = self._total(order, resting.filled, resting.notional, ts)
        paid, resting.paid = total - resting.paid, total
        if not resting.leaves:
            self._resting.pop(order.key, None)
        self._number += 1
        return VenueFill(
            key=order.key, number=self._number, instrument=order.instrument, side=order.side,
            quantity=quantity, price=price, ts=ts, commission=paid,
        )  # fmt: skip

    def _total(self, order: VenueOrder, quantity: int, notional: Decimal, ts: int) -> Decimal:
        day = datetime.fromtimestamp(ts // NANOS_PER_SECOND, tz=UTC).date()
        return self._costs.total(side=order.side, quantity=quantity, notional=notional, day=day)

    def _multiplier(self, order: VenueOrder) -> Decimal:
        return self._instruments[order.instrument].multiplier


def _trails_alike(one: VenueOrder, other: VenueOrder) -> bool:
    return (one.stop_price, one.trail, one.trail_percent) == (other.stop_price, other.trail, other.trail_percent)


def _meets(resting: Resting, *, first: bool) -> bool:
    """Tell whether an order trades in a bar of its instrument at all; `first`: it is the first of its session."""
    return resting.order.type not in AUCTION and (first or resting.order.tif is not TimeInForce.OPG)
