"""Row rules for bars: a bad row is set aside with its rule and number, the rest goes on."""

from bisect import bisect_left, bisect_right
from enum import StrEnum

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from robotrader.data.frame import VALUES, BarFrame, session_days
from robotrader.data.panel import Floats
from robotrader.model import SessionTable

Flags = NDArray[np.bool_]


class Rule(StrEnum):
    """Rules a row can break; the first one broken names it. FIELD, TYPE and TIME are found while reading."""

    FIELD = "field"
    TYPE = "type"
    TIME = "time"
    FINITE = "finite"
    POSITIVE = "positive"
    RANGE = "range"
    VOLUME = "volume"
    SESSION = "session"
    ORDER = "order"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


_SAYS = {
    Rule.FINITE: "every price and the volume must be finite",
    Rule.POSITIVE: "prices must be above zero",
    Rule.RANGE: "open and close must lie between low and high",
    Rule.VOLUME: "volume must not be negative",
    Rule.SESSION: "the market had no session on that date",
    Rule.ORDER: "its time lies before that of an earlier row",
    Rule.DUPLICATE: "this bar is already there, with the same values",
    Rule.CONFLICT: "this bar is already there, with other values",
}


class Quarantined(Struct, frozen=True):
    """One row that was set aside.

    Attributes
    ----------
    row : int
        Number of the data row in its source, from 1 (a CSV's header is not counted).
    rule : Rule
        The rule that it breaks.
    detail : str
        What was expected and what was found.
    source : str
        Name of the file, filled in by who read it.
    """

    row: int
    rule: Rule
    detail: str
    source: str = ""


def check(frame: BarFrame, sessions: SessionTable | None = None) -> tuple[BarFrame, tuple[Quarantined, ...]]:
    """Part good rows from bad ones.

    Parameters
    ----------
    frame : BarFrame
        Bars as read; daily bars are not yet placed on sessions.
    sessions : SessionTable, optional
        Given for daily bars: their dates must be sessions.

    Returns
    -------
    (BarFrame, tuple of Quarantined)
        The good rows, and the bad ones; both in the order of the source.

    Notes
    -----
    Of rows that disagree on the order of time, the longest ascending run of each symbol stays, and of
    two equally long ones the earlier: one wild stamp costs one row, not all that follow it.
    """
    broken = _broken_values(frame)
    if sessions is not None:
        off = ~np.isin(frame.start, session_days(sessions))
        broken[(broken == 0) & off] = _code(Rule.SESSION)
    _break_order(frame, broken)
    bad = np.flatnonzero(broken)
    if len(bad) == 0:
        return frame, ()
    return frame.take(np.flatnonzero(broken == 0)), tuple(_describe(frame, bad, broken))


def _code(rule: Rule) -> int:
    return _RULES.index(rule) + 1


_RULES = tuple(Rule)


def _broken_values(frame: BarFrame) -> NDArray[np.int8]:
    """Return per row the code of the first value rule it breaks, 0 for none."""
    broken = np.zeros(len(frame), np.int8)
    finite = np.ones(len(frame), np.bool_)
    for name in VALUES:
        finite &= np.isfinite(getattr(frame, name))
    bottom, top = np.minimum(frame.open, frame.close), np.maximum(frame.open, frame.close)
    tests: tuple[tuple[Rule, Flags], ...] = (  # the weakest first: a later one overwrites
        (Rule.VOLUME, frame.volume < 0),
        (Rule.RANGE, (frame.low > bottom) | (frame.high < top)),
        (Rule.POSITIVE, (frame.low <= 0) | (frame.high <= 0) | (bottom <= 0)),
        (Rule.FINITE, ~finite),
    )
    for rule, bad in tests:
        broken[bad] = _code(rule)
    return broken


def _break_order(frame: BarFrame, broken: NDArray[np.int8]) -> None:
    """Mark the rows, among those still good, whose time does not ascend within their symbol."""
    good = np.flatnonzero(broken == 0)
    codes = frame.symbol[good]
    if len(codes) and bool(np.any(np.diff(codes) < 0)):  # symbols take turns: bring each together
        order = np.argsort(codes, kind="stable")
        good, codes = good[order], codes[order]
    same = np.diff(codes) == 0
    wrong = same & (np.diff(frame.start[good]) <= 0)
    for code in np.unique(codes[1:][wrong]).tolist():
        rows = good[codes == code]
        _break_one_order(frame, rows, broken)


def _break_one_order(frame: BarFrame, rows: NDArray[np.int64], broken: NDArray[np.int8]) -> None:
    times = frame.start[rows]
    # a row after all earlier and before all later ones stays in any case: only the others need a search
    cut = np.maximum.accumulate(times)[:-1] < np.minimum.accumulate(times[::-1])[::-1][1:]
    keep = np.concatenate([[True], cut]) & np.concatenate([cut, [True]])
    rest = np.flatnonzero(~keep)
    keep[rest[_longest_ascent(times[rest].tolist())]] = True
    kept, dropped = np.flatnonzero(keep), np.flatnonzero(~keep)
    twin = np.minimum(np.searchsorted(times[kept], times[dropped]), len(kept) - 1)
    here, there = rows[dropped], rows[kept[twin]]
    equal = np.ones(len(here), np.bool_)
    for name in VALUES:
        values: Floats = getattr(frame, name)
        equal &= values[here] == values[there]
    known = times[dropped] == times[kept[twin]]
    repeat = np.where(equal, _code(Rule.DUPLICATE), _code(Rule.CONFLICT))
    broken[here] = np.where(known, repeat, _code(Rule.ORDER)).astype(np.int8)


def _longest_ascent(times: list[int]) -> list[int]:
    """Return the indices of the longest strictly ascending run, the earliest where several are.

    Patience sorting, O(n log n). Piles hold indices; their times descend, so `bisect` finds in the pile
    before the earliest element that a new one may follow.
    """
    tails: list[int] = []  # time on top of each pile, ascending
    piles: list[list[int]] = []
    before = [-1] * len(times)
    for i, t in enumerate(times):
        at = len(tails) if not tails or t > tails[-1] else bisect_left(tails, t)
        if at < len(tails) and tails[at] == t:
            continue  # the first of equals stays
        if at:
            pile = piles[at - 1]
            before[i] = pile[0] if times[pile[0]] < t else pile[bisect_right(pile, -t, key=lambda k: -times[k])]
        if at == len(tails):
            tails.append(t)
            piles.append([i])
        else:
            tails[at] = t
            piles[at].append(i)
    run, i = [], piles[-1][0] if piles else -1
    while i >= 0:
        run.append(i)
        i = before[i]
    return run[::-1]


def _describe(frame: BarFrame, bad: NDArray[np.int64], broken: NDArray[np.int8]) -> list[Quarantined]:
    columns = [getattr(frame, name)[bad].tolist() for name in VALUES]
    stamps = np.datetime_as_string(frame.start[bad].astype("datetime64[ns]"), unit="s").tolist()
    rules = [_RULES[k - 1] for k in broken[bad].tolist()]
    found = []
    for row, code, rule, stamp, *values in zip(
        frame.row[bad].tolist(), frame.symbol[bad].tolist(), rules, stamps, *columns, strict=True
    ):
        numbers = " ".join(f"{name}={value:g}" for name, value in zip(VALUES, values, strict=True))
        detail = f"{frame.symbols[code]} {stamp}Z: {_SAYS[rule]}; found {numbers}"
        found.append(Quarantined(row=row, rule=rule, detail=detail))
    return found
