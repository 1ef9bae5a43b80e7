"""`report`, and the tearsheet that `backtest --out` leaves."""

import asyncio
import json
from pathlib import Path

from msgspec import structs

from tests import builders as make
from tests.integration.cli.commands import ask, run
from tests.integration.cli.conftest import Left
from tests.integration.cli.recorded import Recorder

AAPL = ("backtest", "sma_crossover", "--data", "sample:AAPL", "--end", "2004-12-31")


def test_a_backtest_leaves_its_tearsheet_and_report_makes_the_same(tmp_path: Path, state: Path) -> None:
    folder = tmp_path / "run"
    found = ask(*AAPL, "--out", str(folder), state=state)
    left = (folder / "tearsheet.html").read_text("utf-8")
    assert found["run_id"] in left
    answer = ask("report", str(folder), "--html", str(tmp_path / "again" / "page.html"), state=state)
    assert answer["file"] == str(tmp_path / "again" / "page.html")
    assert Path(answer["file"]).read_text("utf-8") == left
    assert json.loads(Path(answer["file"]).with_suffix(".json").read_text("utf-8"))["run_id"] == found["run_id"]
    assert answer["figures"]["Sharpe"] == found["sharpe"]
    assert {c["level"] for c in answer["cautions"]} <= {"stop", "warn", "note"}
    assert any("1 trial of this strategy" in c["text"] for c in answer["cautions"])


def test_a_run_is_found_by_its_id_and_as_the_latest(state: Path) -> None:
    for name in ("first", "second"):
        ask(*AAPL, "--out", str(state / "runs" / name), state=state)
    assert ask("report", "first", state=state)["file"] == str(state / "runs" / "first" / "tearsheet.html")
    assert ask("report", "latest", state=state)["file"] == str(state / "runs" / "second" / "tearsheet.html")
    assert "first, second" in ask("report", "third", state=state, code=7)["error"]


def test_a_report_says_what_was_found_about_the_strategy_since_it_ran(state: Path) -> None:
    def cautions(run: str) -> str:
        return " ".join(c["text"] for c in ask("report", run, state=state)["cautions"])

    kept = ask(*AAPL, "-p", "fast=30", "--keep", state=state)
    assert (kept["checks"], kept["walkforward"]) == (None, None)
    assert "Not checked for look-ahead" in cautions("latest")
    ask("strategy", "check", "sma_crossover", state=state)
    assert "Not checked for look-ahead" in cautions("latest"), "it was checked with other parameters"
    ask("strategy", "check", "sma_crossover", "-p", "fast=30", state=state)
    assert "Checked for look-ahead on sample:all: passed." in cautions(kept["run_id"])
    walk = ("walkforward", "sma_crossover", "--train", "252", "--test", "126", "-p", "fast=5,10", "--data")
    ask(*walk, "sample:MSFT", state=state)
    found = ask(*walk, "sample:AAPL", "--end", "2004-12-31", state=state)
    ask("report", kept["run_id"], state=state)
    sheet = json.loads((state / "runs" / kept["run_id"] / "tearsheet.json").read_text("utf-8"))
    assert len(sheet["sections"]["folds"]["rows"]) == len(found["folds"])
    assert "5 trials of this strategy" in cautions(kept["run_id"])
    again = ask(*AAPL, "-p", "fast=30", state=state)
    assert (again["checks"]["passed"], again["walkforward"]["folds"]) == (True, found["folds"])


def test_no_run_is_one_sentence_that_says_what_writes_one(state: Path) -> None:
    assert "`backtest --out DIR` writes one" in ask("report", "latest", state=state, code=7)["error"]
    assert "no trader has closed a bar" in ask("report", "live", state=state, code=7)["error"]
    assert not state.exists()


def test_a_live_run_is_reported_from_its_journal(left: Left) -> None:
    """Bought 40 at 102.50 and 60 at 102.00, one commission known; the last close is 90.00."""
    answer = ask("report", "live", state=left.state)
    sheet = json.loads((left.state / "tearsheet.json").read_text("utf-8"))
    spy, qqq, every = sheet["sections"]["attribution"]["rows"]
    assert [row[0] for row in (qqq, spy, every)] == ["SPY.ARCA", "QQQ.NASDAQ", "All"]
    assert float(qqq[-1]) == float(every[-1]) == -(40 * 12.5 + 60 * 12) - 1.25
    assert float(spy[-1]) == 0
    assert sheet["kind"] == "live"
    costs = {row[0]: row[1] for row in sheet["sections"]["costs"]["rows"]}
    assert (costs["Commission and fees"], costs["Spread"]) == ("1.250000", None)
    benchmark = sheet["curves"]["benchmark"]["values"]
    assert benchmark[-1] / benchmark[0] == (102 / 100 + 52 / 50) / 2  # day 4 is a Saturday: its bars are no session's
    page = Path(answer["file"]).read_text("utf-8")
    assert "a live fill does not say what the price would have been" in page
    assert "the mode was" in page


def test_a_broken_journal_is_one_sentence(state: Path) -> None:
    state.mkdir()
    (state / "journal.sqlite").write_bytes(b"this is no database, and long enough to be taken for a header " * 20)
    assert "cannot be used" in ask("report", "live", state=state, code=7)["error"]


def test_a_later_run_on_other_instruments_leaves_the_earlier_trades_in_the_report(left: Left) -> None:
    async def start_on_qqq_only() -> None:
        recorder = Recorder(left.state)
        path = recorder._path
        path.epoch = await recorder._journal.begin_run("run-2", "test")
        run = make.run_started("run-2", epoch=path.epoch, ts=make.T0 + 9 * make.DAY)
        (config,) = run.strategies
        config = structs.replace(config, source="sma_crossover", universe=(make.QQQ.id,))
        await path.record([structs.replace(run, strategies=(config,), instruments=(make.QQQ,))])
        await recorder.close()

    asyncio.run(start_on_qqq_only())
    ask("report", "live", state=left.state)
    sheet = json.loads((left.state / "tearsheet.json").read_text("utf-8"))
    assert {row[0] for row in sheet["sections"]["attribution"]["rows"]} >= {"SPY.ARCA", "QQQ.NASDAQ", "All"}


def test_a_pdf_is_printed_or_said_what_is_missing(tmp_path: Path, left: Left) -> None:
    file = tmp_path / "page.pdf"
    ran = run("report", "live", "--pdf", str(file), state=left.state)
    if ran.code == 0:
        assert file.read_bytes().startswith(b"%PDF-")
    else:
        assert ran.code == 5
        assert "playwright install chromium" in ran.err
