"""Short bars make longer ones inside the session, complete or openly not."""

from datetime import UTC, datetime

import pytest

from robotrader.data.aggregate import Aggregate, Grid, Slot, aggregate
from robotrader.model import Bar, BarSpec, SessionTable, Venue, stock

AAPL = stock("AAPL", Venue.NASDAQ)


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> int:
    return int(datetime(2026, 11, day, hour, minute, second, tzinfo=UTC).timestamp()) * 10**9


SESSIONS = SessionTable(
    dates=("2026-11-25", "2026-11-27"), opens=(at(25, 14, 30), at(27, 14, 30)), closes=(at(25, 21), at(27, 18))
)
"""A whole session and, after Thanksgiving, a half one."""


def piece(end: int, close: float, *, spec: BarSpec = BarSpec.SECOND_5, volume: float = 10.0) -> Bar:
    return Bar(
        instrument=AAPL.id, ts_event=end, open=close - 1, high=close + 2, low=close - 3, close=close, volume=volume,
        spec=spec,
    )  # fmt: skip


def fives(start: int, count: int) -> list[Bar]:
    return [piece(start + 5 * 10**9 * (n + 1), 100.0 + n) for n in range(count)]


@pytest.mark.parametrize(
    ("spec", "whole", "half", "last"),
    [(BarSpec.MINUTE, 390, 210, 60), (BarSpec.MINUTE_5, 78, 42, 300), (BarSpec.MINUTE_15, 26, 14, 900),
     (BarSpec.HOUR, 7, 4, 1_800), (BarSpec.DAY, 1, 1, 12_600)],
)  # fmt: skip
def test_every_session_is_covered_from_its_open_to_its_close(spec: BarSpec, whole: int, half: int, last: int) -> None:
    grid = Grid(SESSIONS, spec)
    slots = grid.slots(0, at(30, 0))
    assert len(slots) == whole + half
    assert (slots[0].start, slots[whole - 1].end, slots[whole].start) == (at(25, 14, 30), at(25, 21), at(27, 14, 30))
    assert slots[-1] == Slot(at(27, 18) - last * 10**9, at(27, 18))
    assert all(grid.at(slot.start) == grid.at(slot.end - 1) == slot for slot in slots)
    assert [grid.start_of(slot.end) for slot in slots] == [slot.start for slot in slots]
    assert [grid.start_of(end) for end in (at(25, 14, 30), slots[0].end - 1, at(25, 21) + 1)] == [None] * 3
    assert grid.before(at(30, 0), half + 1) == slots[-half - 1 :]
    assert grid.before(slots[2 % len(slots)].end, 99_999) == slots[: 2 % len(slots) + 1]
    assert grid.slots(slots[0].end, slots[1].end) == slots[1:2]


def test_nothing_is_due_while_the_market_is_closed() -> None:
    grid = Grid(SESSIONS, BarSpec.MINUTE)
    assert [grid.at(t) for t in (0, at(25, 14, 29, 59), at(25, 21), at(26, 16), at(27, 18))] == [None] * 5
    assert grid.before(0, 5) == grid.before(at(30, 0), 0) == grid.slots(at(25, 21), at(27, 14, 30)) == []


def test_a_minute_is_made_of_twelve_pieces() -> None:
    start = at(25, 14, 30)
    [(bar, missing)] = [
        (a.bar, a.missing) for a in aggregate(fives(start, 12), Grid(SESSIONS, BarSpec.MINUTE), at(30, 0))
    ]
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (99.0, 113.0, 97.0, 111.0, 120.0)
    assert (bar.ts_event, bar.spec, missing) == (at(25, 14, 31), BarSpec.MINUTE, 0)


def test_a_bar_is_there_only_when_the_clock_has_passed_its_end() -> None:
    pieces, grid = fives(at(25, 14, 30), 12), Grid(SESSIONS, BarSpec.MINUTE)
    assert aggregate(pieces, grid, at(25, 14, 31) - 1) == []
    assert len(aggregate(pieces, grid, at(25, 14, 31))) == 1


def test_missing_pieces_are_counted_and_nothing_stands_in_for_them() -> None:
    pieces = fives(at(25, 14, 30), 12)
    [found] = aggregate(pieces[:3] + pieces[5:], Grid(SESSIONS, BarSpec.MINUTE), at(30, 0))
    assert (found.missing, found.bar.volume) == (2, 100.0)
    assert aggregate([], Grid(SESSIONS, BarSpec.MINUTE), at(30, 0)) == []


def test_the_last_hour_ends_at_the_close_of_a_half_day() -> None:
    pieces = [piece(at(27, 17, 45), 5.0, spec=BarSpec.MINUTE_15), piece(at(27, 18), 7.0, spec=BarSpec.MINUTE_15)]
    beyond = piece(at(27, 18, 15), 9.0, spec=BarSpec.MINUTE_15)
    grid = Grid(SESSIONS, BarSpec.HOUR)
    [found] = aggregate([*pieces, beyond], grid, at(30, 0))
    assert (found.bar.ts_event, found.bar.close, found.bar.high, found.missing) == (at(27, 18), 7.0, 9.0, 0)


def test_a_piece_that_reaches_out_of_its_slot_is_left_out() -> None:
    across = piece(at(25, 14, 31, 3), 5.0)
    assert aggregate([across], Grid(SESSIONS, BarSpec.MINUTE), at(30, 0)) == []


def test_of_two_for_the_same_time_the_first_counts() -> None:
    pieces, grid = fives(at(25, 14, 30), 12), Grid(SESSIONS, BarSpec.MINUTE)
    twice = [*pieces, piece(pieces[3].ts_event, 500.0)]
    assert aggregate(twice, grid, at(30, 0)) == aggregate(pieces, grid, at(30, 0))
    assert isinstance(aggregate(twice, grid, at(30, 0))[0], Aggregate)
