"""Exchange calendars as `SessionTable` values.

Sessions of XNYS and most other markets are those of exchange_calendars, which pandas-market-calendars mirrors under
ISO 10383 codes. What it does not know of a day is in `SPECIAL`, and in the settings.

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
from robotrader.data.sessions import with_special
from robotrader.model import ConfigError, SessionTable, SpecialDay

MARKET = "XNYS"
US_MARKETS = ("XNAS", "ARCX", "XASE", "BATS", "IEXG")
"""Markets that keep New York's sessions."""
ZONES = {"XNYS": "America/New_York", "XTSE": "America/Toronto", "XLON": "Europe/London", "XETR": "Europe/Berlin",
         "XPAR": "Europe/Paris", "XSWX": "Europe/Zurich", "XTKS": "Asia/Tokyo", "XHKG": "Asia/Hong_Kong"}  # fmt: skip
"""Where special hours are told; the library knows the zones of all, but takes a second and a half to say."""
SPECIAL = tuple(
    SpecialDay(*day.split())
    for day in (  # New York: silences, breakdowns, snow, late signals, and the circuit breakers of 1997
        "1990-12-27 09:31 16:00", "1991-01-17 09:31 16:00", "1991-02-25 09:31 16:00", "1994-02-11 09:30 14:30",
        "1995-12-18 10:30 16:00", "1996-01-08 11:00 14:00", "1997-10-27 09:30 15:30", "2001-09-17 09:33 16:00",
        "2001-10-08 09:31 16:00", "2002-09-11 12:00 16:00", "2003-03-20 09:32 16:00", "2004-06-07 09:32 16:00",
        "2005-06-01 09:30 15:56", "2006-12-27 09:32 16:00",
    )
)  # fmt: skip
"""Sessions that the library of XNYS does not know to have opened late or closed early."""
SPAN = ("1990-01-01", "2036-12-31")
"""What is kept; other dates are computed when they are asked for."""


@lru_cache(maxsize=16)
def session_table(start: str, end: str, market: str = MARKET, special: tuple[SpecialDay, ...] = ()) -> SessionTable:
    """Return the regular sessions of a market, early closes included. Breaks for lunch are not told.

    Parameters
    ----------
    start, end : str
        ISO dates, both inclusive. A range without sessions gives an empty table.
    market : str
        Name of the calendar, an ISO 10383 market code.
    special : tuple of SpecialDay
        Closures and hours that no library knows yet: an announced day of mourning, a storm.

    Raises
    ------
    ConfigError
        The calendar, a date or an hour is not known, or the range is reversed.
    """
    market = MARKET if market in US_MARKETS else market
    if _is_date(start) and _is_date(end) and SPAN[0] <= start <= end <= SPAN[1]:
        whole = _kept(market)
        cut = slice(bisect_left(whole.dates, start), bisect_right(whole.dates, end))
        table = SessionTable(dates=whole.dates[cut], opens=whole.opens[cut], closes=whole.closes[cut])
    else:
        table = _computed(start, end, market)
    days = (*(SPECIAL if market == MARKET else ()), *special)
    if days and market not in ZONES:
        raise ConfigError(f"special days need a market of {', '.join(ZONES)}; found {market}")
    return with_special(table, days, ZONES[market]) if days else table


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
