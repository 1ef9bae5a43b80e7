"""Corporate actions by the command line: imported once, booked in backtests of the lake, and asked for by the guard."""

import asyncio
from pathlib import Path

import pytest

from robotrader.adapters.clocks import BrokerClock
from robotrader.adapters.sql.journal import SqlJournal
from robotrader.bootstrap import database, migrate, reader
from robotrader.engine.trader import Trader
from robotrader.engine.write_ahead import WriteAhead
from robotrader.model import RiskLimit
from tests import builders as make
from tests.fakes import FakeBroker, scripted
from tests.integration.cli.commands import ask, run
from tests.unit.engine.stage import started

COUNTS = ("rows_read", "rows_written", "rows_duplicate", "rows_restated", "rows_quarantined")
ACTIONS = "symbol,last_cum_day,kind,ratio_or_cash\nA,2020-01-07,split,2\nA,2020-01-08,dividend,0.5\n"
DAYS = (
    ("2020-01-02", 20), ("2020-01-03", 22), ("2020-01-06", 24), ("2020-01-07", 26), ("2020-01-08", 14),
    ("2020-01-09", 15), ("2020-01-10", 16),
)  # fmt: skip


@pytest.fixture
def actions(tmp_path: Path) -> str:
    path = tmp_path / "actions.csv"
    path.write_text(ACTIONS, encoding="utf-8")
    return str(path)


def test_an_import_counts_every_row_and_twice_is_once(state: Path, actions: str) -> None:
    answers = [ask("data", "actions", "import", actions, state=state) for _ in range(2)]
    assert [tuple(answer[name] for name in COUNTS) for answer in answers] == [(2, 2, 0, 0, 0), (2, 0, 2, 0, 0)]
    listed = ask("data", "actions", "list", "--symbol", "A", state=state)["actions"]
    assert [(a["kind"], a["ex_date"], a["new"], a["cash"]) for a in listed] == [
        ("split", "2020-01-08", 2, None), ("dividend", "2020-01-09", 1, "0.5"),
    ]  # fmt: skip
    assert ask("data", "actions", "list", "--symbol", "B", state=state)["actions"] == []


def test_bad_rows_are_named_and_with_nothing_usable_it_is_a_data_problem(state: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("symbol,last_cum_day,kind,ratio_or_cash\nA,2020-01-04,split,2\n", encoding="utf-8")
    answer = ask("data", "actions", "import", str(path), state=state, code=7)
    assert [(q["row"], q["rule"]) for q in answer["quarantined"]] == [(1, "session")]
    assert "2020-01-04" in run("data", "actions", "import", str(path), state=state).out
    assert run("data", "actions", "import", str(tmp_path / "none.csv"), state=state).code == 7


def test_a_backtest_of_the_lake_books_what_its_prices_still_hold(state: Path, actions: str, tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    rows = [f"A,{day},{close},{close},{close},{close},1000" for day, close in DAYS]
    bars.write_text("\n".join(["symbol,timestamp,open,high,low,close,volume", *rows, ""]), encoding="utf-8")
    ask("data", "import", str(bars), state=state)
    ask("data", "actions", "import", actions, state=state)

    def equity(data: str, *more: str) -> tuple[str, int, str]:
        free = ("--commission", "none", "--slippage", "none", "--impact", "0")
        answer = ask("backtest", "sma_crossover", "--data", data, "-p", "fast=1", "-p", "slow=2", *free, *more,
                     state=state)  # fmt: skip
        return answer["final_equity"], answer["corporate_actions"], answer["adjust"]

    # bought 100 at 24 on 2020-01-06, 200 from 2020-01-08 on, 100.00 dividend, last price 16
    assert equity("lake:A@1d") == ("1000900.000000", 2, "none")
    # in units of the end: 100 bought at 12, 50.00 dividend
    assert equity("lake:A@1d", "--adjust", "splits") == ("1000450.000000", 1, "splits")
    assert equity("lake:A@1d", "--adjust", "all")[1:] == (0, "all")
    assert equity(str(bars))[1] == 0, "a file's prices are taken as they are"
    assert run("backtest", "sma_crossover", "--data", "lake:A", "--adjust", "some", state=state).code == 5


async def jumped(state: Path) -> None:
    """Leave a journal in which SPY fell to one half overnight and nobody knows why."""
    migrate(state)
    journal = SqlJournal(database(state))
    path = WriteAhead(trader=Trader(scripted({make.TREND: {}})), journal=journal, broker=FakeBroker(),
                      clock=BrokerClock(lambda: None, start=make.T0), halted=lambda: None)  # fmt: skip
    path.epoch = await journal.begin_run("run-1", "test")
    guarded = RiskLimit(profile="guarded", split_guard_ratio=0.05)
    await path.record([started(limits=guarded), make.bars_closed(0), make.bars_closed(1, 50.0, 50.0)])
    await journal.close()


def test_a_symbol_that_the_guard_halted_is_resumed_by_its_name(state: Path) -> None:
    asyncio.run(jumped(state))
    (halted,) = reader(state).trading_state()
    assert (halted.instrument, halted.state) == (make.SPY.id, "HALTED")
    assert "split 2:1" in halted.reason
    assert ask("status", state=state)["trading_state"] == "ACTIVE", "the others trade on"
    refused = ask("resume", "--symbol", "QQQ", "--reason", "why not", state=state, code=4)
    assert "what is: SPY.ARCA" in refused["error"]
    answer = ask("resume", "--symbol", "SPY", "--reason", "a real fall", state=state)
    (request,) = reader(state).requests()
    assert (request.id, request.instrument, request.action) == (answer["request_id"], make.SPY.id, "resume")


def test_resuming_a_symbol_leaves_the_flag_of_a_halt(state: Path) -> None:
    asyncio.run(jumped(state))
    ask("halt", "--reason", "storm", state=state)
    ask("resume", "--symbol", "SPY", "--reason", "a real fall", state=state)
    assert (state / "HALT").exists()
    assert ask("status", state=state)["trading_state"] == "HALTED"
