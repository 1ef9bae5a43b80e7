"""A peer that says exactly what a test tells it to, for what no honest gateway would say.

A handler belongs to a message id and returns the messages to answer with, fields separated by `|`; no handler: silence.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

Handler = Callable[[list[str]], Sequence[str]]

ACCOUNT = "DU1234567"
GREETING = "20260413 09:00:00 US/Eastern"
WELCOME = (f"15|1|{ACCOUNT}", "9|1|1")


class ScriptedGateway(asyncio.Protocol):
    """One connection; `received` are the messages after the handshake."""

    def __init__(self, handlers: dict[str, Handler], greeting: Callable[[], str]) -> None:
        self._greeting = greeting
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
                self.say(f"178|{self._greeting()}")
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


class ScriptedServer:
    """Listens on loopback; `peers` are its connections so far, handlers are named `on<id>` and may be replaced."""

    def __init__(self, handlers: dict[str, Handler], greeting: Callable[[], str] = lambda: GREETING) -> None:
        self.handlers: dict[str, Handler] = {"71": lambda _fields: WELCOME}
        self.handlers |= {name.removeprefix("on"): handler for name, handler in handlers.items()}
        self.peers: list[ScriptedGateway] = []
        self.port = 0
        self.greeting = greeting
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen, again on the same port."""
        self._server = await asyncio.get_running_loop().create_server(self._connected, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            for peer in self.peers:
                peer.hang_up()
            await self._server.wait_closed()

    def _connected(self) -> ScriptedGateway:
        self.peers.append(ScriptedGateway(self.handlers, self.greeting))
        return self.peers[-1]


@asynccontextmanager
async def scripted(**handlers: Handler) -> AsyncIterator[tuple[int, list[ScriptedGateway]]]:
    """Serve for as long as the block runs: yield the port and the list of peers."""
    server = ScriptedServer(handlers)
    await server.open()
    try:
        yield server.port, server.peers
    finally:
        await server.close()
