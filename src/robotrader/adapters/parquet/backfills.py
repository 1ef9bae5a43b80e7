"""What was asked of the broker and what came of it: answers in the lake, each noted in its audit file. Uses Polars."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import structs

from robotrader.adapters.parquet.lake import Lake
from robotrader.adapters.parquet.quarantine import keep
from robotrader.data.aggregate import Grid
from robotrader.data.frame import BarFrame, Versions
from robotrader.data.inspection import inspect
from robotrader.data.instruments import instrument_of
from robotrader.data.panel import PRICES, VALUES
from robotrader.data.quality import Rule
from robotrader.model import NANOS_PER_SECOND, Bar, BarSpec, CorporateAction, CorporateActionKind, InstrumentId

SOURCE = "ibkr"
_DID = "backfill"


class Backfills:
    """The answers for the bars of a grid, kept in a lake; earlier ones are read once, at the start.

    IBKR gives prices from before a split in today's units, the lake has raw ones: the known splits of `actions` until
    then are undone, as exactly as the rounding that IBKR did allows.
    """

    def __init__(self, lake: Lake, grid: Grid, actions: Sequence[CorporateAction] = ()) -> None:
        self._lake = lake
        self._grid = grid
        self._splits = [a for a in actions if a.kind is CorporateActionKind.SPLIT]
        self._entries = _entries(lake)

    def known(self, instrument: InstrumentId) -> set[str]:
        """Return the dates of the sessions that were answered, none too, or that the lake has completely."""
        table, spec = self._grid.sessions, self._grid.spec
        mine = [e for e in self._entries if (e["instrument"], e["spec"]) == (instrument, spec)]
        answered = {d for e in mine for d in table.dates if e["first"] <= d <= e["last"]}
        ends = self._lake.scan([instrument], spec).end
        opens, closes = np.array(table.opens, np.int64), np.array(table.closes, np.int64)
        step = closes - opens if spec is BarSpec.DAY else spec.nanos
        there = ends.searchsorted(closes, "right") - ends.searchsorted(opens, "right")
        whole = there >= -(-(closes - opens) // step)
        return answered | {d for d, complete in zip(table.dates, whole.tolist(), strict=True) if complete}

    def recent(self, now: int, window_s: float) -> list[tuple[float, InstrumentId]]:
        """Return how many seconds ago answers were noted, and for which instruments; oldest first."""
        ages = [((now - e["at"]) / NANOS_PER_SECOND, InstrumentId(e["instrument"])) for e in self._entries]
        return [(age, instrument) for age, instrument in ages if 0 <= age < window_s]

    def store(
        self, instrument: InstrumentId, sessions: tuple[str, str], bars: Sequence[Bar], *, now: int
    ) -> Mapping[str, int]:
        """Put an answer for the sessions from one date to another through the gate; return counts of its rows.

        It is noted last: what a crash cuts short is asked for again, and writing it twice changes nothing.
        """
        lake, spec, (first, last) = self._lake, self._grid.spec, sessions
        counts = dict.fromkeys(("rows_written", "rows_duplicate", "rows_restated", "rows_quarantined"), 0)
        if bars:
            frame = self._frame(instrument, bars)
            found = inspect(frame, spec=spec, sessions=self._grid.sessions)
            extended = found.flags.get(Rule.EXTENDED)
            done = lake.write(Versions(frame=found.good, spec=spec, known=now, source=SOURCE, extended=extended))
            bad = [structs.replace(q, source=f"{SOURCE} {instrument} {first} {last}") for q in found.quarantined]
            rows = frame.take(np.array([q.row - 1 for q in bad], np.int64))
            keep(lake, bad, rows, spec=spec, import_id=f"{SOURCE}-{now}", now=now)
            counts = {"rows_written": done.new, "rows_duplicate": done.duplicate + len(found.duplicates),
                      "rows_restated": done.restated, "rows_quarantined": len(bad)}  # fmt: skip
        lake.note(
            {"did": _DID, "at": now, "instrument": instrument, "spec": spec, "first": first, "last": last, **counts}
        )
        return counts

    def _frame(self, instrument: InstrumentId, bars: Sequence[Bar]) -> BarFrame:
        ends = [bar.ts_event for bar in bars]
        starts = [slot.start for end in ends if (slot := self._grid.at(end - 1)) is not None]
        values = {name: np.array([getattr(bar, name) for bar in bars]) for name in VALUES}
        symbol = instrument_of(instrument).symbol
        ratios = [(float(a.ratio), np.array(ends) <= a.ex_at) for a in self._splits if a.symbol == symbol]
        for ratio, before in ratios:
            for name in PRICES:
                values[name][before] *= ratio
            values["volume"][before] /= ratio
        return BarFrame(
            symbols=(instrument,), row=np.arange(1, len(bars) + 1), symbol=np.zeros(len(bars), np.int64),
            start=np.array(starts, np.int64), end=np.array(ends, np.int64), **values,
        )  # fmt: skip


def _entries(lake: Lake) -> list[dict[str, Any]]:
    """Return what the audit file says of answers; a line that a crash cut short is none."""
    file = lake.root / "audit.jsonl"
    found = []
    for line in file.read_bytes().splitlines() if file.exists() else ():
        try:
            entry = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if entry.get("did") == _DID:
            found.append(entry)
    return found
