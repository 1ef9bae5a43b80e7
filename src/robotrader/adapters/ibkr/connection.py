"""The one owner of the connection to IB Gateway or TWS."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from ib_async.client import Client

from robotrader.adapters.ibkr.account import AccountValues
from robotrader.adapters.ibkr.errors import ErrorClass
from robotrader.adapters.ibkr.heartbeat import TimeRequests
from robotrader.adapters.ibkr.login import Login, check_session
from robotrader.adapters.ibkr.pending import FIRST_REQUEST_ID, Key, PendingRequests
from robotrader.adapters.ibkr.sending import SendQueue
from robotrader.adapters.ibkr.translate import Send
from robotrader.adapters.ibkr.wrapper import LostMessages, Session, Wrapper
from robotrader.model import NANOS_PER_SECOND, BrokerUnavailable, ConnectionLost, RoboTraderError
from robotrader.ports import Inbox, TimeAdvanced

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 5.0
_TICK_PRICE = 1


def _nothing() -> None:
    pass


class Listener:
    """Whoever supervises the session; this one pays no attention."""

    def down(self, reason: str) -> None:
        """Hear that an established session ended, other than by `close`."""

    def notice(self, kind: ErrorClass, text: str) -> None:
        """Hear what the gateway says of itself, its data farms and its link to IBKR."""

    def time(self, told: int, waited_s: float) -> None:
        """Hear the broker's time (s since 1970, fractions cut off) and how long the answer took."""


class IbkrConnection:
    """Open, keep and end one session; what arrives goes to `inbox` in the order of the socket.

    Parameters
    ----------
    account, account_prefix : str
        The account that the gateway must report, and how it must begin: `DU` for paper, `U` for live.
    lock_step : bool
        The gateway's clock stands still between our time requests: nothing is shaped, no heartbeat is sent.
    answer_timeout_s : float or None
        A time request without an answer for so long means a dead link; None is 10 s, but 2 minutes in lock-step.
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
        self.lock_step = lock_step
        self.listener = Listener()
        self.pending = PendingRequests()
        self.queue = SendQueue(shaped=not lock_step)
        self.unsent: list[int] = []  # orders, by broker id, whose placing was queued but never reached the socket
        self.lost = LostMessages(inbox)
        self.inbox = inbox
        self._prefix = account_prefix
        patience_s = answer_timeout_s or (120.0 if lock_step else 10.0)
        self._session = Session(inbox, self.pending, on_notice=self._on_notice)
        self.account_values = AccountValues(inbox, account)
        self._wrapper = Wrapper(
            inbox, self.pending, self._session, account=self.account_values, on_time=self._on_time,
            on_closed=self._on_closed,
        )  # fmt: skip
        self._times = TimeRequests(
            lambda: self.send_first(lambda client: client.reqCurrentTime()),
            lambda: self.drop(f"the gateway did not answer a time request for {patience_s:g} s"),
            answer_timeout_s=patience_s, beat_s=None if lock_step else heartbeat_s,
        )  # fmt: skip
        self._subscriptions: dict[str, tuple[Send, Send]] = {}
        self._request_ids = itertools.count(FIRST_REQUEST_ID)
        self._client: Any = None
        self._up = False
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

    async def connect(
        self, host: str, port: int, client_id: int, *, timeout_s: float = 10.0, before: Callable[[], None] = _nothing
    ) -> None:
        """Open a session, check whose it is, and renew the subscriptions; `before` is called before a login begins.

        ConnectionLost: nobody listens (its context says `refused`), nobody answers, or the gateway refuses us.
        ConfigError: the gateway reports another account than configured, or one of the wrong kind.
        """
        await self.close()
        self.lost.listen()
        client: Any = Client(self._wrapper)  # type: ignore[no-untyped-call]
        client.MaxRequests = 0  # ib_async's own throttle lets cancels wait behind everything else
        client.decoder.handlers[_TICK_PRICE] = self._wrapper.price_tick
        self._client, self.client_id = client, client_id
        self._session.open(asyncio.get_running_loop().create_future())
        login = Login(client, self._session, before)
        try:
            await login.run((host, port), client_id, timeout_s=timeout_s)
            check_session(
                self.account, self._prefix, found=client.getAccounts(), next_order_id=self._session.next_order_id or 1
            )
        except (RoboTraderError, asyncio.CancelledError):
            await self.close()
            raise
        self._up, self._time_wanted, self._last_time = True, False, None
        for start, _ in self._subscriptions.values():
            self.send(start)
        self._times.start()

    async def close(self) -> None:
        """End the session in order; nobody is told."""
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

    def drop(self, reason: str) -> None:
        """End the session at once, whatever the peer does; the listener hears the reason."""
        transport = self._client.conn.transport
        self._client.disconnect()
        if transport is not None:
            transport.abort()  # a frozen peer takes nothing: waiting for it would keep the socket for ever
        self._end(reason)

    def request_id(self) -> int:
        """Return a new id for a request."""
        return next(self._request_ids)

    async def ask(self, key: Key, message: Send, *, name: str, timeout_s: float) -> list[Any]:
        """Put a question and return all parts of its answer; its errors call it by `name`.

        RoboTraderError: refused, link lost, or no End in time: what came until then proves nothing.
        """
        answer = self.pending.open(key)
        try:
            self.send(message)
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            raise BrokerUnavailable(f"the gateway did not complete {name} within {timeout_s:g} s") from None
        finally:
            self.pending.end(key)

    def subscribe(self, name: str, start: Send, stop: Send) -> None:
        """Ask for what comes by itself from now on, in this session and every later one."""
        self._subscriptions[name] = (start, stop)
        if self._up:
            self.send(start)

    def send(self, message: Send, *, places: int | None = None) -> None:
        """Write a message, `places` being the order id if it places one; ConnectionLost when nothing was sent."""
        self.queue.put(self._bound(message), order_id=places)

    def send_first(self, message: Send, *, cancels: int | None = None) -> None:
        """Write a message, as `send` does, before all that wait; but not before the order that it cancels."""
        self.queue.put_first(self._bound(message), order_id=cancels)

    def request_time(self) -> None:
        """Ask for the time; a `TimeAdvanced` in the inbox answers, `ended` when lock-step's time stands still."""
        self._time_wanted = True
        self._times.request()

    def _bound(self, message: Send) -> Callable[[], object]:
        if not self._up:
            raise ConnectionLost("there is no session with the gateway: nothing was sent")
        return partial(message, self._client)

    def _on_time(self, seconds: int) -> None:
        waited_s = self._times.answered()
        if waited_s is None:
            return  # nobody asked: taken for an answer, a duplicate would look like the end of a replay
        self.listener.time(seconds, waited_s)
        if self._time_wanted:  # else it was a heartbeat: outside lock-step the system has its own time
            self._time_wanted = False
            ended = self.lock_step and seconds == self._last_time
            self._last_time = seconds
            self.inbox.put(TimeAdvanced(ts=seconds * NANOS_PER_SECOND, ended=ended))

    def _on_notice(self, kind: ErrorClass, text: str) -> None:
        if kind is ErrorClass.LINK_LOST:
            self.unsent += self.queue.withdraw()  # the gateway would keep them, or lose them in silence
        if kind is ErrorClass.LINK_RESTORED and self._up:
            for start, stop in self._subscriptions.values():  # "data kept" is not to be trusted
                self.send(stop)
                self.send(start)
        self.listener.notice(kind, text)

    def _on_closed(self) -> None:
        words = self._session.last_words
        self._end("the gateway closed the connection" + (f", its last words: {words}" if words else ""))

    def _end(self, reason: str) -> None:
        if not self._up:
            return
        self._up = False
        if waiting := self._stop():
            reason += f"; {waiting} messages had not left"
        _log.error("connection lost: %s", reason)
        self.listener.down(reason)
        self.pending.fail_all(ConnectionLost(reason))

    def _stop(self) -> int:
        """Stop the timers and drop what waits; return how much that was."""
        self._times.stop()
        waiting = len(self.queue)
        self.unsent += self.queue.clear()
        return waiting
