"""Rows 15, 24, 25 and 26: whether it is a time, on what data, in which state, and by whose leave."""

from msgspec.structs import astuple

from robotrader.model import NANOS_PER_SECOND, Order, RiskCheck, RiskLimit, Stage, TradingState
from robotrader.risk.checks.check import PASSED, Exempt, Finding, at_least, check, missing, unknown, within_all
from robotrader.risk.facts import Facts, is_exit, is_reducing

_FOR_EXITS = ("connected", "reconciled", "lease_held")
"""Standing that an exit needs too: without it nobody knows what it would do."""

_ACTIVE = TradingState.ACTIVE
_LIVE = {Stage.CANARY, Stage.LIVE}
_STAGES = {"live": _LIVE, "paper": _LIVE | {Stage.PAPER}, "shadow": _LIVE | {Stage.PAPER, Stage.SHADOW}}
"""Stages whose strategies may trade in each mode."""


@check(RiskCheck.SESSION, 15, "entry_cutoff_s", exempt=Exempt.PROTECTIVE)
def session(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 15: judged at the time it executes: regular hours, entries not near the close, and no halt.

    A halt holds exits back too, as they could not execute; hours and what is not known do not.
    """
    halted, hours = facts.market.halted, facts.session
    if halted:
        return "the instrument is halted", None
    if is_exit(order, facts.snapshot):
        return PASSED
    if halted is None:
        return unknown("whether the instrument is halted")
    at, opens, closes = hours.executes, hours.opens, hours.closes
    if at is None or opens is None or closes is None:
        return unknown(*missing(hours, "executes", "opens", "closes"))
    if not opens <= at < closes:
        return "it would execute outside regular hours", {"opens": opens, "executes": at, "closes": closes}
    return at_least((closes - at) / NANOS_PER_SECOND, limits.entry_cutoff_s, "it would enter too near the close")


@check(RiskCheck.DATA_FITNESS, 24, "quote_max_age_s", "live_data_required", "max_clock_skew_s", exempt=Exempt.EXITS)
def data_fitness(order: Order, facts: Facts, limits: RiskLimit) -> Finding:  # noqa: ARG001 - one signature
    """Row 24: enter only on a fresh, live quote that is not crossed, by a clock that agrees with the broker's."""
    market, age, skew = facts.market, facts.market.quote_age_ns, facts.market.clock_skew_s
    bid, ask, quoted = market.bid, market.ask, limits.quote_max_age_s is not None
    if quoted and (bid is None or ask is None or age is None):
        return unknown(*missing(market, "bid", "ask", "quote_age_ns"))
    if limits.live_data_required and not market.live:
        return "data are not live" if market.live is False else "not known: live", None
    if quoted and bid is not None and ask is not None and bid > ask:
        return "the quote is crossed", {"bid": bid, "ask": ask}
    if limits.max_clock_skew_s is not None and skew is None:
        return unknown("clock_skew_s")
    return within_all(
        "too large",
        ("quote_age_s", (age or 0) / NANOS_PER_SECOND, limits.quote_max_age_s),
        ("clock_skew_s", abs(skew or 0), limits.max_clock_skew_s),
    )


@check(RiskCheck.TRADING_STATE, 25)
def trading_state(order: Order, facts: Facts, limits: RiskLimit) -> Finding:
    """Row 25: ACTIVE lets all through, REDUCING only reducing orders, HALTED and LOCKED none; and standing must hold.

    An exit needs less of it: it may go in a reset window, or while the heartbeat is late.
    """
    state, leaves = facts.state, is_reducing(order, facts.snapshot)
    if state is not _ACTIVE and not (state is TradingState.REDUCING and leaves):
        return f"trading is {state}" + (f": {facts.state_reason}" if facts.state_reason else ""), {"state": state}
    if limits.standing_required and not all(astuple(facts.standing)):
        needed = _FOR_EXITS if leaves or order.purpose.protective else facts.standing.__struct_fields__
        if amiss := [name for name in needed if not getattr(facts.standing, name)]:
            return f"not {', not '.join(amiss)}".replace("_", " "), {"state": state}
    return PASSED


@check(RiskCheck.AUTHORITY, 26, "authority_required", exempt=Exempt.EXITS)
def authority(order: Order, facts: Facts, limits: RiskLimit) -> Finding:  # noqa: ARG001 - one signature
    """Row 26: the strategy's stage must be approved for this mode, its model signed, and its user's role allowed."""
    found = facts.authority
    if None in astuple(found):
        return unknown(*missing(found, *found.__struct_fields__))
    if found.stage not in _STAGES.get(found.mode or "", ()):
        return f"a strategy of stage {found.stage} may not trade in mode {found.mode}", None
    if not found.model_signed:
        return "its model is not signed", None
    return PASSED if found.role_allowed else ("the user's role does not allow it", None)
