"""What files write for a time."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from robotrader.adapters.parquet.times import exchange_days, is_date, time_form, to_nanos


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000_000  # type: ignore[misc,arg-type]


def read(column: pl.Series) -> tuple[list[int | None], bool]:
    """Return the times of a column in the form it is found to have, and whether they are dates."""
    form = time_form(column)
    return to_nanos(column, form).to_list(), is_date(form)


SUMMER = utc(2020, 7, 2, 13, 30)  # 09:30 in New York


@pytest.mark.parametrize(
    "cell",
    [
        "2020-07-02T09:30", "2020-07-02 09:30:00", "2020-07-02T09:30:00.000", " 2020-07-02 09:30 ",
        "2020-07-02T13:30:00Z", "2020-07-02 13:30+00:00", "2020-07-02T09:30:00-04:00", "2020-07-02T09:30:00.0-0400",
        "20200702T093000",
    ],
)  # fmt: skip
def test_every_way_to_write_a_time(cell: str) -> None:
    assert read(pl.Series([cell, None, "nonsense"])) == ([SUMMER, None, None], False)


def test_cells_in_utc_may_differ_in_how_they_write_the_second_and_the_zone() -> None:
    cells = ["2020-07-02T13:30:00Z", "2020-07-02T13:30:00Z", "2020-07-02T13:30:00.000Z", "2020-07-02T09:30:00-04:00"]
    assert read(pl.Series(cells)) == ([SUMMER] * 4, False)


@pytest.mark.parametrize("form", ["{}-{}-{}", "{}{}{}", "{}{}{}T000000"])
def test_a_date_is_a_session(form: str) -> None:
    cells = [form.format("2020", "07", "02"), form.format("2020", "13", "01")]
    assert read(pl.Series(cells)) == ([utc(2020, 7, 2), None], True)


@pytest.mark.parametrize(
    ("column", "dates"),
    [
        (pl.Series([date(2020, 7, 2)]), True),
        (pl.Series([datetime(2020, 7, 2, 9, 30)]), False),  # noqa: DTZ001 - a time without zone is the case
        (pl.Series([datetime(2020, 7, 2, 13, 30, tzinfo=UTC)]), False),
        (pl.Series([datetime(2020, 7, 2, 13, 30, tzinfo=UTC)]).dt.convert_time_zone("Asia/Tokyo"), False),
    ],
)
def test_typed_columns(column: pl.Series, dates: bool) -> None:
    assert read(column) == ([utc(2020, 7, 2) if dates else SUMMER], dates)


def test_times_that_no_calendar_holds_are_none() -> None:
    assert read(pl.Series(["2020-07-02", "9999-12-31", "0001-01-01"]))[0].count(None) == 2
    assert read(pl.Series(["2020-07-02T09:30Z", "9999-12-31T00:00Z"]))[0].count(None) == 1
    assert read(pl.Series([None, "x"], dtype=pl.String))[0].count(None) == 2


def test_clock_changes() -> None:
    cells = ["2021-03-14 01:59", "2021-03-14 02:30", "2021-11-07 01:30"]
    assert read(pl.Series(cells))[0] == [utc(2021, 3, 14, 6, 59), None, utc(2021, 11, 7, 5, 30)]


def test_daily_stamps_belong_to_the_exchanges_date() -> None:
    assert exchange_days(pl.Series([SUMMER, utc(2020, 7, 3, 4)])).to_list() == [utc(2020, 7, 2), utc(2020, 7, 3)]
    assert exchange_days(pl.Series([utc(2020, 7, 2), utc(2020, 7, 3)])).to_list() == [utc(2020, 7, 2), utc(2020, 7, 3)]
