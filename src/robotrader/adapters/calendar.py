"""Exchange calendars as `SessionTable` values."""

from functools import lru_cache
from typing import Any

import numpy as np

from robotrader.data.panel import Times
from robotrader.model import ConfigError, SessionTable

MARKET = "XNYS"


@lru_cache(maxsize=16)
def session_table(start: str, end: str, market: str = MARKET) -> SessionTable:
    """Return the regular sessions of a market, early closes included.

    Parameters
    ----------
    start, end : str
        ISO dates, both inclusive. A range without sessions gives an empty table.
    market : str
        Name of the calendar, an ISO 10383 market code.

    Raises
    ------
    ConfigError
        The calendar or a date is not known, or the range is reversed.
    """
    import pandas_market_calendars as calendars  # noqa: PLC0415 - brings pandas: a second that only dated bars need

    try:
        schedule = calendars.get_calendar(market).schedule(start, end)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise ConfigError(f"no sessions of {market} from {start} to {end}: {error}") from error
    if schedule.empty:  # its columns have no times then
        return SessionTable(dates=(), opens=(), closes=())
    days = schedule.index.to_numpy().astype("datetime64[D]")
    return SessionTable(
        dates=tuple(np.datetime_as_string(days).tolist()),
        opens=_nanos(schedule["market_open"]),
        closes=_nanos(schedule["market_close"]),
    )


def sessions_of(days: Times) -> SessionTable:
    """Return the sessions from the first to the last of these days (ns at midnight UTC, at least one)."""
    first, last = (str(np.datetime64(int(day), "ns").astype("datetime64[D]")) for day in (days.min(), days.max()))
    return session_table(first, last)


def _nanos(times: Any) -> tuple[int, ...]:
    """Turn a pandas column of UTC times, in whatever unit, into ns."""
    return tuple(times.dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64).tolist())
