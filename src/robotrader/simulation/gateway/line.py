"""The way to one client's socket: whole frames go in, bytes come out."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterator

_log = logging.getLogger(__name__)

READ_SIZE = 4096
"""What IBKR's own clients read at a time: a burst that ends on a multiple of it is lost to them (ibkr.md 1.5)."""
_PAUSE_S = 0.02
_BUFFER_LIMIT = 16 * 1024 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Line:
    """Write to one client.

    Attributes
    ----------
    tap : callable, optional
        Takes every frame in place of the socket; faults act there and `write` what is left.
    stuck : bool
        Half-open: nothing is read or written, and the socket stays open.
    slow_s : float
        Seconds to wait before each message is read.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.tap: Callable[[bytes], None] | None = None
        self.stuck = False
        self.slow_s = 0.0
        self._writer = writer
        self._kept = b""

    def send(self, data: bytes) -> None:
        """Send frames, unless the client has gone."""
        if self._writer.is_closing():
            return
        if self.tap is None:
            self.write(data)
            return
        for frame in _frames(data):
            self.tap(frame)

    def write(self, data: bytes, *, exactly: bool = False) -> None:
        """Write bytes past the faults; a burst of a multiple of 4096 keeps its last byte for later unless `exactly`.

        A client that does not read is dropped before its buffer grows without bound.
        """
        if self.stuck or self._writer.is_closing() or not data:
            return
        data, self._kept = self._kept + data, b""
        if len(data) % READ_SIZE == 0 and not exactly:
            data, self._kept = data[:-1], data[-1:]
            asyncio.get_running_loop().call_later(_PAUSE_S, self._flush)
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > _BUFFER_LIMIT:
            _log.warning("a client reads nothing and %d MiB wait for it: it is dropped", _BUFFER_LIMIT >> 20)
            self.reset()

    def freeze(self) -> None:
        """Go half-open."""
        self.stuck = True
        self._writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's transport reads too

    def reset(self) -> None:
        """End the connection without a goodbye (RST)."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._writer.transport.abort()

    def close(self) -> None:
        """Close once everything has been sent."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        kept, self._kept = self._kept, b""
        if kept and not self._writer.is_closing():
            self._writer.write(kept)


def _frames(data: bytes) -> Iterator[bytes]:
    """Cut bytes into their frames."""
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        yield data[at:end]
        at = end
