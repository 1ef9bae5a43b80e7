"""How much of an account each strategy may use: its budget, and less of it in a drawdown of its own. Pure."""

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise

from msgspec import Struct

from robotrader.model import MONEY, ConfigError, StrategyId

USUAL = "0.05:0.5,0.10:0"
"""Half the size from a drawdown of 5 % on, none from 10 % on."""


class Throttle(Struct, frozen=True):
    """Steps of (drawdown, factor), both ascending in severity: deeper drawdowns, smaller factors."""

    steps: tuple[tuple[Decimal, Decimal], ...]

    def factor(self, drawdown: Decimal) -> Decimal:
        """Return the factor of the deepest step that a drawdown (0.05 is 5 % below the peak) has reached, else 1."""
        return next((factor for level, factor in reversed(self.steps) if drawdown >= level), Decimal(1))


def parse_throttle(text: str) -> Throttle:
    """Read `0.05:0.5,0.10:0`: drawdowns in (0, 1), ascending, each with a factor in [0, 1), descending.

    Raises
    ------
    ConfigError
        Anything else.
    """
    try:
        pairs = [part.split(":") for part in text.split(",")]
        steps = tuple((Decimal(level), Decimal(factor)) for level, factor in pairs)
        good = all(0 < level < 1 and 0 <= factor < 1 for level, factor in steps)
    except (ArithmeticError, ValueError):
        steps, good = (), False
    if not good or any(level >= deeper or factor <= less for (level, factor), (deeper, less) in pairwise(steps)):
        raise ConfigError(
            f"drawdown throttle must be like {USUAL}: deeper drawdowns in (0, 1) with smaller factors in [0, 1); "
            f"found {text!r}"
        )
    return Throttle(steps)


def drawdown(capital: Decimal, peak_profit: Decimal, profit: Decimal) -> Decimal:
    """Return how far a book is below its peak, as a part of it: in profits, so that deposits are no recovery."""
    peak = capital + peak_profit
    return max(peak_profit - profit, Decimal(0)) / peak if peak > 0 else Decimal(0)


def allocate(equity: Decimal, budgets: Mapping[StrategyId, Decimal]) -> dict[StrategyId, Decimal]:
    """Split an account's equity by budgets, each rounded down; what no budget covers stays in reserve.

    Raises
    ------
    ConfigError
        A budget is not in (0, 1], or they add up to more than 1.
    """
    if any(not 0 < budget <= 1 for budget in budgets.values()) or sum(budgets.values()) > 1:
        told = ", ".join(f"{name} {budget}" for name, budget in budgets.items())
        raise ConfigError(f"budgets must lie in (0, 1] and add up to 1 at most; found {told}")
    usable = max(equity, Decimal(0))
    return {name: (usable * budget).quantize(MONEY, rounding=ROUND_FLOOR) for name, budget in budgets.items()}
