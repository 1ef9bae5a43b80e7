"""The whole product: demo, page, HALT; judged by the journal that the trader wrote."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from robotrader import bootstrap
from tests.integration.system.running import eventually, process


def _link(state: Path, port: int) -> str:
    return bootstrap.login_link(state, "127.0.0.1", port)


def test_the_demo_moves_on_the_page_and_halt_on_the_page_stops_its_orders(browser: Browser, tmp_path: Path) -> None:
    with process("demo", "--days", "1500", "--speed", "60", "--port", "0", "--quiet", state=tmp_path):
        assert eventually(lambda: bootstrap.dashboard_port(tmp_path) is not None)
        port = bootstrap.dashboard_port(tmp_path)
        assert port is not None
        page = browser.new_page()
        page.goto(_link(tmp_path, port))
        page.wait_for_url("**/")
        page.wait_for_selector('#stream[data-stream="live"]')
        fills = page.locator("#panel-fills tbody tr")
        expect(fills.nth(3)).to_be_visible(timeout=60_000)  # fills arrive while the page is open
        reader = bootstrap.reader(tmp_path)
        page.keyboard.press("Shift+H")
        page.get_by_role("dialog").get_by_role("button", name="HALT").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert eventually(lambda: any(s.state == "HALTED" for s in reader.trading_state()))
        sent = {r.working.order.id for r in reader.orders(limit=10_000) if r.working.broker_order_id is not None}
        mark = reader.account().mark
        assert mark is not None
        assert eventually(lambda: (m := reader.account().mark) is not None and m.ts > mark.ts + 30 * 86_400 * 10**9)
        after = {r.working.order.id for r in reader.orders(limit=10_000) if r.working.broker_order_id is not None}
        assert after == sent
        expect(page.locator("body")).to_contain_text("HALTED")
        page.close()
