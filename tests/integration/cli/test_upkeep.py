"""What keeps a journal safe and small: backup, restore, archive, maintenance."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from robotrader import bootstrap
from robotrader.adapters.sql import archive as job
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.adapters.sql.schema import bars
from robotrader.bootstrap import upkeep
from robotrader.data.retention import RetentionPolicy
from robotrader.model import Bar, BarsClosed, BarSpec, InvariantViolation
from tests import builders as make
from tests.integration.cli.commands import ask, run
from tests.integration.cli.conftest import Left

POLICY = RetentionPolicy()
MINUTE, DAYS = 60_000_000_000, (0, 50, 100, 200)


def test_backup_and_restore_leave_the_journal_halted(left: Left, tmp_path: Path) -> None:
    made = ask("db", "backup", str(tmp_path / "b.sqlite"), state=left.state)
    assert made["seq"] == made["rows"]["journal"] > 20
    assert json.loads((tmp_path / "b.sqlite.json").read_text())["sha256"] == made["sha256"]
    assert ask("status", state=left.state)["trading_state"] == "ACTIVE"
    done = ask("db", "restore", str(tmp_path / "b.sqlite"), state=left.state)
    assert (done["ok"], done["trading_state"], done["seq"]) == (True, "HALTED", made["seq"])
    assert Path(done["replaced"]).exists()
    assert ask("status", state=left.state)["trading_state"] == "HALTED"
    assert (left.state / "HALT").exists()
    assert ask("db", "verify", state=left.state)["ok"]
    assert "HALTED" in run("db", "restore", str(tmp_path / "b.sqlite"), state=tmp_path / "another").out


def test_the_trial_ledger_goes_along_and_is_never_taken_back(left: Left, tmp_path: Path) -> None:
    tried = ("backtest", "sma_crossover", "--data", "sample:AAPL", "--end", "2001-01-01")
    ask(*tried, state=left.state)
    file = tmp_path / "copies" / "b.sqlite"
    ask("db", "backup", str(file), state=left.state)
    ask(*tried, state=left.state)
    for target, expected in ((left.state, 2), (tmp_path / "another", 1)):
        ask("db", "restore", str(file), state=target)
        assert len(ask("trials", state=target)["trials"]) == expected
    ask("db", "backup", str(left.state / "here.sqlite"), state=left.state)
    assert len(ask("trials", state=left.state)["trials"]) == 2


def test_a_torn_backup_is_refused_and_nothing_changes(left: Left, tmp_path: Path) -> None:
    ask("db", "backup", str(tmp_path / "b.sqlite"), state=left.state)
    torn = tmp_path / "b.sqlite"
    torn.write_bytes(torn.read_bytes()[:-5_000])
    assert "truncated or altered" in ask("db", "restore", str(torn), state=left.state, code=7)["error"]
    assert ask("status", state=left.state)["trading_state"] == "ACTIVE"
    assert not (left.state / "HALT").exists()


def test_there_is_nothing_to_keep_without_a_journal(state: Path, tmp_path: Path) -> None:
    for command in (("db", "backup", str(tmp_path / "b.sqlite")), ("data", "archive"), ("db", "maintain")):
        assert "there is no journal" in ask(*command, state=state, code=5)["error"]
    assert not (tmp_path / "b.sqlite").exists()


def test_a_folder_of_backups_rotates_as_configured(left: Left, tmp_path: Path) -> None:
    config = tmp_path / "robotrader.toml"
    config.write_text("[retention]\ndaily_backups = 1\nweekly_backups = 1\nmonthly_backups = 1\n", encoding="utf-8")
    folder = tmp_path / "backups"
    folder.mkdir()
    for stamp in ("20200101T000000Z", "20260101T000000Z"):
        (folder / f"journal-{stamp}.sqlite").touch()
    made = ask("db", "backup", str(folder), "--config", str(config), state=left.state)
    assert made["removed"] == ["journal-20200101T000000Z.sqlite", "journal-20260101T000000Z.sqlite"]
    assert [f.name for f in folder.glob("*.sqlite")] == [Path(made["file"]).name]


def test_maintenance_backs_up_archives_and_looks_at_the_disk(
    left: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = ask("db", "maintain", state=left.state)
    assert done["problems"] == []
    assert Path(done["backup"]["file"]).parent == left.state / "backups"
    assert done["archived"]["rows"] == 0
    monkeypatch.setattr(upkeep, "LOW_DISK", 10**18)
    assert "free some space" in bootstrap.maintain(left.state, POLICY).problems[0]


async def _record(state: Path) -> None:
    """Record minute bars on some days, and a daily bar on each."""
    journal = SqlJournal(bootstrap.database(state))
    await journal.begin_run("run-1", "test")
    async with journal.transaction() as tx:
        for day in DAYS:
            for minute in range(1, 4):
                ts = make.T0 + day * make.DAY - minute * MINUTE
                made = tuple(Bar(instrument=i.id, ts_event=ts, open=9.0, high=12.0, low=8.0, close=10.0 + minute,
                                 volume=float(day), spec=BarSpec.MINUTE) for i in (make.SPY, make.QQQ))  # fmt: skip
                tx.event(BarsClosed(ts_event=ts, ts_init=ts, bars=made))
            tx.event(make.bars_closed(day))
    await journal.close()


def _left(state: Path) -> list[tuple[str, int]]:
    with bootstrap.database(state) as database, database.read.begin() as connection:
        found = connection.execute(select(bars.c.spec, bars.c.ts_event).distinct())
        return [(spec, round((ts - make.T0) / make.DAY)) for spec, ts in found]


def test_old_minute_bars_go_to_the_lake_and_are_read_from_there(state: Path) -> None:
    bootstrap.migrate(state)
    asyncio.run(_record(state))
    ids = [make.SPY.id, make.QQQ.id]
    before = bootstrap.scan_bars(ids, BarSpec.MINUTE, state=state)
    assert ask("data", "archive", "--dry-run", state=state)["bars"] == 18
    assert ask("data", "archive", state=state)["bars"] == 18
    assert {day for spec, day in _left(state) if spec == "1m"} == {200}, "90 days stay"
    assert {day for spec, day in _left(state) if spec == "1d"} == set(DAYS), "daily bars stay for ever"
    after = bootstrap.scan_bars(ids, BarSpec.MINUTE, state=state)
    assert np.array_equal(before.ts, after.ts)
    assert np.array_equal(before.close, after.close)
    assert len(after) == len(DAYS) * 3
    assert ask("data", "archive", state=state)["bars"] == 0
    assert ask("db", "verify", state=state, code=1)["chain_ok"], "only its decisions are missing"


def test_bars_that_the_lake_does_not_give_back_stay(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap.migrate(state)
    asyncio.run(_record(state))
    held = len(_left(state))
    monkeypatch.setattr(upkeep, "archive_bars", lambda *_: 1)
    with pytest.raises(InvariantViolation, match="does not give back"):
        bootstrap.archive(state, POLICY)
    assert len(_left(state)) == held


def test_an_archive_of_bars_that_was_killed_is_finished(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap.migrate(state)
    asyncio.run(_record(state))
    before = bootstrap.scan_bars([make.SPY.id], BarSpec.MINUTE, state=state)

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job, "drop_bars", killed)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.archive(state, POLICY)
    assert np.array_equal(before.close, bootstrap.scan_bars([make.SPY.id], BarSpec.MINUTE, state=state).close)
    assert bootstrap.archive(state, POLICY).bars == 18
    assert np.array_equal(before.close, bootstrap.scan_bars([make.SPY.id], BarSpec.MINUTE, state=state).close)
