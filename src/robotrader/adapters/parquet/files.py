"""Several files as one set of bars. Imports Polars and, for daily bars, the calendar."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec import structs

from robotrader.adapters.calendar import sessions_of
from robotrader.adapters.parquet.tables import Table, read, session_dates
from robotrader.data.frame import (
    BarFrame,
    by_time,
    compact,
    concat,
    infer_spec,
    oldest_first,
    on_days,
    place_on_sessions,
)
from robotrader.data.quality import Quarantined, check
from robotrader.model import BarSpec, DataError, SessionTable


def read_files(paths: Sequence[Path], symbol: str | None) -> tuple[BarFrame, BarSpec, list[Quarantined]]:
    """Read files, check each by itself and then all together.

    Returns
    -------
    (BarFrame, BarSpec, list of Quarantined)
        Clean bars with their times, their length, and the rows that were set aside.

    Raises
    ------
    DataError
        A file cannot be read, the files do not fit together, or no row is usable.
    """
    tables = [(path.name, read(path, symbol)) for path in paths]
    bad = [q for _, table in tables for q in table.rejected]
    known = dict.fromkeys(s for _, table in tables for s in table.symbols)
    tables = [(source, table) for source, table in tables if len(table.frame)]
    if not tables:
        raise _nothing(bad, symbol, list(known))
    spec, frames, sessions = _timed([table for _, table in tables])
    clean = []
    for (source, _), frame in zip(tables, frames, strict=True):
        good, found = check(frame, sessions)
        clean.append(good)
        bad += [structs.replace(q, source=source) for q in found]
    joined, repeated = _join(clean, [source for source, _ in tables])
    bad += repeated
    if not len(joined):
        raise _nothing(bad, None, [])
    return compact(joined if sessions is None else place_on_sessions(joined, sessions)), spec, bad


def _timed(tables: Sequence[Table]) -> tuple[BarSpec, list[BarFrame], SessionTable | None]:
    """Find the bars' length and give every bar its times; bars on dates come with the sessions to place them on."""
    dates, ended = tables[0].dates, tables[0].ended
    if any((t.dates, t.ended) != (dates, ended) for t in tables):
        raise DataError("the files mix dates and times: load daily and intraday bars apart")
    frames = [oldest_first(t.frame) for t in tables]
    spec = BarSpec.DAY if dates else infer_spec(concat(frames))
    if ended:
        return spec, frames, None
    if spec is not BarSpec.DAY:
        return spec, [replace(f, end=f.start + spec.nanos) for f in frames], None
    if not dates:
        frames = [on_days(f, session_dates(f.start)) for f in frames]
    return spec, frames, sessions_of(concat(frames).start)


def _join(frames: list[BarFrame], sources: list[str]) -> tuple[BarFrame, list[Quarantined]]:
    """Put files together in the order of time; where they overlap, the same bar's second row is set aside."""
    if len(frames) == 1:
        return frames[0], []
    before = np.cumsum([0, *(int(f.row.max(initial=0)) for f in frames)])  # numbers each row once over all files
    numbered = [replace(f, row=f.row + n) for f, n in zip(frames, before.tolist(), strict=False)]
    clean, found = check(by_time(concat(numbered)))
    repeated = []
    for q in found:
        k = int(np.searchsorted(before, q.row)) - 1
        repeated.append(structs.replace(q, row=q.row - int(before[k]), source=sources[k]))
    return clean, repeated


def _nothing(bad: list[Quarantined], symbol: str | None, known: list[str]) -> DataError:
    if symbol is not None and symbol not in known and known:
        return DataError(f"no bars of {symbol}; there is: {', '.join(known)}")
    if not bad:
        return DataError("expected bars, found no row at all")
    first = min(bad, key=lambda q: (q.source, q.row))
    return DataError(f"none of {len(bad)} rows is usable; {first.source} row {first.row}, {first.rule}: {first.detail}")
