"""Old rows go to Parquet and nothing is lost: the chain, its replay, its verification, and what was seen before."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import func, select
from sqlalchemy.exc import DatabaseError

from robotrader.adapters.sql import archive as job
from robotrader.adapters.sql.archive import FOLDER, Archived, archive, plan
from robotrader.adapters.sql.engine import Database
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.reader import SqlJournalReader
from robotrader.adapters.sql.schema import archives, bars, journal
from robotrader.adapters.sql.verify import verify
from robotrader.model import Action, InvariantViolation, RequestReceived
from robotrader.ports import JournalRow
from tests import builders as make
from tests.conformance.journal_sql import SqlStorage
from tests.integration.sql.recorded import Recorder, record_session, replayed

DAYS = 365
LATER = 400


async def two_runs(storage: SqlStorage) -> None:
    """Record a session, and another run more than a year later."""
    journal_ = storage.open()
    recorder = await record_session(journal_)
    asked = RequestReceived(ts_event=make.T0 + 5 * make.DAY, ts_init=make.T0 + 5 * make.DAY, request_id="halt-1",
                            action=Action.HALT, reason="lunch", actor="me")  # fmt: skip
    await recorder.take([asked])
    await journal_.close()
    later = storage.open()
    await later.rows()
    epoch = await later.begin_run("run-2", "test")
    again = Recorder(later)
    again.trader = recorder.trader
    ts = make.T0 + LATER * make.DAY
    await again.take([structs.replace(make.run_started(epoch=epoch), run_id="run-2", ts_event=ts, ts_init=ts)])
    await later.close()


@pytest.fixture
def recorded(storage: SqlStorage) -> SqlStorage:
    asyncio.run(two_runs(storage))
    return storage


def path_of(storage: SqlStorage) -> Path:
    assert storage.database.path is not None
    return storage.database.path


def run(storage: SqlStorage) -> Archived:
    return archive(storage.database, path_of(storage), DAYS)


def rows(storage: SqlStorage, after: int = 0) -> list[JournalRow]:
    async def read() -> list[JournalRow]:
        opened = storage.open()
        try:
            return list(await opened.rows(after))
        finally:
            await opened.close()

    return asyncio.run(read())


def hot(database: Database) -> int:
    with database.read.begin() as connection:
        return int(connection.execute(select(func.count()).select_from(journal)).scalar_one())


def test_the_chain_is_the_same_row_by_row_and_replays_and_verifies(recorded: SqlStorage) -> None:
    before, held = rows(recorded), hot(recorded.database)
    counted = plan(recorded.database, DAYS)
    done = run(recorded)
    assert (done.rows, done.through) == (counted.rows, counted.through)
    assert done.rows > 30
    assert done.thinned > 10
    assert hot(recorded.database) < held
    assert rows(recorded) == before
    assert rows(recorded, after=5) == before[5:]
    assert rows(recorded, after=done.through) == before[done.through :]
    assert replayed(rows(recorded)).identical
    report = verify(recorded.database, replay=replayed)
    assert report.ok, report
    assert report.events == len(before)


def test_the_run_that_goes_on_stays_and_a_second_job_moves_nothing(recorded: SqlStorage) -> None:
    done = run(recorded)
    with recorded.database.read.begin() as connection:
        first = connection.execute(select(func.min(journal.c.seq)).where(journal.c.epoch == 2)).scalar_one()
    assert done.through < first
    assert (run(recorded).rows, run(recorded).thinned) == (0, 0)


def test_nothing_moves_before_its_time(storage: SqlStorage) -> None:
    asyncio.run(record_session(storage.open()))
    assert run(storage).rows == 0
    assert not (path_of(storage).parent / FOLDER).exists()


def test_several_segments_are_one_chain(recorded: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(recorded)
    monkeypatch.setattr(job, "SEGMENT_ROWS", 7)
    monkeypatch.setattr(job, "CHUNK_ROWS", 3)
    done = run(recorded)
    assert len(done.segments) == -(-done.rows // 7) > 3
    assert rows(recorded) == before
    assert verify(recorded.database, replay=replayed).ok


def test_what_was_seen_once_is_still_known(recorded: SqlStorage) -> None:
    """A bar, an execution or a request that comes again after its row was archived changes nothing."""
    run(recorded)
    before = len(rows(recorded))

    async def again() -> list[int | None]:
        opened = recorded.open()
        await opened.rows()
        await opened.begin_run("run-3", "test")
        async with opened.transaction() as tx:
            seqs = [tx.event(make.bars_closed(0, 100.0, 50.0)), tx.event(make.bars_closed(1, 999.0, 51.0))]
        open_requests = await opened.open_requests()
        await opened.close()
        assert [r.request_id for r in open_requests] == []
        return seqs

    assert asyncio.run(again()) == [None, None]
    assert len(rows(recorded)) == before
    with recorded.database.read.begin() as connection:
        versions = connection.execute(select(bars.c.close).where(bars.c.version == 2)).scalars().all()
    assert list(versions) == [999.0]


def test_what_screens_show_stays(recorded: SqlStorage) -> None:
    def shown() -> list[Any]:
        reader = SqlJournalReader(recorded.database)
        return [reader.head(), reader.orders(), reader.fills(), reader.decisions(), reader.books(), reader.account(),
                reader.requests(), reader.equity(), reader.breaks(), reader.compared(), reader.run()]  # fmt: skip

    before = shown()
    run(recorded)
    assert shown() == before


STEPS = ("_write", "_compare", "_record", "_thin", "_vacuum")


class Killed(BaseException):
    """The process is gone."""


def dying(step: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    def stepping(*arguments: Any) -> Any:
        if not before:
            step(*arguments)
        raise Killed

    return stepping


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_job_killed_at_any_step_loses_nothing_and_the_next_finishes(
    step: str, before: bool, recorded: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows(recorded)
    expected = plan(recorded.database, DAYS).rows
    with monkeypatch.context() as patch:
        patch.setattr(job, step, dying(getattr(job, step), before=before))
        with pytest.raises(Killed):
            run(recorded)
    assert rows(recorded) == whole
    assert verify(recorded.database, replay=replayed).ok
    run(recorded)
    assert rows(recorded) == whole
    assert len(list((path_of(recorded).parent / FOLDER).iterdir())) == 1
    with recorded.database.read.begin() as connection:
        assert connection.execute(select(func.sum(archives.c.rows))).scalar_one() == expected
        left = select(func.count()).where(journal.c.seq <= expected, journal.c.kind == "raw")
        assert connection.execute(left).scalar_one() == 0


def test_a_job_killed_between_two_chunks_finishes(recorded: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows(recorded)
    monkeypatch.setattr(job, "CHUNK_ROWS", 2)
    begin, begun = recorded.database.write.begin, iter(range(100))

    def mortal() -> Any:
        if next(begun) == 4:
            raise Killed
        return begin()

    with monkeypatch.context() as patch:
        patch.setattr(recorded.database.write, "begin", mortal)
        with pytest.raises(Killed):
            run(recorded)
    assert rows(recorded) == whole
    assert run(recorded).thinned > 5
    assert rows(recorded) == whole


def test_rows_that_differ_when_they_are_read_again_are_not_deleted(
    recorded: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hot(recorded.database)
    read = job.read
    monkeypatch.setattr(job, "read", lambda file: [*read(file)[:-1], {**read(file)[-1], "payload": "{}"}])
    with pytest.raises(InvariantViolation, match="nothing was deleted"):
        run(recorded)
    assert hot(recorded.database) == held


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal WHERE kind = 'raw')",
        "DELETE FROM journal WHERE type = 'OrderFilled'",
        "UPDATE journal SET payload = '' WHERE type = 'OrderFilled'",
        "UPDATE journal SET payload = 'x' WHERE type = 'BarsClosed'",
        "UPDATE journal SET payload = '', ts_init = 1 WHERE type = 'BarsClosed'",
        "DELETE FROM bars",
        "DELETE FROM archives",
    ],
)
def test_the_guards_let_nothing_else_go(statement: str, recorded: SqlStorage) -> None:
    run(recorded)
    with pytest.raises(DatabaseError, match="append-only"), recorded.database.write.begin() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize("harm", ["missing", "torn", "altered"])
def test_a_lost_segment_stops_the_trader_and_the_verdict(harm: str, recorded: SqlStorage) -> None:
    (name,) = run(recorded).segments
    file = path_of(recorded).parent / FOLDER / name
    if harm == "missing":
        file.unlink()
    elif harm == "torn":
        file.write_bytes(file.read_bytes()[:-100])
    else:
        job._write(file, [{**row, "ts_init": row["ts_init"] + 1} for row in job.read(file)])
    with pytest.raises(InvariantViolation, match=r"cannot be read|chain is broken"):
        rows(recorded)


def test_space_comes_back(recorded: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def free() -> int:
        with recorded.database.read.begin() as connection:
            return int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())

    with monkeypatch.context() as patch:
        patch.setattr(job, "_vacuum", lambda _: None)
        run(recorded)
    assert free() > 0
    run(recorded)
    assert free() == 0


def test_a_trader_that_writes_goes_on_while_rows_are_archived(recorded: SqlStorage) -> None:
    async def trade() -> None:
        opened: SqlJournal = recorded.open()
        await opened.rows()
        await opened.begin_run("run-3", "test")
        async with opened.transaction() as tx:
            tx.event(make.bars_closed(LATER + 1))
        run(recorded)
        async with opened.transaction() as tx:
            assert tx.event(make.bars_closed(LATER + 2)) is not None
        await opened.close()

    asyncio.run(trade())
    assert len(rows(recorded)) == SqlJournalReader(recorded.database).head()
