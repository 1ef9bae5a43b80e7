"""The gate: every order, every check, one verdict."""

from robotrader.model import Approved, Denied, Order, RiskLimit, Verdict
from robotrader.risk.checks import CHECKS, Facts


def evaluate(order: Order, facts: Facts, limits: RiskLimit) -> Verdict:
    """Run all checks and keep every result; one failure denies."""
    results = tuple(check(order, facts, limits) for check in CHECKS)
    kind = Approved if all(r.passed for r in results) else Denied
    return kind(checks=results, limits=limits.profile)
