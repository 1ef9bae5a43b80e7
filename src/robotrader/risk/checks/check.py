"""What a check is: a row of the table of `docs/guide/risk.md` with the pure function that judges."""

from collections.abc import Callable
from enum import StrEnum
from operator import attrgetter
from typing import Any

from robotrader.model import CheckResult, Order, RiskCheck, RiskLimit
from robotrader.risk.facts import Facts, is_reducing

Finding = tuple[str, dict[str, Any] | None]
"""Why the order fails, "" where it passes, and the numbers used: `used` and `limit`, so that headroom can be read."""

Judge = Callable[[Order, Facts, RiskLimit], Finding]

PASSED: Finding = ("", None)


class Exempt(StrEnum):
    """Orders that need not pass a check; `EXITS` are those that reduce and those that protect."""

    NONE = "none"
    PROTECTIVE = "protective"
    REDUCING = "reducing"
    EXITS = "exits"


_REDUCING, _PROTECTIVE = {Exempt.REDUCING, Exempt.EXITS}, {Exempt.PROTECTIVE, Exempt.EXITS}


class Check:
    """One check: (order, facts, limits) -> result. It never raises: what cannot be judged is refused.

    Parameters
    ----------
    name, row : RiskCheck, int
        Its reason code and its row in the table.
    limits : tuple of str
        Fields of `RiskLimit` that switch it on, any of them; () = always on.
    exempt : Exempt
        Which orders need not pass it.
    """

    __slots__ = ("_exempted", "_judge", "_passed", "_values", "exempt", "limits", "name", "row")

    def __init__(self, judge: Judge, *, name: RiskCheck, row: int, limits: tuple[str, ...], exempt: Exempt) -> None:
        self.name, self.row, self.limits, self.exempt = name, row, limits, exempt
        self._judge = judge
        self._values = attrgetter(*limits, "profile") if limits else None
        self._passed = CheckResult(check=name, passed=True)
        self._exempted = CheckResult(check=name, passed=True, numbers={"exempt": True})

    def on(self, limits: RiskLimit) -> bool:
        """Tell whether a profile asks for it."""
        return self._values is None or any(v is not None and v is not False for v in self._values(limits)[:-1])

    def settled(self, limits: RiskLimit, *, reducing: bool, protective: bool) -> CheckResult | None:
        """Return the result where the limits and the kind of order alone give it, None where it must be judged."""
        if not self.on(limits):
            return self._passed
        exempt = (reducing and self.exempt in _REDUCING) or (protective and self.exempt in _PROTECTIVE)
        return self._exempted if exempt else None

    def judge(self, order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:
        """Judge an order that is not exempt by limits that are on."""
        try:
            reason, numbers = self._judge(order, facts, limits)
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            reason, numbers = f"cannot be judged: {error!r}", None
        if numbers is None:
            return CheckResult(check=self.name, passed=False, reason=reason) if reason else self._passed
        return CheckResult(check=self.name, passed=not reason, reason=reason, numbers=numbers)

    def __call__(self, order: Order, facts: Facts, limits: RiskLimit) -> CheckResult:
        """Return the result for an order."""
        reducing, protective = is_reducing(order, facts.snapshot), order.purpose.protective
        return self.settled(limits, reducing=reducing, protective=protective) or self.judge(order, facts, limits)


def check(name: RiskCheck, row: int, *limits: str, exempt: Exempt = Exempt.NONE) -> Callable[[Judge], Check]:
    """Make a check of a judging function, as row `row`, switched on by these limits."""
    return lambda judge: Check(judge, name=name, row=row, limits=limits, exempt=exempt)


def within(used: Any, limit: Any, reason: str, **numbers: Any) -> Finding:
    """Pass where used <= limit."""
    numbers["used"], numbers["limit"] = used, limit
    return "" if used <= limit else reason, numbers


def at_least(used: Any, limit: Any, reason: str, **numbers: Any) -> Finding:
    """Pass where used >= limit; `at_least` in the numbers says that headroom is used - limit."""
    numbers["used"], numbers["limit"], numbers["at_least"] = used, limit, True
    return "" if used >= limit else reason, numbers


def within_all(reason: str, *pairs: tuple[str, Any, Any]) -> Finding:
    """Pass where every used <= limit of (name, used, limit), a limit of None being off.

    `used`, `limit` and `of` are of the first that is broken, else of the first; the others stand beside as `NAME` and
    `NAME_limit`.
    """
    numbers: dict[str, Any] = {}
    of, told, most, broken = "", None, None, False
    for name, used, limit in pairs:
        if limit is None:
            continue
        fails = not (used <= limit or broken)  # what is not a number is not within
        if fails or not of:
            if of:
                numbers[of], numbers[of + "_limit"] = told, most
            of, told, most, broken = name, used, limit, fails
        else:
            numbers[name], numbers[name + "_limit"] = used, limit
    if not of:
        return PASSED
    numbers["used"], numbers["limit"], numbers["of"] = told, most, of
    return f"{reason}: {of}" if broken else "", numbers


def unknown(*names: str) -> Finding:
    """Refuse for want of facts."""
    return f"not known: {', '.join(names)}", None


def missing(group: Any, *names: str) -> list[str]:
    """Return which fields of a group of facts are unknown."""
    return [name for name in names if getattr(group, name) is None]
