"""The gateway simulator: a TCP server that speaks the TWS protocol over a replayed market.

Two clocks. In **lock-step** the clients' time requests (49) are the clock: the first one of a
connection only tells the time, each later one lets one bar or session pass. Otherwise a simulated
clock runs at `speed` times real time, and skips the nights unless `nights` wants the whole calendar.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from robotrader.data.panel import Panel
from robotrader.model import NANOS_PER_SECOND, ConfigError
from robotrader.simulation.gateway import answers, messages, order_messages
from robotrader.simulation.gateway.account import Account
from robotrader.simulation.gateway.book import Book
from robotrader.simulation.gateway.connection import Connection, MarketDataRules
from robotrader.simulation.gateway.desk import Desk
from robotrader.simulation.gateway.faults import OK_NOTICES, FaultScript
from robotrader.simulation.gateway.line import Line
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.record import LOG_NAME, Header
from robotrader.simulation.gateway.requests import Refused, Request, decode
from robotrader.simulation.gateway.schedule import LockStep, Running, Step
from robotrader.simulation.gateway.script import Script
from robotrader.simulation.gateway.tickets import Report
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

_CLOSE_S = 1.0
_HISTORY_SESSIONS = 252


class GatewayConfig(Struct, frozen=True, kw_only=True):
    """How the gateway behaves.

    Attributes
    ----------
    server_version : int
        Highest server version offered, 157 to 200.
    speed : float, optional
        Lock-step: steps a second at most, None = as fast as clients ask. Otherwise: simulated
        seconds a real second, None = 1.
    step : bar, open or session
        Lock-step: what one time request lets pass. `open`: a bar, but first its session's open, so that a trader has
        booked the corporate actions of that day before anything trades.
    master_client_id : int, optional
        Client that is told of everybody's orders and executions.
    state : Path, optional
        Folder of the log; None remembers nothing.
    nights : bool
        The simulated clock runs through nights and weekends; otherwise the market is always open.
    tick_s : float
        Real seconds between two looks at the simulated clock.
    market_data : MarketDataRules, optional
        What the account may see of the market, and how often it may ask.
    faults : FaultScript, optional
        What goes wrong.
    start : int, optional
        Market time to begin with, ns UTC. None: in lock-step an hour before the first session, otherwise an
        open with a year of history before it (half of the data if it is shorter).
    """

    server_version: int = MAX_VERSION
    account: str = "DU1234567"
    lock_step: bool = False
    speed: float | None = None
    step: Step = "bar"
    initial_cash: Decimal = Decimal(1_000_000)
    master_client_id: int | None = None
    market_data: MarketDataRules = MarketDataRules()
    state: Path | None = None
    start: int | None = None
    nights: bool = False
    tick_s: float = 0.25
    faults: FaultScript | None = None


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
        account = Account(config.account, config.initial_cash, market.instruments)
        self.book = Book(market, venue, account, tells_hours=not config.lock_step)
        self.desk = Desk(self.book, config.state / LOG_NAME if config.state else None, header)
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[object], asyncio.StreamWriter] = {}
        self.clients: dict[int, Connection] = {}
        self._address = ("127.0.0.1", 0)
        self._down = 0
        self._reopening: asyncio.Task[None] | None = None
        self.schedule = _schedule(config, market, self.advance)
        self._script = Script(config.faults, self) if config.faults else None

    @property
    def now(self) -> int:
        """Return the market time, ns UTC."""
        return self.book.market.now

    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and return the port (0 picks a free one); ConfigError when the address cannot be used."""
        try:
            await self._listen((host, port))
        except ConfigError:
            self.desk.close()
            raise
        self.schedule.start()
        if self._script is not None:
            self._script.start()
        return self._address[1]

    def restart(self, seconds: float) -> None:
        """Close the port and every connection, and listen again after so many seconds."""

        def reopen() -> None:
            self._down -= 1
            if not self._down:
                self._reopening = asyncio.get_running_loop().create_task(self._listen(self._address))
                self._reopening.add_done_callback(_log_failure)

        self._down += 1
        self._hang_up()
        self.schedule.away(seconds, reopen)

    async def close(self) -> None:
        """Stop listening, close every connection and the log."""
        self.schedule.close()
        self._down += 1  # no restart opens the port again
        if self._reopening is not None:
            await asyncio.wait({self._reopening})
        self._hang_up()
        if self._tasks:
            await asyncio.wait(self._tasks.keys(), timeout=_CLOSE_S)
        self.desk.close()

    async def _listen(self, address: tuple[str, int]) -> None:
        host, port = address
        try:
            self._server = await asyncio.start_server(self._talk, host, port)
        except OSError as error:
            raise ConfigError(
                f"the gateway simulator cannot listen on {host}:{port} ({error.strerror}): choose another port",
                host=host, port=port,
            ) from error  # fmt: skip
        self._address = host, int(self._server.sockets[0].getsockname()[1])

    def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._tasks.values():
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it leaves."""
        connection = Connection(Line(writer), self.config.market_data)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs every server callback in one
        self._tasks[task] = writer
        try:
            version = await greeted(reader, self.config.server_version)
            connection.speaker = messages.Speaker(version, self.book.contracts, self.config.account)
            if self._script is not None:
                self._script.attach(connection)
            self.schedule.catch_up()
            connection.send(fields_frame(version, stamp(self.now, 174)))
            while not writer.is_closing():
                body = await read_frame(reader)
                if connection.line.slow_s:
                    await asyncio.sleep(connection.line.slow_s)
                self._take(connection, body)
        except Malformed as error:  # nothing after it can be read
            _log.warning("client %s: %s; connection closed", connection.client_id, error)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has left
        finally:
            writer.close()
            del self._tasks[task]
            if self.clients.get(connection.client_id) is connection:
                del self.clients[connection.client_id]
            if isinstance(self.schedule, LockStep):
                self.schedule.forget(connection)

    def _take(self, connection: Connection, body: str) -> None:
        if connection.line.stuck:
            return
        self.schedule.catch_up()
        if self._script is None:
            self.handle(connection, body)
        else:
            self._script.incoming(connection, body)
            self._script.settle()

    def handle(self, connection: Connection, body: str) -> None:
        """Do what a message asks for; before START_API clients would lose any answer, so that there is none."""
        req_id, started = -1, self.clients.get(connection.client_id) is connection
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
        if client_id in self.clients:
            text = "Unable to connect as the client id is already in use. Retry with a unique client id."
            connection.error((-1, 326, text), self.now)
            connection.close()
            return
        connection.client_id = client_id
        self.clients[client_id] = connection
        connection.send(fields_frame(15, 1, self.config.account), fields_frame(9, 1, self.book.next_id(client_id)))
        for code, text in self._script.notices() if self._script else OK_NOTICES:
            connection.error((-1, code, text), self.now)

    def _asked(self, connection: Connection, request: Request) -> None:
        match request.what:
            case "start":
                pass
            case "time":
                self._time(connection)
            case "place order":
                self.tell(self.desk.place(connection.client_id, request.order))
            case "cancel order":
                self.tell(self.desk.cancel(connection.client_id, request.req_id))
            case "cancel all":
                self.tell(self.desk.cancel(connection.client_id, None))
            case "bind orders":
                self.tell(self.desk.bind(connection.client_id) if request.flag("bind") else ())
            case _:
                answers.ANSWERS[request.what](self.book, connection, request)

    def tell(self, reports: Sequence[Report]) -> None:
        """Send reports to the client whose order it is, then to all what else changed."""
        for report in reports:
            for client_id in report.concerns(self.config.master_client_id) & self.clients.keys():
                connection = self.clients[client_id]
                connection.send(order_messages.report(connection.speaker, report, self.now))
        for connection in self.clients.values():
            connection.refresh()

    def _time(self, connection: Connection) -> None:
        """Answer a time request; in lock-step each but a connection's first waits for a step to pass."""
        waits = connection.pulled_time and self.book.market.next_close is not None
        if waits and isinstance(self.schedule, LockStep):
            self.schedule.pull(connection, lambda: self._tell_time(connection))
        else:
            connection.pulled_time = True
            self._tell_time(connection)

    def _tell_time(self, connection: Connection) -> None:
        connection.send(fields_frame(49, 1, self.now // NANOS_PER_SECOND))

    def advance(self, until: int) -> None:
        """Let the market trade until a time, ns UTC."""
        self.tell(self.desk.advance(until, always_log=self.config.lock_step))
        if self._script is not None:
            self._script.settle()


def _schedule(config: GatewayConfig, market: Market, advance: Callable[[int], None]) -> LockStep | Running:
    if config.lock_step:
        return LockStep(market, config.speed, advance, step=config.step)
    return Running(market, advance, speed=config.speed or 1, nights=config.nights, tick_s=config.tick_s)


def _log_failure(task: asyncio.Task[None]) -> None:
    if (error := task.exception()) is not None:
        _log.error("after a restart %s", error)


def _check(config: GatewayConfig) -> None:
    version = config.server_version
    if not MIN_VERSION <= version <= MAX_VERSION or version == 158:  # at 158 ib_async and IBKR's client disagree
        raise ConfigError(f"the server version must be {MIN_VERSION} or 159 to {MAX_VERSION}, found {version}")
    if config.speed is not None and not config.speed > 0:
        raise ConfigError(f"the speed must be above 0, found {config.speed}")
    if config.nights and config.lock_step:
        raise ConfigError("in lock-step a step passes for each time request: it has no nights")
    timed = any(f.every or f.weekly for f in config.faults.faults) if config.faults else False
    if timed and not (config.nights or config.lock_step):
        raise ConfigError("faults at times of day need a clock that runs through nights (--nights), or lock-step")
    if not config.tick_s > 0:
        raise ConfigError(f"the tick must be above 0 seconds, found {config.tick_s}")


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
