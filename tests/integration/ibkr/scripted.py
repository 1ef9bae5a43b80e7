"""A peer that says exactly what a test tells it to, for what no honest gateway would say.

A handler belongs to a message id and returns the messages to answer with, fields separated by `|`; no handler: silence.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

Handler = Callable[[list[str]], Sequence[str]]

ACCOUNT = "DU1234567"
WELCOME = (f"15|1|{ACCOUNT}", "9|1|1")


class ScriptedGateway(asyncio.Protocol):
    """One connection; `received` are the messages after the handshake."""

    def __init__(self, handlers: dict[str, Handler]) -> None:
        self.received: list[list[str]] = []
        self._handlers = handlers
        self._buffer = b""
        self._greeted = False
        self._news = asyncio.Event()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._greeted and self._buffer.startswith(b"API\0"):
            self._buffer = self._buffer[4:]
        while len(self._buffer) >= 4 and len(self._buffer) >= 4 + (size := int.from_bytes(self._buffer[:4], "big")):
            body, self._buffer = self._buffer[4 : 4 + size], self._buffer[4 + size :]
            if not self._greeted:
                self._greeted = True
                self.say("178|20260413 09:00:00 US/Eastern")
                continue
            fields = body.decode().split("\0")[:-1]
            self.received.append(fields)
            self._news.set()
            self.say(*self._handlers.get(fields[0], _silence)(fields))

    def say(self, *messages: str) -> None:
        """Send messages, together."""
        frames = [(m.replace("|", "\0") + "\0").encode() for m in messages]
        self._transport.write(b"".join(len(f).to_bytes(4, "big") + f for f in frames))

    def hang_up(self) -> None:
        """Close the connection."""
        self._transport.close()

    async def until(self, message_id: str, count: int = 1) -> list[list[str]]:
        """Wait until so many messages of an id were received, and return them."""

        async def wait() -> list[list[str]]:
            while len(found := self.requests(message_id)) < count:
                self._news.clear()
                await self._news.wait()
            return found

        return await asyncio.wait_for(wait(), 10)

    def requests(self, message_id: str) -> list[list[str]]:
        """Return what was received under that id."""
        return [fields for fields in self.received if fields[0] == message_id]


def _silence(_fields: list[str]) -> Sequence[str]:
    return ()


@asynccontextmanager
async def scripted(**handlers: Handler) -> AsyncIterator[tuple[int, list[ScriptedGateway]]]:
    """Serve on loopback: yield the port and the list of peers, one for each connection; keywords are `on<id>`."""
    table: dict[str, Handler] = {"71": lambda _fields: WELCOME}
    table |= {name.removeprefix("on"): handler for name, handler in handlers.items()}
    peers: list[ScriptedGateway] = []

    def connected() -> ScriptedGateway:
        peers.append(ScriptedGateway(table))
        return peers[-1]

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1]), peers
    finally:
        server.close()
        for peer in peers:
            peer.hang_up()
        await server.wait_closed()
