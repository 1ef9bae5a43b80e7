"""One pure function per check: (order, facts, limits) -> result with the numbers used.

Missing input fails the check. A reducing order (it only brings the position nearer to zero, all open
orders counted) skips what would trap a position: the notional and position limits, and for its size it
may always be as large as what is held. Price, grid, duplicate, rate and state checks apply to every order.
"""

from collections.abc import Callable
from decimal import Decimal

from msgspec import Struct

from robotrader.model import (
    CheckResult,
    Order,
    PortfolioSnapshot,
    RiskCheck,
    RiskLimit,
    Side,
    TradingState,
)


class RateCounts(Struct, frozen=True, kw_only=True):
    """Messages within the last second on the runner's clock, this order not yet counted.

    `strategy_bursts` counts decision batches of the strategy: all orders of one batch are one burst.
    """

    messages: int
    instrument_messages: int
    strategy_bursts: int


class Facts(Struct, frozen=True, kw_only=True):
    """All that the checks may know beside the order: snapshot, rates, earlier intents, trading state.

    `same_terms_age_ns`: age of the last order of equal symbol, side, quantity and price; None = none. `shrinks`: the
    order is at the broker already, with more units at the same prices.
    """

    snapshot: PortfolioSnapshot
    rates: RateCounts
    known_intent: bool
    same_terms_age_ns: int | None
    shrinks: bool = False
    state: TradingState
    state_reason: str


def is_reducing(order: Order, snapshot: PortfolioSnapshot) -> bool:
    """Tell whether the order only brings the position nearer to zero, all open orders filled."""
    if order.side is Side.SELL:
        return order.quantity <= snapshot.position - snapshot.open_sell
    return order.quantity <= -snapshot.position - snapshot.open_buy


def _result(check: RiskCheck, passed: bool, reason: str = "", **numbers: object) -> CheckResult:  # noqa: FBT001 - the verdict itself
    return CheckResult(check=check, passed=passed, reason="" if passed else reason, numbers=numbers)


def max_order_quantity(order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:
    """Cap the quantity: a fixed number and a share of the average daily volume, the smaller of both."""
    snapshot, check = facts.snapshot, RiskCheck.MAX_ORDER_QUANTITY
    caps: list[int] = []
    if limits.max_order_quantity is not None:
        caps.append(limits.max_order_quantity)
    if limits.max_order_adv_ratio is not None:
        if snapshot.average_daily_volume is not None:
            caps.append(int(snapshot.average_daily_volume * limits.max_order_adv_ratio))
        elif not is_reducing(order, snapshot):
            return _result(check, False, "average daily volume is not known", quantity=order.quantity)
    if not caps:
        return _result(check, True, quantity=order.quantity)
    limit = max(min(caps), abs(snapshot.position)) if is_reducing(order, snapshot) else min(caps)
    return _result(check, order.quantity <= limit, "too many units", quantity=order.quantity, limit=limit)


def max_order_notional(order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:
    """Cap the order's value: an amount and a share of equity, the smaller of both."""
    snapshot, check = facts.snapshot, RiskCheck.MAX_ORDER_NOTIONAL
    caps = [] if limits.max_order_notional is None else [limits.max_order_notional]
    if limits.max_order_equity_ratio is not None:
        caps.append(snapshot.equity * limits.max_order_equity_ratio)
    if not caps or is_reducing(order, snapshot):
        return _result(check, True, applies=bool(caps))
    if snapshot.reference_price is None:
        return _result(check, False, "no reference price")
    value = _worst_price(order, snapshot.reference_price) * order.quantity * snapshot.instrument.multiplier
    return _result(check, value <= min(caps), "order is worth too much", value=value, limit=min(caps))


def _worst_price(order: Order, reference: Decimal) -> Decimal:
    prices = [p for p in (order.limit_price, order.stop_price) if p is not None]
    return max([reference, *prices])


def price_collar(order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:
    """Keep limit and stop prices near a fresh reference; a market order needs the fresh reference.

    A stop-loss or take-profit stands as far away as its policy says, but never where it would fill at once. One that
    only shrinks may stand anywhere: left as it is, it would sell more than is held.
    """
    snapshot, check = facts.snapshot, RiskCheck.PRICE_COLLAR
    if limits.price_collar_ratio is None or facts.shrinks:
        return _result(check, True)
    reference, age, spec = snapshot.reference_price, snapshot.reference_age_ns, snapshot.reference_spec_ns
    if reference is None or age is None or spec is None:
        return _result(check, False, "no reference price")
    if limits.reference_max_age_bars is not None and age > limits.reference_max_age_bars * spec:
        return _result(check, False, "reference price is stale", reference=reference, age_ns=age)
    if order.purpose.protective:
        return _result(check, _waits(order, reference), "it would fill at once", reference=reference)
    off = max((abs(p / reference - 1) for p in (order.limit_price, order.stop_price) if p is not None), default=0)
    return _result(
        check, off <= limits.price_collar_ratio, "price is too far from the reference",
        reference=reference, off=off, limit=limits.price_collar_ratio,
    )  # fmt: skip


def _waits(order: Order, reference: Decimal) -> bool:
    """Tell whether an order stands away from the price: a stop behind it, a target before it."""
    sign = order.side.sign
    if order.stop_price is not None:
        return (order.stop_price - reference) * sign > 0
    return order.limit_price is not None and (order.limit_price - reference) * sign < 0


def fat_finger(order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:
    """Refuse a price, given or expected, far from the last close."""
    snapshot, check = facts.snapshot, RiskCheck.FAT_FINGER
    if limits.fat_finger_ratio is None or facts.shrinks:
        return _result(check, True)
    if snapshot.last_close is None:
        return _result(check, False, "no last close")
    price = snapshot.reference_price if order.purpose.protective else _first_price(order, snapshot)
    if price is None:
        return _result(check, False, "no reference price")
    off = abs(price / snapshot.last_close - 1)
    return _result(
        check, off <= limits.fat_finger_ratio, "price is far from the last close",
        price=price, last_close=snapshot.last_close, off=off, limit=limits.fat_finger_ratio,
    )  # fmt: skip


def _first_price(order: Order, snapshot: PortfolioSnapshot) -> Decimal | None:
    return order.limit_price or order.stop_price or snapshot.reference_price


def price_grid(order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:  # noqa: ARG001 - one signature for all checks
    """Refuse prices off the tick grid and quantities that are no positive multiple of the lot."""
    instrument = facts.snapshot.instrument
    prices = [p for p in (order.limit_price, order.stop_price) if p is not None]
    good = order.quantity > 0 and order.quantity % instrument.lot == 0 and all(map(instrument.on_grid, prices))
    return _result(
        RiskCheck.PRICE_GRID, good, "price or quantity is off the grid", tick=instrument.tick, lot=instrument.lot
    )


def duplicate_intent(order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:  # noqa: ARG001
    """Refuse an intent seen before (for ever) and equal terms within the window."""
    check, age = RiskCheck.DUPLICATE_INTENT, facts.same_terms_age_ns
    if facts.known_intent:
        return _result(check, False, "this intent was decided before")
    window = limits.duplicate_window_s
    if not window or age is None:
        return _result(check, True, window_s=window)
    return _result(check, age >= window * 1e9, "equal order moments ago", age_ns=age, window_s=window)


def allow_list(order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:  # noqa: ARG001
    """Refuse instruments that are not on the list; no list allows what is configured."""
    allowed = limits.allow_list
    good = allowed is None or order.instrument in allowed
    return _result(RiskCheck.ALLOW_LIST, good, "instrument is not allowed", instrument=order.instrument)


def message_rate(order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:  # noqa: ARG001
    """Cap messages a second: over all, per instrument, and decision batches per strategy."""
    rates = facts.rates
    pairs = (
        (rates.messages, limits.messages_per_s),
        (rates.instrument_messages, limits.messages_per_s_instrument),
        (rates.strategy_bursts, limits.bursts_per_s_strategy),
    )
    good = all(limit is None or used < limit for used, limit in pairs)
    return _result(
        RiskCheck.MESSAGE_RATE, good, "too many messages a second",
        messages=rates.messages, instrument=rates.instrument_messages, bursts=rates.strategy_bursts,
    )  # fmt: skip


def position_limit(order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:
    """Cap the position's value if every open order of the same side fills."""
    snapshot, check, ratio = facts.snapshot, RiskCheck.POSITION_LIMIT, limits.max_position_equity_ratio
    if ratio is None or is_reducing(order, snapshot):
        return _result(check, True, applies=ratio is not None)
    if snapshot.reference_price is None:
        return _result(check, False, "no reference price")
    opened = snapshot.open_buy if order.side is Side.BUY else -snapshot.open_sell
    worst = snapshot.position + opened + order.side.sign * order.quantity
    value = abs(worst) * _worst_price(order, snapshot.reference_price) * snapshot.instrument.multiplier
    limit = snapshot.equity * ratio
    return _result(check, value <= limit, "position would be too large", units=worst, value=value, limit=limit)


def trading_state(order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:  # noqa: ARG001
    """ACTIVE lets all through, REDUCING only reducing orders, HALTED and LOCKED none."""
    state = facts.state
    good = state is TradingState.ACTIVE or (state is TradingState.REDUCING and is_reducing(order, facts.snapshot))
    reason = f"trading is {state}" + (f": {facts.state_reason}" if facts.state_reason else "")
    return _result(RiskCheck.TRADING_STATE, good, reason, state=state)


Check = Callable[[Order, Facts, RiskLimit], CheckResult]

CHECKS: tuple[Check, ...] = (
    max_order_quantity,
    max_order_notional,
    price_collar,
    fat_finger,
    price_grid,
    duplicate_intent,
    allow_list,
    message_rate,
    position_limit,
    trading_state,
)
"""Order of evaluation; every one is always evaluated, so that all reasons are kept."""
