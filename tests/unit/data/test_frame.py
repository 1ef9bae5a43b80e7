"""Frames become panels: bar length, sessions, the union of times."""

import numpy as np
import pytest

from robotrader.data.frame import (
    assemble,
    by_time,
    compact,
    concat,
    infer_spec,
    panel_hash,
    place_on_sessions,
    session_days,
)
from robotrader.data.instruments import instrument_of
from robotrader.model import BarSpec, DataError, Venue
from tests.unit.data.bars import MINUTE, bar, frame_of, weekdays


@pytest.mark.parametrize("spec", list(BarSpec))
def test_the_bar_length_is_the_most_common_distance(spec: BarSpec) -> None:
    starts = [k * spec.nanos for k in (0, 1, 2, 3, 70, 71, 99)]
    assert infer_spec(frame_of([bar(t) for t in starts])) is spec
    turns = [bar(t, symbol) for t in starts for symbol in ("A", "B")]
    assert infer_spec(frame_of(turns)) is spec


def test_an_unknown_bar_length_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"every 420 s; expected one of 5s, 1m, .*1h, 1d"):
        infer_spec(frame_of([bar(k * 7 * MINUTE) for k in range(5)]))
    with pytest.raises(DataError, match="at least two"):
        infer_spec(frame_of([bar(0)]))


def test_whatever_the_order_of_the_source_bars_come_in_the_order_of_time() -> None:
    drawn = frame_of([bar(t * MINUTE, s) for t in (3, 1, 2) for s in ("A", "B")])
    sorted_ = by_time(drawn)
    assert sorted_.start.tolist() == [k * MINUTE for k in (1, 1, 2, 2, 3, 3)]
    assert sorted_.row.tolist() == [3, 4, 5, 6, 1, 2]
    assert by_time(sorted_) is sorted_
    one_after_the_other = frame_of([bar(t * MINUTE, s) for s in ("A", "B") for t in (1, 2)])
    assert by_time(one_after_the_other) is one_after_the_other


def test_daily_bars_stand_on_their_sessions() -> None:
    sessions = weekdays(5)
    days = session_days(sessions)
    placed = place_on_sessions(frame_of([bar(days[1]), bar(days[3])]), sessions)
    assert placed.start.tolist() == [sessions.opens[1], sessions.opens[3]]
    assert placed.end.tolist() == [sessions.closes[1], sessions.closes[3]]


def test_a_panel_is_the_union_of_times() -> None:
    rows = [bar(0, "A", close=10), bar(2 * MINUTE, "A", close=10.5), bar(MINUTE, "B", close=9.5), bar(2 * MINUTE, "B")]
    panel = assemble(frame_of(rows), (instrument_of("A"), instrument_of("B")), BarSpec.MINUTE)
    assert panel.opened.tolist() == [0, MINUTE, 2 * MINUTE]
    assert np.array_equal(panel.close, [[10, np.nan], [np.nan, 9.5], [10.5, 10]], equal_nan=True)
    assert panel.bar_count == 4


def test_frames_join_by_symbol() -> None:
    joined = concat([frame_of([bar(0, "A"), bar(0, "B")]), frame_of([bar(MINUTE, "B"), bar(MINUTE, "C")])])
    assert joined.symbols == ("A", "B", "C")
    assert joined.symbol.tolist() == [0, 1, 1, 2]
    rest = compact(joined.take(np.array([0, 3])))
    assert rest.symbols == ("A", "C")
    assert rest.symbol.tolist() == [0, 1]


def test_the_hash_sees_every_value_and_nothing_else() -> None:
    def hashed(close: float = 10.0, symbol: str = "A") -> str:
        return panel_hash(assemble(frame_of([bar(0, close=close)]), (instrument_of(symbol),), BarSpec.MINUTE))

    assert hashed() == hashed()
    assert len({hashed(), hashed(close=np.nextafter(10.0, 11)), hashed(symbol="B")}) == 3


@pytest.mark.parametrize(
    ("text", "symbol", "venue"),
    [("AAPL", "AAPL", Venue.SMART), ("IBM.NYSE", "IBM", Venue.NYSE), ("BRK.B", "BRK.B", Venue.SMART)],
)
def test_instruments_have_a_venue_where_one_is_named(text: str, symbol: str, venue: Venue) -> None:
    instrument = instrument_of(text)
    assert (instrument.symbol, instrument.venue, instrument.id) == (symbol, venue, f"{symbol}.{venue}")
