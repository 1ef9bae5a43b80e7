"""What scenarios do to a trader and its journal from outside: kill, lock."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from robotrader import bootstrap
from robotrader.adapters.sql.journal import SqlTransaction
from tests.chaos.crash import Mortality, Point
from tests.scenarios.script import Kill
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
