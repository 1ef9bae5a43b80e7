"""Live A/B tests: what can be registered, who trades, and that a verdict comes only when one is allowed."""

from collections import Counter
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.model import ConfigError, DataError, InstrumentId
from robotrader.research.experiment import Decision, Registration, Verdict, arm_of, differences, judge

A, B = "sma-1", "sma-2"
PLAIN: dict[str, Any] = {
    "id": "slower", "arms": (A, B), "metric": "daily_return", "direction": "superior", "allocation": "paired",
    "minimum_effect": 0.2, "maximum_sessions": 200,
}  # fmt: skip
MONDAY = date(2026, 1, 5)
WEEKDAYS = [MONDAY + timedelta(days=7 * week + day) for week in range(40) for day in range(5)]
NAMES = tuple(InstrumentId(f"S{n}.ARCA") for n in range(10))


def registered(**changes: Any) -> Registration:
    return Registration(**{**PLAIN, **changes})


def noise(effect: float, count: int = 200, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count) + effect


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"arms": (A, A)}, "two different arms"),
        ({"id": ""}, "an id"),
        ({"metric": "sharpe"}, "that exist"),
        ({"direction": "better"}, "that exist"),
        ({"minimum_effect": 0.0}, "minimum_effect"),
        ({"minimum_effect": float("inf")}, "minimum_effect"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 0.3}, "alpha"),
        ({"margin": 0.1}, "margin"),
        ({"direction": "non_inferior"}, "margin"),
        ({"direction": "non_inferior", "margin": float("nan")}, "margin"),
        ({"block_sessions": 0}, "block_sessions"),
        ({"minimum_observations": 29}, "at least 30"),
        ({"maximum_sessions": 29}, "leave room"),
        ({"allocation": "day_block", "maximum_sessions": 59}, "leave room"),
        ({"strata": (NAMES[:2], NAMES[1:3])}, "one stratum"),
    ],
)
def test_a_test_that_could_not_be_judged_is_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        registered(**changes)


def test_a_registration_and_its_verdict_survive_json() -> None:
    test = registered(strata=(NAMES[:4],))
    assert msgspec.json.decode(msgspec.json.encode(test), type=Registration) == test
    verdict = judge(test, noise(1))
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


@pytest.mark.parametrize("count", [0, 1, 29])
def test_too_few_observations_never_give_a_verdict(count: int) -> None:
    found = judge(registered(), noise(50, count), sessions=1000)
    assert found == Verdict(effect=None, interval=None, decision=Decision.INSUFFICIENT, n=count, n_needed=None, p=1.0)


@pytest.mark.parametrize(
    ("metric", "effect", "decision"),
    [
        ("daily_return", 1.0, Decision.B_BETTER), ("daily_return", -1.0, Decision.A_BETTER),
        ("fill_rate", 1.0, Decision.B_BETTER), ("parity", -1.0, Decision.A_BETTER),
        ("slippage_bps", 1.0, Decision.A_BETTER), ("reject_rate", -1.0, Decision.B_BETTER),
    ],
)  # fmt: skip
def test_more_is_better_or_worse_as_the_metric_has_it(metric: str, effect: float, decision: Decision) -> None:
    found = judge(registered(metric=metric), noise(effect))
    assert found.decision is decision
    assert found.interval is not None
    assert found.interval[0] < effect < found.interval[1]
    assert found.p < 0.05


@pytest.mark.parametrize(
    ("metric", "effect", "decision"),
    [
        ("daily_return", 0.0, Decision.NON_INFERIOR), ("daily_return", -2.0, Decision.INFERIOR),
        ("daily_return", -1.0, Decision.CONTINUE), ("slippage_bps", 2.0, Decision.INFERIOR),
        ("slippage_bps", -2.0, Decision.NON_INFERIOR), ("slippage_bps", 1.0, Decision.CONTINUE),
    ],
)  # fmt: skip
def test_non_inferiority_is_judged_at_the_margin(metric: str, effect: float, decision: Decision) -> None:
    found = judge(registered(metric=metric, direction="non_inferior", margin=1.0), noise(effect, 199))
    assert found.decision is decision
    assert (found.p <= 0.05) is (decision is not Decision.CONTINUE)


def test_a_test_ends_without_difference_and_not_before_its_time() -> None:
    test = registered()
    assert judge(test, noise(0.0, 199)).decision is Decision.CONTINUE
    assert judge(test, noise(0.0, 150), sessions=199).decision is Decision.CONTINUE
    assert judge(test, noise(0.0, 150), sessions=200).decision is Decision.ENDED_WITHOUT_DIFFERENCE
    assert judge(test, noise(0.0, 200)).decision is Decision.ENDED_WITHOUT_DIFFERENCE


def test_what_comes_after_the_maximum_duration_proves_nothing() -> None:
    late = np.concatenate([noise(0.0), noise(5.0)])
    assert judge(registered(), late) == judge(registered(), late[:200])
    blocks = registered(allocation="day_block", maximum_sessions=400)
    assert judge(blocks, late).decision is Decision.ENDED_WITHOUT_DIFFERENCE


@given(st.integers(0, 10_000), st.floats(-1, 1), st.sampled_from(["daily_return", "slippage_bps", "fill_rate"]))
def test_swapping_the_arms_mirrors_the_verdict(seed: int, effect: float, metric: str) -> None:
    observed = noise(effect, 120, seed)
    one, other = (judge(registered(metric=metric), sign * observed) for sign in (1, -1))
    mirror = {Decision.A_BETTER: Decision.B_BETTER, Decision.B_BETTER: Decision.A_BETTER}
    assert other.decision is mirror.get(one.decision, one.decision)
    assert one.interval is not None
    assert other.interval is not None
    assert other.interval == pytest.approx((-one.interval[1], -one.interval[0]))
    assert other.p == pytest.approx(one.p)
    assert other.n_needed == one.n_needed


@given(st.integers(0, 10_000), st.floats(-1, 1))
def test_a_verdict_stays_however_often_one_looks(seed: int, effect: float) -> None:
    observed = noise(effect, 200, seed)
    said: set[Decision] = set()
    for days in range(30, 201, 10):
        found = judge(registered(), observed[:days]).decision
        assert said <= {found}
        said |= {found} & {Decision.A_BETTER, Decision.B_BETTER}


def test_the_needed_observations_are_those_of_a_fixed_n_test() -> None:
    observed = np.tile([-1.0, 1.0], 100)
    found = judge(registered(minimum_effect=0.25), observed)
    assert found.n_needed == 100  # (1.6449 + 0.8416)² × 200 / 199 / 0.25² = 99.4
    assert judge(registered(), np.full(50, 0.3)).n_needed is None


def test_a_difference_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="finite"):
        judge(registered(), np.array([0.1, np.nan]))


def test_both_arms_trade_where_paired() -> None:
    assert arm_of(registered(), MONDAY, NAMES[0]) == (A, B)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_each_pair_of_blocks_gives_each_arm_one_block_for_all_instruments(length: int) -> None:
    test = registered(allocation="day_block", block_sessions=length, maximum_sessions=400)
    turns = [arm_of(test, day, NAMES[0])[0] for day in WEEKDAYS]
    assert turns == [arm_of(test, day, NAMES[7])[0] for day in WEEKDAYS]
    first = -(MONDAY.toordinal() - 1) // 7 * 5 % (2 * length)  # weekdays until the next pair begins
    blocks = [turns[at : at + length] for at in range(first, len(turns) - 2 * length, length)]
    assert all(len(set(block)) == 1 for block in blocks)
    pairs = Counter((x[0], y[0]) for x, y in zip(blocks[::2], blocks[1::2], strict=False))
    assert set(pairs) == {(A, B), (B, A)}  # the order is drawn
    assert min(pairs.values()) > 0.25 * pairs.total()


def test_other_ids_draw_other_orders_and_a_weekend_belongs_to_its_friday() -> None:
    one, other = (registered(allocation="day_block", id=name) for name in ("one", "other"))
    assert [arm_of(one, d, NAMES[0]) for d in WEEKDAYS] != [arm_of(other, d, NAMES[0]) for d in WEEKDAYS]
    for friday in WEEKDAYS[4::5]:
        assert len({arm_of(one, friday + timedelta(days=n), NAMES[0]) for n in range(3)}) == 1


@pytest.mark.parametrize("name", ["one", "two", "three", "four", "five"])
def test_each_arm_has_half_of_each_stratum_and_each_instrument_changes_sides(name: str) -> None:
    test = registered(allocation="symbol_hash", id=name, strata=(NAMES[:4], NAMES[4:9]))
    for day in WEEKDAYS:
        for stratum in test.strata:
            halves = Counter(arm_of(test, day, one)[0] for one in stratum)
            assert abs(halves[A] - halves[B]) == len(stratum) % 2
    for one in NAMES:
        turns = Counter(arm_of(test, day, one)[0] for day in WEEKDAYS)
        assert abs(turns[A] - turns[B]) <= 2
    together = {arm_of(test, day, NAMES[0]) == arm_of(test, day, NAMES[1]) for day in WEEKDAYS}
    assert together == {True, False}  # sides are drawn anew


def test_paired_sessions_give_one_observation_each() -> None:
    tuesday, friday = MONDAY + timedelta(days=1), MONDAY + timedelta(days=4)
    measured = [
        (friday, B, 5.0), (MONDAY, A, 1.0), (MONDAY, A, 3.0), (MONDAY, B, 7.0), (friday, A, 6.0), (tuesday, A, 9.0),
    ]  # fmt: skip
    assert differences(registered(), measured).tolist() == [5.0, -1.0]  # nothing of B on Tuesday
    assert differences(registered(), []).shape == (0,)


def test_a_lasting_difference_of_instruments_is_no_effect() -> None:
    test = registered(allocation="symbol_hash", strata=(NAMES,))
    measured = [(day, arm_of(test, day, name)[0], float(at)) for day in WEEKDAYS for at, name in enumerate(NAMES)]
    found = differences(test, measured)
    assert len(found) == 100
    assert found == pytest.approx(np.zeros(100))


def test_blocks_are_compared_within_their_pair() -> None:
    test = registered(allocation="day_block")
    measured = [(day, arm, 10.0 * day.toordinal() + (arm == B))
                for day in WEEKDAYS for arm in arm_of(test, day, NAMES[0])]  # fmt: skip
    found = differences(test, measured)
    steps = {1.0 + 10 * sign * days for sign in (-1, 1) for days in (1, 3)}  # neighbours, or over a weekend
    assert {round(x, 6) for x in found} <= steps


def test_a_pair_that_is_not_over_is_no_observation_yet() -> None:
    test = registered(allocation="day_block", block_sessions=3)
    measured = [(day, arm, float(day.day)) for day in WEEKDAYS for arm in arm_of(test, day, NAMES[0])]
    everything = differences(test, measured).tolist()
    for days in range(1, len(measured)):
        found = differences(test, measured[:days]).tolist()
        assert found == everything[: len(found)]
        assert len(found) >= (days - 5) // 6


def test_an_arm_that_is_not_registered_is_refused() -> None:
    with pytest.raises(DataError, match="sma-3"):
        differences(registered(), [(MONDAY, "sma-3", 1.0)])
