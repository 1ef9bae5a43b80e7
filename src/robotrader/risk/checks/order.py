"""Rows 1, 2, 3, 6 and 8: whether the order itself is sensible, and in what may be traded."""

from robotrader.model import Order, RiskCheck, RiskLimit
from robotrader.risk.checks.amounts import first_price, unit_value
from robotrader.risk.checks.check import PASSED, Exempt, Finding, at_least, check, unknown, within
from robotrader.risk.facts import Facts, is_reducing


@check(RiskCheck.MAX_ORDER_QUANTITY, 1, "max_order_quantity", "max_order_adv_ratio")
def max_order_quantity(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 1: cap the quantity, by a number and a share of the volume; what is held may always be sold at once."""
    snapshot, quantity, limit = facts.snapshot, order.quantity, limits.max_order_quantity
    reducing, share, volume = is_reducing(order, snapshot), limits.max_order_adv_ratio, snapshot.average_daily_volume
    if share is not None and volume is not None:
        most = int(volume * share)
        limit = most if limit is None or most < limit else limit
    elif share is not None and not reducing:
        return "average daily volume is not known", {"used": quantity}
    if limit is None:
        return "", {"used": quantity}
    return within(quantity, max(limit, abs(snapshot.position)) if reducing else limit, "too many units")


@check(RiskCheck.MAX_ORDER_NOTIONAL, 2, "max_order_notional", "max_order_equity_ratio", exempt=Exempt.REDUCING)
def max_order_notional(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 2: cap the order's value, by an amount and a share of the equity, the smaller of both."""
    limit, ratio, each = limits.max_order_notional, limits.max_order_equity_ratio, unit_value(order, facts.snapshot)
    if each is None:
        return unknown("reference price")
    if ratio is not None:
        share = facts.snapshot.equity * ratio
        limit = share if limit is None or share < limit else limit
    return within(each * order.quantity, limit, "order is worth too much")


@check(RiskCheck.MIN_ORDER_NOTIONAL, 3, "min_order_notional", exempt=Exempt.EXITS)
def min_order_notional(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 3: refuse orders so small that costs eat them. Units are whole by their type."""
    price = first_price(order, facts.snapshot)
    if price is None:
        return unknown("reference price")
    value = price * order.quantity * facts.snapshot.instrument.multiplier
    return at_least(value, limits.min_order_notional, "order is worth too little")


@check(RiskCheck.PRICE_GRID, 6)
def price_grid(order: Order, facts: Facts, limits: RiskLimit) -> Finding:  # noqa: ARG001 - one signature for all checks
    """Row 6: refuse prices off the tick grid and quantities that are no positive multiple of the lot."""
    instrument = facts.snapshot.instrument
    limit, stop = order.limit_price, order.stop_price
    good = order.quantity > 0 and order.quantity % instrument.lot == 0
    good = good and (limit is None or instrument.on_grid(limit)) and (stop is None or instrument.on_grid(stop))
    if good:
        return PASSED
    return "price or quantity is off the grid", {"tick": instrument.tick, "lot": instrument.lot}


@check(RiskCheck.ALLOW_LIST, 8, "allow_list", "currencies")
def allow_list(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 8: refuse instruments and currencies that are not on their list; no list allows what is configured.

    Security types and exchanges cannot be off a list: the vocabulary has no others.
    """
    currency = facts.snapshot.instrument.currency
    if limits.allow_list is not None and order.instrument not in limits.allow_list:
        return "instrument is not allowed", {"instrument": order.instrument}
    good = limits.currencies is None or currency in limits.currencies
    return PASSED if good else ("currency is not allowed", {"currency": currency})
