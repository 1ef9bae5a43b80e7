"""Row rules for bars: a bad row is set aside with its rule and number, the rest goes on."""

from enum import StrEnum

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from robotrader.data.frame import BarFrame, session_days
from robotrader.data.panel import VALUES
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
    Rule.ORDER: "its time must be after that of the last accepted row",
    Rule.DUPLICATE: "this bar is already there, with the same values",
    Rule.CONFLICT: "this bar is already there, with other values",
}


class Quarantined(Struct, frozen=True):
    """One row that was set aside: what was expected and what was found.

    `row` counts the data rows of `source`, the file's name, from 1 (a CSV's header is not counted).
    """

    row: int
    rule: Rule
    detail: str
    source: str = ""


def check(frame: BarFrame, sessions: SessionTable | None = None) -> tuple[BarFrame, tuple[Quarantined, ...]]:
    """Part good rows from bad ones, both in the order of the source.

    `frame` has bars as read, daily ones not yet placed on sessions; their dates must be in `sessions`, if given.
    Time must ascend strictly within each symbol: a row stays only if it is after the last one that stayed.
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


_RULES = tuple(Rule)


def _code(rule: Rule) -> int:
    return _RULES.index(rule) + 1


def _broken_values(frame: BarFrame) -> NDArray[np.int8]:
    """Return per row the code of the first value rule it breaks, 0 for none."""
    broken = np.zeros(len(frame), np.int8)
    finite = np.all([np.isfinite(getattr(frame, name)) for name in VALUES], axis=0)
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
    """Mark the rows, among those still good, whose time is not after that of the last accepted one of their symbol."""
    good = np.flatnonzero(broken == 0)
    good = good[np.argsort(frame.symbol[good], kind="stable")]
    for rows in np.split(good, np.flatnonzero(np.diff(frame.symbol[good])) + 1):
        times = frame.start[rows]
        late = np.flatnonzero(times[1:] <= np.maximum.accumulate(times)[:-1]) + 1
        if len(late):
            kept = np.delete(np.arange(len(rows)), late)
            twin = kept[np.searchsorted(times[kept], times[late])]
            equal = np.all([getattr(frame, v)[rows[late]] == getattr(frame, v)[rows[twin]] for v in VALUES], axis=0)
            repeat = np.where(equal, _code(Rule.DUPLICATE), _code(Rule.CONFLICT))
            broken[rows[late]] = np.where(times[late] == times[twin], repeat, _code(Rule.ORDER))


def _describe(frame: BarFrame, bad: NDArray[np.int64], broken: NDArray[np.int8]) -> list[Quarantined]:
    columns = [getattr(frame, name)[bad].tolist() for name in VALUES]
    stamps = np.datetime_as_string(frame.start[bad].astype("datetime64[ns]"), unit="s").tolist()
    rules = [_RULES[k - 1] for k in broken[bad].tolist()]
    rows = zip(frame.row[bad].tolist(), frame.symbol[bad].tolist(), rules, stamps, *columns, strict=True)
    found = []
    for row, code, rule, stamp, *values in rows:
        numbers = " ".join(f"{name}={value:g}" for name, value in zip(VALUES, values, strict=True))
        found.append(Quarantined(row, rule, f"{frame.symbols[code]} {stamp}Z: {_SAYS[rule]}; found {numbers}"))
    return found
