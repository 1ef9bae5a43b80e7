"""From what a client asks to what the market can do: every order is checked here."""

from decimal import Decimal

from robotrader.model import Instrument, OrderType, Side, TimeInForce
from robotrader.simulation.gateway.history import parse_end
from robotrader.simulation.gateway.requests import PlaceOrder, Refused
from robotrader.simulation.venue import VenueOrder

_CAUSE = "Error validating request: cause - "
_MAX_QUANTITY = 1_000_000
"""Shares; a larger order is taken for a mistake."""
_LASTING = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD})
_ON_CLOSE = frozenset({TimeInForce.DAY})
_LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_ON_CLOSE})
_STOPPED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_TIFS = {
    OrderType.MARKET: frozenset(TimeInForce), OrderType.LIMIT: frozenset(TimeInForce), OrderType.STOP: _LASTING,
    OrderType.STOP_LIMIT: _LASTING, OrderType.TRAIL: _LASTING, OrderType.MARKET_ON_CLOSE: _ON_CLOSE,
    OrderType.LIMIT_ON_CLOSE: _ON_CLOSE,
}  # fmt: skip


def venue_order(order: PlaceOrder, key: str, instrument: Instrument, account: str) -> VenueOrder:
    """Return the order for the venue, or refuse what is missing, wrong or not simulated."""
    if order.account not in {"", account}:
        raise Refused(321, f"{_CAUSE}Invalid account code {order.account!r}")
    if order.unsupported:
        raise Refused(321, f"{_CAUSE}this simulator does not support {order.unsupported}")
    if order.action not in set(Side) or order.order_type not in set(OrderType):
        raise Refused(321, f"{_CAUSE}Invalid order action or type: {order.action} {order.order_type}")
    kind, tif = OrderType(order.order_type), order.tif or TimeInForce.DAY.value
    if tif not in _TIFS[kind]:
        raise Refused(111, f"The time-in-force {tif} and the order type {kind} are incompatible.")
    trail, percent = _trail(order) if kind is OrderType.TRAIL else (None, None)
    stop = order.aux if kind in _STOPPED else order.trail_stop if trail or percent else None
    return VenueOrder(
        key=key, instrument=instrument.id, side=Side(order.action), quantity=_quantity(order, instrument), type=kind,
        limit_price=_price(order.limit, instrument) if kind in _LIMITED else None,
        stop_price=_price(stop, instrument) if stop is not None or kind in _STOPPED else None,
        tif=TimeInForce(tif), trail=trail, trail_percent=percent,
        expires=_expiry(order.good_till) if tif == TimeInForce.GTD else None,
    )  # fmt: skip


def through(terms: VenueOrder, last: float | None) -> Decimal:
    """Return the share of the last price by which a limit is on the wrong side of it; 0 or less is usual."""
    if terms.limit_price is None or terms.type is not OrderType.LIMIT or last is None:
        return Decimal(0)
    return (terms.limit_price / Decimal(repr(last)) - 1) * terms.side.sign


def _quantity(order: PlaceOrder, instrument: Instrument) -> int:
    if order.quantity is None or order.quantity <= 0:
        raise Refused(434, "The order size cannot be zero.")
    if order.quantity % instrument.lot:
        raise Refused(10243, "Fractional-sized order cannot be placed via API. Please use desktop version.")
    if order.quantity > _MAX_QUANTITY:
        raise Refused(201, f"Order rejected - reason:The size {order.quantity:f} exceeds {_MAX_QUANTITY}")
    return int(order.quantity)


def _price(price: Decimal | None, instrument: Instrument) -> Decimal:
    if price is None:
        raise Refused(321, f"{_CAUSE}the order needs its price")
    if not instrument.on_grid(price):
        raise Refused(110, "The price does not conform to the minimum price variation for this contract.")
    return instrument.price(price)


def _trail(order: PlaceOrder) -> tuple[Decimal | None, Decimal | None]:
    """Return a trailing stop's distance, in price or in percent."""
    amount, percent = order.aux or None, order.trail_percent or None
    if (amount is None) is (percent is None) or (amount or percent or 0) <= 0:
        raise Refused(321, f"{_CAUSE}a trailing stop needs one distance: an amount above 0 or a percentage above 0")
    return amount, percent


def _expiry(text: str) -> int:
    """Return the end of a GTD order, ns UTC; a date alone means the end of that day."""
    try:
        if text:
            return parse_end(text if len(text) > len("20260413") else f"{text} 23:59:59", 0)
    except Refused:
        pass  # its text speaks of another field
    raise Refused(321, f"{_CAUSE}Invalid good till date {text!r}. Use yyyymmdd hh:mm:ss xx/xxxx")
