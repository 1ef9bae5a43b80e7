"""The invariants of what a journal says (`docs/invariants`), recomputed from its events.

None of the checks trusts a projection, each compares one with what the chain or another projection says.
"""

from collections.abc import Callable

from robotrader.adapters.sql.invariants import books, conduct
from robotrader.adapters.sql.invariants.facts import Facts, Findings, InvariantResult, Placed, Replay, judge

__all__ = ["Facts", "InvariantResult", "Placed", "Replay", "check"]

_CHECKS: dict[str, Callable[[Facts], Findings]] = {
    "I1": books.positions,
    "I2": books.cash,
    "I3": conduct.decided,
    "I4": conduct.one_live,
    "I5": books.once_only,
    "I6": books.quantities,
    "I7": books.transitions,
    "I8": conduct.nothing_halted,
    "I9": conduct.within_limits,
    "I11": conduct.chained,
    "I12": conduct.one_writer,
    "I13": books.broker,
    "I14": books.owned,
    "I19": conduct.durable,
    "I20": conduct.latched,
    "I22": conduct.resolved,
}


def check(facts: Facts, replay: Replay | None) -> dict[str, InvariantResult]:
    """Check all invariants; without `replay`, I10 compares no decisions."""
    results = {name: judge(findings(facts)) for name, findings in _CHECKS.items()}
    return results | {"I10": judge(books.replayed(facts, replay))}
