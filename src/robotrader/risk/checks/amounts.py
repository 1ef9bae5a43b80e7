"""What an order may come to: prices, values, and units at worst case."""

from decimal import Decimal

from robotrader.model import Order, PortfolioSnapshot, Side

_BUY = Side.BUY


def first_price(order: Order, snapshot: PortfolioSnapshot) -> Decimal | None:
    """Return the price that the order names, else the reference; None = neither is known."""
    return order.limit_price or order.stop_price or snapshot.reference_price


def unit_value(order: Order, snapshot: PortfolioSnapshot) -> Decimal | None:
    """Return the highest value that a unit may be counted at, None without a reference price."""
    price, limit, stop = snapshot.reference_price, order.limit_price, order.stop_price
    if price is None:
        return None
    price = limit if limit is not None and limit > price else price
    return (stop if stop is not None and stop > price else price) * snapshot.instrument.multiplier


def sides(order: Order, position: int, open_buy: int, open_sell: int) -> tuple[int, int]:
    """Return the signed units with this order if all buys fill and no sell, and the other way round."""
    if order.side is _BUY:
        return position + open_buy + order.quantity, position - open_sell
    return position + open_buy, position - open_sell - order.quantity


def to_borrow(order: Order, snapshot: PortfolioSnapshot) -> int:
    """Return the units that must be borrowed for this and all open sells to fill; 0 where this order sells no short."""
    if order.side is _BUY:
        return 0
    return max(0, snapshot.open_sell + order.quantity - max(0, snapshot.position))
