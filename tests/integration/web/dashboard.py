"""A dashboard over a journal in memory, and a signed-in client for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from quart import Quart, Response

from robotrader.web.app import create_app
from robotrader.web.config import WebConfig
from robotrader.web.live import LiveFeed
from robotrader.web.security import COOKIE
from robotrader.web.sessions import issue_login_code
from tests.unit.web.fake_journal import FakeReader

NOW = 1_700_000_000.0
SIMULATED = WebConfig(simulated=True)


class Dashboard:
    """One application and the browser that uses it; `now` is its wall clock."""

    def __init__(self, journal: FakeReader, state_dir: Path) -> None:
        self.journal = journal
        self.state_dir = state_dir
        self.now = NOW
        self.session = ""
        self.csrf = ""
        self.restart()

    def make_app(self) -> Quart:
        return create_app(
            lambda: self.journal, self.journal.submit, SIMULATED, state_dir=self.state_dir, now=lambda: self.now
        )

    def restart(self) -> None:
        """Make the application anew, as a new process would; its pages are looked at without delay."""
        self.app = self.make_app()
        self.live.poll_s = 0.01

    @property
    def live(self) -> LiveFeed:
        return self.app.extensions["robotrader"].live  # type: ignore[no-any-return]

    async def sign_in(self) -> None:
        """Sign in by a one-time code, as the login page does."""
        answer = await self.post("/login", form={"code": issue_login_code(self.state_dir, now=lambda: self.now)})
        assert answer.status_code == 303, await answer.get_data(as_text=True)
        self.session = re.match(rf"{COOKIE}=([^;]+)", answer.headers["Set-Cookie"])[1]  # type: ignore[index]
        page = await (await self.get("/")).get_data(as_text=True)
        self.csrf = re.search(r'data-csrf="([0-9a-f]{64})"', page)[1]  # type: ignore[index]

    async def get(self, path: str, **headers: str) -> Response:
        return await self.request("GET", path, headers=headers)

    async def json(self, path: str) -> Any:
        answer = await self.get(path)
        assert answer.status_code == 200, await answer.get_data(as_text=True)
        return msgspec.json.decode(await answer.get_data())

    async def post(self, path: str, *, headers: dict[str, str] | None = None, **body: Any) -> Response:
        return await self.request("POST", path, headers=headers or {}, **body)

    async def ask(self, key: str = "key-00000001", **body: str) -> Response:
        """Ask by the API, as the page's script does."""
        return await self.post(
            "/api/v1/requests", json=body, headers={"X-CSRF-Token": self.csrf, "Idempotency-Key": key}
        )

    async def request(self, method: str, path: str, *, headers: dict[str, str], **body: Any) -> Response:
        given = {"Host": "127.0.0.1:8787", **({"Cookie": f"{COOKIE}={self.session}"} if self.session else {})}
        client = self.app.test_client(use_cookies=False)
        return await client.open(path, method=method, headers={**given, **headers}, **body)

    @asynccontextmanager
    async def stream(self, path: str = "/events", **headers: str) -> AsyncIterator[Stream]:
        """Open the live stream."""
        given = {"Host": "127.0.0.1:8787", "Cookie": f"{COOKIE}={self.session}", **headers}
        client = self.app.test_client(use_cookies=False)
        async with client.request(path, headers=given) as connection:
            await connection.send_complete()
            stream = Stream(connection.receive)
            try:
                yield stream
            finally:
                await connection.disconnect()


class Stream:
    """The events of a live stream, one by one; `events` and `ids` keep what came with an id."""

    def __init__(self, receive: Callable[[], Awaitable[bytes]]) -> None:
        self._receive = receive
        self._waiting: list[dict[str, str]] = []
        self.ids: list[int] = []
        self.events: list[str] = []

    async def next(self) -> dict[str, str]:
        """Return the fields of the next event."""
        async with asyncio.timeout(5):
            while not self._waiting:
                pieces = (await self._receive()).decode().split("\n\n")
                found = [dict(re.findall(r"^(\w+): (.*)$", piece, flags=re.MULTILINE)) for piece in pieces]
                self._waiting = [fields for fields in found if "event" in fields]
        fields = self._waiting.pop(0)
        if "id" in fields:
            self.ids.append(int(fields["id"]))
            self.events.append(fields["event"])
        return fields

    async def event(self, name: str) -> Any:
        """Return the data of the next event of that name."""
        while (fields := await self.next())["event"] != name:
            pass
        return msgspec.json.decode(fields["data"])

    async def until(self, state: str) -> None:
        """Wait for a frame that shows this trading state."""
        while (await self.event("frame"))["state"] != state:
            pass

    async def names(self) -> set[str]:
        """Return the names of the first batch, which is a whole page."""
        while "denials" not in self.events:
            await self.next()
        return set(self.events)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run one scenario to its end."""

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await scenario()

    asyncio.run(bounded())
