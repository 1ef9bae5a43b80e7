"""The one owner of the connection to IB Gateway or TWS."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from ib_async.client import Client

from robotrader.adapters.ibkr.pending import Key, PendingRequests
from robotrader.adapters.ibkr.sending import SendQueue
from robotrader.adapters.ibkr.translate import Send
from robotrader.adapters.ibkr.wrapper import LostMessages, Session, Wrapper
from robotrader.model import NANOS_PER_SECOND, BrokerUnavailable, ConfigError, ConnectionLost, RoboTraderError
from robotrader.ports import Inbox, LinkChanged, TimeAdvanced

_log = logging.getLogger(__name__)

FIRST_REQUEST_ID = 10_000_000
"""Ids of our requests; order ids stay below, so that an error's id says what it is about."""

_CLOSE_TIMEOUT_S = 5.0


class IbkrConnection:
    """Open, keep and end the session; what arrives goes to `inbox` in the order of the socket.

    Parameters
    ----------
    account, account_prefix : str
        The account that the gateway must report, and how it must begin: `DU` for paper, `U` for live.
    lock_step : bool
        The gateway's clock stands still between our time requests: nothing is shaped, no heartbeat is sent.
    answer_timeout_s : float or None
        A time request without an answer for so long means a dead link; None is 10 s, but 2 minutes in lock-step, where
        the simulator may be told to go slowly.
    heartbeat_s : float
        Time between time requests of our own; in lock-step the runner's requests are the heartbeat.
    """

    def __init__(
        self,
        inbox: Inbox,
        *,
        account: str,
        account_prefix: str = "DU",
        lock_step: bool = False,
        answer_timeout_s: float | None = None,
        heartbeat_s: float = 5.0,
    ) -> None:
        self.account = account
        self.client_id = 0
        self.pending = PendingRequests()
        self._inbox = inbox
        self._prefix = account_prefix
        self._lock_step = lock_step
        self._answer_timeout_s = answer_timeout_s or (120.0 if lock_step else 10.0)
        self._heartbeat_s = heartbeat_s
        self._session = Session(inbox, self.pending)
        self._wrapper = Wrapper(inbox, self.pending, self._session, on_time=self._on_time, on_closed=self._on_closed)
        self.lost = LostMessages(inbox)
        self._queue = SendQueue(shaped=not lock_step)
        self._request_ids = itertools.count(FIRST_REQUEST_ID)
        self._client: Any = None
        self._up = False
        self._deadline: asyncio.TimerHandle | None = None  # of the time request under way
        self._heartbeat: asyncio.TimerHandle | None = None
        self._time_wanted = False
        self._last_time: int | None = None

    @property
    def connected(self) -> bool:
        """Tell whether a checked session is up, and the gateway's own link to IBKR is."""
        return self._up and self._session.link_up

    @property
    def server_version(self) -> int:
        """Return the negotiated protocol version, 0 without a session."""
        return 0 if self._client is None else int(self._client.serverVersion())

    async def connect(self, host: str, port: int, client_id: int, *, timeout_s: float = 10.0) -> None:
        """Open a session and check whose it is.

        Raises
        ------
        ConnectionLost
            Nobody listens, nobody answers, or the gateway refuses this client.
        ConfigError
            The gateway reports another account than configured, or one of the wrong kind.
        """
        await self.close()
        self.lost.listen()
        client: Any = Client(self._wrapper)  # type: ignore[no-untyped-call]
        client.MaxRequests = 0  # ib_async's own throttle lets cancels wait behind everything else
        self._client, self.client_id = client, client_id
        self._session.open(asyncio.get_running_loop().create_future())
        attempt = asyncio.ensure_future(client.connectAsync(host, port, client_id, 0))
        try:
            await asyncio.wait({attempt, self._session.gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            _check_attempt(attempt, self._session, f"{host}:{port}", timeout_s=timeout_s)
            _check_account(self.account, self._prefix, client.getAccounts())
            if (self._session.next_order_id or 1) >= FIRST_REQUEST_ID:
                raise ConfigError("order ids are too high: reset the API order id sequence in the gateway's settings")
        except (RoboTraderError, asyncio.CancelledError):
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)
            await self.close()
            raise
        self._up, self._time_wanted, self._last_time = True, False, None
        if not self._lock_step:
            self._beat()

    async def close(self) -> None:
        """End the session in order; nothing is put into the inbox."""
        self._up = False
        self._stop()
        self.lost.stop()
        client, self._client = self._client, None
        if client is None:
            return
        transport = client.conn.transport
        client.disconnect()
        if transport is not None:
            await asyncio.wait({self._session.gone}, timeout=_CLOSE_TIMEOUT_S)
            transport.abort()  # does nothing when closed; else the peer takes nothing any more
        self.pending.fail_all(ConnectionLost("the connection was closed"))

    def request_id(self) -> int:
        """Return a new id for a request."""
        return next(self._request_ids)

    async def ask(self, key: Key, message: Send, *, name: str, timeout_s: float) -> list[Any]:
        """Put a question and return all parts of its answer; errors call it by `name`.

        Raises
        ------
        RoboTraderError
            It was refused, the link is gone, or its End did not come in time: what came until then proves nothing.
        """
        answer = self.pending.open(key)
        try:
            self.send(message)
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            raise BrokerUnavailable(f"the gateway did not complete {name} within {timeout_s:g} s") from None
        finally:
            self.pending.end(key)

    def send(self, message: Send, *, places: int | None = None) -> None:
        """Write a message, `places` being the order id if it places one; ConnectionLost when nothing was sent."""
        self._queue.put(self._bound(message), order_id=places)

    def send_first(self, message: Send, *, cancels: int | None = None) -> None:
        """Write a message, as `send` does, before all that wait; but not before the order that it cancels."""
        self._queue.put_first(self._bound(message), order_id=cancels)

    def request_time(self) -> None:
        """Ask for the time, unless that is under way; the answer is a `TimeAdvanced` in the inbox.

        In lock-step this is what makes the market move on; an answer equal to the one before has `ended`.
        """
        self._time_wanted = True
        self._ask_time()

    def _bound(self, message: Send) -> Callable[[], object]:
        if not self._up:
            raise ConnectionLost("there is no session with the gateway: nothing was sent")
        return partial(message, self._client)

    def _ask_time(self) -> None:
        if self._deadline is None:
            self.send_first(lambda client: client.reqCurrentTime())
            self._deadline = asyncio.get_running_loop().call_later(self._answer_timeout_s, self._on_silence)

    def _beat(self) -> None:
        """Prove the link; the answer is nobody's time, as outside lock-step the system has its own."""
        self._ask_time()
        self._heartbeat = asyncio.get_running_loop().call_later(self._heartbeat_s, self._beat)

    def _on_time(self, seconds: int) -> None:
        if self._deadline is None:
            return  # nobody asked: taken for an answer, a duplicate would look like the end of a replay
        self._deadline.cancel()
        self._deadline = None
        if self._time_wanted:
            self._time_wanted = False
            ended = self._lock_step and seconds == self._last_time
            self._last_time = seconds
            self._inbox.put(TimeAdvanced(ts=seconds * NANOS_PER_SECOND, ended=ended))

    def _on_silence(self) -> None:
        transport = self._client.conn.transport
        self._client.disconnect()
        if transport is not None:
            transport.abort()  # a frozen peer takes nothing: waiting for it would keep the socket for ever
        self._end(f"the gateway did not answer a time request for {self._answer_timeout_s:g} s")

    def _on_closed(self) -> None:
        words = self._session.last_words
        self._end("the gateway closed the connection" + (f", its last words: {words}" if words else ""))

    def _end(self, reason: str) -> None:
        if not self._up:
            return
        self._up = False
        if dropped := self._stop():
            reason += f"; {dropped} messages had not left"
        _log.error("connection lost: %s", reason)
        self._inbox.put(LinkChanged(connected=False, reason=reason))
        self.pending.fail_all(ConnectionLost(reason))

    def _stop(self) -> int:
        """Stop the timers and drop what has not left; return how much that was."""
        for timer in (self._deadline, self._heartbeat):
            if timer is not None:
                timer.cancel()
        self._deadline = self._heartbeat = None
        return self._queue.clear()


def _check_attempt(attempt: "asyncio.Future[None]", session: Session, where: str, *, timeout_s: float) -> None:
    """Say in plain words why there is no session."""
    if session.gone.done():
        words = session.last_words or "check its trusted addresses and API settings"
        if words.startswith("326"):
            words = "the client id is in use: stop the other trader, or configure another client id"
        raise ConnectionLost(f"the gateway at {where} refused the session: {words}")
    if not attempt.done():
        hint = "log in to IB Gateway, and check that this is its API port"
        raise ConnectionLost(f"{where} opened no session within {timeout_s:g} s: {hint}")
    error = attempt.exception()
    if isinstance(error, ConnectionRefusedError):
        raise ConnectionLost(f"nothing listens on {where}: start IB Gateway and enable its API port") from error
    if error is not None:
        raise ConnectionLost(f"{where} cannot be reached: {error}") from error


def _check_account(account: str, prefix: str, found: list[str]) -> None:
    """Refuse a gateway that is logged in elsewhere: what would be sent there is meant for another account."""
    if account not in found:
        raise ConfigError(f"expected account {account}, the gateway reports {', '.join(found)}: check account and port")
    if not account.startswith(prefix):
        raise ConfigError(f"expected an account that begins with {prefix}, found {account}")
