"""Bad rows are set aside with their rule and number, odd ones are told; everything else goes on."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from msgspec import structs

from robotrader.data.inspection import WARNINGS_SHOWN, Inspection, inspect
from robotrader.data.live_gate import LiveGate, accepted, judge, judge_quote
from robotrader.data.quality import (
    CONTEXT_CHECKS,
    JUMP_FACTOR,
    KEY_CHECKS,
    QUOTE_CHECKS,
    ROW_CHECKS,
    STALE_RUN,
    Rule,
    Severity,
)
from robotrader.model import (
    Bar,
    BarSpec,
    CorporateAction,
    CorporateActionKind,
    InstrumentId,
    Quote,
    SessionTable,
)
from tests.unit.data.bars import DAY, MINUTE, Row, bar, frame_of, weekdays

NAN, INF = float("nan"), float("inf")
HOUR = 60 * MINUTE
SESSIONS = weekdays(10)
OPEN, CLOSE = SESSIONS.opens[0], SESSIONS.closes[0]
MONDAY = int(np.datetime64("2020-01-06", "ns").astype(np.int64))


def around_the_clock(rows: list[Row]) -> Inspection:
    return inspect(frame_of(rows), spec=BarSpec.MINUTE, sessions=None)


def aside(found: Inspection) -> list[tuple[int, Rule]]:
    return [(q.row, q.rule) for q in found.quarantined]


def told(found: Inspection) -> list[tuple[int, Rule]]:
    return [(w.row, w.rule) for w in found.warnings]


def test_what_each_rule_costs() -> None:
    checks = (*ROW_CHECKS, *KEY_CHECKS, *CONTEXT_CHECKS)
    costs = {severity: {c.rule.value for c in checks if c.severity is severity} for severity in Severity}
    assert costs == {
        Severity.QUARANTINE: {
            "finite", "positive", "swapped", "range", "volume", "session", "grid", "order", "conflict",
        },
        Severity.IGNORE: {"duplicate"},
        Severity.WARN: {"jump", "stale", "gap"},
        Severity.FLAG: {"extended", "delayed"},
    }  # fmt: skip
    assert {check.severity for check in QUOTE_CHECKS} == {Severity.QUARANTINE}
    assert set(JUMP_FACTOR) == set(STALE_RUN) == set(BarSpec)


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (("A", MINUTE, NAN, 11, 9, 10, 100), Rule.FINITE),
        (("A", MINUTE, 10, INF, 9, 10, 100), Rule.FINITE),
        (("A", MINUTE, 10, 11, 9, 10, NAN), Rule.FINITE),
        (("A", MINUTE, INF, 11, 9, -INF, 10), Rule.FINITE),
        (("A", MINUTE, 10, 11, 0, 10, 100), Rule.POSITIVE),
        (("A", MINUTE, -10, 11, -10, 10, 100), Rule.POSITIVE),
        (("A", MINUTE, 10, 11, 9, 12, 100), Rule.RANGE),
        (("A", MINUTE, 8, 11, 9, 10, 100), Rule.RANGE),
        (("A", MINUTE, 10, 9.5, 9.7, 10, 100), Rule.RANGE),
        (("A", MINUTE, 10, 9, 11, 10, 100), Rule.SWAPPED),
        (("A", MINUTE, 10, 11, 9, 5_000, 10), Rule.SWAPPED),
        (("A", MINUTE, 5_000, 11, 9, 10, 10), Rule.SWAPPED),
        (("A", MINUTE, 10, 5_000, 9, 10, 11), Rule.SWAPPED),
        (("A", MINUTE, 10, 11, 9, 10, -1), Rule.VOLUME),
        (("A", MINUTE + 1, 10, 11, 9, 10, 1), Rule.GRID),
    ],
)
def test_each_value_rule_sets_exactly_its_row_aside(row: Row, rule: Rule) -> None:
    found = around_the_clock([bar(0), row, bar(2 * MINUTE)])
    assert aside(found) == [(2, rule)]
    assert found.good.row.tolist() == [1, 3]
    assert found.by_rule[rule] == 1
    assert "found open=" in found.quarantined[0].detail


def test_edges_are_allowed() -> None:
    flat: Row = ("A", 0, 10, 10, 10, 10, 0)
    found = around_the_clock([flat, ("A", MINUTE, 9, 11, 9, 11, 0)])
    assert len(found.good) == 2
    assert found.quarantined == ()


@pytest.mark.parametrize(
    ("times", "expected", "duplicates"),
    [
        ([0, 1, 2, 9, 3, 4], [(5, Rule.ORDER), (6, Rule.ORDER)], []),
        ([0, 1, 2, 1, 3, 4], [], [4]),
        ([0, 2, 4, 3, 6], [(4, Rule.ORDER)], []),
        ([0, 2, 4, 3], [(4, Rule.ORDER)], []),
        ([5, 0, 1, 2], [(2, Rule.ORDER), (3, Rule.ORDER), (4, Rule.ORDER)], []),
        ([3, 3, 3], [], [2, 3]),
        ([5, 3, 3], [(2, Rule.ORDER), (3, Rule.ORDER)], []),  # a duplicate repeats an accepted row
    ],
)
def test_time_ascends(times: list[int], expected: list[tuple[int, Rule]], duplicates: list[int]) -> None:
    found = around_the_clock([bar(t * MINUTE) for t in times])
    assert aside(found) == expected
    assert found.duplicates.tolist() == duplicates


def test_the_same_time_with_other_values_is_a_conflict_and_none_stays() -> None:
    found = around_the_clock([bar(0), bar(0, close=10.5), bar(MINUTE), bar(0), bar(0, "B")])
    assert aside(found) == [(1, Rule.CONFLICT), (2, Rule.CONFLICT), (4, Rule.CONFLICT)]
    assert found.good.row.tolist() == [3, 5]


def test_a_broken_row_is_no_second_version() -> None:
    found = around_the_clock([bar(0), ("A", 0, 10, 11, 9, 12, 100), bar(MINUTE)])
    assert aside(found) == [(2, Rule.RANGE)]


def test_symbols_have_their_own_time() -> None:
    rows = [bar(0, "A"), bar(0, "B"), bar(MINUTE, "A"), bar(MINUTE, "B"), bar(0, "B")]
    found = around_the_clock(rows)
    assert (aside(found), found.duplicates.tolist()) == ([], [5])
    assert found.good.row.tolist() == [1, 2, 3, 4]


def test_daily_bars_need_a_session() -> None:
    rows = [bar(MONDAY + k * DAY) for k in (0, 1, 5, 7)]  # Monday, Tuesday, Saturday, Monday
    found = inspect(frame_of(rows), spec=BarSpec.DAY, sessions=SESSIONS)
    assert aside(found) == [(3, Rule.SESSION)]
    assert "2020-01-11" in found.quarantined[0].detail
    assert told(found) == [(4, Rule.GAP)]
    assert "missing=3" in found.warnings[0].detail
    placed = inspect(frame_of([bar(t) for t in SESSIONS.opens]), spec=BarSpec.DAY, sessions=SESSIONS)
    assert (aside(placed), set(placed.by_rule)) == ([], {Rule.STALE})


def half_day() -> SessionTable:
    return structs.replace(SESSIONS, closes=(OPEN + 210 * MINUTE, *SESSIONS.closes[1:]))


@pytest.mark.parametrize(
    ("offset", "sessions", "verdict"),
    [
        (-331 * MINUTE, SESSIONS, Rule.SESSION),
        (-330 * MINUTE, SESSIONS, Rule.EXTENDED),
        (-MINUTE, SESSIONS, Rule.EXTENDED),
        (0, SESSIONS, None),
        (389 * MINUTE, SESSIONS, None),
        (390 * MINUTE, SESSIONS, Rule.EXTENDED),
        (629 * MINUTE, SESSIONS, Rule.EXTENDED),
        (630 * MINUTE, SESSIONS, Rule.SESSION),
        (209 * MINUTE, half_day(), None),
        (210 * MINUTE, half_day(), Rule.EXTENDED),
        (449 * MINUTE, half_day(), Rule.EXTENDED),
        (450 * MINUTE, half_day(), Rule.SESSION),
        (5 * DAY, SESSIONS, Rule.SESSION),  # a Saturday
    ],
)
def test_where_a_minute_stands_in_the_day(offset: int, sessions: SessionTable, verdict: Rule | None) -> None:
    found = inspect(frame_of([bar(OPEN + offset)]), spec=BarSpec.MINUTE, sessions=sessions)
    assert set(found.by_rule) - {Rule.JUMP} == ({verdict} if verdict else set())
    assert len(found.good) == (verdict is not Rule.SESSION)
    assert found.flags.get(Rule.EXTENDED, np.zeros(0)).tolist() == ([0] if verdict is Rule.EXTENDED else [])
    alone = judge(live(10, OPEN + offset + MINUTE, BarSpec.MINUTE), previous=None, sessions=sessions)
    assert [f.rule for f in alone] == ([verdict] if verdict else [])


@pytest.mark.parametrize("begin", [OPEN, OPEN - 30 * MINUTE])  # on the session's grid, and on the clock's
def test_hours_stand_on_either_grid_and_lack_nothing(begin: int) -> None:
    starts = [begin + day * DAY + k * HOUR for day in (0, 1) for k in range(7)]
    found = inspect(frame_of([bar(t) for t in starts]), spec=BarSpec.HOUR, sessions=SESSIONS)
    assert set(found.by_rule) - {Rule.STALE, Rule.JUMP} == ({Rule.EXTENDED} if begin < OPEN else set())
    off = inspect(frame_of([bar(begin + 10 * MINUTE)]), spec=BarSpec.HOUR, sessions=SESSIONS)
    assert aside(off) == [(1, Rule.GRID)]


def test_the_last_hour_of_a_session_that_ends_off_the_grid_is_a_short_one() -> None:
    sessions = weekdays(2, hours=3.75)
    ends = [min(begin + HOUR, close) for opened, close in zip(sessions.opens, sessions.closes, strict=True)
            for begin in range(opened, close, HOUR)]  # fmt: skip
    gate = LiveGate(sessions)
    assert [gate.judge(live(10 + k % 2, end, BarSpec.HOUR)) for k, end in enumerate(ends)] == [()] * 8
    assert [f.rule for f in gate.judge(live(10, ends[-1] + 5 * MINUTE, BarSpec.HOUR))] == [Rule.GRID]


@pytest.mark.parametrize(
    ("first", "second", "lacking"),
    [
        (OPEN, OPEN + MINUTE, 0),
        (OPEN, OPEN + 5 * MINUTE, 4),
        (CLOSE - MINUTE, SESSIONS.opens[1], 0),
        (CLOSE - 3 * MINUTE, SESSIONS.opens[1] + MINUTE, 3),
        (CLOSE - MINUTE, SESSIONS.opens[3], 780),  # two whole days
        (OPEN - 9 * MINUTE, OPEN, 0),  # nobody must trade before the open
        (OPEN - 9 * MINUTE, OPEN + MINUTE, 1),
        (CLOSE + 9 * MINUTE, SESSIONS.opens[1] + MINUTE, 1),
        (CLOSE - 2 * MINUTE, CLOSE + MINUTE, 1),
    ],
)
def test_a_gap_is_what_the_calendar_expects(first: int, second: int, lacking: int) -> None:
    found = inspect(frame_of([bar(first), bar(second)]), spec=BarSpec.MINUTE, sessions=SESSIONS)
    gaps = [w for w in found.warnings if w.rule is Rule.GAP]
    assert [(w.row, w.severity) for w in gaps] == ([(2, Severity.WARN)] if lacking else [])
    assert all(f"missing={lacking}" in w.detail for w in gaps)


def flat(day: int, price: float) -> Row:
    return ("A.NYSE", MONDAY + day * DAY, price, price, price, price, 100.0 + day)


def action(kind: CorporateActionKind, **more: object) -> CorporateAction:
    return CorporateAction(
        symbol="A", kind=kind, last_cum_day="2020-01-07", ex_date="2020-01-08", ex_at=MONDAY + 2 * DAY, known_at=MONDAY,
        source="test", **more,  # type: ignore[arg-type]
    )  # fmt: skip


SPLIT = action(CorporateActionKind.SPLIT, new=2)
PAID = action(CorporateActionKind.DIVIDEND, cash=Decimal(40))


def test_a_jump_is_told_unless_a_known_action_explains_it() -> None:
    halved = [flat(0, 100), flat(1, 100), flat(2, 50), flat(3, 50)]
    day = {"spec": BarSpec.DAY, "sessions": SESSIONS}
    assert told(inspect(frame_of(halved), **day)) == [(3, Rule.JUMP)]  # type: ignore[arg-type]
    assert "reference=100" in inspect(frame_of(halved), **day).warnings[0].detail  # type: ignore[arg-type]
    assert told(inspect(frame_of(halved), **day, actions=[SPLIT])) == []  # type: ignore[arg-type]
    adjusted = [flat(k, 100) for k in range(4)]  # a split that the prices do not show
    assert told(inspect(frame_of(adjusted), **day, actions=[SPLIT])) == [(3, Rule.JUMP)]  # type: ignore[arg-type]
    assert told(inspect(frame_of(halved[2:]), **day, actions=[SPLIT])) == []  # type: ignore[arg-type]
    assert told(inspect(frame_of(halved[:2]), **day, actions=[SPLIT])) == []  # type: ignore[arg-type]
    fell = [flat(0, 100), flat(1, 100), flat(2, 60), flat(3, 60)]
    assert told(inspect(frame_of(fell), **day)) == [(3, Rule.JUMP)]  # type: ignore[arg-type]
    assert told(inspect(frame_of(fell), **day, actions=[PAID])) == []  # type: ignore[arg-type]


def test_a_live_jump_is_explained_by_the_same_actions() -> None:
    def gate(*actions: CorporateAction) -> list[set[Rule]]:
        judged = LiveGate(SESSIONS, actions)
        return [{f.rule for f in judged.judge(live(p, SESSIONS.closes[k]))} for k, p in enumerate((100, 100, 50, 50))]

    assert gate() == [set(), set(), {Rule.JUMP}, set()]
    assert gate(SPLIT) == [set(), set(), set(), set()]


def live(price: float, end: int, spec: BarSpec = BarSpec.DAY, volume: float | None = None) -> Bar:
    return Bar(
        instrument=InstrumentId("A.NYSE"), ts_event=end, open=price, high=price, low=price, close=price,
        volume=end % 1_000_003 if volume is None else volume, spec=spec,
    )  # fmt: skip


def test_a_spike_within_the_first_bar_is_a_jump() -> None:
    assert told(around_the_clock([("A", 0, 10, 100, 9, 10, 1)])) == [(1, Rule.JUMP)]
    assert told(around_the_clock([("A", 0, 10, 10, 1, 10, 1)])) == [(1, Rule.JUMP)]


def test_a_stale_run_is_told_once() -> None:
    run = STALE_RUN[BarSpec.DAY]
    rows = [("A", MONDAY + k * DAY, 10.0, 10.5, 9.5, 10.0, 100.0) for k in (0, 1, 2, 3, 4, 7, 8)]
    found = inspect(frame_of(rows), spec=BarSpec.DAY, sessions=SESSIONS)
    assert told(found) == [(run, Rule.STALE)]
    short = inspect(frame_of(rows[: run - 1]), spec=BarSpec.DAY, sessions=SESSIONS)
    assert told(short) == []
    gate = LiveGate(SESSIONS)
    judged = [[f.rule for f in gate.judge(live(10, close, volume=5))] for close in SESSIONS.closes[:6]]
    assert judged == [[Rule.STALE] if k == run - 1 else [] for k in range(6)]


def test_delayed_data_are_flagged() -> None:
    found = inspect(frame_of([bar(0), bar(MINUTE)]), spec=BarSpec.MINUTE, sessions=None, delayed=True)
    assert found.flags[Rule.DELAYED].tolist() == [0, 1]
    (flag,) = judge(live(10, CLOSE), previous=None, sessions=SESSIONS, delayed=True)
    assert (flag.rule, flag.severity) == (Rule.DELAYED, Severity.FLAG)
    assert accepted([flag])


def test_a_refused_live_bar_is_not_compared_with() -> None:
    gate = LiveGate(SESSIONS)
    assert gate.judge(live(10, SESSIONS.closes[0])) == ()
    assert not accepted(gate.judge(live(NAN, SESSIONS.closes[1])))
    assert [f.rule for f in gate.judge(live(10, SESSIONS.closes[2]))] == [Rule.GAP]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({}, None),
        ({"bid": 10.1}, None),  # locked
        ({"bid": 10.2}, Rule.CROSSED),
        ({"bid": NAN}, Rule.FINITE),
        ({"ask_size": INF}, Rule.FINITE),
        ({"bid": 0.0}, Rule.POSITIVE),
        ({"bid_size": -1.0}, Rule.VOLUME),
    ],
)
def test_quotes(change: dict[str, float], rule: Rule | None) -> None:
    quote = Quote(instrument=InstrumentId("A.NYSE"), ts_event=0, bid=10.0, ask=10.1, bid_size=1, ask_size=0)
    found = judge_quote(structs.replace(quote, **change))
    assert [f.rule for f in found] == ([rule] if rule else [])
    assert accepted(found) is (rule is None)


def test_nothing_and_everything() -> None:
    for sessions in (None, SESSIONS, weekdays(0)):
        for spec in (BarSpec.MINUTE, BarSpec.DAY):
            empty = inspect(frame_of([]), spec=spec, sessions=sessions)
            assert (empty.quarantined, empty.warnings, len(empty.good)) == ((), (), 0)
    found = around_the_clock([("A", k, NAN, 1, 1, 1, 1) for k in range(5)])
    assert len(found.good) == 0
    assert [q.row for q in found.quarantined] == [1, 2, 3, 4, 5]
    lost = inspect(frame_of([bar(0)]), spec=BarSpec.MINUTE, sessions=weekdays(0))
    assert aside(lost) == [(1, Rule.SESSION)]


def test_many_warnings_are_counted_and_the_first_are_shown() -> None:
    frame = frame_of([bar(0)]).take(np.zeros(3_000, np.int64))
    frame.start[:] = np.arange(3_000) * 2 * MINUTE + OPEN
    frame.close[1::2] = frame.high[1::2] = 20
    found = inspect(frame, spec=BarSpec.MINUTE, sessions=None)
    assert found.by_rule[Rule.JUMP] > len(found.warnings) == WARNINGS_SHOWN
