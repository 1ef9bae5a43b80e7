"""What files write for a time, as ns UTC. Uses Polars: import this module only where files are read."""

import polars as pl

from robotrader.data.frame import DAY_NS

EXCHANGE_ZONE = "America/New_York"

_EARLIEST_US, _LATEST_US = -2_208_988_800_000_000, 7_258_118_400_000_000  # 1900 and 2200: within int64 ns
_DATES = ("%Y-%m-%d", "%Y%m%d", "%Y%m%dT000000")  # the last: Stooq's daily files
_LOCAL = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y%m%dT%H%M%S")
_UTC = "%Y-%m-%dT%H:%M:%SZ"  # the zone as a letter: four times as fast as any zone
_FORMS = (*_DATES, *_LOCAL, _UTC, *(f"{form}%#z" for form in _LOCAL[:2]))
_TYPED_DATE, _TYPED_TIME = "date", "time"  # forms of columns that are not text
_SAMPLE = 1_000


def time_form(column: pl.Series) -> str:
    """Tell in which of the known forms a column writes its times, by its first rows."""
    if column.dtype == pl.Date:
        return _TYPED_DATE
    if isinstance(column.dtype, pl.Datetime):
        return _TYPED_TIME
    sample = _text(column.drop_nulls().head(_SAMPLE))
    return max(_FORMS, key=lambda form: len(sample) - _parse(sample, form).null_count())


def is_date(form: str) -> bool:
    """Tell whether times of this form are dates of sessions."""
    return form in (_TYPED_DATE, *_DATES)


def to_nanos(column: pl.Series, form: str) -> pl.Series:
    """Read the times of bars: ISO 8601 text, Stooq's digits, or a column of dates or times.

    A date is a session. A time without zone is the exchange's local time, the earlier one where clocks were set back.

    Returns
    -------
    Series of int64
        ns UTC, a date's midnight UTC; null where a cell is no time of this form between 1900 and 2200.
    """
    if form == _TYPED_DATE:
        return _bounded(column.cast(pl.Datetime("us")))
    if form == _TYPED_TIME:
        times = column.dt.cast_time_unit("us")
        zoned = isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone
        return _bounded(times if zoned else _from_local(times))
    return _bounded(_parse(_text(column), form))


def exchange_days(start: pl.Series) -> pl.Series:
    """Return the sessions' dates of daily bars stamped with a time, as ns at midnight UTC.

    Stamps that all are midnight UTC are dates written as times; others belong to the exchange's local date.
    """
    times = start.cast(pl.Datetime("ns"))
    if bool((start % DAY_NS != 0).any()):
        times = times.dt.replace_time_zone("UTC").dt.convert_time_zone(EXCHANGE_ZONE)
    return times.dt.date().cast(pl.Datetime("ns")).to_physical()


def _text(column: pl.Series) -> pl.Series:
    return column.cast(pl.String).str.strip_chars().str.replace(" ", "T", literal=True)


def _parse(text: pl.Series, form: str) -> pl.Series:
    """Return the cells as times in UTC, null where a cell has another form."""
    if form in _DATES:
        return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
    if form == _UTC:
        times = text.str.to_datetime(form, strict=False, time_unit="us").dt.replace_time_zone("UTC")
        return times if times.null_count() == text.null_count() else _parse(text, f"{_LOCAL[0]}%#z")
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
