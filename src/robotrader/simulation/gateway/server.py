"""The gateway simulator: a TCP server that speaks the TWS protocol over a replayed market.

Two clocks. In **lock-step** the clients' time requests (49) are the clock: the first one of a
connection only tells the time, each later one lets one session pass. Otherwise the market is open
on a simulated clock that runs at `speed` times real time and skips the nights.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from robotrader.data.panel import Panel
from robotrader.model import NANOS_PER_SECOND, ConfigError
from robotrader.simulation.gateway import answers, messages, quotes
from robotrader.simulation.gateway.account import Account
from robotrader.simulation.gateway.book import Book, Notice, Opened, Report, Status
from robotrader.simulation.gateway.connection import Connection, Office
from robotrader.simulation.gateway.desk import Desk
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.record import LOG_NAME, Header, fingerprint
from robotrader.simulation.gateway.requests import PlaceOrder, Refused, Request, Simple, StartApi
from robotrader.simulation.gateway.wire import MAX_VERSION, MIN_VERSION, fields_frame
from robotrader.simulation.venue import Venue

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
    master_client_id : int, optional
        The client that is told of all clients' orders.
    margin_ratio : Decimal, optional
        Initial margin as a share of gross position value (US margin accounts: 0.5); None accepts any size.
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
    master_client_id: int | None = None
    margin_ratio: Decimal | None = Decimal("0.5")
    start: int | None = None


class Gateway:
    """Serve a market and an account to TWS API clients.

    Parameters
    ----------
    venue : Venue
        A fresh one over the panel's instruments.

    Raises
    ------
    ConfigError
        The options are out of range, or the log in the state folder is of another configuration.
    """

    def __init__(self, panel: Panel, venue: Venue, config: GatewayConfig | None = None) -> None:
        self.config = config = config or GatewayConfig()
        _check(config)
        market = _market(panel, config)
        header = Header(
            data=fingerprint(panel), account=config.account, initial_cash=config.initial_cash,
            lock_step=config.lock_step, start=market.now, instruments=panel.instruments,
        )  # fmt: skip
        account = Account(config.account, config.initial_cash, market.instruments)
        self.book = Book(market, venue, account, margin_ratio=config.margin_ratio)
        self._desk = Desk(self.book, config.state / LOG_NAME if config.state else None, header)
        self._office = Office(
            config.server_version, config.account, self.book.contracts, lambda: market.now, self._asked, self._left
        )
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
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
        """Listen, and return the port (0 picks a free one).

        Raises
        ------
        ConfigError
            The address cannot be used.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connected, host, port)
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
        left = list(self._connections)
        for connection in left:
            connection.close()
        waits = [asyncio.ensure_future(c.gone.wait()) for c in left]
        if waits and (await asyncio.wait(waits, timeout=_CLOSE_S))[1]:
            for connection in left:
                connection.abort()
            await asyncio.wait(waits)
        if self._server is not None:
            await self._server.wait_closed()
        self._desk.close()

    def _connected(self) -> Connection:
        connection = Connection(self._office)
        self._connections.add(connection)
        return connection

    def _left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection.client_id is not None and self._clients.get(connection.client_id) is connection:
            del self._clients[connection.client_id]
        self._pulls = deque(c for c in self._pulls if c is not connection)

    def _asked(self, connection: Connection, request: Request) -> None:
        if not self.config.lock_step:
            self._catch_up()
        client_id = connection.client_id or 0
        try:
            match request:
                case StartApi():
                    self._start(connection, request.client_id)
                case Simple(what="time"):
                    self._time(connection)
                case PlaceOrder():
                    self._tell(self._desk.place(client_id, request))
                case Simple(what="cancel order", req_id=order_id):
                    self._tell(self._desk.cancel(client_id, order_id))
                case Simple(what="cancel all"):
                    self._tell(self._desk.cancel(client_id, None))
                case _:
                    answers.answer(self.book, connection, request)
        except Refused as refused:
            connection.error(request.req_id, refused.code, refused.text)

    def _start(self, connection: Connection, client_id: int) -> None:
        if connection.client_id is not None:
            return
        if client_id in self._clients:
            text = "Unable to connect as the client id is already in use. Retry with a unique client id."
            connection.error(-1, 326, text)
            connection.close()
            return
        connection.client_id = client_id
        self._clients[client_id] = connection
        connection.send(fields_frame(15, 1, self.config.account), fields_frame(9, 1, self.book.next_id(client_id)))
        for code, text in _FARMS:
            connection.error(-1, code, text)

    def _tell(self, reports: Sequence[Report]) -> None:
        """Send reports to the client whose order it is and to the master client, then what else changed."""
        for report in reports:
            for client_id in _audience(report, self.config.master_client_id):
                if (connection := self._clients.get(client_id)) is not None:
                    connection.send(messages.report(connection.speaker, report, self.now))
        for connection in self._clients.values():
            answers.refresh(self.book, connection)
            quotes.refresh(self.book, connection, bars=not self.config.lock_step)

    def _time(self, connection: Connection) -> None:
        """Answer a time request; in lock-step each but a connection's first waits for a session to pass."""
        if self.config.lock_step and connection.pulled_time and self.book.market.next_close is not None:
            self._pulls.append(connection)
            if self._timer is None:
                self._step()
            return
        connection.pulled_time = True
        self._send_time(connection)

    def _send_time(self, connection: Connection) -> None:
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
            self._send_time(connection)

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


def _market(panel: Panel, config: GatewayConfig) -> Market:
    if config.start is not None or config.lock_step:
        return Market(panel, config.start)
    market = Market(panel)
    return Market(panel, market.opens[min(_HISTORY_SESSIONS, len(market.opens) // 2)])


def _audience(report: Report, master_client_id: int | None) -> set[int]:
    """Return who is told: the owner and the master, but of a notice the owner only.

    A notice names a bare order id: another client would take it for one of its own.
    """
    if isinstance(report, Notice):
        return {report.client_id}
    source = report.ticket if isinstance(report, Opened | Status) else report.execution
    return {source.client_id} if master_client_id is None else {source.client_id, master_client_id}
