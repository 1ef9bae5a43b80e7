"""The overview in a browser: signing in, live numbers, states, and looks that everybody can read."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from robotrader.model import Action, InstrumentId, TradingState
from robotrader.ports import RequestRow
from tests.browser.conftest import Open, Server, Watch
from tests.unit.web.fake_journal import CLOSE, DAY, order_row

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def state(page: Page, name: str) -> None:
    expect(page.locator("#state")).to_have_attribute("data-state", name)


def test_a_link_signs_in_once_and_leaves_no_trace(open_page: Open, server: Server, watch: Watch) -> None:
    link = server.link()
    page = open_page(sign_in=False, live=False)
    page.goto(link)
    page.wait_for_url(server.url)
    expect(page.locator("#panel-orders tbody tr")).to_have_count(50)
    expect(page.locator("#panel-orders tbody tr").first).to_contain_text("working")
    cookie = page.context.cookies()[0]
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("__Host-rt", True, "Strict")
    other = open_page(sign_in=False, live=False)
    other.goto(link)
    expect(other.get_by_text("This link was used or has expired.")).to_be_visible()
    assert "#" not in other.url
    watch.expect("403")


def test_a_link_opened_on_the_login_page_itself_signs_in(open_page: Open, server: Server, watch: Watch) -> None:
    page = open_page(sign_in=False, live=False)
    page.goto(server.url)
    expect(page.get_by_label("One-time code")).to_be_focused()
    page.goto(server.link())  # the same page with a fragment: nothing is loaded
    page.wait_for_url(server.url)
    page.goto(f"{server.url}login")  # already signed in, as after a link from another site
    page.wait_for_url(server.url)
    watch.expect("401")


def test_numbers_move_without_a_reload(open_page: Open, server: Server) -> None:
    page = open_page()
    page.evaluate("window.same = true")
    server.journal.order_rows.insert(0, order_row(61, reason="new one"))
    server.journal.seq += 1
    expect(page.locator("#panel-orders tbody tr").first).to_contain_text("new one")
    expect(page.locator("#panel-orders tbody tr")).to_have_count(50)
    server.journal.set_state(TradingState.HALTED, "odd fills")
    state(page, "HALTED")
    expect(page.locator(".state-detail")).to_have_text("Since 2013-03-01 21:00:00 by cli: odd fills")
    expect(page.locator("#resume")).to_have_text(re.compile(r"^robotrader resume --state .+ --reason"))
    expect(page).to_have_title("HALTED · PAPER · RoboTrader")
    assert page.evaluate("window.same")


def test_the_chart_is_drawn_and_has_words_and_a_table(open_page: Open) -> None:
    page = open_page()
    expect(page.locator(".chart canvas")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"Equity curve\. 2009-11-17 to 2013-03-01"))).to_be_visible()
    page.get_by_text("View as table").click()
    expect(page.locator("#panel-equity tbody tr").first).to_contain_text("1,262,057.94")
    page.locator(".chart .u-over").hover()
    expect(page.locator("[data-read]")).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d +[\d,]+\.\d\d$"))


def test_stale_and_missing_data_are_words(open_page: Open, server: Server) -> None:
    page = open_page()
    expect(page.locator("#panel-data")).to_have_attribute("data-state", "live")
    server.journal.bar_times[InstrumentId("IBM.NYSE")] -= 6 * DAY
    del server.journal.bar_times[InstrumentId("MSFT.NASDAQ")]
    server.journal.seq += 1
    expect(page.locator("#panel-data")).to_have_attribute("data-state", "stale")
    expect(page.locator("#panel-data tbody")).to_contain_text("stale, 6 d")
    expect(page.locator("#panel-data tbody")).to_contain_text("no bar")


def test_an_empty_journal_explains_itself_and_then_fills(open_page: Open, server: Server) -> None:
    full = server.journal
    server.journal.__dict__, filled = type(full)().__dict__, dict(full.__dict__)
    page = open_page()
    expect(page.locator("#panel-orders")).to_contain_text("No order yet.")
    assert page.locator(".facts [data-tone=none]").count() == 7
    expect(page.locator(".chart")).to_be_hidden()
    server.journal.__dict__.update(filled)
    expect(page.locator("#panel-orders tbody tr")).to_have_count(50)
    expect(page.locator(".chart canvas")).to_be_visible()


def test_a_lost_stream_keeps_the_numbers_and_comes_back(open_page: Open, server: Server, watch: Watch) -> None:
    page = open_page()
    server.stop()
    expect(page.locator("#lost")).to_contain_text("Live updates are lost")
    expect(page.locator("#panel-orders tbody tr")).to_have_count(50)
    page.keyboard.press("Shift+H")
    page.get_by_role("dialog").get_by_role("button", name="HALT").click()
    expect(page.get_by_role("dialog").locator("[data-result]")).to_contain_text("HALT was not recorded")
    expect(page.get_by_role("dialog").locator("[data-result]")).to_contain_text("robotrader halt --state")
    server.journal.set_state(TradingState.REDUCING, "while away")
    server.start()
    state(page, "REDUCING")
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#stream")).to_have_text("Live")
    watch.expect("net::ERR")


def test_a_session_that_ends_is_told(open_page: Open, server: Server, watch: Watch) -> None:
    page = open_page()
    other = page.context.new_page()
    other.goto(server.url)
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url("**/login")
    expect(page.locator("#lost")).to_contain_text("You are signed out. To halt, run in a terminal: robotrader halt")
    watch.expect("401")


def test_paused_tables_stand_still_but_the_trading_state_never_does(open_page: Open, server: Server) -> None:
    page = open_page()
    page.get_by_role("button", name="Pause updates").click()
    expect(page.locator("#stream")).to_have_text("Paused")
    server.journal.order_rows.insert(0, order_row(61, reason="new one"))
    server.journal.set_state(TradingState.HALTED, "odd fills")
    state(page, "HALTED")
    expect(page.locator("#panel-orders")).not_to_contain_text("new one")
    page.get_by_role("button", name="Resume updates").click()
    expect(page.locator("#panel-orders")).to_contain_text("new one")


def test_hostile_texts_are_only_texts(open_page: Open, server: Server) -> None:
    page = open_page()
    page.on("dialog", lambda dialog: pytest.fail("a text was run as a script"))
    server.journal.order_rows.insert(0, order_row(61, reason=HOSTILE))
    server.journal.request_rows = [RequestRow(id="r", ts=CLOSE, action=Action.HALT, reason=HOSTILE, actor=HOSTILE)]
    server.journal.set_state(TradingState.HALTED, HOSTILE)
    expect(page.locator("#panel-orders tbody tr").first).to_contain_text(HOSTILE)
    expect(page.locator('[data-bind="frame.pending"]')).to_contain_text(HOSTILE)
    assert page.locator("img, td script").count() == 0


@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_no_width_scrolls_sideways(open_page: Open, server: Server, width: int) -> None:
    server.journal.set_state(TradingState.HALTED, "position of AAPL.NASDAQ differs from the broker by 100")
    page = open_page(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    halt = page.locator('[data-opens="halt"]:visible')
    expect(halt).to_have_count(1)
    expect(halt).to_be_in_viewport()


CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("trading", list(TradingState))
def test_every_text_can_be_read(open_page: Open, server: Server, theme: str, trading: TradingState) -> None:
    server.journal.set_state(trading, "odd fills")
    server.journal.submit(Action.HALT, "odd fills", "cli")
    server.journal.bar_times[InstrumentId("IBM.NYSE")] -= 6 * DAY
    page = open_page(color_scheme=theme, reduced_motion="reduce")
    assert page.evaluate(CONTRAST) == []


def test_the_chosen_theme_stays(open_page: Open) -> None:
    page = open_page(color_scheme="light")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    page.locator("#theme").click()
    expect(page.locator("#theme-name")).to_have_text("Dark")
    page.reload()
    expect(page.locator("#theme-name")).to_have_text("Dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_the_page_is_named_for_a_screen_reader(open_page: Open) -> None:
    page = open_page()
    for name in ("Orders", "Fills", "Positions", "Strategies", "Market data", "Refused orders"):
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    unnamed = page.locator("button:visible, a:visible, input:visible").evaluate_all(
        "all => all.filter(e => !(e.innerText || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert unnamed == []
    small = page.locator("button:visible, a.button:visible").evaluate_all(
        "all => all.filter(e => e.getBoundingClientRect().height < 24).map(e => e.innerText)"
    )
    assert small == []
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the numbers")).to_be_focused()
