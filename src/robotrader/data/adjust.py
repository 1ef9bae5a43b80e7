"""Corporate actions on prices: adjusted on read, never stored, and jumps that look like a split nobody announced."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from msgspec import structs

from robotrader.data.panel import PRICES, Floats, Panel, Times
from robotrader.model import CorporateAction, CorporateActionKind, DataError

SPLIT_RATIOS = ((2, 1), (3, 1), (3, 2), (4, 1), (5, 1), (7, 1), (10, 1), (20, 1))
SPLIT_TOLERANCE = 0.05

_RATIOS = tuple(sorted(pair for new, old in SPLIT_RATIOS for pair in ((new, old), (old, new))))


class Adjust(StrEnum):
    """How much of the corporate actions is taken out of prices: nothing, splits, or dividends too (total return)."""

    NONE = "none"
    SPLITS = "splits"
    ALL = "all"


def near_split(previous_close: float, opened: float, tolerance: float = SPLIT_TOLERANCE) -> tuple[int, int] | None:
    """Return the usual split (units after, units before) that a jump looks like, None for none.

    A price that falls to one half looks like (2, 1), one that triples like (1, 3); `tolerance` is relative.
    """
    if not (previous_close > 0 and opened > 0):
        return None
    jump = previous_close / opened
    new, old = min(_RATIOS, key=lambda pair: abs(jump * pair[1] / pair[0] - 1))
    return (new, old) if abs(jump * old / new - 1) <= tolerance else None


def known(actions: Iterable[CorporateAction], as_of: int) -> tuple[CorporateAction, ...]:
    """Return each action's newest version known at `as_of` (ns UTC), oldest ex date first."""
    latest: dict[str, CorporateAction] = {}
    for action in sorted((a for a in actions if a.known_at <= as_of), key=lambda a: a.known_at):
        latest[action.key] = action
    return tuple(sorted(latest.values(), key=lambda a: (a.ex_at, a.key)))


def newest(actions: Iterable[CorporateAction]) -> tuple[CorporateAction, ...]:
    """Return each action as it is known last, from when it was known first: a corrected source is no news of today."""
    ordered = sorted(actions, key=lambda a: a.known_at)
    first = {action.key: action.known_at for action in reversed(ordered)}
    return known([structs.replace(a, known_at=first[a.key]) for a in ordered], max(first.values(), default=0))


def due(actions: Iterable[CorporateAction], after: int, until: int) -> tuple[CorporateAction, ...]:
    """Return what takes effect in `after` < ex <= `until` as it is known at `until` (ns UTC), oldest first."""
    return tuple(a for a in known(actions, until) if after < a.ex_at <= until)


def adjust(panel: Panel, actions: Sequence[CorporateAction], as_of: int, how: Adjust = Adjust.ALL) -> Panel:
    """Return raw prices in the units of `as_of` (ns UTC): bars before an ex date are scaled, later ones stay.

    A split divides prices and multiplies volumes by its ratio. A dividend multiplies prices by 1 - cash / close of the
    last bar before the ex date (total return; `Adjust.ALL` only). What is not known or not effective at `as_of`
    changes nothing, and so does a dividend with no bar before it.

    Raises
    ------
    DataError
        A dividend is not below the close it is taken from.
    """
    if how is Adjust.NONE:
        return panel
    effective = [a for a in known(actions, as_of) if a.ex_at <= as_of]
    cells: dict[str, Any] = {name: getattr(panel, name).copy() for name in (*PRICES, "volume")}
    for k, instrument in enumerate(panel.instruments):
        own = [a for a in effective if a.symbol == instrument.symbol]
        price, volume = _factors(own, panel.ts, panel.close[:, k], how)
        for name in PRICES:
            cells[name][:, k] *= price
        cells["volume"][:, k] *= volume
    return replace(panel, **cells)


def left_to_book(
    actions: Sequence[CorporateAction], as_of: int, how: Adjust = Adjust.NONE
) -> tuple[CorporateAction, ...]:
    """Return the actions that prices adjusted in this way do not hold already, with money in the units of `as_of`."""
    effective = known(actions, as_of)
    splits = [a for a in effective if a.kind is CorporateActionKind.SPLIT and a.ex_at <= as_of]
    if how is Adjust.NONE:
        return effective
    inside = (CorporateActionKind.SPLIT, CorporateActionKind.DIVIDEND)[: 1 if how is Adjust.SPLITS else 2]
    return tuple(_in_units_of(splits, a) for a in effective if a.kind not in inside)


def _in_units_of(splits: Sequence[CorporateAction], action: CorporateAction) -> CorporateAction:
    """Return the action with its money divided by the splits of its symbol that came later."""
    if action.cash is None:
        return action
    ratio = prod((s.ratio for s in splits if s.symbol == action.symbol and s.ex_at > action.ex_at), start=Fraction(1))
    return structs.replace(action, cash=action.cash * ratio.denominator / ratio.numerator)


def _factors(own: list[CorporateAction], ts: Times, close: Floats, how: Adjust) -> tuple[Floats, Floats]:
    """Return what each row's prices and volumes are multiplied by."""
    price, volume = np.ones(len(ts)), np.ones(len(ts))
    for action in own:
        before = int(np.searchsorted(ts, action.ex_at, side="right"))
        if action.kind is CorporateActionKind.SPLIT:
            price[:before] *= action.old / action.new
            volume[:before] *= action.new / action.old
        elif action.kind is CorporateActionKind.DIVIDEND and how is Adjust.ALL:
            price[:before] *= _dividend_factor(action, close[:before])
    return price, volume


def _dividend_factor(action: CorporateAction, before: Floats) -> float:
    """Return 1 - cash / last close before the ex date, both raw; 1 where there is no such close."""
    traded = before[~np.isnan(before)]
    if action.cash is None or not len(traded):
        return 1.0
    factor = 1 - float(action.cash) / float(traded[-1])
    if factor <= 0:
        text = f"{action.key}: expected a dividend below the close of {traded[-1]:g}, found {action.cash}; correct it"
        raise DataError(text, symbol=action.symbol)
    return factor
