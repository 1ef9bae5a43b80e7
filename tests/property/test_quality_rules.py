"""In any good frame, one planted bad row is set aside, and only that row; a live bar gets the verdict of its row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from robotrader.data.inspection import inspect
from robotrader.data.live_gate import LiveGate
from robotrader.data.quality import Rule, Severity
from robotrader.model import Bar, BarSpec, InstrumentId, SessionTable
from tests.unit.data.bars import DAY, MINUTE, Row, frame_of, weekdays

SESSIONS = weekdays(60)
DAYS = [int(np.datetime64(d, "ns").astype(np.int64)) for d in SESSIONS.dates]
WEEK = weekdays(5)
LONG_WEEKEND = SessionTable(  # Monday to Friday: Wednesday is a holiday, Thursday closes early
    dates=(*WEEK.dates[:2], *WEEK.dates[3:]),
    opens=(*WEEK.opens[:2], *WEEK.opens[3:]),
    closes=(*WEEK.closes[:2], WEEK.opens[3] + 210 * MINUTE, WEEK.closes[4]),
)


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
        rows.append((symbol, start, *values, 1e6 + draw(st.integers(0, 10**9))))  # no volume looks like a price
    return rows


def replaced(row: Row, **changes: float) -> Row:
    names = ("symbol", "start", "open", "high", "low", "close", "volume")
    return tuple(changes.get(name, value) for name, value in zip(names, row, strict=True))  # type: ignore[return-value]


def aside(rows: list[Row], sessions: SessionTable | None = None) -> list[tuple[int, Rule]]:
    spec = BarSpec.MINUTE if sessions is None else BarSpec.DAY
    found = inspect(frame_of(rows), spec=spec, sessions=sessions)
    assert len(found.good) + len(found.quarantined) + len(found.duplicates) == len(rows)
    return [(q.row, q.rule) for q in found.quarantined]


PLANTS: dict[str, tuple[Rule, Callable[[Row], Row]]] = {
    "nan": (Rule.FINITE, lambda r: replaced(r, close=float("nan"))),
    "inf": (Rule.FINITE, lambda r: replaced(r, volume=float("inf"))),
    "zero": (Rule.POSITIVE, lambda r: replaced(r, low=0.0)),
    "negative": (Rule.POSITIVE, lambda r: replaced(r, open=-r[2])),
    "above high": (Rule.RANGE, lambda r: replaced(r, close=r[3] + 0.01)),
    "below low": (Rule.RANGE, lambda r: replaced(r, open=r[4] * 0.99)),
    "high for low": (Rule.SWAPPED, lambda r: replaced(r, high=r[4], low=r[3] + 0.01)),
    "volume for close": (Rule.SWAPPED, lambda r: replaced(r, close=r[6], volume=r[5])),
    "volume for open": (Rule.SWAPPED, lambda r: replaced(r, open=r[6], volume=r[2])),
    "volume": (Rule.VOLUME, lambda r: replaced(r, volume=-1.0)),
    "grid": (Rule.GRID, lambda r: replaced(r, start=r[1] + 1)),
}


@given(rows=good_rows())
def test_a_good_frame_passes_whole(rows: list[Row]) -> None:
    frame = frame_of(rows)
    found = inspect(frame, spec=BarSpec.MINUTE, sessions=None)
    assert found.quarantined == ()
    assert found.good is frame


@given(rows=good_rows(), plant=st.sampled_from(sorted(PLANTS)), data=st.data())
def test_one_bad_value_costs_one_row(rows: list[Row], plant: str, data: st.DataObject) -> None:
    rule, spoil = PLANTS[plant]
    at = data.draw(st.integers(0, len(rows) - 1))
    assert aside([*rows[:at], spoil(rows[at]), *rows[at + 1 :]]) == [(at + 1, rule)]


@given(rows=good_rows(), data=st.data())
def test_a_repeated_bar_is_left_out_once(rows: list[Row], data: st.DataObject) -> None:
    of = data.draw(st.integers(0, len(rows) - 1))
    at = data.draw(st.integers(of + 1, len(rows)))
    found = inspect(frame_of([*rows[:at], rows[of], *rows[at:]]), spec=BarSpec.MINUTE, sessions=None)
    assert found.quarantined == ()
    assert found.duplicates.tolist() == [at + 1]
    assert found.good.row.tolist() == [k for k in range(1, len(rows) + 2) if k != at + 1]


@given(rows=good_rows(), data=st.data(), change=st.sampled_from(["open", "close", "volume"]))
def test_two_versions_of_one_bar_cost_both_rows(rows: list[Row], data: st.DataObject, change: str) -> None:
    of = data.draw(st.integers(0, len(rows) - 1))
    at = data.draw(st.integers(of + 1, len(rows)))
    low, high = rows[of][4], rows[of][3]
    other = {"open": low, "close": low, "volume": rows[of][6] + 1}[change]
    if change != "volume" and other == rows[of][2 if change == "open" else 5]:
        other = high if high > low else other
    again = replaced(rows[of], **{change: other})
    repeats = again == rows[of]
    assert aside([*rows[:at], again, *rows[at:]]) == (
        [] if repeats else [(of + 1, Rule.CONFLICT), (at + 1, Rule.CONFLICT)]
    )


@given(rows=good_rows(), data=st.data())
def test_one_step_back_in_time_costs_one_row(rows: list[Row], data: st.DataObject) -> None:
    of = data.draw(st.integers(0, len(rows) - 1))
    at = data.draw(st.integers(of + 1, len(rows)))
    late = replaced(rows[of], start=rows[of][1] - MINUTE)  # between two bars of its symbol, after the later one
    assert aside([*rows[:at], late, *rows[at:]]) == [(at + 1, Rule.ORDER)]


@given(rows=good_rows(daily=True), data=st.data())
def test_one_day_without_session_costs_one_row(rows: list[Row], data: st.DataObject) -> None:
    assert aside(rows, SESSIONS) == []
    at = data.draw(st.integers(0, len(rows) - 1))
    saturday = DAYS[4] + DAY
    spoiled = [*rows[:at], replaced(rows[at], start=saturday), *rows[at + 1 :]]
    assert aside(spoiled, SESSIONS) == [(at + 1, Rule.SESSION)]


VALUES = (
    *[(10.0, 10.5, 9.9, 10.0, 100.0)] * 10, *[(10.0, 10.5, 9.5, 10.2, 0.0)] * 3, (10.0, 11.0, 9.0, 10.0, 100.0),
    (20.0, 21.0, 19.0, 20.0, 100.0), (10.0, 9.0, 11.0, 10.0, 100.0), (10.0, 11.0, 9.0, 200.0, 10.0),
    (10.0, 11.0, 9.0, float("nan"), 1.0), (10.0, 11.0, -9.0, 10.0, 1.0), (10.0, 11.0, 9.0, 12.0, 1.0),
    (10.0, 11.0, 9.0, 10.0, -1.0), (float("inf"), float("inf"), 9.0, 10.0, 1.0),
)  # fmt: skip
STEPS = {  # minutes from one bar's start to the next: on and off the grid, over nights, holidays and half days, back
    BarSpec.MINUTE: (1, 1, 1, 1, 1, 0, -1, 2, 7, 60, 390, 1_080, 1_440, 2_880, 0.5),
    BarSpec.HOUR: (60, 60, 60, 60, 0, -60, 120, 30, 1_080, 1_440, 2_880, 7),
}


def verdicts(rows: list[Row], spec: BarSpec, sessions: SessionTable) -> list[set[Rule]]:
    """Return what a file of these rows is told, row by row."""
    found = inspect(frame_of(rows), spec=spec, sessions=sessions)
    told = [(q.row, q.rule) for q in found.quarantined] + [(w.row, w.rule) for w in found.warnings]
    told += [(row, rule) for rule, at in found.flags.items() for row in found.good.row[at].tolist()]
    told += [(row, Rule.DUPLICATE) for row in found.duplicates.tolist()]
    return [{rule for row, rule in told if row == k} for k in range(1, len(rows) + 1)]


def assert_alike(bars: list[tuple[int, int, tuple[float, ...]]], spec: BarSpec, sessions: SessionTable) -> None:
    """Judge (start, end, values) as rows of a frame and as live bars."""
    by_row = verdicts([("A", start, *values) for start, _, values in bars], spec, sessions)  # type: ignore[misc]
    gate = LiveGate(sessions)
    for row, (_, end, (o, h, lo, c, v)) in enumerate(bars):
        bar = Bar(
            instrument=InstrumentId("A.SMART"), ts_event=end, open=o, high=h, low=lo, close=c, volume=v, spec=spec
        )
        judged = {finding.rule for finding in gate.judge(bar)}
        if judged == {Rule.ORDER} and by_row[row] == {Rule.DUPLICATE}:
            continue  # a file is known whole, of the past the gate remembers the last bar: both leave the row out
        assert judged == by_row[row], row
        for rule in judged:
            event(f"{spec} {rule}")


@settings(max_examples=400)
@given(
    spec=st.sampled_from(sorted(STEPS)),
    first=st.sampled_from([*LONG_WEEKEND.opens, LONG_WEEKEND.opens[0] - 330 * MINUTE, LONG_WEEKEND.closes[2]]),
    data=st.data(),
)
def test_a_live_bar_gets_the_verdict_of_its_row(spec: BarSpec, first: int, data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.tuples(st.sampled_from(STEPS[spec]), st.integers(0, len(VALUES) - 1)), max_size=80))
    bars, start, seen = [], first, dict[int, tuple[float, ...]]()
    for step, kind in steps:
        start += int(step * MINUTE)
        values = seen.setdefault(start, VALUES[kind])  # one key, one set of values: two are told apart below
        bars.append((start, start + spec.nanos, values))
    assert_alike(bars, spec, LONG_WEEKEND)


@given(days=st.lists(st.tuples(st.sampled_from([1, 1, 1, 1, 1, 2, 3, 4, 0, -1]), st.integers(0, len(VALUES) - 1))))
def test_a_live_day_gets_the_verdict_of_its_row(days: list[tuple[int, int]]) -> None:
    start, seen = DAYS[0], dict[int, tuple[float, ...]]()
    bars = []
    for step, kind in days:
        start += step * DAY
        date = str(np.datetime64(start, "ns").astype("datetime64[D]"))
        end = SESSIONS.close_of(date) or start + DAY - 1
        bars.append((start, end, seen.setdefault(start, VALUES[kind])))
    assert_alike(bars, BarSpec.DAY, SESSIONS)


@given(
    data=st.data(),
    turns=st.lists(
        st.tuples(st.sampled_from("AB"), st.sampled_from(STEPS[BarSpec.HOUR]), st.integers(0, len(VALUES) - 1))
    ),
)
def test_symbols_that_take_turns_are_judged_each_for_itself(
    data: st.DataObject, turns: list[tuple[str, int, int]]
) -> None:
    clock = {name: data.draw(st.sampled_from(LONG_WEEKEND.opens)) for name in "AB"}
    rows: list[Row] = []
    for name, step, kind in turns:
        clock[name] += step * MINUTE
        rows.append((name, clock[name], *VALUES[kind]))
    together = verdicts(rows, BarSpec.HOUR, LONG_WEEKEND)
    for name in "AB":
        own = [row for row in rows if row[0] == name]
        alone = verdicts(own, BarSpec.HOUR, LONG_WEEKEND)
        assert [told for row, told in zip(rows, together, strict=True) if row[0] == name] == alone


def test_of_two_versions_the_live_gate_can_only_refuse_the_second() -> None:
    gate, spec = LiveGate(LONG_WEEKEND), BarSpec.MINUTE
    bar = Bar(instrument=InstrumentId("A.SMART"), ts_event=LONG_WEEKEND.opens[0] + MINUTE, open=10, high=10.5, low=9.5,
              close=10, volume=1, spec=spec)  # fmt: skip
    other = Bar(instrument=bar.instrument, ts_event=bar.ts_event, open=10, high=10.5, low=9.5, close=9.8, volume=1,
                spec=spec)  # fmt: skip
    assert gate.judge(bar) == ()
    assert [(f.rule, f.severity) for f in gate.judge(other)] == [(Rule.CONFLICT, Severity.QUARANTINE)]
    assert [(f.rule, f.severity) for f in gate.judge(bar)] == [(Rule.DUPLICATE, Severity.IGNORE)]
