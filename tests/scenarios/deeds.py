"""What scenarios do to a trader and its journal from outside: kill, lock."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from robotrader import bootstrap
from robotrader.adapters.sql.journal import SqlTransaction
from robotrader.ports import HostFacts
from tests.chaos.crash import Mortality, Point
from tests.scenarios.script import HostStep, Kill
from tests.virtual.loop import VirtualLoop

_PLACE_ORDER = b"3\0"
_RESET_S = 0.05


@contextmanager
def mortal(loop: VirtualLoop, kill: Kill | None) -> Iterator[asyncio.Event]:
    """Let a life of the trader end as `kill` says; gives what is set then."""
    died = asyncio.Event()
    if kill is None:
        yield died
        return
    records, placing = 0, False
    seal = SqlTransaction._seal

    def sealing(transaction: SqlTransaction, kind: Any, type_: str, payload: bytes, **about: Any) -> Any:
        nonlocal records
        records += type_ == kill.record
        return seal(transaction, kind, type_, payload, **about)

    def reached(point: Point, _: bool) -> None:
        due = point is Point.AFTER_COMMIT if kill.after == "commit" else placing and point is Point.AFTER_WRITE
        if records >= kill.nth and due:
            life.dead = True
            loop.call_later(_RESET_S, loop.cut)  # a reset that comes with the last bytes would take them away
            died.set()

    def connected(end: Any) -> None:
        if count is not None:
            count(end)
        write = end.write

        def writing(data: bytes) -> None:
            nonlocal placing
            placing = data[4:].startswith(_PLACE_ORDER)
            write(data)

        end.write = writing

    life = Mortality(loop, None, reached)
    with pytest.MonkeyPatch.context() as patch, life.watching():
        patch.setattr(SqlTransaction, "_seal", sealing)
        count, loop.on_connect = loop.on_connect, connected
        yield died


async def hold_lock(state: Path, seconds: float) -> None:
    """Hold the write lock of the journal."""
    with closing(sqlite3.connect(state / bootstrap.JOURNAL, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(seconds)
        other.execute("ROLLBACK")


class Machine:
    """What is measured of the machine, as a scenario has it: neither this disk nor this clock counts."""

    def __init__(self, steps: Sequence[HostStep]) -> None:
        self._coming = sorted(steps, key=lambda step: step.at)
        self._free = 0.5
        self._full = False

    def measure(self, _state: Path, commit_s: Callable[[], float]) -> HostFacts:
        """Take the steps whose time has come."""
        commit_s()
        took_s = 0.0
        while self._coming and self._coming[0].at <= asyncio.get_running_loop().time():
            step = self._coming.pop(0)
            self._free = self._free if step.disk_free is None else step.disk_free
            self._full, took_s = step.full, max(took_s, step.commit_s)
        return HostFacts(disk_free_ratio=self._free, commit_s=took_s)

    def flushing(self, flush: Callable[[SqlTransaction], None]) -> Callable[[SqlTransaction], None]:
        """Let the journal find no more room where it has none."""

        def flushing(transaction: SqlTransaction) -> None:
            if self._full:  # SQLite's own limit: of this connection alone, and never below what is there
                transaction._connection.exec_driver_sql("PRAGMA max_page_count = 1")
                self._full = False
            flush(transaction)

        return flushing
