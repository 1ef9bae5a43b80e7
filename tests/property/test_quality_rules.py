"""In any good frame, one planted bad row is set aside, and only that row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robotrader.data.quality import Rule, check
from tests.unit.data.bars import DAY, MINUTE, Row, frame_of, weekdays

SESSIONS = weekdays(60)
DAYS = [int(np.datetime64(d, "ns").astype(np.int64)) for d in SESSIONS.dates]


@st.composite
def good_rows(draw: st.DrawFn, *, daily: bool = False) -> list[Row]:
    """Draw bars of one to three symbols that take turns; each symbol's times ascend by two units at least."""
    rows: list[Row] = []
    clock: dict[str, int] = {}
    for symbol in draw(st.lists(st.sampled_from("ABC"), min_size=1, max_size=40)):
        clock[symbol] = clock.get(symbol, 0) + draw(st.integers(2, 5) if not daily else st.just(1))
        low = draw(st.integers(1, 10_000))
        open_, close, high = (low + draw(st.integers(0, 500)) for _ in range(3))
        values = (open_ / 100, max(open_, close, high) / 100, low / 100, close / 100)
        start = DAYS[clock[symbol]] if daily else clock[symbol] * MINUTE
        rows.append((symbol, start, *values, float(draw(st.integers(0, 10**9)))))
    return rows


def replaced(row: Row, **changes: float) -> Row:
    names = ("symbol", "start", "open", "high", "low", "close", "volume")
    return tuple(changes.get(name, value) for name, value in zip(names, row, strict=True))  # type: ignore[return-value]


PLANTS: dict[str, tuple[Rule, Callable[[Row], Row]]] = {
    "nan": (Rule.FINITE, lambda r: replaced(r, close=float("nan"))),
    "inf": (Rule.FINITE, lambda r: replaced(r, volume=float("inf"))),
    "zero": (Rule.POSITIVE, lambda r: replaced(r, low=0.0)),
    "negative": (Rule.POSITIVE, lambda r: replaced(r, open=-r[2])),
    "above high": (Rule.RANGE, lambda r: replaced(r, close=r[3] + 0.01)),
    "below low": (Rule.RANGE, lambda r: replaced(r, open=r[4] * 0.99)),
    "volume": (Rule.VOLUME, lambda r: replaced(r, volume=-1.0)),
}


@given(rows=good_rows())
def test_a_good_frame_passes_whole(rows: list[Row]) -> None:
    frame = frame_of(rows)
    clean, bad = check(frame)
    assert bad == ()
    assert clean is frame


@given(rows=good_rows(), plant=st.sampled_from(sorted(PLANTS)), data=st.data())
def test_one_bad_value_costs_one_row(rows: list[Row], plant: str, data: st.DataObject) -> None:
    rule, spoil = PLANTS[plant]
    at = data.draw(st.integers(0, len(rows) - 1))
    spoiled = [*rows[:at], spoil(rows[at]), *rows[at + 1 :]]
    clean, bad = check(frame_of(spoiled))
    assert [(q.row, q.rule) for q in bad] == [(at + 1, rule)]
    assert clean.row.tolist() == [k + 1 for k in range(len(rows)) if k != at]


@given(rows=good_rows(), data=st.data(), other=st.booleans())
def test_one_repeated_bar_costs_one_row(rows: list[Row], data: st.DataObject, other: bool) -> None:
    of = data.draw(st.integers(0, len(rows) - 1))
    at = data.draw(st.integers(of + 1, len(rows)))
    again = replaced(rows[of], volume=rows[of][6] + 1) if other else rows[of]
    _, bad = check(frame_of([*rows[:at], again, *rows[at:]]))
    assert [(q.row, q.rule) for q in bad] == [(at + 1, Rule.CONFLICT if other else Rule.DUPLICATE)]


@given(rows=good_rows(), data=st.data())
def test_one_step_back_in_time_costs_one_row(rows: list[Row], data: st.DataObject) -> None:
    of = data.draw(st.integers(0, len(rows) - 1))
    at = data.draw(st.integers(of + 1, len(rows)))
    late = replaced(rows[of], start=rows[of][1] - MINUTE)  # between two bars of its symbol, after the later one
    _, bad = check(frame_of([*rows[:at], late, *rows[at:]]))
    assert [(q.row, q.rule) for q in bad] == [(at + 1, Rule.ORDER)]


@given(rows=good_rows(daily=True), data=st.data())
def test_one_day_without_session_costs_one_row(rows: list[Row], data: st.DataObject) -> None:
    assert check(frame_of(rows), SESSIONS)[1] == ()
    at = data.draw(st.integers(0, len(rows) - 1))
    saturday = DAYS[4] + DAY
    _, bad = check(frame_of([*rows[:at], replaced(rows[at], start=saturday), *rows[at + 1 :]]), SESSIONS)
    assert [(q.row, q.rule) for q in bad] == [(at + 1, Rule.SESSION)]
