"""One client's connection: what it subscribed to, and what it was told last."""

import asyncio

from robotrader.model import Instrument
from robotrader.simulation.gateway import messages
from robotrader.simulation.gateway.requests import Request


class Connection:
    """Speak to one client."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.speaker: messages.Speaker
        self.client_id = -1
        self.pulled_time = False
        self.positions = False
        self.account = False
        self.histories: dict[int, tuple[Instrument, Request]] = {}
        self.quotes: dict[int, Instrument] = {}
        self.told: dict[tuple[str, object], object] = {}
        self._writer = writer

    def send(self, *frames: bytes) -> None:
        """Send frames, unless the client has gone."""
        if not self._writer.is_closing():
            self._writer.write(b"".join(frames))

    def error(self, notice: tuple[int, int, str], now: int) -> None:
        """Send an error or notice: request id, code and text; `now` in ns UTC."""
        self.send(messages.error(self.speaker.version, *notice, now=now))

    def close(self) -> None:
        """Close once everything has been sent."""
        self._writer.close()

    def news(self, kind: str, key: object, value: object) -> bool:
        """Tell whether `value` differs from what the client was told last under `key`, and note it."""
        if self.told.get((kind, key)) == value:
            return False
        self.told[kind, key] = value
        return True

    def forget(self, kind: str) -> None:
        """Forget what the client was told of one kind: it asks anew."""
        self.told = {k: v for k, v in self.told.items() if k[0] != kind}
