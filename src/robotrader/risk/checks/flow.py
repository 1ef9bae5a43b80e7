"""Rows 7, 9, 10, 11, 21 and 22: how many orders and fills there are, and whether they meet each other."""

from decimal import Decimal

from robotrader.model import Order, OrderType, RiskCheck, RiskLimit, Side
from robotrader.risk.checks.check import PASSED, Exempt, Finding, check, missing, unknown, within, within_all
from robotrader.risk.facts import Facts

_RESTING = {OrderType.MARKET, OrderType.LIMIT, OrderType.MARKET_ON_CLOSE, OrderType.LIMIT_ON_CLOSE}


@check(RiskCheck.DUPLICATE_INTENT, 7)
def duplicate_intent(order: Order, facts: Facts, limits: RiskLimit) -> Finding:  # noqa: ARG001
    """Row 7: refuse an intent seen before (for ever) and equal terms within the window."""
    age, window = facts.same_terms_age_ns, limits.duplicate_window_s
    if facts.known_intent:
        return "this intent was decided before", None
    if not window or age is None:
        return PASSED
    return PASSED if age >= window * 1e9 else ("equal order moments ago", {"age_ns": age, "window_s": window})


@check(RiskCheck.MESSAGE_RATE, 9, "messages_per_s", "messages_per_s_instrument", "bursts_per_s_strategy")
def message_rate(order: Order, facts: Facts, limits: RiskLimit) -> Finding:  # noqa: ARG001
    """Row 9: cap messages a second: over all, per instrument, and decision batches per strategy; with this one."""
    rates = facts.rates
    return within_all(
        "too many messages a second",
        ("messages", rates.messages + 1, limits.messages_per_s),
        ("instrument", rates.instrument_messages + 1, limits.messages_per_s_instrument),
        ("bursts", rates.strategy_bursts + 1, limits.bursts_per_s_strategy),
    )


@check(RiskCheck.REPEATED_EXECUTION, 10, "max_repeated_fills", exempt=Exempt.EXITS)
def repeated_execution(order: Order, facts: Facts, limits: RiskLimit) -> Finding:  # noqa: ARG001
    """Row 10: cap filled orders of one strategy in one instrument on one side within the window, with this one."""
    if facts.conduct.recent_fills is None:
        return unknown("recent fills")
    return within(facts.conduct.recent_fills + 1, limits.max_repeated_fills, "it fills again and again",
                  window_s=limits.repeated_window_s)  # fmt: skip


@check(RiskCheck.OPEN_ORDERS, 11, "max_open_orders", "max_open_orders_instrument", exempt=Exempt.EXITS)
def open_orders(order: Order, facts: Facts, limits: RiskLimit) -> Finding:  # noqa: ARG001
    """Row 11: cap the orders that can still fill, with this one: of the account, and in the instrument."""
    conduct = facts.conduct
    if conduct.open_orders is None or conduct.instrument_open_orders is None:
        return unknown(*missing(conduct, "open_orders", "instrument_open_orders"))
    return within_all(
        "too many open orders",
        ("account", conduct.open_orders + 1, limits.max_open_orders),
        ("instrument", conduct.instrument_open_orders + 1, limits.max_open_orders_instrument),
    )


@check(RiskCheck.SELF_TRADE, 21, "self_trade_guard", exempt=Exempt.EXITS)
def self_trade(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 21: refuse the newcomer where an own order on the other side could match it. An exit comes first.

    What protects the same strategy's position is no bar to adding to it: it follows the position.
    """
    opposite = facts.conduct.opposite
    if not opposite:
        return PASSED if opposite is not None else unknown("own orders on the other side")
    price = _reach(order, facts, limits)
    others = [o for o in opposite if not (o.purpose.protective and o.strategy == order.strategy)]
    met = sum(o.type in _RESTING and _match(order.side, price, o.limit_price) for o in others)
    return ("our own order would match it", {"opposite": len(opposite), "met": met}) if met else PASSED


def _reach(order: Order, facts: Facts, limits: RiskLimit) -> Decimal | None:
    """Return how far an order can trade: its limit, else as far as the collar lets prices be; None = anywhere."""
    reference, collar = facts.snapshot.reference_price, limits.price_collar_ratio
    if order.limit_price is not None or reference is None or collar is None:
        return order.limit_price
    return reference * (1 + order.side.sign * collar)


def _match(side: Side, price: Decimal | None, other: Decimal | None) -> bool:
    """Tell whether two opposite orders could trade at a price that both accept; None accepts any."""
    return price is None or other is None or (price - other) * side.sign >= 0


@check(RiskCheck.ORDER_EFFICIENCY, 22, "order_efficiency_warning", "max_order_efficiency", exempt=Exempt.EXITS)
def order_efficiency(order: Order, facts: Facts, limits: RiskLimit) -> Finding:  # noqa: ARG001
    """Row 22: cap today's messages per execution, with this one; a warning before that. Cancels never come here.

    A few messages say nothing: orders of one rebalance all leave before the first of them fills.
    """
    conduct = facts.conduct
    submitted, revised, canceled, executed = (
        conduct.submitted, conduct.revised, conduct.canceled, conduct.executed
    )  # fmt: skip
    if submitted is None or revised is None or canceled is None or executed is None:
        return unknown(*missing(conduct, "submitted", "revised", "canceled", "executed"))
    messages, floor = submitted + revised + canceled + 1, limits.order_efficiency_floor or 0
    used, limit, warning = messages / (executed + 1), limits.max_order_efficiency, limits.order_efficiency_warning
    counts = messages > floor
    numbers = {"used": used, "limit": limit, "warning": counts and warning is not None and used > warning,
               "messages": messages, "floor": floor}  # fmt: skip
    return "too many messages per execution" if counts and limit is not None and used > limit else "", numbers
