"""Rows 16 and 17: whether it may be sold short."""

from robotrader.model import NANOS_PER_SECOND, Order, RiskCheck, RiskLimit
from robotrader.risk.checks.amounts import to_borrow
from robotrader.risk.checks.check import PASSED, Exempt, Finding, check, missing, unknown, within_all
from robotrader.risk.facts import Facts


@check(
    RiskCheck.BORROW, 16, "min_borrow_level", "min_borrow_cover", "max_borrow_age_s", "max_borrow_fee_ratio",
    exempt=Exempt.EXITS,
)  # fmt: skip
def borrow(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 16: sell short only what can be borrowed with room to spare, by fresh word of the broker, and cheaply."""
    units, found = to_borrow(order, facts.snapshot), facts.borrow
    if not units:
        return PASSED
    level, cover = limits.min_borrow_level, limits.min_borrow_cover
    age, fee = limits.max_borrow_age_s, limits.max_borrow_fee_ratio
    asked = {"level": level, "shares": cover, "age_ns": age, "fee_rate": fee}
    if absent := missing(found, *(name for name, limit in asked.items() if limit is not None)):
        return unknown(*absent)
    if level is not None and not (found.level or 0) > level:  # nor where it is not a number
        return "it is hard to borrow", {"used": found.level, "limit": level, "at_least": True}
    return within_all(
        "what can be borrowed does not do",
        ("shares", units * (cover or 0), None if cover is None else found.shares),
        ("age_s", (found.age_ns or 0) / NANOS_PER_SECOND, age),
        ("fee_rate", found.fee_rate, fee),
    )


@check(RiskCheck.SHORT_PRICE_TEST, 17, "short_price_test", exempt=Exempt.EXITS)
def short_price_test(order: Order, facts: Facts, limits: RiskLimit) -> Finding:  # noqa: ARG001 - one signature
    """Row 17: while Rule 201 is in force, sell short only at a limit above the bid."""
    market = facts.market
    if not to_borrow(order, facts.snapshot) or market.short_restricted is False:
        return PASSED
    if market.short_restricted is None or market.bid is None:
        return unknown(*missing(market, "short_restricted", "bid"))
    good = order.limit_price is not None and order.limit_price > market.bid
    return "" if good else "Rule 201: no short at or under the bid", {"price": order.limit_price, "bid": market.bid}
