"""The way to a session: socket, handshake, and whose session it is."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from robotrader.adapters.ibkr.pending import FIRST_REQUEST_ID
from robotrader.adapters.ibkr.wrapper import Session
from robotrader.model import ConfigError, ConnectionLost

_KEEP_ALIVE = (
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 10),  # s; the heartbeat above notices more, but only while it can write
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 5),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 3),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", 15_000),  # ms that what we wrote may stay unacknowledged
)


class Login:
    """One attempt to open a session with ib_async's client.

    `before` is called when the socket is open and before the first byte leaves: from then on it is a login.
    """

    def __init__(self, client: Any, session: Session, before: Callable[[], None]) -> None:
        self._client = client
        self._session = session
        self._before = before
        self._open_socket = client.conn.connectAsync
        client.conn.connectAsync = self._connect

    async def run(self, where: tuple[str, int], client_id: int, *, timeout_s: float) -> None:
        """Open the session; ConnectionLost says why there is none (`refused`: nobody listens)."""
        attempt = asyncio.ensure_future(self._client.connectAsync(*where, client_id, 0))
        try:
            await asyncio.wait({attempt, self._session.gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            _check_attempt(attempt, self._session, "{}:{}".format(*where), timeout_s=timeout_s)
        finally:
            if not attempt.done():  # else nothing may be awaited here: the session could end meanwhile, unnoticed
                attempt.cancel()
                await asyncio.gather(attempt, return_exceptions=True)

    async def _connect(self, host: str, port: int) -> None:
        await self._open_socket(host, port)
        opened = self._client.conn.transport.get_extra_info("socket")
        for level, option, value in _KEEP_ALIVE if opened is not None else ():
            if hasattr(socket, option):
                with contextlib.suppress(OSError):  # a platform may know the name and not the option
                    opened.setsockopt(getattr(socket, level), getattr(socket, option), value)
        self._before()


def _check_attempt(attempt: "asyncio.Future[None]", session: Session, where: str, *, timeout_s: float) -> None:
    """Say in plain words why there is no session."""
    error = attempt.exception() if attempt.done() else None
    if isinstance(error, ConnectionRefusedError):
        hint = "start IB Gateway and enable its API port"
        raise ConnectionLost(f"nothing listens on {where}: {hint}", refused=True) from error
    if error is not None:
        raise ConnectionLost(f"no session with {where}: {error}") from error
    if session.gone.done():
        words = session.last_words or "check its trusted addresses and API settings"
        if words.startswith("326"):
            words = "the client id is in use: stop the other trader, or configure another client id"
        raise ConnectionLost(f"the gateway at {where} refused the session: {words}")
    if not attempt.done():
        hint = "log in to IB Gateway, and check that this is its API port"
        raise ConnectionLost(f"{where} opened no session within {timeout_s:g} s: {hint}")


def check_session(account: str, prefix: str, *, found: list[str], next_order_id: int) -> None:
    """Refuse a gateway that is logged in elsewhere: what would be sent there is meant for another account.

    ConfigError: another account than configured, one of the wrong kind, or order ids in the range of our requests.
    """
    if account not in found:
        raise ConfigError(f"expected account {account}, the gateway reports {', '.join(found)}: check account and port")
    if not account.startswith(prefix):
        raise ConfigError(f"expected an account that begins with {prefix}, found {account}")
    if next_order_id >= FIRST_REQUEST_ID:
        raise ConfigError("order ids are too high: reset the API order id sequence in the gateway's settings")
