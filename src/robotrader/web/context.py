"""What the handlers of one application share."""

import asyncio
import hashlib
import time
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
        now: Now = time.time,
    ) -> None:
        self.config = config
        self.state_dir = state_dir
        self.now = now
        self.sessions = SessionStore(state_dir, config, now)
        self.logins = Throttle(config.logins_per_minute, now)
        self.desk = RequestDesk(submit_request)
        self.live = LiveFeed(self._head, self._page, config)
        self._reader_factory = reader_factory
        self._snapshots: SnapshotReader | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    async def read(self, query: Callable[[SnapshotReader], T]) -> T:
        """Run a query beside the event loop; one at a time, so that a reader needs no locks."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: query(self._reader()))

    async def ask(self, key: str, action: Action, reason: str) -> RequestAck:
        """Make an operator's request durable, once per `key`; the page shows it from then on."""
        ack = await self.desk.take(key, action=action, reason=reason, actor=_actor())
        if not (ack.recorded or ack.flagged):
            raise Conflict("There is no journal yet, so no trader to ask.")
        self.live.refresh()
        return ack

    def describe(self, rows: StatusRows) -> views.Status:
        """Describe the trader by its rows and this dashboard's settings."""
        return queries.status(
            rows,
            simulated=self.config.simulated,
            data_note=self.config.data_note,
            wall_ns=int(self.now() * 1_000_000_000),
        )

    def close(self) -> None:
        """End the live streams and the reading thread."""
        self.live.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _reader(self) -> SnapshotReader:
        if self._snapshots is None:
            self._snapshots = SnapshotReader(self._reader_factory())
        return self._snapshots

    async def _head(self) -> int:
        return await self.read(lambda snapshots: snapshots.reader.head())

    async def _page(self) -> Page:
        return await self.read(self._build)

    def _build(self, snapshots: SnapshotReader) -> Page:
        rows = snapshots.page(rows=self.config.table_rows, points=self.config.chart_points)
        status = self.describe(rows.status)
        return panels.page(rows, status, currency=self.config.currency, state_dir=self.state_dir)


def web() -> Web:
    """Return the current application's context."""
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, Web)  # noqa: S101 - create_app put it there
    return found


def _actor() -> str:
    """Name who asks, for the audit trail: the session, without its secret."""
    return f"dashboard session {hashlib.sha256(g.session_id.encode()).hexdigest()[:8]}"
