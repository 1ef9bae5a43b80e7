"""What files write for a time, as ns UTC. Uses Polars: import this module only where files are read."""

from typing import Literal

import polars as pl

from robotrader.data.frame import DAY_NS

EXCHANGE_ZONE = "America/New_York"

Kind = Literal["date", "epoch", "zoned", "local"]
Form = tuple[Kind, str]

_EARLIEST_US, _LATEST_US = -2_208_988_800_000_000, 7_258_118_400_000_000  # 1900 and 2200: within int64 ns
_LOCAL = tuple(f"{d}{c}" for d in ("%Y-%m-%dT", "%Y-%m-%d ", "%Y%m%d ") for c in ("%H:%M:%S%.f", "%H:%M"))
_FORMS: tuple[Form, ...] = (
    ("date", "%Y-%m-%d"),
    ("date", "%Y%m%d"),
    ("date", "%Y/%m/%d"),
    ("epoch", ""),
    *(("local", form) for form in _LOCAL),
    *(("zoned", f"{form}%#z") for form in _LOCAL),
)
_UNITS = ((10**11, 1_000_000.0), (10**14, 1_000.0), (10**17, 1.0))  # an epoch below this counts so many µs
_YYYYMMDD = (19_000_101, 21_991_231)
_SAMPLE = 1_000


def to_nanos(column: pl.Series) -> tuple[pl.Series, bool]:
    """Read the times of bars.

    A date is a session. A time without zone is the exchange's local time (the earlier one where clocks were set
    back); a whole number counts from 1970 UTC in s, ms, µs or ns, by its size, unless it reads as YYYYMMDD.

    Returns
    -------
    (Series of int64, bool)
        ns UTC, null where a cell is no time between 1900 and 2200; and whether cells are dates, then ns are
        their midnight UTC.
    """
    kind = column.dtype
    if kind == pl.Date:
        return _bounded(column.cast(pl.Datetime("us"))), True
    if isinstance(kind, pl.Datetime):
        times = column.dt.cast_time_unit("us")
        return _bounded(times if kind.time_zone else _from_local(times)), False
    if kind.is_numeric() and not bool(column.is_between(*_YYYYMMDD).all()):
        return _bounded(_from_epoch(column)), False
    text = column.cast(pl.String).str.strip_chars()
    form = _best_form(text.drop_nulls().head(_SAMPLE))
    return _bounded(_parse(text, form)), form[0] == "date"


def exchange_days(start: pl.Series) -> pl.Series:
    """Return the sessions' dates of daily bars stamped with a time, as ns at midnight UTC.

    Stamps that all are midnight UTC are dates written as times; others belong to the exchange's local date.
    """
    times = start.cast(pl.Datetime("ns"))
    if bool((start % DAY_NS != 0).any()):
        times = times.dt.replace_time_zone("UTC").dt.convert_time_zone(EXCHANGE_ZONE)
    return times.dt.date().cast(pl.Datetime("ns")).to_physical()


def _best_form(sample: pl.Series) -> Form:
    """Return the form that reads most cells of the sample."""
    return max(_FORMS, key=lambda form: len(sample) - _parse(sample, form).null_count())


def _parse(text: pl.Series, form: Form) -> pl.Series:
    """Return the cells as times or µs in UTC, null where a cell has another form."""
    kind, pattern = form
    if kind == "date":
        return text.str.to_date(pattern, strict=False).cast(pl.Datetime("us"))
    if kind == "zoned":
        return text.str.to_datetime(pattern, strict=False, time_unit="us", time_zone="UTC")
    if kind == "local":
        return _from_local(text.str.to_datetime(pattern, strict=False, time_unit="us"))
    return _from_epoch(text.cast(pl.Int64, strict=False))


def _from_local(times: pl.Series) -> pl.Series:
    return times.dt.replace_time_zone(EXCHANGE_ZONE, ambiguous="earliest", non_existent="null")


def _from_epoch(numbers: pl.Series) -> pl.Series:
    typical = numbers.cast(pl.Float64).abs().median()
    size = typical if isinstance(typical, float) else 0.0  # no number at all: any unit will do
    factor = next((us for limit, us in _UNITS if size < limit), 0.001)
    return (numbers.cast(pl.Float64) * factor).round().cast(pl.Int64, strict=False)


def _bounded(times: pl.Series) -> pl.Series:
    """Turn µs into ns, null where that is out of range."""
    us = times.to_physical().cast(pl.Int64)
    return (us.zip_with(us.is_between(_EARLIEST_US, _LATEST_US), pl.Series([None], dtype=pl.Int64)) * 1_000).alias(
        "start"
    )
