"""The 26 checks: one function each, (order, facts, limits) -> result with the numbers used.

What a check needs and does not know is a refusal where its limit is on. Each says which orders need not pass it: an
order that reduces, or protects, skips what would trap a position, and nothing about size, price, rate and duplicates.
"""

from robotrader.risk.checks.capital import (
    buying_power,
    exposure,
    group_exposure,
    loss_limit,
    position_limit,
    strategy_budget,
)
from robotrader.risk.checks.check import Check
from robotrader.risk.checks.conditions import authority, data_fitness, session, trading_state
from robotrader.risk.checks.flow import (
    duplicate_intent,
    message_rate,
    open_orders,
    order_efficiency,
    repeated_execution,
    self_trade,
)
from robotrader.risk.checks.order import (
    allow_list,
    max_order_notional,
    max_order_quantity,
    min_order_notional,
    price_grid,
)
from robotrader.risk.checks.price import fat_finger, luld, price_collar
from robotrader.risk.checks.short import borrow, short_price_test

__all__ = [
    "CHECKS", "allow_list", "authority", "borrow", "buying_power", "data_fitness", "duplicate_intent", "exposure",
    "fat_finger", "group_exposure", "loss_limit", "luld", "max_order_notional", "max_order_quantity", "message_rate",
    "min_order_notional", "open_orders", "order_efficiency", "position_limit", "price_collar", "price_grid",
    "repeated_execution", "self_trade", "session", "short_price_test", "strategy_budget", "trading_state",
]  # fmt: skip

CHECKS: tuple[Check, ...] = (
    max_order_quantity, max_order_notional, min_order_notional, price_collar, fat_finger, price_grid,
    duplicate_intent, allow_list, message_rate, repeated_execution, open_orders, buying_power, position_limit,
    luld, session, borrow, short_price_test, exposure, strategy_budget, group_exposure, self_trade,
    order_efficiency, loss_limit, data_fitness, trading_state, authority,
)  # fmt: skip
"""Order of evaluation; every one is always evaluated, so that all reasons are kept."""
