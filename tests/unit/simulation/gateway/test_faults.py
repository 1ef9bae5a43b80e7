"""Fault scripts are read strictly, and their times are New York's."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.model import ConfigError
from robotrader.simulation.gateway import actions, faults
from robotrader.simulation.gateway.faults import Fault, FaultScript, from_yaml
from robotrader.simulation.gateway.schedule import upcoming
from robotrader.simulation.gateway.wire import local, names

SCRIPT = """seed: 7
faults:
  - on: orderStatus
    where: {status: Filled}
    do: delay
    seconds: 2
  - {every: 23:45, do: restart, seconds: 300, rollback: true}
"""


def read(text: str) -> FaultScript:
    return from_yaml(text, FaultScript, source="f.yaml")


def test_words_and_times_are_what_they_look_like() -> None:
    assert read(SCRIPT) == FaultScript(
        seed=7,
        faults=(
            Fault(on="orderStatus", where={"status": "Filled"}, do="delay", seconds=2),
            Fault(every="23:45", do="restart", seconds=300, rollback=True),
        ),
    )


@pytest.mark.parametrize(
    ("before", "after", "line", "problem"),
    [
        ("seconds: 2", "seconds: soon", 6, "float"),
        ("seconds: 2", "minutes: 2", 3, "minutes"),
        ("    seconds: 2\n", "", 3, "delay: takes seconds"),
        ("seconds: 2", "seconds: 2\n    code: 5", 3, "delay: takes seconds"),
        ("orderStatus", "orderstatus", 3, "on must be one of"),
        ("orderStatus", "startApi\n    at: 5", 3, "one trigger"),
        ("do: delay", "do: explode", 3, "do must be one of"),
        ("on: orderStatus", "at: 5", 3, "delay: needs a message"),
        ("23:45", "24:45", 7, "every"),
        ("every: 23:45", "weekly: 23:45", 7, "weekly"),
        ("every: 23:45", "every: 23:45, chance: 2", 7, "chance"),
        ("every: 23:45", "every: 23:45, again: 2", 7, "again belongs to at"),
        ("every: 23:45", "every: 23:45, nth: 2", 7, "where and nth belong to on"),
        ("status: Filled", "state: Filled", 3, "no such field in where"),
        ("restart", "farm, code: 5", 7, "farm: "),
        ("restart, seconds: 300, rollback: true", "error, code: 5", 7, "code 5 needs a text"),
        ("restart, seconds: 300, rollback: true", "link-lost, seconds: 5, restored: 1103", 7, "1103"),
        ("seed: 7", "sead: 7", 1, "sead"),
        ("faults:", "fault:", 1, "fault"),
        ("faults:", "faults:\n  - [1]", 3, "object"),
    ],
)
def test_a_wrong_script_is_refused_with_its_line(before: str, after: str, line: int, problem: str) -> None:
    assert SCRIPT.count(before) == 1
    with pytest.raises(ConfigError, match=rf"f\.yaml, line {line}: .*{problem}"):
        read(SCRIPT.replace(before, after))


@pytest.mark.parametrize("text", ["faults: [", "a: b: c", "\t- x", "- !!python/object:os.system x", "", "7"])
def test_what_is_no_script_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"f\.yaml"):
        read(text)


def test_every_action_can_be_done_and_no_other() -> None:
    assert set(actions.MESSAGE_ACTIONS) == {name for name, (where, _) in faults.ACTIONS.items() if where}
    assert set(actions.ACTIONS) == set(faults.ACTIONS) - set(actions.MESSAGE_ACTIONS)


def test_layouts_belong_to_messages_that_exist() -> None:
    for name, layout in faults.LAYOUTS.items():
        number = names(layout, 178)[0][1]
        assert number is None or faults.OUTGOING[number] == name


@pytest.mark.parametrize(
    ("fault", "limit"),
    [
        (Fault(on="error", do="drop"), None),
        (Fault(on="error", do="drop", times=3), 3),
        (Fault(on="error", do="reset"), 1),
        (Fault(on="error", do="reset", times=2), 2),
        (Fault(at=0, do="reset"), 1),
        (Fault(at=0, again=5, do="reset"), None),
        (Fault(at=0, again=5, do="reset", times=4), 4),
        (Fault(every="00:00", do="reset"), None),
    ],
)
def test_only_what_repeats_by_nature_has_no_end(fault: Fault, limit: int | None) -> None:
    assert fault.limit == limit


def ns(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp()) * 10**9  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("when", "after", "expected"),
    [
        ("23:45", ns(2024, 1, 3, 4, 44), ns(2024, 1, 3, 4, 45)),
        ("23:45", ns(2024, 1, 3, 4, 45), ns(2024, 1, 4, 4, 45)),
        ("sun 01:00", ns(2024, 1, 3), ns(2024, 1, 7, 6)),
        ("sun 01:00", ns(2024, 1, 7, 6), ns(2024, 1, 14, 6)),
        ("23:45", ns(2024, 3, 10, 5), ns(2024, 3, 11, 3, 45)),  # the clocks went forward in between
        ("sun 01:00", ns(2024, 11, 3, 4), ns(2024, 11, 3, 5)),  # the hour that comes twice: its first time
    ],
)
def test_times_are_new_yorks(when: str, after: int, expected: int) -> None:
    assert upcoming(when, after) == expected


@given(st.integers(ns(2020, 1, 1), ns(2030, 1, 1)), st.integers(0, 23), st.integers(0, 59))
def test_a_time_of_day_comes_within_a_day_and_a_bit(after: int, hour: int, minute: int) -> None:
    found = upcoming(f"{hour:02}:{minute:02}", after)
    assert 0 < found - after <= 25 * 3600 * 10**9
    if hour not in {2, 3}:  # 02:30 does not exist in one night of the year
        assert local(found).strftime("%H:%M") == f"{hour:02}:{minute:02}"
