"""Historical bars as IBKR serves them: durations, bar sizes, and the bar under way at the end."""

import re
from bisect import bisect_left
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from robotrader.model import NANOS_PER_SECOND, BarSpec, InstrumentId
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.requests import History, Refused
from robotrader.simulation.gateway.wire import ZONE, day, local, nanos, stamp

_DAY_SECONDS = 86_400
BAR_SIZES = {
    "5 secs": 5, "10 secs": 10, "15 secs": 15, "30 secs": 30, "1 min": 60, "2 mins": 120, "3 mins": 180,
    "5 mins": 300, "10 mins": 600, "15 mins": 900, "20 mins": 1_200, "30 mins": 1_800, "1 hour": 3_600,
    "1 day": _DAY_SECONDS,
}  # fmt: skip
PRICES = frozenset({"TRADES", "ADJUSTED_LAST", "MIDPOINT", "BID", "ASK"})
_DURATION = re.compile(r"(\d{1,5}) ([SDWMY])")
_END = re.compile(r"(\d{8})(-| {1,2})(\d\d:\d\d:\d\d)(?: (\S+))?")

Row = tuple[float, ...]
"""(opened, ts, open, high, low, close, volume); times in ns UTC."""


def rows(market: Market, instrument: InstrumentId, request: History) -> list[Row]:
    """Return the bars that a request asks for, oldest first; the last may still be forming.

    Raises
    ------
    Refused
        Duration, bar size, kind of data or end time are not valid.
    """
    size = BAR_SIZES.get(request.bar_size)
    if size is None:
        raise Refused(321, f"Invalid bar size {request.bar_size!r}. One of: {', '.join(BAR_SIZES)}")
    if request.what not in PRICES:
        raise Refused(321, f"Invalid data type {request.what!r}. One of: {', '.join(sorted(PRICES))}")
    end = min(parse_end(request.end, market.now), market.now)
    opened_from, ends_after = _start(market, request.duration, end)
    if size * NANOS_PER_SECOND < market.spec.nanos:
        return []  # finer than the data: nobody has it
    series = market.series(instrument)
    first = int(max(series.opened.searchsorted(opened_from), series.ts.searchsorted(ends_after, "right")))
    found: list[Row] = list(series.rows(first, int(series.ts.searchsorted(end, "right"))))
    forming = market.forming(instrument, end)
    if forming is not None and forming[0] >= opened_from:
        opened, bar = forming
        found.append((opened, bar.ts_event, bar.open, bar.high, bar.low, bar.close, bar.volume))
    return found if size * NANOS_PER_SECOND == market.spec.nanos else _grouped(found, size)


def parse_end(text: str, now: int) -> int:
    """Return the end time of a request, ns UTC; empty means now, no zone means the exchange's."""
    if not text:
        return now
    match = _END.fullmatch(text)
    date, separator, time, zone = match.groups() if match else ("", "", "", "")
    try:
        tz = ZoneInfo(zone) if zone else UTC if separator == "-" else ZONE
        return max(nanos(datetime.strptime(date + time, "%Y%m%d%H:%M:%S").replace(tzinfo=tz)), 0)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        message = "End Date/Time: The date, time, or time-zone entered is invalid. Use yyyymmdd hh:mm:ss xx/xxxx"
        raise Refused(10314, message) from None


def _start(market: Market, duration: str, end: int) -> tuple[int, int]:
    """Return (bars open at or after, bars end after) of a duration; days are trading days."""
    match = _DURATION.fullmatch(duration.strip())
    if match is None or not int(match[1]):
        raise Refused(321, f"Invalid duration {duration!r}: use a number and S, D, W, M or Y, like '2 D'")
    count, unit = int(match[1]), match[2]
    if unit == "D":
        if count > 365:
            raise Refused(321, "Historical data requests for durations longer than 365 days must be made in years.")
        session = max(bisect_left(market.opens, end) - count, 0)
        return market.opens[session], 0
    moment = local(end)
    if unit in "SW":
        span = timedelta(seconds=count) if unit == "S" else timedelta(weeks=min(count, 5_000))
        return 0, nanos(moment - span)
    return 0, nanos(_months_before(moment, count * (12 if unit == "Y" else 1)))


def _months_before(moment: datetime, count: int) -> datetime:
    year, month = divmod(max(moment.year * 12 + moment.month - 1 - count, 1900 * 12), 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


def _grouped(found: list[Row], size: int) -> list[Row]:
    """Join bars into longer ones: by exchange day, or by the clock within it."""
    groups: dict[object, list[Row]] = {}
    for row in found:
        opened = int(row[0])
        key: object = local(opened).date() if size == _DAY_SECONDS else opened // (size * NANOS_PER_SECOND)
        groups.setdefault(key, []).append(row)
    return [
        (g[0][0], g[-1][1], g[0][2], max(r[3] for r in g), min(r[4] for r in g), g[-1][5], sum(r[6] for r in g))
        for g in groups.values()
    ]


def date_text(row: Row, *, daily: bool, epoch: bool, version: int) -> str:
    """Return a bar's date field: the session's day, or the bar's start."""
    if daily:
        return day(int(row[1]))
    if epoch:
        return str(int(row[0]) // NANOS_PER_SECOND)
    return stamp(int(row[0]), version)


def is_daily(request: History) -> bool:
    """Tell whether a request asks for daily bars."""
    return BAR_SIZES.get(request.bar_size) == BarSpec.DAY.nanos // NANOS_PER_SECOND
