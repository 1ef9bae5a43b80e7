"""Restated bars: what a backtest sees as of a time, and where the journal's bars stand in their sessions."""

import asyncio
import json
from pathlib import Path

import pytest
from msgspec import structs

from robotrader import bootstrap
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.cli.command import iso
from robotrader.cli.options import moment
from robotrader.data.aggregate import Grid
from robotrader.model import BarSpec, ConfigError
from tests import builders as make
from tests.integration.cli.inside import ask

HEADER = "symbol,timestamp,open,high,low,close,volume"
DAYS = ("2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09", "2020-01-10")
FIRST = dict(zip(DAYS, (10.0, 10.1, 10.4, 10.6, 10.2, 10.0, 10.3), strict=True))
RESTATED = {**FIRST, "2020-01-06": 9.8, "2020-01-07": 9.7}
BACKTEST = ("backtest", "sma_crossover", "-p", "fast=2", "-p", "slow=3", "--data")
FIGURES = ("data_hash", "orders_hash", "final_equity", "run_id")


def csv(path: Path, closes: dict[str, float]) -> str:
    rows = [f"A,{day},{close},11,9,{close},100" for day, close in closes.items()]
    path.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    return str(path)


def after_import(state: Path, number: int) -> str:
    """Return a time, to the microsecond, by which that many imports were known."""
    lines = (state / "lake" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return iso((json.loads(lines[number - 1])["at"] // 1_000 + 1) * 1_000) or ""


def test_a_backtest_as_of_a_time_sees_the_bars_that_were_known_then(state: Path, tmp_path: Path) -> None:
    first, restated = csv(tmp_path / "first.csv", FIRST), csv(tmp_path / "restated.csv", RESTATED)
    ask("data", "import", first, state=state)
    assert ask("data", "import", restated, state=state)["rows_restated"] == 2
    now = ask(*BACKTEST, "lake:A", state=state)
    then = ask(*BACKTEST, "lake:A", "--as-of", after_import(state, 1), "--out", str(tmp_path / "out"), state=state)
    for answer, file in ((now, restated), (then, first)):
        plain = ask(*BACKTEST, file, state=state)
        assert [answer[name] for name in FIGURES] == [plain[name] for name in FIGURES]
    assert [now[name] == then[name] for name in FIGURES] == [False] * len(FIGURES)
    assert (now["as_of"], now["data_note"]) == (None, "raw prices of the lake")
    assert then["as_of"] == after_import(state, 1)
    assert then["data_note"] == f"raw prices of the lake, as known at {then['as_of']}"
    manifest = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert (manifest["as_of"], manifest["data_hash"]) == (then["as_of"], then["data_hash"])
    again = ask(*BACKTEST, "lake:A", "--as-of", manifest["as_of"], state=state)
    assert again["run_id"] == then["run_id"], "what the manifest names can be asked for again"


def test_a_corporate_action_that_was_corrected_later_counts_as_it_was_known_then(state: Path, tmp_path: Path) -> None:
    def paid(cash: float) -> str:
        file = tmp_path / f"{cash}.csv"
        file.write_text(f"symbol,last_cum_day,kind,ratio_or_cash\nA,2020-01-07,dividend,{cash}\n", encoding="utf-8")
        return str(file)

    backtest = (*BACKTEST, "lake:A", "--adjust", "all")
    ask("data", "actions", "import", paid(0.5), state=state)
    ask("data", "import", csv(tmp_path / "bars.csv", FIRST), state=state)
    before = ask(*backtest, state=state)
    assert ask("data", "actions", "import", paid(2.5), state=state)["rows_restated"] == 1
    assert ask(*backtest, state=state)["final_equity"] != before["final_equity"]
    assert ask(*backtest, "--as-of", after_import(state, 1), state=state)["final_equity"] == before["final_equity"]


def test_only_the_lake_can_say_what_was_known(state: Path, tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", FIRST)
    assert "only the lake" in ask(*BACKTEST, file, "--as-of", "2020-01-09", state=state, code=5)["error"]
    ask("data", "import", file, state=state)
    early = ask(*BACKTEST, "lake:A", "--as-of", "2020-01-09", state=state, code=7)
    assert "became known later" in early["error"]
    parity = ask("parity", "sma_crossover", "--data", "lake:A", "--as-of", "2020-01-09", state=state, code=7)
    assert "became known later" in parity["error"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-09", "2020-01-10T04:59:59.999999000Z"),  # a day of winter at the exchange ends at 5:00 UTC
        ("2020-03-08", "2020-03-09T03:59:59.999999000Z"),  # and one that clocks were put forward on at 4:00
        ("2020-07-01T16:00", "2020-07-01T20:00:00Z"),
        ("2020-07-01T16:00:00.25+02:00", "2020-07-01T14:00:00.250000000Z"),
        ("2020-01-10T04:59:59.999999000Z", "2020-01-10T04:59:59.999999000Z"),
    ],
)
def test_a_time_is_the_exchange_s_unless_it_names_a_zone(text: str, expected: str) -> None:
    assert iso(moment(text)) == expected


@pytest.mark.parametrize("text", ["", "soon", "2020-13-01", "20:00", "1600-01-01", "9999-12-31"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a time"):
        moment(text)


def test_the_journal_s_hours_begin_with_their_session_and_the_last_is_a_short_one(state: Path) -> None:
    bootstrap.migrate(state)
    slots = Grid(bootstrap.sessions("2024-11-27", "2024-11-29"), BarSpec.HOUR).slots(0, 2**62)
    asyncio.run(_record(state, [slot.end for slot in slots]))
    panel = bootstrap.scan_bars([make.SPY.id], BarSpec.HOUR, state=state)
    assert list(zip(panel.opened.tolist(), panel.ts.tolist(), strict=True)) == slots
    half_hours = (panel.ts - panel.opened) // 1_800_000_000_000
    assert half_hours.tolist() == [2] * 6 + [1] + [2] * 3 + [1], "one whole day and, after Thanksgiving, a half one"
    assert bootstrap.archive_bars(state, BarSpec.HOUR) == 2 * len(slots)
    assert bootstrap.scan_bars([make.SPY.id], BarSpec.HOUR, state=state).opened.tolist() == panel.opened.tolist()


async def _record(state: Path, ends: list[int]) -> None:
    with bootstrap.database(state) as database:
        journal = SqlJournal(database)
        await journal.begin_run("run-1", "test")
        for end in ends:
            bars = make.bars_closed(0, 99.0, 50.0).bars
            hours = tuple(structs.replace(b, ts_event=end, spec=BarSpec.HOUR) for b in bars)
            async with journal.transaction() as tx:
                tx.event(structs.replace(make.bars_closed(0, 99.0), ts_event=end, ts_init=end, bars=hours))
        await journal.close()
