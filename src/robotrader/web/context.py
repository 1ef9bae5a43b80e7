"""What the handlers of one application share."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from quart import current_app, g
from werkzeug.exceptions import Conflict

from robotrader.model import Action
from robotrader.ports import JournalReader
from robotrader.web import panels, queries, views
from robotrader.web.config import WebConfig
from robotrader.web.frame import stop_command
from robotrader.web.layout import Page
from robotrader.web.live import LiveFeed
from robotrader.web.requests import RequestAck, RequestDesk, SubmitRequest
from robotrader.web.sessions import Now, SessionStore, Throttle
from robotrader.web.snapshot import SnapshotReader, StatusRows

T = TypeVar("T")
EXTENSION = "robotrader"


class Web:
    """One running dashboard: its settings, its sessions, and the one thread that reads the journal."""

    def __init__(
        self,
        reader_factory: Callable[[], JournalReader],
        submit_request: SubmitRequest,
        config: WebConfig,
        *,
        state_dir: Path,
        now: Now,
    ) -> None:
        self.state_dir = state_dir
        self.now = now
        self.sessions = SessionStore(state_dir, now)
        self.logins = Throttle(now)
        self.live = LiveFeed(self.read, self._page)
        self._config = config
        self._submit = submit_request
        self._desk = RequestDesk(self._request)
        self._reader_factory = reader_factory
        self._snapshots: SnapshotReader | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    async def read(self, query: Callable[[SnapshotReader], T]) -> T:
        """Run a query beside the event loop; one at a time, so that a reader needs no locks."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: query(self._reader()))

    async def status(self) -> views.Status:
        """Read and describe how the trader stands."""
        return self._describe(await self.read(lambda s: s.status()))

    async def ask(self, key: str, action: Action, reason: str) -> RequestAck:
        """Make an operator's request durable, once per `key`; the page shows it from then on."""
        actor = f"dashboard session {hashlib.sha256(g.session_id.encode()).hexdigest()[:8]}"
        return await self._desk.take(key, action=action, reason=reason, actor=actor)

    async def refuse_to_loosen(self, action: Action) -> None:
        """Raise `Conflict` where `action` would let out orders that a halt holds back: only the console may."""
        if action is Action.REDUCE and queries.is_halted(await self.status()):
            command = stop_command(action, self.state_dir)
            raise Conflict(f"Trading is halted, which is stricter; go on from the console: {command}")

    async def close(self) -> None:
        """End the live streams and the reading thread."""
        self.live.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _request(self, action: Action, reason: str, actor: str) -> RequestAck:
        await self.refuse_to_loosen(action)
        ack = await asyncio.to_thread(self._submit, action, reason, actor)
        if not (ack.recorded or ack.flagged):
            raise Conflict("There is no journal yet, so no trader to ask.")
        self.live.refresh()
        return ack

    def _reader(self) -> SnapshotReader:
        if self._snapshots is None:
            self._snapshots = SnapshotReader(self._reader_factory())
        return self._snapshots

    def _describe(self, rows: StatusRows) -> views.Status:
        config, wall_ns = self._config, int(self.now() * 1_000_000_000)
        return queries.status(rows, simulated=config.simulated, data_note=config.data_note, wall_ns=wall_ns)

    def _page(self, snapshots: SnapshotReader) -> Page:
        rows = snapshots.status()
        return panels.page(snapshots.reader, rows, self._describe(rows), state_dir=self.state_dir)


def web() -> Web:
    """Return the current application's context."""
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, Web)  # noqa: S101 - create_app put it there
    return found
