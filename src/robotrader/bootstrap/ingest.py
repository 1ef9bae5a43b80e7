"""Bars from the broker into the lake."""

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from robotrader.bootstrap.data import CALENDAR, corporate_actions, sessions
from robotrader.config import BrokerSettings
from robotrader.data.instruments import instrument_of
from robotrader.model import NANOS_PER_SECOND, Bar, BarSpec, ConfigError, ConnectionLost, SessionTable, SpecialDay

if TYPE_CHECKING:
    from robotrader.adapters.ibkr.backfill import Ask, Report
    from robotrader.adapters.ibkr.connection import IbkrConnection
    from robotrader.engine.inbox import Inbox

TIME_S = 10.0
FINAL_S = 900
"""Time that a session's last bars are given to become final."""


class BackfillOptions(Struct, frozen=True, kw_only=True):
    """What is wanted: instruments by symbol or id; ISO dates, both inclusive, `end` None for the last session.

    `special` days are those of the settings.
    """

    instruments: tuple[str, ...]
    spec: BarSpec
    start: str
    end: str | None = None
    special: tuple[SpecialDay, ...] = ()


async def backfill(
    options: BackfillOptions,
    where: BrokerSettings,
    state: Path,
    *,
    told: "Callable[[Report], None]",
    now: Callable[[], int] = time.time_ns,
) -> "Report":
    """Ask the broker for the bars that the lake lacks, and put them there; run again, it goes on where it was.

    `told` hears of the plan before anything is asked, and of every answer.

    Raises
    ------
    ConfigError
        The client id is the trader's, the dates hold no session, bars of that length are not backfilled, or the
        account is not the gateway's.
    BrokerUnavailable
        The gateway cannot be reached, was lost, or refuses for pacing without end; what came until then is kept.
    """
    from robotrader.adapters.ibkr import backfill as job
    from robotrader.adapters.ibkr.connection import IbkrConnection
    from robotrader.adapters.ibkr.history import History
    from robotrader.adapters.ibkr.pacing import LONGEST_S, HistoryRequest
    from robotrader.adapters.parquet.backfills import Backfills
    from robotrader.adapters.parquet.datasets import LAKE
    from robotrader.adapters.parquet.lake import Lake
    from robotrader.data.aggregate import Grid
    from robotrader.engine.inbox import Inbox

    _check(options, where, job.SESSIONS_A_REQUEST)
    inbox = Inbox()
    connection = IbkrConnection(inbox, account=where.account, account_prefix=where.account_prefix)
    try:
        await connection.connect(where.host, where.port, where.backfill_client_id)
        today = await _time(connection, inbox)
        grid, instruments = Grid(_table(options, today), options.spec), [instrument_of(i) for i in options.instruments]
        kept = Backfills(Lake(state / LAKE), grid, [a for a in corporate_actions(state) if a.ex_at <= today])
        known = {i.id: kept.known(i.id) for i in instruments}
        asks, history = job.plan(instruments, grid.sessions, options.spec, known), History(connection, grid)
        history.gate.remember((-age, HistoryRequest(iid, "TRADES")) for age, iid in kept.recent(now(), LONGEST_S))
        report = job.Report(
            requests=len(asks), eta_s=job.expected_s(asks, history), sessions_known=sum(map(len, known.values()))
        )
        told(report)

        def store(ask: "Ask", bars: Sequence[Bar]) -> Mapping[str, int]:
            return kept.store(ask.instrument.id, (ask.first, ask.last), bars, now=now())

        await job.run(asks, history, report, store=store, told=told)
    finally:
        await connection.close()
    return report


async def _time(connection: "IbkrConnection", inbox: "Inbox") -> int:
    """Return the gateway's time: what closes later it cannot know."""
    from robotrader.ports import TimeAdvanced

    connection.request_time()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TIME_S):
            while True:
                for arrival in await inbox.take():
                    if isinstance(arrival, TimeAdvanced):
                        return arrival.ts
    raise ConnectionLost(f"the gateway did not tell its time within {TIME_S:g} s")


def _check(options: BackfillOptions, where: BrokerSettings, served: Mapping[BarSpec, int]) -> None:
    if options.spec not in served:
        raise ConfigError(f"--spec: expected one of {', '.join(served)}, found {options.spec}")
    if not where.account.startswith(where.account_prefix):
        raise ConfigError(
            f"broker.account: expected an id that begins with {where.account_prefix}: set it, or --account"
        )
    if where.backfill_client_id == where.client_id:
        raise ConfigError(f"broker.backfill_client_id: expected another one than the trader's, found {where.client_id}")


def _table(options: BackfillOptions, now: int) -> SessionTable:
    """Return the sessions that are asked for and whose bars are final at the gateway's time."""
    table = sessions(options.start, options.end or CALENDAR[1], options.special)
    stop = bisect_right(table.closes, now - FINAL_S * NANOS_PER_SECOND)
    if not stop:
        raise ConfigError(f"expected a session that has closed from {options.start} to {options.end}, found none")
    return SessionTable(dates=table.dates[:stop], opens=table.opens[:stop], closes=table.closes[:stop])
