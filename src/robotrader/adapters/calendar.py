"""Exchange calendars as `SessionTable` values.

The calendar library brings pandas, a second and a half that every process would pay. So the sessions of many years are
computed once for a version of the library and kept in the user's cache folder; without that folder nothing is lost
but time.
"""

import contextlib
from bisect import bisect_left, bisect_right
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import platformdirs

from robotrader.data.panel import Times
from robotrader.model import ConfigError, SessionTable

MARKET = "XNYS"
SPAN = ("1990-01-01", "2036-12-31")
"""What is kept; other dates are computed when they are asked for."""


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
    if not (_is_date(start) and _is_date(end) and SPAN[0] <= start <= end <= SPAN[1]):
        return _computed(start, end, market)
    whole = _kept(market)
    cut = slice(bisect_left(whole.dates, start), bisect_right(whole.dates, end))
    return SessionTable(dates=whole.dates[cut], opens=whole.opens[cut], closes=whole.closes[cut])


def sessions_of(days: Times) -> SessionTable:
    """Return the sessions from the first to the last of these days (ns at midnight UTC, at least one)."""
    first, last = (str(np.datetime64(int(day), "ns").astype("datetime64[D]")) for day in (days.min(), days.max()))
    return session_table(first, last)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@lru_cache(maxsize=4)
def _kept(market: str) -> SessionTable:
    """Return the sessions of the whole span, from the cache folder where they are there."""
    path = _cache_file(market)
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.msgpack.decode(path.read_bytes(), type=SessionTable)
    table = _computed(*SPAN, market)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".new")
        scratch.write_bytes(msgspec.msgpack.encode(table))
        scratch.replace(path)
    return table


def _cache_file(market: str) -> Path:
    library = version("pandas-market-calendars")
    return platformdirs.user_cache_path("robotrader") / f"sessions-{market}-{library}-{SPAN[1]}.msgpack"


def _computed(start: str, end: str, market: str) -> SessionTable:
    import pandas_market_calendars as calendars  # noqa: PLC0415 - brings pandas

    try:
        schedule = calendars.get_calendar(market).schedule(start, end)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise ConfigError(f"no sessions of {market} from {start} to {end}: {error}") from error
    days = schedule.index.to_numpy().astype("datetime64[D]")
    return SessionTable(
        dates=tuple(np.datetime_as_string(days).tolist()),
        opens=_nanos(schedule["market_open"]),
        closes=_nanos(schedule["market_close"]),
    )


def _nanos(times: Any) -> tuple[int, ...]:
    """Turn a pandas column of UTC times, in whatever unit, into ns."""
    return tuple(times.dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64).tolist())
