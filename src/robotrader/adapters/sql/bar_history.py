"""The bars of the journal, every version of them, as the lake reads them."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import select

from robotrader.adapters.sql import schema
from robotrader.adapters.sql.reader import ReadSession
from robotrader.data.aggregate import Grid
from robotrader.data.frame import BarFrame, Versions
from robotrader.data.panel import VALUES
from robotrader.model import BarSpec, SessionTable

SOURCE = "journal"


def bar_versions(session: ReadSession, spec: BarSpec, sessions: SessionTable) -> Iterator[Versions]:
    """Yield the journal's bars of one length, instrument by instrument; known from when they were received.

    The journal keeps a bar's end, and a session's last bar may be short: a bar begins with its slot in the sessions.
    Where none ends there, a daily bar is left out, and any other begins its length before its end.
    """
    table = schema.bars.c
    query = select(schema.bars).where(table.spec == spec.value)
    query = query.order_by(table.instrument, table.ts_event, table.version)
    grid = Grid(sessions, spec)
    for instrument, rows in groupby(session.all(query), key=lambda row: str(row["instrument"])):
        placed = [(grid.start_of(row["ts_event"]), row) for row in rows]
        if spec is not BarSpec.DAY:
            placed = [(row["ts_event"] - spec.nanos if start is None else start, row) for start, row in placed]
        if there := [(start, row) for start, row in placed if start is not None]:
            yield _versions(instrument, spec, there)


def _versions(instrument: str, spec: BarSpec, placed: list[tuple[int, dict[str, Any]]]) -> Versions:
    rows = [row for _, row in placed]
    frame = BarFrame(
        symbols=(instrument,), row=np.arange(1, len(rows) + 1), symbol=np.zeros(len(rows), np.int64),
        start=np.array([start for start, _ in placed], np.int64), end=np.array([r["ts_event"] for r in rows], np.int64),
        **{name: np.array([row[name] for row in rows], np.float64) for name in VALUES},
    )  # fmt: skip
    known = np.array([row["ts_init"] for row in rows], np.int64)
    return Versions(frame=frame, spec=spec, known=known, source=SOURCE)
