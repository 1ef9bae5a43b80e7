"""A real Chromium against a real server over a journal in memory. Every page is watched: no error, no other host."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, sync_playwright

from robotrader.web.app import create_app, serve
from robotrader.web.config import WebConfig
from robotrader.web.sessions import issue_login_code, login_url
from scripts.screenshot import ARGUMENTS, CHROMIUM
from tests.unit.web.fake_journal import FakeReader, seeded

SCALED = WebConfig(simulated=True, data_note="Prices are scaled by Adj Close / Close.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: drives the dashboard in Chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    # One per module, not per session: while it runs, no other test in this process can start an event loop.
    if not Path(CHROMIUM).exists():
        reason = f"no browser at {CHROMIUM}: install Debian's chromium and fonts-dejavu-core, or set RT_CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


class Server:
    """The dashboard on a port of its own, in a thread; may be stopped and started again."""

    def __init__(self, state_dir: Path) -> None:
        self.journal: FakeReader = seeded()
        self.state_dir = state_dir
        self.port = 0
        self._stop: Callable[[], object] = lambda: None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        ready: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="dashboard")
        self._thread.start()
        self.port = ready.result(timeout=30)

    def stop(self) -> None:
        self._stop()
        if self._thread is not None:
            self._thread.join(timeout=30)
            assert not self._thread.is_alive()

    def link(self) -> str:
        return login_url("127.0.0.1", self.port, issue_login_code(self.state_dir))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def _serve(self, ready: Future[int]) -> None:
        shutdown = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(shutdown.set)
        app = create_app(lambda: self.journal, self.journal.submit, SCALED, state_dir=self.state_dir)
        live = app.extensions["robotrader"].live
        live.poll_s, live.heartbeat_s = 0.02, 1.0
        await serve(app, "127.0.0.1", self.port, shutdown.wait, ready=ready.set_result)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.stop()


class Watch:
    """What a page did that no page of ours may do."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.errors: list[str] = []
        self.foreign: list[str] = []

    def on(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._request)

    def expect(self, text: str) -> None:
        """Take back errors that the test caused on purpose."""
        self.errors = [error for error in self.errors if text not in error]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:  # violations of the content policy are errors here
            self.errors.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._origin, "data:")):
            self.foreign.append(request.url)


Open = Callable[..., Page]


@pytest.fixture
def watch(server: Server) -> Watch:
    return Watch(server.url)


@pytest.fixture
def open_page(browser: Browser, server: Server, watch: Watch) -> Iterator[Open]:
    """Open signed-in pages in contexts of their own; afterwards none may have complained."""
    contexts = []

    def open_page(*, width: int = 1280, live: bool = True, sign_in: bool = True, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        watch.on(page)
        if sign_in:
            page.goto(server.link())
            page.wait_for_url(server.url)
        if live:
            page.wait_for_selector('#stream[data-stream="live"]')
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert watch.foreign == []
    assert watch.errors == []
