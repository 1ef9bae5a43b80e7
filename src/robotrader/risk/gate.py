"""The gate: every order, every check, one verdict."""

from robotrader.model import Approved, CheckResult, Denied, Order, RiskLimit, Verdict
from robotrader.risk.checks import CHECKS
from robotrader.risk.checks.check import Check
from robotrader.risk.facts import Facts, is_reducing

_Plan = tuple[Check | CheckResult, ...]
_PLANS: dict[tuple[bool, bool], tuple[RiskLimit, tuple[Check, ...], _Plan]] = {}
"""By (reducing, protective), for the limits asked with last: which checks are settled already."""


def evaluate(order: Order, facts: Facts, limits: RiskLimit) -> Verdict:
    """Run all checks and keep every result; one failure denies."""
    plan = _plan((is_reducing(order, facts.snapshot), order.purpose.protective), limits)
    results = tuple([c.judge(order, facts, limits) if isinstance(c, Check) else c for c in plan])
    for result in results:
        if not result.passed:
            return Denied(checks=results, limits=limits.profile)
    return Approved(checks=results, limits=limits.profile)


def _plan(kind: tuple[bool, bool], limits: RiskLimit) -> _Plan:
    found = _PLANS.get(kind)
    if found is None or found[0] is not limits or found[1] is not CHECKS:
        plan = tuple(c.settled(limits, reducing=kind[0], protective=kind[1]) or c for c in CHECKS)
        found = _PLANS[kind] = (limits, CHECKS, plan)
    return found[2]
