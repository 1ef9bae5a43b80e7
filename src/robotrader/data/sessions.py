"""Where a bar stands in its market's day.

Plain integers and numpy arrays take the same formulas, so files and live bars are placed alike.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from robotrader.data.frame import DAY_NS, session_days
from robotrader.model import NANOS_PER_SECOND, BarSpec, ConfigError, SessionTable, SpecialDay

PRE_MARKET_NS = 19_800 * NANOS_PER_SECOND
POST_MARKET_NS = 14_400 * NANOS_PER_SECOND
"""US shares trade from 04:00, 5.5 hours before the open, to 4 hours after the close (17:00 on half days)."""


class Place(NamedTuple):
    """A bar's start beside the session it belongs to: ints, or int64 arrays of one length.

    `session` is -1 where there is none; `opened` and `closed` are then those of any session.
    """

    start: Any
    session: Any
    opened: Any
    closed: Any


def extended(place: Place) -> Any:
    """Tell bars that begin before the open or not before the close."""
    return (place.start < place.opened) | (place.start >= place.closed)


def off_grid(place: Place, step: int) -> Any:
    """Tell bars that begin neither on the clock's grid (09:00, 10:00) nor on the session's (09:30, 10:30)."""
    return (place.start % step != 0) & ((place.start - place.opened) % step != 0)


def missing(before: Place, place: Place, step: int, between: Any) -> Any:
    """Count the regular bars between two of one instrument; `between`: those of whole sessions between theirs."""
    done, whole = _slot(before, step)
    done = np.minimum(np.maximum(done + 1, 0), whole)
    begun, size = _slot(place, step)
    begun = np.minimum(np.maximum(begun, 0), size)
    apart = place.session != before.session
    return begun - done + apart * (whole + between)


def session_bars(opened: Any, closed: Any, step: int) -> Any:
    """Count the bars of a session; a last one that is cut short counts."""
    return -(-(closed - opened) // step)


def anywhere(start: Any, spec: BarSpec) -> Place:
    """Place bars of a market that trades around the clock."""
    opened = start if spec is BarSpec.DAY else start * 0  # others stand on the clock's grid
    return Place(start, start * 0, opened, start + 1)


def place_one(start: int, end: int, spec: BarSpec, sessions: SessionTable) -> Place:
    """Place a live bar; a daily one must end at its session's close."""
    if spec is BarSpec.DAY:
        i = bisect_left(sessions.closes, end)
        found = i < len(sessions.closes) and sessions.closes[i] == end
    else:
        i = bisect_right(sessions.opens, start + PRE_MARKET_NS) - 1
        found = i >= 0 and start < sessions.closes[i] + POST_MARKET_NS
    if not found:
        return Place(start, -1, start, start)
    return Place(start if spec is not BarSpec.DAY else sessions.opens[i], i, sessions.opens[i], sessions.closes[i])


def place_all(start: NDArray[np.int64], spec: BarSpec, sessions: SessionTable) -> Place:
    """Place the bars of a frame; daily ones stand on midnight UTC of their dates, or on their opens."""
    opens, closes = np.array(sessions.opens, np.int64), np.array(sessions.closes, np.int64)
    if not len(opens):
        return Place(start, np.full(len(start), -1), start, start)
    if spec is BarSpec.DAY:
        dates = start % DAY_NS == 0
        marks = session_days(sessions) if bool(dates.all()) else opens
        i = np.minimum(np.searchsorted(marks, start), len(opens) - 1)
        found = marks[i] == start
        start = opens[i]
    else:
        i = np.searchsorted(opens, start + PRE_MARKET_NS, side="right") - 1
        found = (i >= 0) & (start < closes[i] + POST_MARKET_NS)
    return Place(start, np.where(found, i, -1), opens[i], closes[i])


def _slot(place: Place, step: int) -> tuple[Any, Any]:
    """Return the number of a bar in its session, from 0, and how many there are, on the bar's own grid."""
    anchor = place.opened - (place.opened - place.start) % step
    return (place.start - anchor) // step, session_bars(anchor, place.closed, step)


def with_special(table: SessionTable, days: Iterable[SpecialDay], zone: str) -> SessionTable:
    """Give sessions of a table special hours, or take them out; days without a session in it are left alone.

    Raises
    ------
    ConfigError
        A day has no hours that a session can have.
    """
    hours = {date: (o, c) for date, o, c in zip(table.dates, table.opens, table.closes, strict=True)}
    for day in days:
        if day.date in hours and day.open is None and day.close is None:
            del hours[day.date]
        elif day.date in hours:
            was = hours[day.date]
            opened = was[0] if day.open is None else _nanos(day.date, day.open, zone)
            closed = was[1] if day.close is None else _nanos(day.date, day.close, zone)
            if opened >= closed:
                raise ConfigError(f"expected the market to open before it closes on {day.date}, found {day}")
            hours[day.date] = opened, closed
    opens, closes = zip(*hours.values(), strict=True) if hours else ((), ())
    return SessionTable(dates=tuple(hours), opens=opens, closes=closes)


def _nanos(date: str, hour: str, zone: str) -> int:
    try:
        moment = datetime.fromisoformat(f"{date}T{hour}").replace(tzinfo=ZoneInfo(zone))
    except ValueError as error:
        raise ConfigError(f"expected the time of a special day as HH:MM, found {date} {hour}") from error
    return int(moment.timestamp()) * NANOS_PER_SECOND
