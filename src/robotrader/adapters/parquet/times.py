"""What files write for a time, as ns UTC. Uses Polars: import this module only where files are read."""

import polars as pl

from robotrader.data.frame import DAY_NS

EXCHANGE_ZONE = "America/New_York"

_EARLIEST_US, _LATEST_US = -2_208_988_800_000_000, 7_258_118_400_000_000  # 1900 and 2200: within int64 ns
_DATE = "%Y-%m-%d"
_LOCAL = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
_FORMS = (_DATE, *_LOCAL, *(f"{form}%#z" for form in _LOCAL))
_SAMPLE = 1_000


def to_nanos(column: pl.Series) -> tuple[pl.Series, bool]:
    """Read the times of bars: ISO 8601 text, or a column of dates or times.

    A date is a session. A time without zone is the exchange's local time, the earlier one where clocks were set back.

    Returns
    -------
    (Series of int64, bool)
        ns UTC, null where a cell is no time between 1900 and 2200; and whether cells are dates, then ns are
        their midnight UTC.
    """
    if column.dtype == pl.Date:
        return _bounded(column.cast(pl.Datetime("us"))), True
    if isinstance(column.dtype, pl.Datetime):
        times = column.dt.cast_time_unit("us")
        return _bounded(times if column.dtype.time_zone else _from_local(times)), False
    text = column.cast(pl.String).str.strip_chars().str.replace(" ", "T", literal=True)
    sample = text.drop_nulls().head(_SAMPLE)
    form = max(_FORMS, key=lambda form: len(sample) - _parse(sample, form).null_count())
    return _bounded(_parse(text, form)), form == _DATE


def exchange_days(start: pl.Series) -> pl.Series:
    """Return the sessions' dates of daily bars stamped with a time, as ns at midnight UTC.

    Stamps that all are midnight UTC are dates written as times; others belong to the exchange's local date.
    """
    times = start.cast(pl.Datetime("ns"))
    if bool((start % DAY_NS != 0).any()):
        times = times.dt.replace_time_zone("UTC").dt.convert_time_zone(EXCHANGE_ZONE)
    return times.dt.date().cast(pl.Datetime("ns")).to_physical()


def _parse(text: pl.Series, form: str) -> pl.Series:
    """Return the cells as times in UTC, null where a cell has another form."""
    if form == _DATE:
        return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
    if form in _LOCAL:
        return _from_local(text.str.to_datetime(form, strict=False, time_unit="us"))
    return text.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")


def _from_local(times: pl.Series) -> pl.Series:
    return times.dt.replace_time_zone(EXCHANGE_ZONE, ambiguous="earliest", non_existent="null")


def _bounded(times: pl.Series) -> pl.Series:
    """Turn µs into ns, null where that is out of range."""
    us = times.to_physical().cast(pl.Int64)
    bounded = us.zip_with(us.is_between(_EARLIEST_US, _LATEST_US), pl.Series([None], dtype=pl.Int64))
    return (bounded * 1_000).alias("start")
