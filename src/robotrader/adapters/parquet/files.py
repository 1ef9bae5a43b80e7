"""Files as bars with their times, before and after the quality gate. Imports Polars and the calendar."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from msgspec import structs

from robotrader.adapters.calendar import sessions_of
from robotrader.adapters.parquet.tables import Progress, Table, read, session_dates
from robotrader.data.frame import (
    BarFrame,
    by_time,
    compact,
    concat,
    infer_spec,
    place_on_sessions,
    session_days,
)
from robotrader.data.inspection import Inspection, inspect
from robotrader.data.panel import Times
from robotrader.data.quality import CONTEXT_CHECKS, Quarantined
from robotrader.data.sessions import place_all
from robotrader.model import BarSpec, CorporateAction, DataError, SessionTable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """One or more files after the gate.

    `inspection` counts rows over all files: `place` gives the file and its own number. `good` and `bad` (the rows that
    were set aside but can be read as bars) stand on their times. `rejected` cannot be read as bars.
    """

    spec: BarSpec
    inspection: Inspection
    good: BarFrame
    bad: BarFrame
    rejected: tuple[Quarantined, ...]
    sources: tuple[str, ...]
    before: Times

    @property
    def rows(self) -> int:
        """Return the number of rows read."""
        return len(self.good) + len(self.bad) + len(self.inspection.duplicates) + len(self.rejected)

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """Return all rows that were set aside, with the numbers they have in their files."""
        return (*self.rejected, *(self.place(q) for q in self.inspection.quarantined))

    def place(self, q: Quarantined) -> Quarantined:
        """Return a row under its file and the number it has there."""
        k = int(np.searchsorted(self.before, q.row)) - 1
        return structs.replace(q, row=q.row - int(self.before[k]), source=self.sources[k])


def judge_files(
    paths: Sequence[Path],
    symbol: str | None,
    *,
    spec: BarSpec | None = None,
    actions: Sequence[CorporateAction] = (),
    progress: Progress | None = None,
) -> Judged:
    """Read files and let the gate judge them as one, in the order of their first bars.

    `spec` is the bars' length where the distances between them do not tell it. A jump that one of `actions` explains
    is no warning.

    Raises
    ------
    DataError
        A file cannot be read, the files do not fit together, or they hold no row that can be read as a bar.
    """
    tables = [read(path, symbol, progress) for path in paths]
    rejected = tuple(q for table in tables for q in table.rejected)
    known = list(dict.fromkeys(s for table in tables for s in table.symbols))
    tables = sorted((table for table in tables if len(table.frame)), key=lambda table: table.frame.start.min())
    if not tables:
        raise _nothing_usable(rejected, symbol, known)
    spec, frames, sessions = _timed(tables, spec)
    before = np.cumsum([0, *(int(f.row.max()) for f in frames)])  # numbers each row once over all files
    whole = by_time(concat([replace(f, row=f.row + n) for f, n in zip(frames, before, strict=False)]))
    found = inspect(whole, spec=spec, sessions=sessions, actions=actions)
    bad = whole.take(np.flatnonzero(np.isin(whole.row, [q.row for q in found.quarantined])))
    unplaced = spec is BarSpec.DAY and not tables[0].ended
    return Judged(
        spec=spec, inspection=found, rejected=rejected, sources=tuple(t.source for t in tables), before=before,
        good=place_on_sessions(found.good, sessions) if unplaced else found.good,
        bad=_placed_anyway(bad, sessions) if unplaced else bad,
    )  # fmt: skip


def read_files(paths: Sequence[Path], symbol: str | None) -> tuple[BarFrame, BarSpec, tuple[Quarantined, ...]]:
    """Return the clean bars of files with their times, their length, and the rows that were set aside.

    Raises
    ------
    DataError
        As `judge_files`, or no row is usable.
    """
    judged = judge_files(paths, symbol)
    if not len(judged.good):
        raise _nothing_usable(judged.quarantined, None, [])
    return compact(judged.good), judged.spec, judged.quarantined


def warnings_of(found: Inspection) -> Counter[str]:
    """Return by rule how many rows were kept that somebody should know of: warnings and flags."""
    counts = {check.rule.value: found.by_rule.get(check.rule, 0) for check in CONTEXT_CHECKS}
    return +Counter(counts)


def _nothing_usable(bad: Sequence[Quarantined], symbol: str | None, known: Sequence[str]) -> DataError:
    """Return the error that says why no bar is left."""
    if symbol is not None and symbol not in known and known:
        return DataError(f"no bars of {symbol}; there is: {', '.join(known)}")
    if not bad:
        return DataError("expected bars, found no row at all")
    first = min(bad, key=lambda q: (q.source, q.row))
    return DataError(f"none of {len(bad)} rows is usable; {first.source} row {first.row}, {first.rule}: {first.detail}")


def _timed(tables: Sequence[Table], spec: BarSpec | None) -> tuple[BarSpec, list[BarFrame], SessionTable]:
    """Find the bars' length and give every bar its times; daily bars stay on their dates."""
    dates, ended = tables[0].dates, tables[0].ended
    if any((t.dates, t.ended) != (dates, ended) for t in tables):
        raise DataError("the files mix dates and times: load daily and intraday bars apart")
    frames = [t.frame for t in tables]
    if dates and spec not in {None, BarSpec.DAY}:
        raise DataError(f"the times are dates of sessions, those of daily bars; found --spec {spec}")
    spec = BarSpec.DAY if dates else spec or infer_spec(concat(frames))
    if not ended and not dates and spec is BarSpec.DAY:
        frames = [replace(f, start=session_dates(f.start)) for f in frames]
    sessions = sessions_of(np.concatenate([f.start for f in frames]))
    if not ended and spec is not BarSpec.DAY:
        frames = [replace(f, end=_ends(f.start, spec, sessions)) for f in frames]
    return spec, frames, sessions


def _ends(start: Times, spec: BarSpec, sessions: SessionTable) -> Times:
    """Return when bars end: those that begin with their session no later than it closes, so that the last is short."""
    place, end = place_all(start, spec, sessions), start + spec.nanos
    own = (place.session >= 0) & (start >= place.opened) & ((start - place.opened) % spec.nanos == 0)
    ends: Times = np.where(own & (start < place.closed), np.minimum(end, place.closed), end)
    return ends


def _placed_anyway(bad: BarFrame, sessions: SessionTable) -> BarFrame:
    """Place what has a session on it; a day without one lasts from midnight to midnight UTC."""
    there = np.isin(bad.start, session_days(sessions))
    start, end = bad.start.copy(), bad.start + BarSpec.DAY.nanos
    placed = place_on_sessions(bad.take(np.flatnonzero(there)), sessions)
    start[there], end[there] = placed.start, placed.end
    return replace(bad, start=start, end=end)
