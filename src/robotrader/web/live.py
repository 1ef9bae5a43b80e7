"""Live updates by server-sent events: one stream per tab, the latest state of each changed panel, ids are journal seqs.

A stream keeps no queue: a slow reader gets the newest state later, never a growing backlog. It ends when the session
or the application does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from robotrader.model import RoboTraderError
from robotrader.web.layout import Page
from robotrader.web.snapshot import SnapshotReader

PANELS = tuple(name for name in Page.__struct_fields__ if name != "seq")
RETRY_MS = 2_000
_REFRESH_S = 1.0  # ages and requests change without a new row in the chain


class Panels(Struct, frozen=True):
    """Every panel as JSON, and the seq at which each last changed."""

    page: Page
    data: dict[str, bytes]
    changed: dict[str, int]


class LiveFeed:
    """Give all streams the same snapshot, read at most once a poll; each stream is an open page."""

    poll_s = 0.25  # what the page shows moves at 4 Hz
    heartbeat_s = 15.0
    max_streams = 20  # the next page does not move

    def __init__(
        self, read: Callable[[Callable[[SnapshotReader], Any]], Awaitable[Any]], load: Callable[[SnapshotReader], Page]
    ) -> None:
        self._read = read
        self._load = load
        self._lock = asyncio.Lock()
        self._panels: Panels | None = None
        self._looked = self._loaded = float("-inf")
        self._closed = asyncio.Event()
        self.streams = 0

    def close(self) -> None:
        """End every stream now: the server waits for nobody at shutdown."""
        self._closed.set()

    def refresh(self) -> None:
        """Read anew at the next look: something was written beside the chain."""
        self._looked = self._loaded = float("-inf")

    @property
    def full(self) -> bool:
        """Tell whether no further stream is allowed."""
        return self.streams >= self.max_streams

    async def panels(self) -> Panels:
        """Return the panels, not older than one poll."""
        async with self._lock:
            now = time.monotonic()
            if self._panels is not None and now - self._looked < self.poll_s:
                return self._panels
            self._looked = now
            if self._panels is None or now - self._loaded > _REFRESH_S or await self._moved(self._panels.page.seq):
                self._panels = _compare(self._panels, await self._read(self._load))
                self._loaded = now
            return self._panels

    async def _moved(self, seq: int) -> bool:
        return bool(seq != await self._read(lambda snapshots: snapshots.reader.head()))

    async def stream(self, after: int | None, is_open: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Yield events until `is_open` says no or the feed closes; `after` is the last id the reader has seen."""
        self.streams += 1
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            sent: dict[str, bytes] | None = None
            beat = time.monotonic()
            while is_open() and not self._closed.is_set():
                try:
                    panels = await self.panels()
                    sent = _seen(panels, after) if sent is None else sent
                    events = _changes(panels, sent)
                except RoboTraderError as error:
                    events = _event("problem", msgspec.json.encode({"detail": error.message}))
                if time.monotonic() - beat >= self.heartbeat_s:
                    beat = time.monotonic()
                    events += b": beat\n\n" + _event("beat", b"{}")
                if events:
                    yield events
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closed.wait(), self.poll_s)
        finally:
            self.streams -= 1


def _compare(before: Panels | None, page: Page) -> Panels:
    data = {name: msgspec.json.encode(getattr(page, name)) for name in PANELS}
    kept = {name: before.changed[name] for name in PANELS if before.data[name] == data[name]} if before else {}
    return Panels(page, data, dict.fromkeys(PANELS, page.seq) | kept)


def _seen(panels: Panels, after: int | None) -> dict[str, bytes]:
    """Return what a reader that saw the events up to `after` has; in doubt it gets a panel again."""
    if after is None or after > panels.page.seq:
        return {}
    return {name: panels.data[name] for name in PANELS if panels.changed[name] < after}


def _changes(panels: Panels, sent: dict[str, bytes]) -> bytes:
    """Write the panels that differ from what was `sent`, and note them there."""
    changed = [name for name in PANELS if sent.get(name) != panels.data[name]]
    sent.update((name, panels.data[name]) for name in changed)
    return b"".join(_event(name, panels.data[name], panels.page.seq) for name in changed)


def _event(name: str, data: bytes, seq: int | None = None) -> bytes:
    head = f"id: {seq}\n" if seq is not None else ""
    return f"{head}event: {name}\ndata: ".encode() + data + b"\n\n"
