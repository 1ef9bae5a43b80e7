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
    compact,
    concat,
    infer_spec,
    oldest_first,
    place_on_sessions,
)
from robotrader.data.quality import Quarantined, check
from robotrader.model import BarSpec, DataError, SessionTable


def read_files(paths: Sequence[Path], symbol: str | None) -> tuple[BarFrame, BarSpec, list[Quarantined]]:
    """Read files and check them as one, in the order of their first bars.

    Returns the clean bars with their times, their length, and the rows that were set aside.

    Raises
    ------
    DataError
        A file cannot be read, the files do not fit together, or no row is usable.
    """
    tables = [read(path, symbol) for path in paths]
    bad = [q for table in tables for q in table.rejected]
    known = list(dict.fromkeys(s for table in tables for s in table.symbols))
    tables = sorted((table for table in tables if len(table.frame)), key=lambda table: table.frame.start.min())
    if not tables:
        raise _nothing(bad, symbol, known)
    spec, frames, sessions = _timed(tables)
    before = np.cumsum([0, *(int(f.row.max()) for f in frames)])  # numbers each row once over all files
    clean, found = check(concat([replace(f, row=f.row + n) for f, n in zip(frames, before, strict=False)]), sessions)
    for q in found:
        k = int(np.searchsorted(before, q.row)) - 1
        bad.append(structs.replace(q, row=q.row - int(before[k]), source=tables[k].source))
    if not len(clean):
        raise _nothing(bad, None, [])
    return compact(clean if sessions is None else place_on_sessions(clean, sessions)), spec, bad


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
        frames = [replace(f, start=session_dates(f.start)) for f in frames]
    return spec, frames, sessions_of(concat(frames).start)


def _nothing(bad: list[Quarantined], symbol: str | None, known: list[str]) -> DataError:
    if symbol is not None and symbol not in known and known:
        return DataError(f"no bars of {symbol}; there is: {', '.join(known)}")
    if not bad:
        return DataError("expected bars, found no row at all")
    first = min(bad, key=lambda q: (q.source, q.row))
    return DataError(f"none of {len(bad)} rows is usable; {first.source} row {first.row}, {first.rule}: {first.detail}")
