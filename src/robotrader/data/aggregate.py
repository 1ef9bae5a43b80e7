"""Short bars into longer ones, on the grid that a market's sessions give.

Bars begin with the session, so that an hour runs from 9:30 to 10:30, and the last one ends at its close, however
early: none crosses it. Vendors align hours with the clock; hours are made from their quarters instead.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from robotrader.model import Bar, BarSpec, SessionTable


class Slot(NamedTuple):
    """The place of one bar; times in ns UTC."""

    start: int
    end: int


class Grid(Struct, frozen=True):
    """The slots of a bar length in a market's sessions; a day is a session."""

    sessions: SessionTable
    spec: BarSpec

    def slots(self, after: int, until: int) -> list[Slot]:
        """Return the slots with `after` < end <= `until`, oldest first."""
        first, stop = bisect_right(self.sessions.closes, after), bisect_left(self.sessions.opens, until)
        return [slot for k in range(first, stop) for slot in self._of_session(k) if after < slot.end <= until]

    def before(self, until: int, count: int) -> list[Slot]:
        """Return the last `count` slots that ended by then, oldest first; fewer where the sessions begin."""
        found: list[Slot] = []
        k = bisect_left(self.sessions.opens, until) - 1
        while k >= 0 and len(found) < count:
            found = [slot for slot in self._of_session(k) if slot.end <= until] + found
            k -= 1
        return found[max(len(found) - count, 0) :]

    def at(self, ts: int) -> Slot | None:
        """Return the slot with start <= `ts` < end; None while the market is closed."""
        k = bisect_right(self.sessions.opens, ts) - 1
        if k < 0 or ts >= self.sessions.closes[k]:
            return None
        opened, step = self.sessions.opens[k], self._step(k)
        start = ts - (ts - opened) % step
        return Slot(start, min(start + step, self.sessions.closes[k]))

    def start_of(self, end: int) -> int | None:
        """Return the start of the slot that ends at `end`; None where none does."""
        slot = self.at(end - 1)
        return slot.start if slot is not None and slot.end == end else None

    def _step(self, k: int) -> int:
        length = self.sessions.closes[k] - self.sessions.opens[k]
        return length if self.spec is BarSpec.DAY else self.spec.nanos

    def _of_session(self, k: int) -> list[Slot]:
        opened, close, step = self.sessions.opens[k], self.sessions.closes[k], self._step(k)
        return [Slot(start, min(start + step, close)) for start in range(opened, close, step)]


class Aggregate(Struct, frozen=True):
    """A bar and how many of its pieces did not come: above 0 it is incomplete, and nothing stands in for them."""

    bar: Bar
    missing: int


def by_slot(pieces: Iterable[Bar], grid: Grid) -> dict[Slot, dict[int, Bar]]:
    """Sort one instrument's pieces by slot and end.

    Of two for the same time the first counts, and one that is not wholly inside a slot is left out.
    """
    found: dict[Slot, dict[int, Bar]] = {}
    for piece in pieces:
        slot = grid.at(piece.ts_event - 1)
        if slot is not None and piece.ts_event - piece.spec.nanos >= slot.start:
            found.setdefault(slot, {}).setdefault(piece.ts_event, piece)
    return found


def join(slot: Slot, pieces: Mapping[int, Bar], spec: BarSpec) -> Aggregate:
    """Return the bar that a slot's pieces make, in whatever order they came; at least one, all of one length."""
    ordered = [pieces[end] for end in sorted(pieces)]
    first, last = ordered[0], ordered[-1]
    bar = Bar(
        instrument=first.instrument, ts_event=slot.end, spec=spec, open=first.open, close=last.close,
        high=max(p.high for p in ordered), low=min(p.low for p in ordered), volume=sum(p.volume for p in ordered),
    )  # fmt: skip
    return Aggregate(bar, -(-(slot.end - slot.start) // first.spec.nanos) - len(ordered))


def aggregate(pieces: Iterable[Bar], grid: Grid, now: int) -> list[Aggregate]:
    """Return the bars that one instrument's pieces make, oldest first; none whose end `now` has not passed."""
    return [join(slot, found, grid.spec) for slot, found in sorted(by_slot(pieces, grid).items()) if slot.end <= now]
