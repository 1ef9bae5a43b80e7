"""Count the points at which a process can die, and let it die at one of them.

A dead process commits nothing and writes nothing: from the crash on, every commit and every write of that life fails,
whatever its clean-up code still tries, and its connections are reset behind what had been written before.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import pytest
from msgspec import Struct

from robotrader.adapters.sql.journal import SqlJournal
from tests.virtual.loop import VirtualLoop


class Point(StrEnum):
    """Where a process can die. A turn is one pass of the event loop: what runs between two awaits."""

    BEFORE_COMMIT = "before a commit"
    AFTER_COMMIT = "after a commit"
    BEFORE_WRITE = "before a socket write"
    AFTER_WRITE = "after a socket write"
    TURN = "at a turn of the loop"


class Crash(Struct, frozen=True, kw_only=True):
    """Die at the `nth` of these points in a life; the first is 1."""

    point: Point
    nth: int


class SimCrash(BaseException):
    """The process is dead."""


class Mortality:
    """One life of the trader: it counts the points, calls `reached` at each, and ends at `crash`."""

    def __init__(self, loop: VirtualLoop, crash: Crash | None, reached: Callable[[Point, bool], None]) -> None:
        self._loop = loop
        self._crash = crash
        self._reached = reached
        self.seen: Counter[Point] = Counter()
        self.dead = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count, and crash where it is due, for as long as the block runs."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SqlJournal, "_write", self._committing(SqlJournal._write))
            self._loop.on_connect, self._loop.on_turn = self._writing, lambda: self._reach(Point.TURN)
            try:
                yield
            finally:
                self._loop.on_connect = self._loop.on_turn = None

    def _reach(self, point: Point) -> None:
        """Count a point, and tell of it and whether it is the end."""
        if self.dead:
            return
        self.seen[point] += 1
        self.dead = self._crash is not None and self._crash == Crash(point=point, nth=self.seen[point])
        if self.dead:
            self._loop.cut()
        self._reached(point, self.dead)

    def _live(self) -> None:
        if self.dead:
            raise SimCrash

    def _committing(self, write: Any) -> Any:
        @contextmanager
        def committing(journal: SqlJournal) -> Iterator[Any]:
            self._live()
            with write(journal) as connection:
                yield connection
                self._reach(Point.BEFORE_COMMIT)
                self._live()
            self._reach(Point.AFTER_COMMIT)
            self._live()

        return committing

    def _writing(self, end: Any) -> None:
        """Let the trader's end of a new connection count what it writes."""
        send = end.write

        def writing(data: Any) -> None:
            self._live()
            self._reach(Point.BEFORE_WRITE)
            self._live()
            send(data)
            self._reach(Point.AFTER_WRITE)
            self._live()

        end.write = writing
