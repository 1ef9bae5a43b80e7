"""The gateway simulator: a TCP server that speaks the TWS protocol over a replayed market.

Two clocks. In **lock-step** the clients' time requests (49) are the clock: the first one of a
connection only tells the time, each later one lets one session pass. Otherwise the market is open
on a simulated clock that runs at `speed` times real time and skips the nights.
"""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from robotrader.data.panel import Panel
from robotrader.model import NANOS_PER_SECOND, ConfigError
from robotrader.simulation.gateway import answers, messages
from robotrader.simulation.gateway.account import Account
from robotrader.simulation.gateway.book import Book, Report
from robotrader.simulation.gateway.connection import Connection
from robotrader.simulation.gateway.desk import Desk
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.record import LOG_NAME, Header
from robotrader.simulation.gateway.requests import Refused, Request, decode
from robotrader.simulation.gateway.wire import (
    MAX_VERSION,
    MIN_VERSION,
    Malformed,
    fields_frame,
    greeted,
    read_frame,
    split,
    stamp,
)
from robotrader.simulation.venue import Venue

_log = logging.getLogger(__name__)

_TICK_S = 0.25
_CLOSE_S = 1.0
_HISTORY_SESSIONS = 252
_FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)


class GatewayConfig(Struct, frozen=True, kw_only=True):
    """How the gateway behaves.

    Attributes
    ----------
    server_version : int
        Highest server version offered, 157 to 200.
    speed : float, optional
        Lock-step: sessions a second at most, None = as fast as clients ask. Otherwise: simulated
        seconds a real second, None = 1.
    state : Path, optional
        Folder of the log; None remembers nothing.
    start : int, optional
        Market time to begin with, ns UTC. None: in lock-step an hour before the first session, otherwise an
        open with a year of history before it (half of the data if it is shorter).
    """

    server_version: int = MAX_VERSION
    account: str = "DU1234567"
    lock_step: bool = False
    speed: float | None = None
    initial_cash: Decimal = Decimal(1_000_000)
    state: Path | None = None
    start: int | None = None


class Gateway:
    """Serve a market and an account to TWS API clients; `venue` is a fresh one over the panel's instruments.

    ConfigError: the options are out of range, or the log in the state folder is of another configuration.
    """

    def __init__(self, panel: Panel, venue: Venue, config: GatewayConfig | None = None) -> None:
        self.config = config = config or GatewayConfig()
        _check(config)
        market = _market(panel, config)
        header = Header(
            data=_fingerprint(panel), account=config.account, initial_cash=config.initial_cash,
            lock_step=config.lock_step, start=market.now, instruments=panel.instruments,
        )  # fmt: skip
        self.book = Book(market, venue, Account(config.account, config.initial_cash, market.instruments))
        self._desk = Desk(self.book, config.state / LOG_NAME if config.state else None, header)
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[object], asyncio.StreamWriter] = {}
        self._clients: dict[int, Connection] = {}
        self._pulls: deque[Connection] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._clocked = 0.0

    @property
    def now(self) -> int:
        """Return the market time, ns UTC."""
        return self.book.market.now

    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and return the port (0 picks a free one); ConfigError when the address cannot be used."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await asyncio.start_server(self._talk, host, port)
        except OSError as error:
            self._desk.close()
            raise ConfigError(
                f"the gateway simulator cannot listen on {host}:{port} ({error.strerror}): choose another port",
                host=host, port=port,
            ) from error  # fmt: skip
        self._clocked = loop.time()
        if not self.config.lock_step:
            self._timer = loop.call_later(_TICK_S, self._tick)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, close every connection and the log."""
        if self._timer is not None:
            self._timer.cancel()
        self._pulls.clear()
        if self._server is not None:
            self._server.close()
        for writer in self._tasks.values():
            writer.close()
        if self._tasks:
            await asyncio.wait(self._tasks.keys(), timeout=_CLOSE_S)
        self._desk.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it leaves."""
        connection = Connection(writer)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs every server callback in one
        self._tasks[task] = writer
        try:
            version = await greeted(reader, self.config.server_version)
            connection.speaker = messages.Speaker(version, self.book.contracts, self.config.account)
            connection.send(fields_frame(version, stamp(self.now, 174)))
            while not writer.is_closing():
                self._take(connection, await read_frame(reader))
        except Malformed as error:  # nothing after it can be read
            _log.warning("client %s: %s; connection closed", connection.client_id, error)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has left
        finally:
            writer.close()
            del self._tasks[task]
            if self._clients.get(connection.client_id) is connection:
                del self._clients[connection.client_id]
            self._pulls = deque(c for c in self._pulls if c is not connection)

    def _take(self, connection: Connection, body: str) -> None:
        """Take one message; before START_API clients would lose any answer, so that there is none."""
        req_id, started = -1, self._clients.get(connection.client_id) is connection
        try:
            request = decode(split(body), connection.speaker.version)
            req_id = request.req_id
            if request.what == "start" and not started:
                self._start(connection, request.required("clientId"))
            elif started:
                self._asked(connection, request)
        except (Malformed, Refused) as error:
            _log.debug("client %s: %s in %r", connection.client_id, error, body[:200])
            if started:
                connection.error((req_id, error.code if isinstance(error, Refused) else 320, str(error)), self.now)

    def _start(self, connection: Connection, client_id: int) -> None:
        if client_id in self._clients:
            text = "Unable to connect as the client id is already in use. Retry with a unique client id."
            connection.error((-1, 326, text), self.now)
            connection.close()
            return
        connection.client_id = client_id
        self._clients[client_id] = connection
        connection.send(fields_frame(15, 1, self.config.account), fields_frame(9, 1, self.book.next_id(client_id)))
        for code, text in _FARMS:
            connection.error((-1, code, text), self.now)

    def _asked(self, connection: Connection, request: Request) -> None:
        if not self.config.lock_step:
            self._catch_up()
        match request.what:
            case "start":
                pass
            case "time":
                self._time(connection)
            case "place order":
                self._tell(self._desk.place(connection.client_id, request.order))
            case "cancel order":
                self._tell(self._desk.cancel(connection.client_id, request.req_id))
            case "cancel all":
                self._tell(self._desk.cancel(connection.client_id, None))
            case _:
                answers.ANSWERS[request.what](self.book, connection, request)

    def _tell(self, reports: Sequence[Report]) -> None:
        """Send reports to the client whose order it is, then to all what else changed."""
        for report in reports:
            if (connection := self._clients.get(report.of.client_id)) is not None:
                connection.send(messages.report(connection.speaker, report, self.now))
        for connection in self._clients.values():
            answers.refresh(self.book, connection, bars=not self.config.lock_step)

    def _time(self, connection: Connection) -> None:
        """Answer a time request; in lock-step each but a connection's first waits for a session to pass."""
        if self.config.lock_step and connection.pulled_time and self.book.market.next_close is not None:
            self._pulls.append(connection)
            if self._timer is None:
                self._step()
        else:
            connection.pulled_time = True
            connection.send(fields_frame(49, 1, self.now // NANOS_PER_SECOND))

    def _step(self) -> None:
        """Let one session pass for each waiting time request, no faster than `speed`."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._pulls:
            if (wait := self._due - loop.time()) > 0:
                self._timer = loop.call_later(wait, self._step)
                return
            connection = self._pulls.popleft()
            close = self.book.market.next_close
            if close is not None:
                self._tell(self._desk.advance(close, always_log=True))
                self._due = loop.time() + 1 / self.config.speed if self.config.speed else 0.0
            connection.send(fields_frame(49, 1, self.now // NANOS_PER_SECOND))

    def _tick(self) -> None:
        self._catch_up()
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _catch_up(self) -> None:
        """Move the simulated clock to where real time has brought it."""
        now, before = asyncio.get_running_loop().time(), self._clocked
        self._clocked = now
        until = self.book.market.after(int((now - before) * (self.config.speed or 1) * NANOS_PER_SECOND))
        if until > self.now:
            self._tell(self._desk.advance(until, always_log=False))


def _check(config: GatewayConfig) -> None:
    version = config.server_version
    if not MIN_VERSION <= version <= MAX_VERSION or version == 158:  # at 158 ib_async and IBKR's client disagree
        raise ConfigError(f"the server version must be {MIN_VERSION} or 159 to {MAX_VERSION}, found {version}")
    if config.speed is not None and not config.speed > 0:
        raise ConfigError(f"the speed must be above 0, found {config.speed}")


def _fingerprint(panel: Panel) -> str:
    """Return a hash of all market data in a panel."""
    digest = hashlib.blake2b(panel.spec.encode(), digest_size=16)
    for column in (panel.opened, panel.ts, panel.open, panel.high, panel.low, panel.close, panel.volume):
        digest.update(column.tobytes())
    return digest.hexdigest()


def _market(panel: Panel, config: GatewayConfig) -> Market:
    if config.start is not None or config.lock_step:
        return Market(panel, config.start)
    market = Market(panel)
    return Market(panel, market.opens[min(_HISTORY_SESSIONS, len(market.opens) // 2)])
