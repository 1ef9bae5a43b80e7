"""Corporate actions of a state folder: one small file beside the lake, every version kept, whole or not at all.

JSON lines and not Parquet: a trader reads them each time they change, and need not load Polars for it.
"""

import csv
import gzip
import io
import logging
import os
import zlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, structs

from robotrader.data.instruments import instrument_of
from robotrader.model import NANOS_PER_SECOND, CorporateAction, CorporateActionKind, DataError, SessionTable

_log = logging.getLogger(__name__)

EXCHANGE = ZoneInfo("America/New_York")
COLUMNS = ("symbol", "last_cum_day", "kind", "ratio_or_cash")
"""What a file must have; `known` (when it was announced), `successor` and `reference_close` are read if there."""

_SPLIT, _DIVIDEND, _CHANGE, _DELISTING = CorporateActionKind
_LARGEST = 1_000  # of units in a ratio
_NEAR = Fraction(1, 10_000)  # sources round ratios: 2.00001 is 2
_VERSIONS: msgspec.json.Decoder[CorporateAction] = msgspec.json.Decoder(CorporateAction)

Rule = Literal["field", "kind", "session", "number", "conflict"]


class RejectedAction(Struct, frozen=True, kw_only=True):
    """One row that was set aside; `row` counts the data rows of its file from 1."""

    row: int
    rule: Rule
    detail: str


class ActionsImported(Struct, frozen=True, kw_only=True):
    """What an import did; every row that was read is in one of the other counts."""

    rows_read: int
    rows_written: int
    rows_duplicate: int
    rows_restated: int
    rows_quarantined: int
    quarantined: tuple[RejectedAction, ...]


class _Unfit(Exception):
    def __init__(self, rule: Rule, detail: str) -> None:
        super().__init__(detail)
        self.rule: Rule = rule
        self.detail = detail


def actions_file(state: Path) -> Path:
    """Return where a state folder keeps its corporate actions."""
    return state / "lake" / "actions.jsonl"


def read_actions(state: Path) -> tuple[CorporateAction, ...]:
    """Return every version of every action, in the order in which they were imported; none where nothing was.

    Raises
    ------
    DataError
        The file holds something else.
    """
    path = actions_file(state)
    try:
        return tuple(_VERSIONS.decode(line) for line in path.read_bytes().splitlines()) if path.exists() else ()
    except msgspec.MsgspecError as error:
        text = f"{path.name} does not hold corporate actions: {error}; import them again"
        raise DataError(text, path=str(path)) from error


class ActionsFile:
    """The corporate actions of a state folder for a process that goes on: read again when the file has changed.

    A file that breaks meanwhile leaves what was known before; one that is broken at the start raises `DataError`.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._stamp: tuple[int, int] | None = None
        self._actions: tuple[CorporateAction, ...] = ()

    def __call__(self) -> tuple[CorporateAction, ...]:
        """Return every version of every action; the very same tuple while nothing changes."""
        path = actions_file(self._state)
        if not path.exists():
            return self._actions
        found = path.stat()
        if (stamp := (found.st_mtime_ns, found.st_ino)) != self._stamp:
            first, self._stamp = self._stamp is None, stamp
            try:
                self._actions = read_actions(self._state)
            except DataError as error:
                if first:
                    raise
                _log.error("the corporate actions known before stay in force: %s", error)
        return self._actions


def import_actions(file: Path, state: Path, sessions: SessionTable, *, now: int) -> ActionsImported:
    """Add a file's actions; what is there already changes nothing, other values become a version known from `now`.

    An action counts as known when its row says so (`known`), else at its ex date.

    Raises
    ------
    DataError
        The file cannot be read as corporate actions.
    """
    rows = _rows(file)
    there = read_actions(state)
    latest = {a.key: a for a in sorted(there, key=lambda a: a.known_at)}
    found, rejected = _parse(rows, sessions, file.name)
    fresh: list[CorporateAction] = []
    restated = 0
    for action in found:
        before = latest.get(action.key)
        if before is None:
            fresh.append(action)
        elif _content(before) != _content(action):
            restated += 1
            fresh.append(structs.replace(action, known_at=max(now, before.known_at + 1)))
    if fresh:
        _write(actions_file(state), [*there, *fresh])
    return ActionsImported(
        rows_read=len(rows), rows_written=len(fresh) - restated, rows_restated=restated, rows_quarantined=len(rejected),
        rows_duplicate=len(rows) - len(rejected) - len(fresh),
        quarantined=tuple(sorted(rejected, key=lambda r: r.row)),
    )  # fmt: skip


def _parse(
    rows: Sequence[Mapping[str, str]], sessions: SessionTable, source: str
) -> tuple[list[CorporateAction], list[RejectedAction]]:
    """Return each action once, and the rows that are none; all rows of one action that disagree are set aside."""
    by_key: dict[str, list[tuple[int, CorporateAction]]] = {}
    rejected: list[RejectedAction] = []
    for number, row in enumerate(rows, 1):
        try:
            action = _action(row, sessions, source)
            by_key.setdefault(action.key, []).append((number, action))
        except _Unfit as error:
            rejected.append(RejectedAction(row=number, rule=error.rule, detail=error.detail))
    agreed = []
    for key, same in by_key.items():
        if len({_content(action) for _, action in same}) == 1:
            agreed.append(same[0][1])
            continue
        detail = f"{key} is given {len(same)} times with different values: say which is right"
        rejected += [RejectedAction(row=number, rule="conflict", detail=detail) for number, _ in same]
    return agreed, rejected


def _action(row: Mapping[str, str], sessions: SessionTable, source: str) -> CorporateAction:
    if not row["symbol"]:
        raise _Unfit("field", "expected a symbol, found none")
    try:
        kind = CorporateActionKind(row["kind"].lower())
    except ValueError:
        raise _Unfit("kind", f"expected one of {', '.join(CorporateActionKind)}, found {row['kind']!r}") from None
    day = row["last_cum_day"]
    where = bisect_left(sessions.dates, day)
    if sessions.dates[where : where + 1] != (day,) or where + 1 == len(sessions.dates):
        raise _Unfit("session", f"expected the date of a session, found {day!r}")
    ex_date = sessions.dates[where + 1]
    ex_at = _midnight(ex_date)
    known = _midnight(row["known"]) if row.get("known") else ex_at
    return CorporateAction(
        symbol=instrument_of(row["symbol"].upper()).symbol, kind=kind, last_cum_day=day, ex_date=ex_date, ex_at=ex_at,
        known_at=known, source=source, **_terms(kind, row),
    )  # fmt: skip


def _terms(kind: CorporateActionKind, row: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that this kind of action has."""
    number = _number(row["ratio_or_cash"] or ("1" if kind is _CHANGE else ""))
    if kind is _DIVIDEND:
        close = row.get("reference_close")
        if number <= 0 or (close and number >= _number(close)):
            raise _Unfit("number", f"expected a dividend above 0 and below the close, found {number}")
        return {"cash": number}
    if kind is _DELISTING:
        if number < 0:
            raise _Unfit("number", f"expected what is paid for a unit, at least 0, found {number}")
        return {"cash": number}
    near = _simple(Fraction(number))
    if kind is _SPLIT:
        if near == 1:
            raise _Unfit("number", "expected a ratio other than 1 for a split")
        return {"new": near.numerator, "old": near.denominator}
    if not row.get("successor"):
        raise _Unfit("field", "expected the new symbol in the column successor, found none")
    return {"new": near.numerator, "old": near.denominator, "successor": instrument_of(row["successor"].upper()).symbol}


def _simple(exact: Fraction) -> Fraction:
    """Return the ratio of small whole numbers that a rounded one stands for."""
    if exact > 0:
        for largest in (1, 10, 100, _LARGEST):
            near = exact.limit_denominator(largest) if exact >= 1 else 1 / (1 / exact).limit_denominator(largest)
            if near.numerator <= _LARGEST >= near.denominator and abs(near / exact - 1) <= _NEAR:
                return near
    raise _Unfit("number", f"expected new units for one old unit, as whole numbers up to {_LARGEST}, found {exact}")


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _Unfit("number", f"expected a number in ratio_or_cash, found {text!r}") from None
    if not number.is_finite():
        raise _Unfit("number", f"expected a finite number, found {text!r}")
    return number


def _midnight(date: str) -> int:
    """Return when a date begins at the exchange, ns UTC."""
    try:
        return int(datetime.fromisoformat(date).replace(tzinfo=EXCHANGE).timestamp()) * NANOS_PER_SECOND
    except ValueError:
        raise _Unfit("field", f"expected an ISO date, found {date!r}") from None


def _content(action: CorporateAction) -> CorporateAction:
    """Return what an action says, whoever said it and whenever."""
    return structs.replace(action, known_at=0, source="")


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        content = gzip.decompress(file.read_bytes()) if file.name.endswith(".gz") else file.read_bytes()
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")), restval="")
        rows = [{str(k).strip().lower(): (v or "").strip() for k, v in row.items() if k} for row in reader]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file.name} cannot be read: {error}", path=str(file)) from error
    missing = [name for name in COLUMNS if name not in [str(f).strip().lower() for f in reader.fieldnames or ()]]
    if missing:
        text = f"{file.name}: expected the columns {', '.join(COLUMNS)}, found none called {', '.join(missing)}"
        raise DataError(text, path=str(file))
    return rows


def _write(path: Path, actions: Sequence[CorporateAction]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as out:
            out.writelines(msgspec.json.encode(action) + b"\n" for action in actions)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
