"""What the machine lets trading be: at its limits, one unit beyond, and back again without a flutter."""

import pytest

from robotrader.model import NANOS_PER_SECOND, HostCondition
from robotrader.ports import HostFacts
from robotrader.risk.host import HostLimits, HostWatch


def look(watch: HostWatch, second: float, **facts: float) -> list[tuple[str, str]]:
    now = round(second * NANOS_PER_SECOND)
    found = watch.look(HostFacts(**facts), now)
    assert all(event.ts_event == event.ts_init == now for event in found)
    return [(event.condition, event.state) for event in found]


@pytest.mark.parametrize(("name", "value", "state"), [
    ("disk_free_ratio", 0.1, None), ("disk_free_ratio", 0.0999, "REDUCING"),
    ("disk_free_ratio", 0.03, "REDUCING"), ("disk_free_ratio", 0.0299, "HALTED"),
    ("commit_s", 2.0, None), ("commit_s", 2.001, "REDUCING"),
    ("commit_s", 10.0, "REDUCING"), ("commit_s", 10.001, "HALTED"),
])  # fmt: skip
def test_each_level_begins_just_beyond_its_limit(name: str, value: float, state: str | None) -> None:
    condition = HostCondition.DISK if name == "disk_free_ratio" else HostCondition.DATABASE
    assert look(HostWatch(HostLimits()), 0, **{name: value}) == ([] if state is None else [(condition, state)])


@pytest.mark.parametrize(("skew_s", "state"), [
    (0.5, "ACTIVE"), (-0.501, "REDUCING"), (2.0, "REDUCING"), (-2.001, "HALTED"),
])  # fmt: skip
def test_clocks_have_levels_on_both_sides(skew_s: float, state: str) -> None:
    assert HostLimits().of_clocks(skew_s) == state


def test_worse_counts_at_once_and_better_only_after_a_minute_without_a_relapse() -> None:
    watch = HostWatch(HostLimits())
    assert look(watch, 0, disk_free_ratio=0.5) == []
    assert look(watch, 1, disk_free_ratio=0.09) == [("disk", "REDUCING")]
    assert look(watch, 20, disk_free_ratio=0.11) == []
    assert look(watch, 30, disk_free_ratio=0.02) == [("disk", "HALTED")]
    assert look(watch, 89.9, disk_free_ratio=0.2) == []
    assert look(watch, 90, disk_free_ratio=0.09) == [("disk", "REDUCING")]
    assert look(watch, 150, disk_free_ratio=0.11) == [("disk", "ACTIVE")]


def test_at_the_edge_nothing_flutters() -> None:
    watch = HostWatch(HostLimits())
    edge = [(second, 0.0999 if second % 2 else 0.1001) for second in range(300)]
    assert [found for second, free in edge for found in look(watch, second, disk_free_ratio=free)] == [
        ("disk", "REDUCING")
    ]


def test_conditions_are_judged_each_for_itself_and_what_is_not_measured_stays() -> None:
    watch = HostWatch(HostLimits())
    assert look(watch, 0, disk_free_ratio=0.05, commit_s=3.0) == [("disk", "REDUCING"), ("database", "REDUCING")]
    assert look(watch, 100) == []
    assert look(watch, 101, commit_s=0.01) == [("database", "ACTIVE")]
    assert look(watch, 102, disk_free_ratio=0.05) == []


def test_the_words_say_what_was_measured() -> None:
    found = HostWatch(HostLimits()).look(HostFacts(disk_free_ratio=0.082, commit_s=12.0), 1)
    assert [event.detail for event in found] == ["8.2% of the disk is free", "the journal took 12.0 s for a batch"]


def test_one_condition_that_is_getting_better_hides_no_other_that_gets_worse() -> None:
    watch = HostWatch(HostLimits())
    assert look(watch, 0, disk_free_ratio=0.05) == [("disk", "REDUCING")]
    assert look(watch, 1, disk_free_ratio=0.5, commit_s=5.0) == [("database", "REDUCING")]
