"""An event loop in which time is virtual and the network is memory: a week passes in seconds, the same way each time.

Time stands while anything can run, and jumps to the next timer when nothing can. `create_server` and
`create_connection` (and so asyncio's streams) join two protocols of this loop; nothing reaches a real socket. A program
that waits for something that can never happen fails at once with `Deadlock` instead of hanging.

With a seeded `choice`, tasks that are ready at the same time run in any order, which is all that asyncio promises of
them; callbacks keep their order among themselves.
"""

import asyncio
import itertools
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar

T = TypeVar("T")
_FIRST_PORT = 20_000


class Deadlock(AssertionError):
    """Everything waits and no timer is set."""


class _Jump(selectors.SelectSelector):
    """A selector that waits by moving the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("every task waits, and no timer will ever wake one")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `latency_s` is what every piece of data takes from one end of a connection to the other.

    `on_turn` is called before each turn of the loop, `on_connect` with the connecting end of each new connection.
    """

    def __init__(self, *, latency_s: float = 0.0, choice: Random | None = None) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self._ready: deque[asyncio.Handle]  # asyncio's own queue
        self.latency_s = latency_s
        self.on_turn: Callable[[], None] | None = None
        self.on_connect: Callable[[_End], None] | None = None
        self._choice = choice
        self._connected: list[_End] = []
        self._listening: dict[int, _Server] = {}
        self._ports = itertools.count(_FIRST_PORT)

    def time(self) -> float:
        """Return the virtual time in seconds; it begins at 0."""
        return self._jump.now

    def cut(self) -> None:
        """Reset every connection at its connecting end, behind all that was written to it."""
        for end in self._connected:
            end.abort()
        self._connected.clear()

    def _run_once(self) -> None:
        if self.on_turn is not None:
            self.on_turn()
        if self._choice is not None and len(self._ready) > 1:
            self._shuffle(self._choice)
        super()._run_once()  # type: ignore[misc]

    def _shuffle(self, choice: Random) -> None:
        """Exchange the tasks among their places in the queue: each waits there at most once."""
        places = [n for n, handle in enumerate(self._ready) if _steps_a_task(handle)]
        order = choice.sample(places, len(places))
        steps = [self._ready[n] for n in order]
        for place, step in zip(places, steps, strict=True):
            self._ready[place] = step

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_options: Any) -> Any:
        """Listen on a port of this loop; 0 picks a free one."""
        number = port or next(self._ports)
        if number in self._listening:
            raise OSError(98, "address already in use")
        server = self._listening[number] = _Server(self, number, protocol_factory)
        return server

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_o: Any) -> Any:
        """Connect to a listening port of this loop; ConnectionRefusedError when nobody listens."""
        await asyncio.sleep(self.latency_s)
        server = self._listening.get(port)
        if server is None:
            raise ConnectionRefusedError(111, f"nothing listens on {host}:{port}")
        ours, theirs = _End(self, port), _End(self, port)
        ours.peer, theirs.peer = theirs, ours
        theirs.start(server.factory())
        protocol = protocol_factory()
        if self.on_connect is not None:
            self.on_connect(ours)
        self._connected.append(ours)
        ours.start(protocol)
        return ours, protocol

    def hang_up(self, port: int) -> None:
        """Stop listening on a port (its connections live on)."""
        self._listening.pop(port, None)


def _steps_a_task(handle: asyncio.Handle) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)  # type: ignore[attr-defined]


class _Server:
    def __init__(self, loop: VirtualLoop, port: int, factory: Callable[[], asyncio.Protocol]) -> None:
        self._loop = loop
        self._port = port
        self.factory = factory
        self.sockets = (SimpleNamespace(getsockname=lambda: ("127.0.0.1", port)),)

    def close(self) -> None:
        self._loop.hang_up(self._port)

    async def wait_closed(self) -> None:
        return

    def is_serving(self) -> bool:
        return self._port in self._loop._listening


class _End(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, loop: VirtualLoop, port: int) -> None:
        super().__init__({"peername": ("127.0.0.1", port), "sockname": ("127.0.0.1", port)})
        self._loop = loop
        self._protocol: Any = None
        self.peer: _End
        self._closing = False
        self._half_closed = False
        self._lost = False
        self._paused = False
        self._arriving: deque[Callable[[], None]] = deque()
        self._waiting: list[Callable[[], None]] = []

    def start(self, protocol: Any) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def write(self, data: Any) -> None:
        if not self._closing and not self._half_closed and data:
            self.peer._soon(partial(self.peer._arrived, bytes(data)))

    def _soon(self, event: Callable[[], None]) -> None:
        """Let something arrive, in order: timers of one moment have none."""
        self._arriving.append(event)
        self._loop.call_later(self._loop.latency_s, self._arrive)

    def _arrive(self) -> None:
        self._arriving.popleft()()

    def _arrived(self, data: bytes) -> None:
        if self._lost or self._closing:
            return
        if self._paused:
            self._waiting.append(partial(self._arrived, data))
        else:
            self._protocol.data_received(data)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.peer._soon(partial(self.peer._ended, None))
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        if not self._lost:
            self._closing = True
            self.peer._soon(partial(self.peer._ended, ConnectionResetError(104, "reset by peer")))
            self._loop.call_soon(self._lose, None)

    def _ended(self, error: Exception | None) -> None:
        """Take note that the peer has gone: everything it sent has arrived before."""
        if self._lost:
            return
        if self._paused:  # who does not read does not learn it
            self._waiting.append(partial(self._ended, error))
            return
        self._closing = True
        if error is None and not self.peer._half_closed:
            self._protocol.eof_received()
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(error)

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        waiting, self._waiting = self._waiting, []
        for arrive in waiting:
            arrive()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._closing and not self._half_closed:
            self._half_closed = True
            self.peer._soon(self.peer._end_of_data)

    def _end_of_data(self) -> None:
        """Take note that the peer writes no more; a protocol that does not want to write on closes."""
        if self._paused:
            self._waiting.append(self._end_of_data)
        elif not self._lost and not self._closing and not self._protocol.eof_received():
            self.close()


def run(
    body: Callable[[VirtualLoop], Coroutine[Any, Any, T]], *, latency_s: float = 0.0, choice: Random | None = None
) -> T:
    """Run one asynchronous body on a new virtual loop; tasks that it leaves behind are cancelled."""
    loop = VirtualLoop(latency_s=latency_s, choice=choice)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(body(loop))
