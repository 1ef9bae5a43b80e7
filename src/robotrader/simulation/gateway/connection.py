"""One client's connection: handshake, frames in, frames out, and what it subscribed to."""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from robotrader.model import Instrument
from robotrader.simulation.gateway import messages
from robotrader.simulation.gateway.contracts import Contracts
from robotrader.simulation.gateway.requests import History, Refused, Request, StartApi, decode
from robotrader.simulation.gateway.wire import FrameBuffer, Malformed, fields_frame, negotiate, split, stamp

_LOG = logging.getLogger(__name__)
_MAX_BACKLOG = 64 << 20
"""Bytes that a client may leave unread before it is cut off, as IBKR does with slow readers."""


class Office(NamedTuple):
    """What connections share: the rules of the house, and whom to tell."""

    server_version: int
    account: str
    contracts: Contracts
    now: Callable[[], int]
    asked: Callable[["Connection", Request], None]
    left: Callable[["Connection"], None]


class Subscriptions:
    """What a client wants to be told without asking again, and what it was told last."""

    def __init__(self) -> None:
        self.positions = False
        self.account = False
        self.summaries: set[int] = set()
        self.histories: dict[int, tuple[Instrument, History]] = {}
        self.quotes: dict[int, Instrument] = {}
        self.quote_type = 1
        self.told: dict[tuple[str, object], object] = {}

    def news(self, key: tuple[str, object], value: object) -> bool:
        """Tell whether `value` differs from what the client was told last under `key`, and note it."""
        if self.told.get(key) == value:
            return False
        self.told[key] = value
        return True


class Connection(asyncio.Protocol):
    """Speak the protocol's outer layer; requests go to `office.asked`."""

    def __init__(self, office: Office) -> None:
        self.client_id: int | None = None
        self.pulled_time = False
        self.subscriptions = Subscriptions()
        self.speaker = messages.Speaker(0, office.contracts, office.account)
        self.gone = asyncio.Event()
        self._office = office
        self._buffer = FrameBuffer()
        self._opened = False
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []

    @property
    def version(self) -> int:
        """Return the negotiated server version, 0 before the handshake."""
        return self.speaker.version

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP server has no other
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._office.left(self)
        self.gone.set()

    def data_received(self, data: bytes) -> None:
        self._buffer.feed(data)
        try:
            self._opened = self._opened or self._buffer.hello()
            if not self._opened:
                return
            for body in self._buffer.frames():
                if self._transport is None or self._transport.is_closing():
                    return
                self._take(body)
        except Malformed as error:  # nothing after it can be read
            _LOG.warning("client %s: %s; connection closed", self.client_id, error)
            self.close()

    def send(self, *frames: bytes) -> None:
        """Queue frames; they leave together at the end of this turn of the loop."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing += frames

    def error(self, req_id: int, code: int, message: str) -> None:
        """Send an error or notice."""
        self.send(messages.error(self.version, req_id, code, message, now=self._office.now()))

    def close(self) -> None:
        """Send what is queued and close."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        data, self._outgoing = b"".join(self._outgoing), []
        if not data or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MAX_BACKLOG:
            _LOG.warning("client %s does not read; connection cut", self.client_id)
            self.abort()

    def _take(self, body: str) -> None:
        if not self.version:
            version = negotiate(body, self._office.server_version)
            self.speaker = self.speaker._replace(version=version)
            self.send(fields_frame(version, stamp(self._office.now(), 174)))
            return
        try:
            request = decode(split(body), self.version)
        except (Malformed, Refused) as error:
            _LOG.warning("client %s: %s in %r", self.client_id, error, body[:200])
            if self.client_id is not None:
                self.error(-1, error.code if isinstance(error, Refused) else 320, str(error))
            return
        if self.client_id is not None or isinstance(request, StartApi):
            self._office.asked(self, request)
        else:  # clients would lose any answer
            _LOG.warning("message before START_API ignored: %r", body[:200])
