"""What the gateway refuses before an order reaches the venue, with IBKR's codes."""

from collections.abc import Mapping
from decimal import Decimal

from robotrader.model import BadTick, Instrument, InstrumentId, OrderType, Side, TimeInForce
from robotrader.simulation.gateway.account import Account
from robotrader.simulation.gateway.requests import PlaceOrder, Refused
from robotrader.simulation.venue import VenueOrder

NO_SECURITY = "No security definition has been found for the request"
AMBIGUOUS = "The contract description specified is ambiguous; give conId or primaryExchange"

_VALIDATION = "Error validating request: cause - "
_TIF = {"": TimeInForce.DAY} | {t.value: t for t in TimeInForce}


def contract(found: tuple[Instrument, ...]) -> Instrument:
    """Return the one instrument of a look-up.

    Raises
    ------
    Refused
        200: there is none, or more than one.
    """
    if len(found) != 1:
        raise Refused(200, AMBIGUOUS if found else NO_SECURITY)
    return found[0]


def terms(order: PlaceOrder, key: str, instrument: Instrument) -> VenueOrder:
    """Return the order for the venue.

    Raises
    ------
    Refused
        Some attribute is missing, wrong, or not simulated.
    """
    if order.unsupported:
        raise Refused(321, f"{_VALIDATION}this simulator does not support {', '.join(order.unsupported)}")
    if order.action not in set(Side):
        raise Refused(321, f"{_VALIDATION}Invalid order action: {order.action}")
    if order.order_type not in set(OrderType):
        raise Refused(321, f"{_VALIDATION}Invalid order type: {order.order_type}")
    if order.tif not in _TIF:
        raise Refused(111, f"The time-in-force {order.tif} and the order type {order.order_type} are incompatible.")
    kind = OrderType(order.order_type)
    return VenueOrder(
        key=key,
        instrument=instrument.id,
        side=Side(order.action),
        quantity=_quantity(order.quantity, instrument),
        type=kind,
        limit_price=_price(order.limit, instrument) if kind is OrderType.LIMIT else None,
        stop_price=_price(order.aux, instrument) if kind is OrderType.STOP else None,
        tif=_TIF[order.tif],
    )


def _quantity(quantity: Decimal | None, instrument: Instrument) -> int:
    if quantity is None or quantity <= 0:
        raise Refused(434, "The order size cannot be zero.")
    if quantity % instrument.lot:
        raise Refused(10243, "Fractional-sized order cannot be placed via API. Please use desktop version.")
    return int(quantity)


def _price(price: Decimal | None, instrument: Instrument) -> Decimal:
    if price is None:
        raise Refused(321, f"{_VALIDATION}the order needs its price")
    if not instrument.on_grid(price):
        raise Refused(110, "The price does not conform to the minimum price variation for this contract.")
    try:
        return instrument.price(price)
    except BadTick as error:
        raise Refused(110, error.message) from error


def margin(order: VenueOrder, account: Account, prices: Mapping[InstrumentId, float], ratio: Decimal | None) -> None:
    """Refuse an order that would need more initial margin than there is equity.

    Raises
    ------
    Refused
        201: `ratio` of the gross value after the order exceeds the equity; an order that only
        reduces a position is never refused.
    """
    price = prices.get(order.instrument)
    if ratio is None or price is None:
        return
    holding = account.holdings.get(order.instrument)
    held = holding.quantity if holding else 0
    after = held + order.side.sign * order.quantity
    more = (abs(after) - abs(held)) * Decimal(repr(price))
    required, equity = (account.gross(prices) + more) * ratio, account.equity(prices)
    if more > 0 and required > equity:
        text = f"Order rejected - reason:Insufficient funds: initial margin {required:.2f}, equity {equity:.2f}"
        raise Refused(201, text)
