"""The arithmetic of corporate actions: whole units over several books, and the lots that carry the cost on."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import trunc

Lot = tuple[int, Decimal]
"""Signed units and what one of them cost."""


def whole_units(held: Sequence[int], ratio: Fraction) -> list[int]:
    """Return each book's whole units after a split, so that they add up to what the account then holds.

    A broker rounds the account's total towards zero and pays the rest out. So does each book, and what is missing
    then goes to those with the largest fractions.
    """
    exact = [quantity * ratio for quantity in held]
    whole = [trunc(quantity) for quantity in exact]
    missing = trunc(sum(exact, Fraction(0))) - sum(whole)
    step = 1 if missing > 0 else -1
    by_fraction = sorted(range(len(held)), key=lambda k: (whole[k] - exact[k]) * step)
    for k in by_fraction[: abs(missing)]:
        whole[k] += step
    return whole


def carried_over(lots: Sequence[Lot], ratio: Fraction, whole: int) -> list[Lot]:
    """Return the lots in new units, oldest first, `whole` units in all, with the cost that belongs to these units.

    A unit that two lots share goes to the later one, at a cost between theirs.
    """
    found: list[Lot] = []
    exact, done, paid = Fraction(0), 0, Decimal(0)
    for k, (quantity, _) in enumerate(lots, 1):
        exact += quantity * ratio
        upto = whole if k == len(lots) else _nearer_zero(trunc(exact), whole)
        if upto != done:
            cost = _cost_of(upto, lots, ratio)
            found.append((upto - done, (cost - paid) / (upto - done)))
            done, paid = upto, cost
    return found


def _cost_of(units: int, lots: Sequence[Lot], ratio: Fraction) -> Decimal:
    """Return what the first `units` new units cost; a rounded-up one costs as those before it."""
    left, total = Fraction(units), Decimal(0)
    for k, (quantity, cost) in enumerate(lots, 1):
        part = left if k == len(lots) or abs(left) < abs(quantity * ratio) else quantity * ratio
        old = part / ratio
        total += cost * old.numerator / old.denominator
        left -= part
    return total


def _nearer_zero(one: int, other: int) -> int:
    return one if abs(one) < abs(other) else other
