"""Rows 4, 5 and 14: whether the price is near what the market says."""

from decimal import Decimal

from robotrader.model import NANOS_PER_SECOND, Order, RiskCheck, RiskLimit, Side
from robotrader.risk.checks.amounts import first_price
from robotrader.risk.checks.check import PASSED, Exempt, Finding, at_least, check, unknown, within
from robotrader.risk.facts import Facts, is_exit

_ZERO, _BUY = Decimal(0), Side.BUY
_CENTS, _MOST = Decimal("0.15"), Decimal("0.75")
_TIER_1, _TIER_2, _LOW = Decimal("0.05"), Decimal("0.10"), Decimal("0.20")
_LAST_MINUTES_NS = 25 * 60 * NANOS_PER_SECOND


@check(RiskCheck.PRICE_COLLAR, 4, "price_collar_ratio")
def price_collar(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 4: keep limit and stop prices near a fresh reference; a market order needs the fresh reference.

    A stop-loss or take-profit stands as far away as its policy says, but never where it would fill at once. One that
    only shrinks may stand anywhere: left as it is, it would sell more than is held.
    """
    if facts.shrinks:
        return PASSED
    snapshot = facts.snapshot
    reference, age, spec = snapshot.reference_price, snapshot.reference_age_ns, snapshot.reference_spec_ns
    if reference is None or age is None or spec is None:
        return "no reference price", None
    if limits.reference_max_age_bars is not None and age > limits.reference_max_age_bars * spec:
        return "reference price is stale", {"reference": reference, "age_ns": age}
    if order.purpose.protective:
        return "" if _waits(order, reference) else "it would fill at once", {"reference": reference}
    limit, stop = order.limit_price, order.stop_price
    off = _ZERO if limit is None else abs(limit / reference - 1)
    off = off if stop is None else max(off, abs(stop / reference - 1))
    return within(off, limits.price_collar_ratio, "price is too far from the reference", reference=reference)


def _waits(order: Order, reference: Decimal) -> bool:
    """Tell whether an order stands away from the price: a stop behind it, a target before it."""
    sign = order.side.sign
    if order.stop_price is not None:
        return (order.stop_price - reference) * sign > 0
    return order.limit_price is not None and (order.limit_price - reference) * sign < 0


@check(RiskCheck.FAT_FINGER, 5, "fat_finger_ratio")
def fat_finger(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 5: refuse a price, given or expected, far from the last close."""
    snapshot = facts.snapshot
    if facts.shrinks:
        return PASSED
    if snapshot.last_close is None:
        return "no last close", None
    price = snapshot.reference_price if order.purpose.protective else first_price(order, snapshot)
    if price is None:
        return "no reference price", None
    off = abs(price / snapshot.last_close - 1)
    return within(off, limits.fat_finger_ratio, "price is far from the last close", price=price,
                  last_close=snapshot.last_close)  # fmt: skip


@check(RiskCheck.LULD, 14, "luld_bands", exempt=Exempt.PROTECTIVE)
def luld(order: Order, facts: Facts, limits: RiskLimit) -> Finding:  # noqa: ARG001 - one signature for all checks
    """Row 14: buy nothing above the upper band, sell nothing below the lower, send nothing in a limit state.

    Exits wait for the end of a limit state too: they could not execute; not knowing of one does not hold them back.
    """
    market, buys = facts.market, order.side is _BUY
    if market.limit_state or (market.limit_state is None and not is_exit(order, facts.snapshot)):
        return "the instrument is in a limit state" if market.limit_state else "not known: limit state", None
    price = order.limit_price or order.stop_price or (market.ask if buys else market.bid)
    price, bands = price or facts.snapshot.reference_price, _bands(facts)
    if price is None or bands is None:
        return unknown("reference price")
    if buys:
        return within(price, bands[1], "it buys above the upper band")
    return at_least(price, bands[0], "it sells below the lower band")


def _bands(facts: Facts) -> tuple[Decimal, Decimal] | None:
    """Return the bands that the exchange gives, else those of the plan around the reference price."""
    lower, upper = facts.market.lower_band, facts.market.upper_band
    if lower is not None and upper is not None:
        return lower, upper
    reference = facts.snapshot.reference_price
    if reference is None:
        return None
    width = _width(reference, facts)
    return reference - width if lower is None else lower, reference + width if upper is None else upper


def _width(reference: Decimal, facts: Facts) -> Decimal:
    """Return how far the bands are: 5 % in tier 1, 10 % in tier 2, wider for cheap ones and before the close."""
    snapshot, session, first = facts.snapshot, facts.session, facts.market.luld_tier != 2
    close = snapshot.last_close or reference
    if close < _MOST:
        width = min(_CENTS, reference * _MOST)
    else:
        width = reference * (_LOW if close <= 3 else _TIER_1 if first else _TIER_2)
    ends = None if session.executes is None or session.closes is None else session.closes - session.executes
    late = ends is not None and ends <= _LAST_MINUTES_NS
    return width * 2 if late and (first or close <= 3) else width
