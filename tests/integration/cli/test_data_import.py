"""Files into the lake by the command line: every row is accounted for, twice is once, and nothing bad gets in."""

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec import structs

from robotrader import bootstrap
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.model import BarSpec, DataError
from tests import builders as make
from tests.integration.cli import commands
from tests.integration.cli.inside import ask

HEADER = "symbol,timestamp,open,high,low,close,volume"
DAYS = ("2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09")
GOOD = [f"A,{day},10,11,9,10.{k},100" for k, day in enumerate(DAYS)]
COUNTS = ("rows_read", "rows_written", "rows_duplicate", "rows_restated", "rows_quarantined")


def csv(path: Path, rows: Sequence[str], header: str = HEADER) -> str:
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return str(path)


def counts(answer: dict[str, Any]) -> tuple[int, ...]:
    return tuple(answer[name] for name in COUNTS)


def test_the_same_file_twice_is_written_once(state: Path, tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", GOOD)
    assert counts(commands.ask("data", "import", file, state=state)) == (6, 6, 0, 0, 0)
    assert counts(commands.ask("data", "import", file, state=state)) == (6, 0, 6, 0, 0)
    (listed,) = (d for d in ask("data", "list", state=state)["datasets"] if d["name"].startswith("lake:"))
    assert (listed["name"], listed["bars"]) == ("lake:A.SMART@1d", 6)
    answer = ask("backtest", "sma_crossover", "--data", "lake:A", "-p", "fast=2", "-p", "slow=3", state=state)
    assert answer["bars"] == 6
    plain = ask("backtest", "sma_crossover", "--data", file, "-p", "fast=2", "-p", "slow=3", state=state)
    assert (answer["data_hash"], answer["fills_hash"]) == (plain["data_hash"], plain["fills_hash"])


def test_restated_bars_are_counted_and_win(state: Path, tmp_path: Path) -> None:
    ask("data", "import", csv(tmp_path / "a.csv", GOOD), state=state)
    corrected = [*GOOD[:2], "A,2020-01-06,10,11,9,10.9,100", *GOOD[3:], "A,2020-01-10,10,11,9,10,100"]
    file = csv(tmp_path / "b.csv", corrected)
    assert counts(ask("data", "import", file, state=state)) == (7, 1, 5, 1, 0)
    assert counts(ask("data", "import", file, state=state)) == (7, 0, 7, 0, 0)
    panel = bootstrap.load_data("lake", state=state).panel
    assert panel.close[:, 0].tolist() == [10.0, 10.1, 10.9, 10.3, 10.4, 10.5, 10.0]
    checked = ask("data", "check", state=state)
    assert {name: checked[name] for name in ("rows", "ok", "quarantined", "restated", "gaps")} == {
        "rows": 7, "ok": 7, "quarantined": 0, "restated": 1, "gaps": [],
    }  # fmt: skip


BROKEN = {
    "nan": ("A,2020-01-10,NaN,11,9,10,100", "finite"),
    "zero price": ("A,2020-01-10,10,11,0,10,100", "positive"),
    "negative volume": ("A,2020-01-10,10,11,9,10,-1", "volume"),
    "saturday": ("A,2020-01-11,10,11,9,10,100", "session"),
    "outside": ("A,2020-01-10,10,11,9,12,100", "range"),
    "high and low": ("A,2020-01-10,10,9,11,10,100", "swapped"),
    "close and volume": ("A,2020-01-10,10,11,9,5000,10", "swapped"),
    "no close": ("A,2020-01-10,10,11,9,,100", "field"),
    "a word": ("A,2020-01-10,ten,11,9,10,100", "type"),
    "no date": ("A,soon,10,11,9,10,100", "time"),
}


def test_every_kind_of_bad_row_is_set_aside_once_with_its_reason(state: Path, tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", [*GOOD, *(row for row, _ in BROKEN.values())])
    expected = sorted(rule for _, rule in BROKEN.values())
    for written, duplicate in ((6, 0), (0, 6)):
        answer = ask("data", "import", file, state=state)
        assert counts(answer) == (16, written, duplicate, 0, 10)
        assert sorted(rule for rule, n in answer["by_rule"].items() for _ in range(n)) == expected
    checked = ask("data", "check", "lake", state=state)
    assert (checked["rows"], checked["ok"], checked["quarantined"]) == (16, 6, 10)
    assert sorted(q["rule"] for q in checked["set_aside"]) == expected
    assert {q["row"] for q in checked["set_aside"]} == set(range(7, 17))
    of_file = ask("data", "check", file, state=state)
    assert (of_file["rows"], of_file["ok"], of_file["by_rule"]) == (16, 6, checked["by_rule"])


def test_of_two_values_for_one_bar_neither_is_believed(state: Path, tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", [*GOOD, "A,2020-01-06,10,11,9,10.8,100", GOOD[3]])
    answer = ask("data", "import", file, state=state)
    assert counts(answer) == (8, 5, 1, 0, 2)
    assert answer["by_rule"] == {"conflict": 2}
    checked = ask("data", "check", state=state)
    assert (checked["conflicts"], checked["duplicates"]) == (2, 0)
    assert [gap["until"][:10] for gap in checked["gaps"]] == ["2020-01-07"]
    assert ask("data", "check", file, state=state)["duplicates"] == 1


def test_a_released_row_is_in_the_lake_and_stays_released(state: Path, tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", [*GOOD, "A,2020-01-11,10,11,9,10.7,100", "A,2020-01-10,10,11,9,,100"])
    done = ask("data", "import", file, state=state)
    saturday, torn = sorted(ask("data", "check", state=state)["set_aside"], key=lambda q: -len(q["rule"]))
    released = ask("data", "release", saturday["id"], "--reason", "a special session", state=state)
    assert (released["released"], released["refused"]) == (1, 0)
    assert bootstrap.load_data("lake", state=state).panel.close[-1, 0] == 10.7
    for key, why in ((saturday["id"], "was released before"), (torn["id"], "holds no bar"), ("q-0", "is not there")):
        assert why in ask("data", "release", key, state=state, code=7)["error"]
    assert "holds no bar" in ask("data", "release", done["import_id"], state=state, code=7)["error"]
    assert counts(ask("data", "import", file, state=state)) == (8, 0, 6, 0, 2)
    checked = ask("data", "check", state=state)
    assert (checked["ok"], checked["quarantined"], [q["id"] for q in checked["set_aside"]]) == (7, 1, [torn["id"]])
    lines = [json.loads(line) for line in (state / "lake" / "audit.jsonl").read_text(encoding="utf-8").splitlines()]
    (audit,) = (line for line in lines if line["did"] == "release")
    assert audit["who"].startswith("cli:")
    assert (audit["why"], audit["rows"], audit["at"] > 0) == ("a special session", [saturday["id"]], True)


def test_all_rows_of_an_import_can_be_released_at_once(state: Path, tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", [*GOOD, "A,2020-01-11,10,11,9,10.7,100", "A,2020-01-12,10,11,9,10.6,100"])
    done = ask("data", "import", file, state=state)
    assert ask("data", "release", done["import_id"], state=state)["released"] == 2
    assert bootstrap.load_data("lake", state=state).panel.close[-2:, 0].tolist() == [10.7, 10.6]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("cut.csv.gz", gzip.compress("\n".join([HEADER, *GOOD * 3_000]).encode())[:-400], "cut.csv.gz cannot be read"),
        ("no.csv.gz", b"no gzip at all", "cannot be read"),
        ("no.parquet", b"PAR1", "cannot be read"),
        ("no.csv", b"a,b\n1,2\n", "expected columns symbol,timestamp"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_nothing_behind(
    name: str, content: bytes, error: str, state: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert error in ask("data", "import", str(tmp_path / name), state=state, code=7)["error"]
    assert not [*state.rglob("*.parquet")]


def test_a_file_without_one_usable_row_ends_with_7_and_keeps_the_rows(state: Path, tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", [f"A,{day},10,9,11,10,100" for day in DAYS])
    assert counts(ask("data", "import", file, state=state, code=7)) == (6, 0, 0, 0, 6)
    assert ask("data", "check", state=state)["by_rule"] == {"swapped": 6}


def test_a_folder_goes_in_file_by_file_and_says_which_failed(state: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    csv(folder / "a.csv", GOOD)
    minutes = [f"B,2020-01-02T09:3{k},10,11,9,10,100" for k in range(5)]
    csv(folder / "b.csv", minutes)
    (folder / "c.csv.gz").write_bytes(b"torn")
    answer = ask("data", "import", str(folder), state=state, code=8)
    assert counts(answer) == (11, 11, 0, 0, 0)
    assert list(answer["failed"]) == [str(folder / "c.csv.gz")]
    assert {d["name"] for d in ask("data", "list", state=state)["datasets"] if d["name"].startswith("lake")} == {
        "lake:A.SMART@1d", "lake:B.SMART@1m",
    }  # fmt: skip
    assert "say which" in ask("backtest", "sma_crossover", "--data", "lake", state=state, code=7)["error"]


def test_every_dialect_gives_the_same_bars(state: Path, tmp_path: Path) -> None:
    ask("data", "import", csv(tmp_path / "ours.csv", GOOD), state=state)
    cells = [row.split(",") for row in GOOD]
    yahoo = [",".join([c[1], *c[2:6], "5.5", c[6]]) for c in cells]
    stooq = [",".join(["A.US", "D", c[1].replace("-", ""), "000000", *c[2:], "0"]) for c in cells]
    files = [
        (csv(tmp_path / "yahoo.csv", yahoo, "Date,Open,High,Low,Close,Adj Close,Volume"), "--symbol", "A"),
        (csv(tmp_path / "stooq.csv", stooq,
             "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"),),
        (csv(tmp_path / "web.csv", [row[2:] for row in GOOD], "Date,Open,High,Low,Close,Volume"), "--symbol", "A"),
    ]  # fmt: skip
    frame = pl.read_csv(tmp_path / "ours.csv", try_parse_dates=True)
    frame.write_parquet(tmp_path / "ours.parquet")
    files.append((str(tmp_path / "ours.parquet"),))
    for arguments in files:
        assert counts(ask("data", "import", *arguments, state=state)) == (6, 0, 6, 0, 0), arguments
    assert "--symbol" in ask("data", "import", files[0][0], state=state, code=7)["error"]


def test_stooq_minutes_are_times_of_the_exchange(state: Path, tmp_path: Path) -> None:
    rows = [f"A.US,1,20200102,09{minute}00,10,11,9,10,100" for minute in range(30, 36)]
    header = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>"
    ask("data", "import", csv(tmp_path / "m.csv", rows, header), state=state)
    panel = bootstrap.load_data("lake:A@1m", state=state).panel
    assert panel.opened.astype("datetime64[ns]").astype("datetime64[m]").astype(str)[0] == "2020-01-02T14:30"


def test_a_length_that_distances_do_not_tell_can_be_said(state: Path, tmp_path: Path) -> None:
    sparse = csv(tmp_path / "m.csv", [f"A,2020-01-02T10:{minute:02}:00,10,11,9,10,100" for minute in (0, 7, 14)])
    assert "--spec" in ask("data", "import", sparse, state=state, code=7)["error"]
    assert counts(ask("data", "import", sparse, "--spec", "1m", state=state)) == (3, 3, 0, 0, 0)
    panel = bootstrap.load_data("lake:A@1m", state=state).panel
    assert (panel.ts - panel.opened).tolist() == [60_000_000_000] * 3
    assert (
        "daily bars"
        in ask("data", "import", csv(tmp_path / "d.csv", GOOD), "--spec", "1h", state=state, code=7)["error"]
    )


def test_an_empty_lake_is_no_error(state: Path) -> None:
    checked = ask("data", "check", state=state)
    assert (checked["rows"], checked["gaps"], checked["set_aside"]) == (0, [], [])
    assert not state.exists()
    assert ask("data", "check", "lake:A", state=state, code=7)["kind"] == "DataError"
    assert "no row is quarantined" in commands.run("data", "check", "sample:AAPL", state=state).out


def test_bars_of_the_journal_and_of_the_lake_are_one(state: Path, tmp_path: Path) -> None:
    rows = ["SPY,2023-12-29,90,91,89,90,5", "SPY,2024-01-02,95,96,94,95,5"]
    ask("data", "import", csv(tmp_path / "spy.csv", rows), "--symbol", "SPY.ARCA", state=state)
    bootstrap.migrate(state)
    later = 2**62
    asyncio.run(_record(state, known=later))

    def closes(as_of: int) -> list[float]:
        panel = bootstrap.scan_bars([make.SPY.id], BarSpec.DAY, as_of=as_of, state=state)
        found: list[float] = panel.close[:, 0].tolist()
        return found

    assert closes(later) == [90.0, 101.0, 102.0]  # the journal's bar of 2 January was known later than the file's
    assert closes(later - 1) == [90.0, 95.0]
    assert bootstrap.load_data("lake:SPY", state=state).panel.close[:, 0].tolist() == closes(later)
    assert bootstrap.load_data("lake:SPY", as_of=later - 1, state=state).panel.close[:, 0].tolist() == [90.0, 95.0]
    with pytest.raises(DataError, match="became known later"):
        bootstrap.load_data("lake:SPY", as_of=1, state=state)
    assert bootstrap.archive_bars(state, BarSpec.DAY) == 4  # two of SPY, two of QQQ
    assert bootstrap.archive_bars(state, BarSpec.DAY) == 0
    minute = bootstrap.scan_bars([make.SPY.id], BarSpec.MINUTE, state=state)
    assert (minute.opened.tolist(), minute.ts.tolist()) == ([make.T0 - 60_000_000_000], [make.T0])
    (state / bootstrap.JOURNAL).unlink()
    assert (closes(later), closes(later - 1)) == ([90.0, 101.0, 102.0], [90.0, 95.0])


async def _record(state: Path, *, known: int) -> None:
    with bootstrap.database(state) as database:
        journal = SqlJournal(database)
        await journal.begin_run("run-1", "test")
        for day, close in enumerate((101.0, 102.0)):
            async with journal.transaction() as tx:
                tx.event(make.bars_closed(day, close, 50.0, ts_init=known))
        last = make.bars_closed(0, 99.0)
        minute = structs.replace(last, bars=tuple(structs.replace(b, spec=BarSpec.MINUTE) for b in last.bars))
        async with journal.transaction() as tx:
            tx.event(minute)
        await journal.close()


def test_an_import_that_was_killed_is_completed_by_importing_again(state: Path, tmp_path: Path) -> None:
    ask("data", "seed", "--seed", "3", "--bars", "2000", state=tmp_path / "other")
    file = str(tmp_path / "other" / "lake" / "seed" / "bars.parquet")
    command = [sys.executable, "-m", "robotrader", "data", "import", file, "--state", str(state), "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        while child.poll() is None and not [*state.rglob("bars.parquet")]:
            pass
        child.kill()
    there = ask("data", "check", state=state)["rows"]
    assert there > 0
    assert counts(ask("data", "import", file, state=state)) == (6_000, 6_000 - there, there, 0, 0)
    panel, seeded = (bootstrap.load_data(n, state=s).panel for n, s in (("lake", state), ("seed", tmp_path / "other")))
    assert np.array_equal(panel.columns(seeded.ids).close, seeded.close)
