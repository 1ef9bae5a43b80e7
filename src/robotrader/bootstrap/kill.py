"""The kill path: stop the trader, take its place at the broker, cancel and flatten."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from robotrader import __version__
from robotrader.adapters.process_files import end_lease, read_lease, single_writer, trader_pid
from robotrader.bootstrap.storage import REQUEST_TIMEOUT_S, database, request
from robotrader.config import BrokerSettings, Settings
from robotrader.model import NANOS_PER_SECOND, Action, ConfigError, ConnectionLost, InstrumentId, RoboTraderError

if TYPE_CHECKING:
    from robotrader.adapters.ibkr.connection import IbkrConnection
    from robotrader.adapters.ibkr.kill import Outcome

_GRACE_S = 2.0
_LOOK_S = 0.5
_LOOKS = 40
_RESTARTS = 6
_BACKOFF_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_COLLAR = Decimal("0.03")


class Takeover(Struct, frozen=True):
    """What became of the trader: `fenced` by a higher epoch in the journal, and the pid of the process ended."""

    fenced: bool
    stopped: int | None


@asynccontextmanager
async def instead_of_trader(state: Path, reason: str, actor: str) -> AsyncIterator[Takeover]:
    """Halt, fence and stop the trader of a state folder, and let no other start during the block.

    The flag file comes first. The journal may be locked: by a frozen trader, until that is gone, or by another process.
    A kill that is under way is ended like a trader: the operator's last word counts.

    Raises
    ------
    ConfigError
        A trader cannot be ended, or something starts a new one again and again.
    """
    fenced = await asyncio.to_thread(_latch, state, reason, actor)
    with ExitStack() as held:
        stopped = await _stop(state)
        for attempt in range(_RESTARTS, 0, -1):
            try:
                held.enter_context(single_writer(state))
                break
            except ConfigError:
                if attempt == 1:
                    raise
            stopped = await _stop(state) or stopped
        end_lease(state)
        yield Takeover(fenced or await asyncio.to_thread(_latch, state, reason, actor), stopped)


async def lease_lost(state: Path, *, after_s: float) -> int:
    """Wait until a trader's lease has run out for so long, and return since when (ns UTC).

    A trader that ended in order has none: then the next one is waited for.
    """
    while True:
        until = read_lease(state)
        if until is not None and time.time_ns() > until + after_s * NANOS_PER_SECOND:
            return until
        await asyncio.sleep(_LOOK_S)


def _latch(state: Path, reason: str, actor: str) -> bool:
    """Raise the flag, and leave a request and a higher epoch in the journal; tell whether it took them in time."""
    from sqlalchemy.exc import DBAPIError

    from robotrader.adapters.sql.statements import run

    run_id = f"kill-{time.time_ns()}-{os.getpid()}"
    with suppress(DBAPIError, RoboTraderError):
        if request(state, Action.HALT, reason, actor).recorded:
            with database(state, busy_timeout_s=REQUEST_TIMEOUT_S) as journal, journal.write.begin() as connection:
                run(connection, "new_run", {"run_id": run_id, "code_version": __version__})
            return True
    return False


async def _stop(state: Path) -> int | None:
    """End the trader, also a frozen one; return its pid, None when none runs."""
    pid = trader_pid(state)
    if pid is None:
        return None
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
        for _ in range(_LOOKS):
            if trader_pid(state) != pid:
                return pid
            await asyncio.sleep(_GRACE_S / _LOOKS)
    return pid


async def kill(
    settings: Settings, *, flatten: bool, only: InstrumentId | None = None, all_clients: bool = False
) -> "Outcome":
    """Take over the trader's client id, cancel, and flatten if asked to.

    Raises
    ------
    ConfigError
        The gateway reports another account than configured.
    BrokerUnavailable
        There is no session, or the broker did not answer: what was done until then stands.
    """
    from robotrader.adapters.ibkr.connection import IbkrConnection
    from robotrader.adapters.ibkr.kill import Heard, KillDesk

    heard, where = Heard(), settings.broker
    connection = IbkrConnection(heard, account=where.account, account_prefix=where.account_prefix,
                                lock_step=where.lock_step)  # fmt: skip
    try:
        await _log_in(connection, where)
        desk = KillDesk(connection, heard, settings.instruments)
        if not flatten:
            return await desk.cancel_all(only, all_clients=all_clients)
        if all_clients:
            await desk.cancel_all(all_clients=True)
        return await desk.flatten(settings.limits.price_collar_ratio or _COLLAR, only)
    finally:
        await connection.close()


async def _log_in(connection: "IbkrConnection", where: BrokerSettings) -> None:
    """Open a session; the gateway may take a moment to see that the client id's last owner is dead (326)."""
    for pause_s in _BACKOFF_S:
        try:
            await connection.connect(where.host, where.port, where.client_id)
        except ConnectionLost as error:
            if "client id is in use" not in str(error) or pause_s == _BACKOFF_S[-1]:
                raise
            await asyncio.sleep(pause_s)
        else:
            return
