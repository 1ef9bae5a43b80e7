"""The pages as the server sends them: complete without JavaScript, and safe with hostile texts."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec import structs

from robotrader.model import Action, ConfigError, TradingState
from robotrader.ports import RequestRow
from tests.integration.web.dashboard import Dashboard, run
from tests.unit.web.fake_journal import CLOSE, FakeReader, order_row, seeded

HOSTILE = "</td><script>alert(1)</script>\"'{{7*7}}"


class Text(HTMLParser):
    """The text of a page, and the names of all its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data.strip())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


async def read(dash: Dashboard, path: str = "/") -> tuple[str, Text]:
    answer = await dash.get(path)
    assert answer.status_code == 200
    html = await answer.get_data(as_text=True)
    text = Text()
    text.feed(html)
    return html, text


@pytest.fixture
def dash(tmp_path: Path) -> Dashboard:
    return Dashboard(seeded(), tmp_path)


def test_the_first_paint_has_every_number(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        _, page = await read(dash)
        for text in ("PAPER", "···4567", "SIMULATOR", "ACTIVE", "1,262,057.94", "+8,431.09", "−200", "−12,433.00",
                     "not reported", "rejected by the broker", "fresh, 0 s", "SHADOW"):  # fmt: skip
            assert text in page.parts, text
        assert page.tags.count("table") == page.tags.count("caption") == 7

    run(scenario)


def test_an_empty_journal_is_not_available_and_never_zero(tmp_path: Path) -> None:
    async def scenario() -> None:
        dash = Dashboard(FakeReader(), tmp_path)
        await dash.sign_in()
        _, page = await read(dash)
        assert page.parts.count("not available") >= 9
        assert "No trader has run on this journal yet. Start one: robotrader demo" in page.parts
        numbers = [part for part in page.parts if re.fullmatch(r"[+−]?[\d,]*\.?\d+( USD)?", part)]
        assert numbers == []

    run(scenario)


def test_a_halted_trader_says_how_to_resume_on_the_console(dash: Dashboard) -> None:
    async def scenario() -> None:
        dash.journal.set_state(TradingState.HALTED, "broker differs")
        await dash.sign_in()
        html, page = await read(dash)
        assert "HALTED" in page.parts
        assert "Since 2013-03-01 21:00:00 by cli: broker differs" in page.parts
        assert f"robotrader resume --state {dash.state_dir}" in html
        assert 'action="/resume"' not in html

    run(scenario)


def test_hostile_texts_stay_texts(dash: Dashboard) -> None:
    async def scenario() -> None:
        dash.journal.set_state(TradingState.HALTED, HOSTILE)
        row = order_row(61, reason=HOSTILE)
        dash.journal.order_rows.insert(0, row)
        dash.journal.request_rows = [RequestRow(id="r", ts=CLOSE, action=Action.HALT, reason=HOSTILE, actor=HOSTILE)]
        denial = dash.journal.denial_rows[0]
        dash.journal.denial_rows[0] = structs.replace(denial, checks=({"check": HOSTILE, "passed": False},))
        await dash.sign_in()
        html, page = await read(dash)
        assert "<script>alert" not in html
        assert page.tags.count("script") == 3
        assert HOSTILE in page.parts

    run(scenario)


def test_the_plain_form_halts_without_javascript(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        html, page = await read(dash, "/halt")
        assert "Halt all trading?" in page.parts
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', html))
        for _ in range(2):  # a double click
            answer = await dash.post("/halt", form=fields | {"reason": "odd fills"})
            assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        assert [(r.action, r.reason) for r in dash.journal.request_rows] == [(Action.HALT, "odd fills")]
        _, page = await read(dash)
        assert any(part.startswith("HALT requested by dashboard session") for part in page.parts)

    run(scenario)


def test_reduce_has_its_own_form_and_an_empty_reason_is_said(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        form = {"csrf_token": dash.csrf, "idempotency_key": "k" * 8, "reason": "  "}
        assert (await dash.post("/reduce", form=form)).status_code == 303
        assert (await dash.post("/reduce", form=form | {"reason": "x" * 201})).status_code == 400
        assert [(r.action, r.reason) for r in dash.journal.request_rows] == [(Action.REDUCE, "no reason given")]

    run(scenario)


def test_a_halted_page_offers_no_reduce_and_explains_why(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        for state, hidden in ((TradingState.ACTIVE, False), (TradingState.HALTED, True), (TradingState.LOCKED, True)):
            dash.journal.set_state(state, "odd")
            dash.live.refresh()
            html, _ = await read(dash)
            buttons = re.findall(r'<a [^>]*data-opens="reduce"[^>]*>', html)
            assert [" hidden" in button for button in buttons] == [hidden, hidden], state
        form = {"csrf_token": dash.csrf, "idempotency_key": "k" * 8, "reason": ""}
        for answer in (await dash.get("/reduce"), await dash.post("/reduce", form=form)):
            assert answer.status_code == 409
            assert "Trading is halted, which is stricter" in await answer.get_data(as_text=True)
        assert dash.journal.request_rows == []
        assert (await dash.get("/halt")).status_code == 200

    run(scenario)


def test_a_halt_that_is_refused_says_so_and_names_the_command(dash: Dashboard) -> None:
    async def scenario() -> None:
        answer = await dash.post("/halt", form={"reason": "odd"})
        html = await answer.get_data(as_text=True)
        assert answer.status_code == 401
        assert "HALT was not requested." in html
        assert "robotrader halt" in html

    run(scenario)


def test_a_page_of_an_unreadable_journal_says_why(dash: Dashboard) -> None:
    async def scenario() -> None:
        await dash.sign_in()
        dash.restart()
        dash.journal.error = ConfigError("The journal has schema 9, this version reads 3.")
        answer = await dash.get("/")
        assert answer.status_code == 503
        assert "schema 9" in await answer.get_data(as_text=True)

    run(scenario)
