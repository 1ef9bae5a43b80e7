"""When the gateway and IBKR's servers are known to reset: pure, in local times of their zones.

Source: `ibkr.md` 3.1 in the project's knowledge base; the times have moved over the years.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from robotrader.model import NANOS_PER_SECOND

_IBKR = ZoneInfo("America/New_York")
_DAY = timedelta(days=1)
_HOUR_NS = 3_600 * NANOS_PER_SECOND
_FRIDAY, _SUNDAY = 4, 6
_RESTART_LASTS_NS = 5 * 60 * NANOS_PER_SECOND
_NIGHTLY = time(0, 15), time(1, 45)
_WEEKEND = time(23), time(3)  # Friday to Saturday
_LOGIN = time(1)  # on Sunday the week's tokens end
_SLOW_NS = 15 * 60 * NANOS_PER_SECOND


class ResetKind(StrEnum):
    """Whose reset it is: the gateway closes its port, IBKR's servers do not."""

    GATEWAY = "restart of the gateway"
    SERVER = "reset of IBKR's servers"


class Window(Struct, frozen=True):
    """A reset with start <= time < end, ns UTC."""

    kind: ResetKind
    start: int
    end: int

    def __str__(self) -> str:
        first, last = (datetime.fromtimestamp(t // NANOS_PER_SECOND, UTC) for t in (self.start, self.end))
        return f"known {self.kind}, {first:%H:%M} to {last:%H:%M} UTC"


class ResetSchedule(Struct, frozen=True, kw_only=True):
    """Known resets; `restart` is when the gateway restarts every day, local time in `zone`.

    A local time that a change to winter time makes ambiguous begins a window when it is first, ends it when it is last.
    """

    restart: time = time(23, 45)
    zone: str = "America/New_York"

    def window(self, ts: int) -> Window | None:
        """Return the window that `ts` (ns UTC) is in; of several, the one that ends last."""
        near = _within(self, ts // _HOUR_NS)
        return max((w for w in near if w.start <= ts < w.end), key=lambda w: w.end, default=None) if near else None

    def next_window(self, ts: int) -> Window:
        """Return the window that begins next after `ts`."""
        return min((w for w in _around(self, ts) if w.start > ts), key=lambda w: w.start)

    def login_needed(self, ts: int, *, opened: int | None, refused: int) -> str:
        """Return why a person must log in, empty if nothing says so.

        Parameters
        ----------
        ts : int
            Now; the port is refused.
        opened : int or None
            When the last session began: a login older than the week's end is void.
        refused : int
            Since when the port is refused.
        """
        window = self.window(ts)
        if window is not None and window.kind is ResetKind.GATEWAY:
            return ""  # the port is closed as it should be
        if opened is not None and opened < self._last_login(ts):
            return "the gateway's weekly login has ended: log in and confirm the second factor"
        if ts > (self.window(refused) or self.next_window(refused)).end + _SLOW_NS:
            return "the gateway did not come back within 15 min after its reset: log in, or start it"
        return ""

    @staticmethod
    def _last_login(ts: int) -> int:
        today = datetime.fromtimestamp(ts // NANOS_PER_SECOND, _IBKR).date()
        sunday = today - _DAY * ((today.weekday() - _SUNDAY) % 7)
        due = _nanos(datetime.combine(sunday, _LOGIN, _IBKR))
        return due if due <= ts else _nanos(datetime.combine(sunday - 7 * _DAY, _LOGIN, _IBKR))


def _around(schedule: ResetSchedule, ts: int) -> Iterator[Window]:
    """Yield the windows of the days around `ts`: every one it is in, and the next one."""
    today = datetime.fromtimestamp(ts // NANOS_PER_SECOND, UTC).date()
    for k in (-2, -1, 0, 1, 2):  # the date that it is anywhere, and one more on either side
        yield from _windows(schedule, today + k * _DAY)


@lru_cache(maxsize=4)
def _within(schedule: ResetSchedule, hour: int) -> tuple[Window, ...]:
    """Return the windows that have a part of an hour: it is asked about every few seconds."""
    start = hour * _HOUR_NS
    return tuple(w for w in _around(schedule, start) if w.start < start + _HOUR_NS and w.end > start)


@lru_cache(maxsize=16)
def _windows(schedule: ResetSchedule, day: date) -> tuple[Window, ...]:
    """Return the windows that begin on a local day."""
    start = datetime.combine(day, schedule.restart, ZoneInfo(schedule.zone))
    restart = Window(ResetKind.GATEWAY, _nanos(start), _nanos(start) + _RESTART_LASTS_NS)
    nightly = _server_window(day, day, _NIGHTLY)
    return (
        (restart, nightly, _server_window(day, day + _DAY, _WEEKEND))
        if day.weekday() == _FRIDAY
        else (restart, nightly)
    )


def _server_window(first: date, last: date, times: tuple[time, time]) -> Window:
    start = datetime.combine(first, times[0], _IBKR)
    end = datetime.combine(last, times[1], _IBKR).replace(fold=1)
    return Window(ResetKind.SERVER, _nanos(start), _nanos(end))


def _nanos(at: datetime) -> int:
    return int(at.timestamp()) * NANOS_PER_SECOND
