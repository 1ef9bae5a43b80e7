"""Sessions as a value."""

import pytest

from robotrader.model import SessionTable

TABLE = SessionTable(dates=("2024-01-02", "2024-01-03"), opens=(10, 30), closes=(20, 40))


@pytest.mark.parametrize(
    ("date", "close"), [("2024-01-01", None), ("2024-01-02", 20), ("2024-01-03", 40), ("2025", None)]
)
def test_a_date_has_its_close_or_no_session(date: str, close: int | None) -> None:
    assert TABLE.close_of(date) == close


@pytest.mark.parametrize(("ts", "index"), [(0, None), (19, None), (20, 0), (39, 0), (40, 1), (99, 1)])
def test_a_session_is_closed_from_its_close_on(ts: int, index: int | None) -> None:
    assert TABLE.last_closed(ts) == index


@pytest.mark.parametrize(
    ("ts", "is_open"), [(9, False), (10, True), (19, True), (20, False), (29, False), (30, True), (40, False)]
)
def test_a_market_is_open_from_its_open_to_just_before_its_close(ts: int, is_open: bool) -> None:
    assert TABLE.is_open(ts) is is_open
