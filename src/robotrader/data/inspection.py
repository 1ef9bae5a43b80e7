"""The quality gate for files: the rules of `data.quality` as dataframely schemas. Imports Polars (0.1 s)."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from robotrader.data.adjust import known
from robotrader.data.frame import BarFrame
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import VALUES
from robotrader.data.quality import (
    COMPARED,
    CONTEXT_CHECKS,
    JUMP_FACTOR,
    KEY_CHECKS,
    ROW_CHECKS,
    STALE_RUN,
    Check,
    Facts,
    Finding,
    Quarantined,
    Rule,
    Severity,
    describe,
    reference_price,
)
from robotrader.data.sessions import Place, anywhere, extended, missing, off_grid, place_all, session_bars
from robotrader.model import BarSpec, CorporateAction, SessionTable

if TYPE_CHECKING:
    import dataframely as dy

WARNINGS_SHOWN = 1_000

Rows = NDArray[np.int64]
Order = Rows | None
"""Positions to take, None for all as they are: nothing is copied then, and files are large."""
Columns = dict[str, Any]
Broken = dict[Check, Rows]
"""Positions by the check that they break."""
Checks = tuple[Check, ...]

_EVER = 2**63 - 1
_TYPES = dict.fromkeys((*VALUES, "reference", "limit"), pl.Float64) | dict.fromkeys(
    ("off_grid", "extended", "late", "delayed"), pl.Boolean
)
_CELLS = Facts(*(pl.col(name) for name in Facts._fields))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspection:
    """What the gate makes of a frame; every row of it is in exactly one of the first three.

    Attributes
    ----------
    good : BarFrame
        The accepted rows in the order of the source, time ascending strictly within each symbol.
    quarantined : tuple of Quarantined
        The rows set aside, one rule each, by row; of two rows with one key and different values, both.
    duplicates : int64, shape (n,)
        Numbers of the rows that repeat an accepted one, value by value.
    warnings : tuple of Finding
        Rows of `good` to look at, by row, at most 1,000 a rule; `by_rule` has the full counts.
    flags : mapping of Rule to int64
        Positions in `good`, ascending.
    by_rule : mapping of Rule to int
        How many rows broke each rule, of every severity.
    """

    good: BarFrame
    quarantined: tuple[Quarantined, ...]
    duplicates: Rows
    warnings: tuple[Finding, ...]
    flags: Mapping[Rule, Rows]
    by_rule: Mapping[Rule, int]


def inspect(
    frame: BarFrame,
    *,
    spec: BarSpec,
    sessions: SessionTable | None,
    actions: Sequence[CorporateAction] = (),
    delayed: bool = False,
) -> Inspection:
    """Judge every row of a frame by the rules of `data.quality`.

    Daily bars may stand on midnight UTC of their dates, as read, or on their sessions; the gate does not move them.

    Parameters
    ----------
    sessions : SessionTable or None
        The market's sessions, covering the frame's first to last date; None: trading around the clock.
    actions : sequence of CorporateAction
        What is known to have happened: a jump that one explains is no warning.
    delayed : bool
        Whether the source says that its data are delayed.
    """
    place = anywhere(frame.start, spec) if sessions is None else place_all(frame.start, spec, sessions)
    facts: Columns = {name: getattr(frame, name) for name in VALUES}
    facts |= {"session": place.session, "off_grid": off_grid(place, spec.nanos)}
    broken = _broken(ROW_CHECKS, facts)
    kept = _others(len(frame), broken)
    keys = _broken(KEY_CHECKS, _keys(frame if kept is None else frame.take(kept)))
    broken |= {check: _nth(kept, at) for check, at in keys.items()}
    kept = _others(len(frame), broken)
    good = frame if kept is None else frame.take(kept)
    order = _by_symbol(good.symbol)
    place = Place(*(_cut(_cut(part, kept), order) for part in place))
    facts = _context(good, order, place, spec=spec, sessions=sessions) | {"delayed": delayed}
    if sessions is not None:
        _apply(known(actions, _EVER), facts, good, sessions=sessions)
    context = _broken(CONTEXT_CHECKS, facts)
    return Inspection(
        good=good,
        quarantined=_quarantined(frame, _of(Severity.QUARANTINE, broken)),
        duplicates=np.sort(
            np.concatenate([frame.row[:0], *(frame.row[k] for k in _of(Severity.IGNORE, broken).values())])
        ),
        warnings=_warnings(good, order, facts, _of(Severity.WARN, context)),
        flags={check.rule: np.sort(_nth(order, at)) for check, at in _of(Severity.FLAG, context).items()},
        by_rule={check.rule: len(rows) for check, rows in (broken | context).items()},
    )


@cache
def _needed(checks: Checks) -> dict[str, Any]:
    """Return the columns that checks look at, with their types."""
    names = {name for check in checks for name in check.broken(_CELLS).meta.root_names()}
    return {name: _TYPES.get(name, pl.Int64) for name in sorted(names)}


@cache
def _schema(checks: Checks) -> "type[dy.Schema]":
    """Make the dataframely schema in which each check is a rule."""
    import dataframely as dy  # noqa: PLC0415 - brings SQLAlchemy, 0.2 s that clean files do not need

    kinds = {pl.Float64: dy.Float64, pl.Boolean: dy.Bool, pl.Int64: dy.Int64}
    rules = {_rule(check): dy.rule()(partial(_holds, check)) for check in checks}
    fields = {name: kinds[kind](nullable=True) for name, kind in _needed(checks).items()}
    return type("Bars", (dy.Schema,), {"at": dy.UInt32(), **fields, **rules})


def _holds(check: Check, _: object) -> pl.Expr:
    holds: pl.Expr = check.broken(_CELLS).not_()
    return holds


def _rule(check: Check) -> str:
    return f"rule_{check.rule}"  # a rule may not be called like a column


def _broken(checks: Checks, columns: Columns) -> Broken:
    """Return the positions that break each check; of those that set a row aside only the first one counts."""
    types = _needed(checks)
    table = pl.DataFrame({name: columns[name] for name in types}, schema=types).with_row_index("at")
    if not any(table.select(check.broken(_CELLS).any().alias(check.rule) for check in checks).row(0)):
        return {}
    details, found, named = _schema(checks).filter(table).failure.details(), {}, np.zeros(0, np.int64)
    for check in checks:
        rows = details.filter(pl.col(_rule(check)) == "invalid")["at"].to_numpy().astype(np.int64)
        if checks is not CONTEXT_CHECKS:
            rows = np.setdiff1d(rows, named, assume_unique=True)
            named = np.concatenate([named, rows])
        if len(rows):
            found[check] = rows
    return found


def _of(severity: Severity, broken: Broken) -> Broken:
    return {check: rows for check, rows in broken.items() if check.severity is severity}


def _others(size: int, broken: Broken) -> Order:
    """Return the positions that break nothing."""
    if not broken:
        return None
    good = np.ones(size, np.bool_)
    for rows in broken.values():
        good[rows] = False
    return np.flatnonzero(good)


def _nth(order: Order, at: Rows) -> Rows:
    return at if order is None else order[at]


def _cut(cells: NDArray[Any], order: Order) -> NDArray[Any]:
    return cells if order is None else cells[order]


def _by_symbol(symbol: Rows) -> Order:
    """Return the order that brings each symbol's rows together."""
    return np.argsort(symbol, kind="stable") if bool(np.any(symbol[1:] < symbol[:-1])) else None


def _begins(symbol: Rows) -> NDArray[np.bool_]:
    """Tell the rows where a symbol begins, of rows that are together."""
    return np.concatenate([np.ones(min(1, len(symbol)), np.bool_), symbol[1:] != symbol[:-1]])


def _keys(frame: BarFrame) -> Columns:
    """Return which rows come too late and which share their key."""
    order = _by_symbol(frame.symbol)
    start, first = _cut(frame.start, order), _begins(_cut(frame.symbol, order))
    late, twin = np.zeros(len(frame), np.bool_), np.zeros(len(frame), np.int64)
    if bool(np.all(first[1:] | (start[1:] > start[:-1]))):
        return {"late": late, "twin": twin}
    rows = pl.DataFrame({name: getattr(frame, name) for name in ("symbol", "start", *VALUES)}).with_row_index("at")
    newest = pl.col("start").cum_max().shift(1).over("symbol")
    rows = rows.with_columns(late=(pl.col("start") <= newest).fill_null(value=False))
    key = ["symbol", "start"]
    rows = rows.join(rows.filter("late").select(key).unique(), on=key, how="semi")
    differ = pl.any_horizontal(pl.col(name).min() != pl.col(name).max() for name in VALUES)
    same = pl.when(pl.col("late").all() | (pl.len() == 1)).then(0).otherwise(1)
    rows = rows.with_columns(twin=pl.when(differ).then(2).otherwise(same).over(key))
    at = rows["at"].to_numpy()
    late[at], twin[at] = rows["late"].to_numpy(), rows["twin"].to_numpy()
    return {"late": late, "twin": twin}


def _context(good: BarFrame, order: Order, place: Place, *, spec: BarSpec, sessions: SessionTable | None) -> Columns:
    """Return what accepted rows are compared with, symbol by symbol."""
    cells = {name: _cut(getattr(good, name), order) for name in (*VALUES, "symbol")}
    first, at = _begins(cells["symbol"]), np.arange(len(good))
    changed, reference = first.copy(), cells["open"].copy()
    for name in VALUES:
        changed[1:] |= cells[name][1:] != cells[name][:-1]
    reference[1:] = np.where(first[1:], reference[1:], cells["close"][:-1])
    gaps = np.zeros(len(good), np.int64)
    if sessions is not None:
        far = 1 + np.flatnonzero(~first[1:] & (place.start[1:] - place.start[:-1] != spec.nanos))
        gaps[far] = _missing(_at(place, far - 1), _at(place, far), spec, sessions)
    return cells | {
        "session": place.session,
        "extended": extended(place),
        "missing": gaps,
        "repeats": at - np.maximum.accumulate(np.where(changed, at, 0)),
        "reference": reference,
        "limit": JUMP_FACTOR[spec],
        "patience": STALE_RUN[spec] - 1,
    }


def _at(place: Place, rows: Rows) -> Place:
    return Place(*(part[rows] for part in place))


def _missing(before: Place, place: Place, spec: BarSpec, sessions: SessionTable) -> Rows:
    sizes = session_bars(np.array(sessions.opens, np.int64), np.array(sessions.closes, np.int64), spec.nanos)
    until = np.concatenate([[0], np.cumsum(sizes)])  # bars of the sessions before each
    gaps: Rows = missing(before, place, spec.nanos, until[place.session] - until[before.session + 1])
    return gaps


def _apply(actions: Sequence[CorporateAction], facts: Columns, good: BarFrame, *, sessions: SessionTable) -> None:
    """Bring the closes that rows are compared with over what went ex in between."""
    names = {name: k for k, text in enumerate(good.symbols) for name in (text, instrument_of(text).symbol)}
    for action in actions:
        begin, end = np.searchsorted(facts["symbol"], names.get(action.symbol, -1) + np.arange(2))
        k = begin + np.searchsorted(facts["session"][begin:end], bisect_left(sessions.dates, action.ex_date))
        if begin < k < end:
            facts["reference"][k] = reference_price(facts["reference"][k], [action])


def _quarantined(frame: BarFrame, broken: Broken) -> tuple[Quarantined, ...]:
    """Describe the rows that were set aside."""
    aside = [
        Quarantined(int(frame.row[k]), check.rule, text)
        for check, rows in broken.items()
        for k, text in zip(rows, _details(check, frame, rows), strict=True)
    ]
    return tuple(sorted(aside, key=lambda q: q.row))


def _warnings(good: BarFrame, order: Order, facts: Columns, broken: Broken) -> tuple[Finding, ...]:
    """Describe the first rows of each check."""
    found = []
    for check, places in broken.items():
        at = places[:WARNINGS_SHOWN]
        rows, beside = _nth(order, at), facts[COMPARED[check.rule]][at].tolist()
        details = _details(check, good, rows, beside)
        found += [
            Finding(check.rule, check.severity, text, int(good.row[k])) for k, text in zip(rows, details, strict=True)
        ]
    return tuple(sorted(found, key=lambda w: w.row))


def _details(check: Check, frame: BarFrame, rows: Rows, beside: Sequence[float] | None = None) -> list[str]:
    stamps = np.datetime_as_string(frame.start[rows].astype("datetime64[ns]"), unit="s").tolist()
    names = [f"{frame.symbols[code]} {stamp}Z" for code, stamp in zip(frame.symbol[rows].tolist(), stamps, strict=True)]
    columns = [getattr(frame, name)[rows].tolist() for name in VALUES]
    facts = [Facts(*values) for values in zip(*columns, strict=True)]
    if beside is not None:
        facts = [f._replace(**{COMPARED[check.rule]: b}) for f, b in zip(facts, beside, strict=True)]
    return [describe(check, name, f) for name, f in zip(names, facts, strict=True)]
