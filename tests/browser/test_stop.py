"""HALT and REDUCE, from the page to the journal."""

from playwright.sync_api import Page, expect

from robotrader.model import Action, TradingState
from tests.browser.conftest import Open, Server, Watch
from tests.unit.web.fake_journal import FakeReader


def asked(journal: FakeReader) -> list[tuple[Action, str]]:
    return [(row.action, row.reason) for row in journal.request_rows]


def dialog(page: Page) -> None:
    expect(page.get_by_role("dialog")).to_be_visible()


def test_halt_by_keyboard_from_the_page_to_the_journal(open_page: Open, server: Server) -> None:
    page = open_page()
    page.keyboard.press("Shift+H")
    dialog(page)
    expect(page.get_by_role("dialog").get_by_role("link", name="Cancel")).to_be_focused()
    expect(page.get_by_role("dialog")).to_contain_text("Positions stay as they are: 3 held now.")
    reason = page.get_by_role("dialog").get_by_label("Reason")
    reason.fill("odd fills")
    reason.press("Enter")  # fires nothing
    assert asked(server.journal) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("dialog").get_by_role("button", name="HALT")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert asked(server.journal) == [(Action.HALT, "odd fills")]
    expect(page.locator('[data-bind="frame.pending"]')).to_contain_text("HALT requested by dashboard session")
    expect(page.locator("#said")).to_have_text("HALT is recorded. The trader acts on it next.")


def test_a_double_click_halts_once_and_a_second_halt_is_a_second_one(open_page: Open, server: Server) -> None:
    page = open_page()
    for count in (1, 2):
        page.locator('[data-opens="halt"]:visible').click()
        page.get_by_role("dialog").get_by_role("button", name="HALT").dblclick(no_wait_after=True)
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert len(asked(server.journal)) == count


def test_escape_and_cancel_do_nothing(open_page: Open, server: Server) -> None:
    page = open_page()
    for key in ("Escape", "Enter"):  # Enter presses the focused Cancel
        page.keyboard.press("Shift+H")
        dialog(page)
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_hidden()
    assert asked(server.journal) == []


def test_typing_an_h_is_not_a_shortcut_and_the_shortcut_can_be_switched_off(open_page: Open) -> None:
    page = open_page()
    page.locator('[data-opens="reduce"]:visible').click()
    page.get_by_role("dialog").get_by_label("Reason").press("Shift+H")
    expect(page.get_by_role("dialog").get_by_label("Reason")).to_have_value("H")
    expect(page.get_by_role("dialog")).to_contain_text("Reduce only?")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Shift+H opens HALT: on").click()
    page.keyboard.press("Shift+H")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("button", name="Shift+H opens HALT: off")).to_be_visible()


def test_reduce_from_a_phone(open_page: Open, server: Server) -> None:
    page = open_page(width=390, has_touch=True)
    page.locator('.bottom [data-opens="reduce"]').tap()
    page.get_by_role("dialog").get_by_role("button", name="REDUCE").tap()
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert asked(server.journal) == [(Action.REDUCE, "no reason given")]


def test_a_halt_takes_the_reduce_button_away(open_page: Open, server: Server) -> None:
    page = open_page()
    reduce = page.locator('.top [data-opens="reduce"]')
    expect(reduce).to_be_visible()
    server.journal.set_state(TradingState.HALTED, "odd fills")
    expect(reduce).to_be_hidden()
    server.journal.set_state(TradingState.ACTIVE, "")
    expect(reduce).to_be_visible()


def test_a_dialog_that_a_halt_overtook_explains_why_it_may_not_reduce(
    open_page: Open, server: Server, watch: Watch
) -> None:
    page = open_page()
    page.locator('[data-opens="reduce"]:visible').click()
    server.journal.set_state(TradingState.HALTED, "odd fills")
    page.get_by_role("dialog").get_by_role("button", name="REDUCE").click()
    expect(page.get_by_role("dialog").locator("[data-result]")).to_contain_text("Trading is halted, which is stricter")
    assert asked(server.journal) == []
    watch.expect("409")


def test_without_javascript_everything_is_read_and_halt_works(open_page: Open, server: Server) -> None:
    page = open_page(java_script_enabled=False, live=False, sign_in=False)
    page.goto(server.url)
    page.get_by_label("One-time code").fill(server.link().partition("#")[2])
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#panel-orders tbody tr")).to_have_count(50)
    expect(page.locator("#panel-account")).to_contain_text("1,262,057.94")
    page.locator('[data-opens="halt"]:visible').click()
    page.get_by_label("Reason").fill("no script")
    page.get_by_role("button", name="HALT").click()
    page.wait_for_url(server.url)
    assert asked(server.journal) == [(Action.HALT, "no script")]
    expect(page.get_by_text("the trader has not taken it")).to_be_visible()
