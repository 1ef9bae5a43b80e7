"""Historical bars as IBKR serves them: durations, bar sizes, and the bar under way at the end."""

import re
from bisect import bisect_left
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from robotrader.model import NANOS_PER_SECOND, Instrument, InstrumentId
from robotrader.simulation.gateway.market import Market
from robotrader.simulation.gateway.requests import Refused, Request
from robotrader.simulation.gateway.wire import ZONE, local, nanos, stamp

_DAY_SECONDS = 86_400
BAR_SIZES = {
    "5 secs": 5, "10 secs": 10, "15 secs": 15, "30 secs": 30, "1 min": 60, "2 mins": 120, "3 mins": 180,
    "5 mins": 300, "10 mins": 600, "15 mins": 900, "20 mins": 1_200, "30 mins": 1_800, "1 hour": 3_600,
    "2 hours": 7_200, "3 hours": 10_800, "4 hours": 14_400, "8 hours": 28_800, "1 day": _DAY_SECONDS,
}  # fmt: skip
_TRADES = frozenset({"TRADES", "ADJUSTED_LAST"})
_SHIFTS = {"MIDPOINT": (0, 0), "BID": (-1, -1), "ASK": (1, 1), "BID_ASK": (-1, 1)}
_KINDS = _TRADES | _SHIFTS.keys()
_UNITS = {"S": 1, "W": 7 * _DAY_SECONDS, "M": 30 * _DAY_SECONDS, "Y": 365 * _DAY_SECONDS}
_DURATION = re.compile(r"(\d{1,5}) ([SDWMY])")
_END = re.compile(r"(\d{8})(-| {1,2})(\d\d:\d\d:\d\d)(?: (\S+))?")

Row = tuple[float, ...]
"""(opened, ts, open, high, low, close, volume); times in ns UTC."""


def rows(market: Market, instrument: InstrumentId, request: Request, since: int | None = None) -> list[Row]:
    """Return the bars that a request asks for, oldest first; the last may still be forming.

    `since` (ns UTC) takes the place of the duration: bars that open then or later.
    """
    size = BAR_SIZES.get(request.values["barSize"])
    if size is None:
        raise Refused(321, f"Invalid bar size {request.values['barSize']!r}. One of: {', '.join(BAR_SIZES)}")
    check_kind(request.values["what"])
    end = min(parse_end(request.values["end"], market.now), market.now)
    opened_from, ends_after = _start(market, request.values["duration"], end) if since is None else (since, 0)
    if size * NANOS_PER_SECOND < market.spec.nanos:
        return []  # finer than the data: nobody has it
    series = market.series(instrument)
    first = int(max(series.opened.searchsorted(opened_from), series.ts.searchsorted(ends_after, "right")))
    found: list[Row] = list(series.rows(first, int(series.ts.searchsorted(end, "right"))))
    forming = market.forming(instrument, end)
    if forming is not None and forming[0] >= opened_from:
        opened, bar = forming
        found.append((opened, bar.ts_event, bar.open, bar.high, bar.low, bar.close, bar.volume))
    whole = found if size * NANOS_PER_SECOND == market.spec.nanos else _grouped(found, size)
    return [as_shown(row, request.values["what"], market.instruments[instrument]) for row in whole]


def check_kind(what: str) -> None:
    """Refuse (321) a kind of data that is not served."""
    if what not in _KINDS:
        raise Refused(321, f"Invalid data type {what!r}. One of: {', '.join(sorted(_KINDS))}")


def as_shown(row: Row, what: str, instrument: Instrument) -> Row:
    """Return a bar of trades as the kind that was asked for; bid and ask are a tick from the trades.

    BID_ASK is as IBKR defines it: mean bid, highest ask, lowest bid, mean ask. Only trades have a volume.
    """
    if what in _TRADES:
        return row
    opened, ts, *prices, _ = row
    down, up = _SHIFTS[what]
    if what == "BID_ASK":
        first, high, low, last = prices
        mean = round((first + 2 * high + 2 * low + last) / 6, 6)  # of the straight path through the bar
        prices = [mean, high, low, mean]
    shifts = (down, up, down, up) if what == "BID_ASK" else (down,) * 4
    shifted = (float(Decimal(repr(p)) + s * instrument.tick) for p, s in zip(prices, shifts, strict=True))
    return (opened, ts, *shifted, -1.0)


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
    if unit != "D":
        return 0, max(end - count * _UNITS[unit] * NANOS_PER_SECOND, 0)
    if count > 365:
        raise Refused(321, "Historical data requests for durations longer than 365 days must be made in years.")
    return market.opens[max(bisect_left(market.opens, end) - count, 0)], 0


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


def date_text(row: Row, request: Request, version: int) -> str:
    """Return a bar's date field as its request wants it: the session's day, or the bar's start."""
    opened, ts = int(row[0]), int(row[1])
    if request.values["barSize"] == "1 day":
        return local(ts).strftime("%Y%m%d")
    return str(opened // NANOS_PER_SECOND) if request.values["format"] == "2" else stamp(opened, version)
