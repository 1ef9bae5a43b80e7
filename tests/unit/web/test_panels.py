"""The page's texts: every panel of an empty journal says why and what next; every state has its word."""

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from robotrader.model import Action, InstrumentId, OrderState, TradingState
from robotrader.ports import RequestRow, RunRow
from robotrader.web import panels, queries
from robotrader.web.frame import resume_command
from robotrader.web.layout import Page, Table
from robotrader.web.live import PANELS
from robotrader.web.snapshot import SnapshotReader
from tests.unit.web.fake_journal import CLOSE, DAY, FakeReader, order_row, run_started, seeded

TABLES = ("data", "positions", "strategies", "orders", "fills", "denials")


def page(journal: FakeReader) -> Page:
    rows = SnapshotReader(journal).status()
    status = queries.status(rows, simulated=True, data_note="scaled", wall_ns=CLOSE)
    return panels.page(journal, rows, status, state_dir=Path("/srv/my state"))


def framed(journal: FakeReader) -> SimpleNamespace:
    return SimpleNamespace(**page(journal).frame)


def test_an_empty_journal_shows_no_number() -> None:
    shown = page(FakeReader())
    assert {fact.value.text for fact in shown.account.facts} == {"not available"}
    frame = framed(FakeReader())
    assert {frame.state, frame.mode, frame.clock, frame.held, frame.open_orders, frame.day.text} == {"not available"}
    assert shown.equity.points == ()
    for name in TABLES:
        table = getattr(shown, name)
        assert (table.state, table.rows) == ("empty", ())
        assert table.note.endswith(".")


def test_every_row_has_a_cell_for_every_column_and_a_key_of_its_own() -> None:
    shown = page(seeded())
    for table in [getattr(shown, name) for name in TABLES] + [shown.equity.table]:
        assert isinstance(table, Table)
        assert {len(row.cells) for row in table.rows} == {len(table.columns)}
        assert len({row.key for row in table.rows}) == len(table.rows)


def test_every_order_state_has_words() -> None:
    assert set(panels.ORDER_STATES) == {*OrderState, queries.UNKNOWN}
    unknown = panels.orders([queries.order(order_row(3, state=OrderState.SENDING, unresolved=True))])
    cell = unknown.rows[0].cells[7]
    assert (cell.text, cell.tone) == ("UNKNOWN", "bad")
    assert "last known: SENDING" in cell.title


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED, TradingState.LOCKED])
def test_a_stopped_trader_says_since_when_by_whom_why_and_how_to_go_on(state: TradingState) -> None:
    journal = seeded()
    journal.set_state(state, "broker differs")
    frame = framed(journal)
    assert frame.state == state
    assert frame.detail == "Since 2013-03-01 21:00:00 by cli: broker differs"
    assert frame.resume == "robotrader resume --state '/srv/my state' --reason \"WHY IT IS SAFE\""
    assert frame.resume == resume_command(Path("/srv/my state"))


def test_an_active_trader_offers_no_resume() -> None:
    frame = framed(seeded())
    assert (frame.state, frame.resume, frame.detail) == ("ACTIVE", "", "")
    assert (frame.simulated, frame.note) == ("SIMULATOR", "scaled")


def test_a_request_that_waits_is_shown_and_one_that_was_taken_is_not() -> None:
    journal = seeded()
    journal.submit(Action.HALT, "odd fills", "dashboard")
    assert framed(journal).pending == "HALT requested by dashboard (odd fills): the trader has not taken it"
    assert journal.run_row is not None
    journal.run_row = RunRow(started=run_started(), ended=CLOSE, reason="stopped")
    frame = framed(journal)
    assert "no trader is running" in frame.pending
    assert frame.meaning == "No trader is running, nothing is sent. It ended 2013-03-01 21:00:00: stopped."
    journal.request_rows = [
        RequestRow(id="r", ts=CLOSE, action=Action.HALT, reason="odd fills", actor="dashboard", taken=9)
    ]
    assert framed(journal).pending == ""


def test_what_the_broker_said_on_another_day_carries_its_date() -> None:
    journal = seeded()
    hints = [page(journal).account.facts[0].hint]
    journal.reported = CLOSE - 600 * DAY
    hints.append(page(journal).account.facts[0].hint)
    assert hints == ["broker: 1,262,057.94", "broker on 2011-07-10: 1,262,057.94"]


def test_stale_and_missing_data_change_the_panel_and_their_own_rows() -> None:
    journal = seeded()
    journal.bar_times[InstrumentId("IBM.NYSE")] -= 6 * DAY
    del journal.bar_times[InstrumentId("MSFT.NASDAQ")]
    data = page(journal).data
    assert (data.state, data.note) == ("stale", "2 of 4 not fresh")
    assert [row.cells[2].text for row in data.rows] == ["fresh, 0 s", "fresh, 0 s", "stale, 6 d", "no bar"]


def test_the_curve_has_words_and_a_table() -> None:
    chart = page(seeded()).equity
    assert "1,262,057.94" not in chart.note
    assert chart.note.startswith("2009-11-17 to 2013-03-01: +262,756.76 USD (+26.29 %)")
    assert chart.points[-1] == (CLOSE // 1_000_000_000, "1,262,057.94")
    assert chart.table.rows[0].cells[1].text == "1,262,057.94"
    assert chart.table.caption == "Equity, latest 60 marks, newest first"


def test_all_panels_go_to_the_browser() -> None:
    assert {*PANELS, "seq"} == set(Page.__struct_fields__)
    assert msgspec.json.decode(msgspec.json.encode(page(seeded()).orders))["rows"]
