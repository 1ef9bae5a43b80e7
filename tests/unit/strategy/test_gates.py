"""Gates and guards: each criterion at its bound and just beyond, what is not known, and the way from end to end."""

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from robotrader.model import STRENGTH_BINS, Dossier, Gate, LifecycleRules, Stage, StageFacts, StrategyId
from robotrader.strategy.gates import counted, drift, guards, judge

RULE_NAMES = ("time_budget", "contract", "determinism", "truncation", "future_noise", "warm_up", "lag")
MARGIN = 2.0**-9
SEEN, EXPECTED = (30, 40, 60, 30, 40, 50), (0.25, 0.15, 0.2, 0.1, 0.1, 0.2)
RULES = LifecycleRules(capital=Decimal(1_000_000), return_margin=MARGIN, drift=drift(SEEN, EXPECTED))
EVIDENCE = Dossier(
    strategy=StrategyId("s"), version="1", source_hash="", data="", data_hash="",
    figures={
        **{f"rule_{name}": 1.0 for name in RULE_NAMES}, "deflated_sharpe": 0.95, "overfitting": 0.2, "spa_p": 0.05,
        "length_ratio": 1.0, "oos_is": 0.5, "return_costs_x2": 0.0, "capacity_ratio": 1.0,
    },
    drawdown_band=0.1, edge_bps=8.0, denial_ratio=0.02, strengths=EXPECTED,
)  # fmt: skip
FACTS = StageFacts(
    sessions=20, sections=99, sections_due=100, bars=198, bars_due=200, signals=200, signals_differing=0,
    virtual_orders=200, virtual_denied=10, orders=40, rejected=2, slippage_bps=(8.0,) * 30,
    slippage_excess_bps=(3.0,) * 30, returns=(-MARGIN,) * 20, virtual_returns=(0.0,) * 20, drawdown=0.1,
    loss=Decimal(2000), capital=Decimal(100_000), strengths=SEEN,
)  # fmt: skip
"""Everything at its bound."""

BEYOND: dict[str, tuple[Stage, str, dict[str, Any]]] = {
    "shadow sessions": (Stage.SHADOW, "sessions", {"sessions": 19}),
    "nothing compared": (Stage.SHADOW, "compared", {"signals": 0}),
    "parity": (Stage.SHADOW, "parity", {"signals_differing": 1}),
    "sections": (Stage.SHADOW, "sections_ratio", {"sections": 98}),
    "sections nobody knows of": (Stage.SHADOW, "sections_ratio", {"sections": 0, "sections_due": 0}),
    "bars": (Stage.SHADOW, "bars_ratio", {"bars": 197}),
    "no order": (Stage.SHADOW, "virtual_orders", {"virtual_orders": 0, "virtual_denied": 0}),
    "denials": (Stage.SHADOW, "virtual_denied", {"virtual_denied": 11}),
    "shadow faults": (Stage.SHADOW, "faults", {"faults": ("raised ValueError",)}),
    "paper sessions": (Stage.PAPER, "sessions", {"sessions": 19}),
    "paper breaches": (Stage.PAPER, "breaches", {"breaches": 1}),
    "paper breaks": (Stage.PAPER, "breaks", {"breaks": 1}),
    "fills too dear": (Stage.PAPER, "slippage_error_high_bps", {"slippage_excess_bps": (5.125,) * 30}),
    "fills too cheap": (Stage.PAPER, "slippage_error_low_bps", {"slippage_excess_bps": (-5.125,) * 30}),
    "canary sessions": (Stage.CANARY, "sessions", {"sessions": 19}),
    "canary breaches": (Stage.CANARY, "breaches", {"breaches": 1}),
    "canary breaks": (Stage.CANARY, "breaks", {"breaks": 1}),
    "slippage": (Stage.CANARY, "slippage_excess_bps", {"slippage_excess_bps": (3.125,) * 30}),
    "loss": (Stage.CANARY, "loss", {"loss": Decimal("2000.01")}),
    "returns": (Stage.CANARY, "return_excess", {"returns": (-1.125 * MARGIN,) * 20}),
    "edge": (Stage.CANARY, "slippage_over_edge_bps", {"slippage_bps": (8.125,) * 30}),
    "drawdown": (Stage.CANARY, "drawdown", {"drawdown": 0.1001}),
    "rejects": (Stage.CANARY, "reject_ratio", {"rejected": 3}),
    "drift": (Stage.CANARY, "drift", {"strengths": (29, *SEEN[1:-1], SEEN[-1] + 1)}),
    "ramp sessions": (Stage.LIVE, "sessions", {"sessions": 9}),
    "ramp slippage": (Stage.LIVE, "slippage_excess_bps", {"slippage_excess_bps": (3.125,) * 30}),
}
GUARDS = ("faults", "parity", "loss", "reject_ratio", "return_excess", "drawdown", "slippage_over_edge_bps", "drift")


def facts(**changed: Any) -> StageFacts:
    return structs.replace(FACTS, **changed)


def found(**figures: float | None) -> Dossier:
    return structs.replace(EVIDENCE, figures={**EVIDENCE.figures, **figures})


def missed(stage: Stage, seen: StageFacts, evidence: Dossier | None = EVIDENCE) -> list[str]:
    return [c.name for c in judge(stage, seen, evidence, RULES, share=0.25).criteria if not c.met]


def tripped(seen: StageFacts, evidence: Dossier | None = EVIDENCE) -> list[str]:
    return [c.name for c in guards(seen, evidence, RULES) if not c.met]


@pytest.mark.parametrize("stage", [Stage.RESEARCH, Stage.SHADOW, Stage.PAPER, Stage.CANARY, Stage.LIVE])
def test_everything_at_its_bound_is_met(stage: Stage) -> None:
    assert judge(stage, FACTS, EVIDENCE, RULES, share=0.25).met
    assert missed(stage, FACTS) == []
    assert tripped(FACTS) == []


@pytest.mark.parametrize("case", BEYOND)
def test_one_thing_beyond_its_bound_is_missed_alone(case: str) -> None:
    stage, name, changed = BEYOND[case]
    assert missed(stage, facts(**changed)) == [name]
    assert not judge(stage, facts(**changed), EVIDENCE, RULES, share=0.25).met
    assert tripped(facts(**changed)) == [name] * (name in GUARDS)


def test_every_guard_and_every_criterion_has_a_case() -> None:
    asked = {c.name for stage in (Stage.SHADOW, Stage.PAPER, Stage.CANARY, Stage.LIVE)
             for c in judge(stage, FACTS, EVIDENCE, RULES).criteria}  # fmt: skip
    assert asked - {"evidence", "paired_orders"} == {name for _, name, _ in BEYOND.values()}
    assert {c.name for c in guards(FACTS, EVIDENCE, RULES)} == set(GUARDS)


WORSE = {"deflated_sharpe": 0.949, "overfitting": 0.201, "spa_p": 0.051, "length_ratio": 0.999, "oos_is": 0.499,
         "return_costs_x2": -0.001, "capacity_ratio": 0.999}  # fmt: skip


@pytest.mark.parametrize("name", WORSE)
@pytest.mark.parametrize("value", ["beyond", None, math.nan])
def test_a_figure_of_research_that_is_beyond_or_not_known_is_missed_alone(name: str, value: str | float | None) -> None:
    said = WORSE[name] if isinstance(value, str) else value
    assert missed(Stage.RESEARCH, FACTS, found(**{name: said})) == [name]


@pytest.mark.parametrize("rule", RULE_NAMES)
@pytest.mark.parametrize("value", [0.0, None])
def test_the_rules_of_the_check_come_before_what_research_says(rule: str, value: float | None) -> None:
    asked = judge(Stage.RESEARCH, FACTS, found(**{f"rule_{rule}": value}), RULES)
    assert asked.gate is Gate.CODE
    assert [c.name for c in asked.criteria if not c.met] == [f"rule_{rule}"]


def test_what_is_not_known_meets_nothing() -> None:
    empty = judge(Stage.RESEARCH, FACTS, None, RULES)
    assert not any(c.met for c in empty.criteria)
    assert "evidence" in missed(Stage.SHADOW, FACTS, None)
    for stage in (Stage.SHADOW, Stage.PAPER, Stage.CANARY, Stage.LIVE):
        assert not judge(stage, StageFacts(), EVIDENCE, RULES, share=0.25).met


def test_a_guard_with_too_little_to_go_by_lets_pass() -> None:
    assert tripped(StageFacts()) == []
    few = facts(
        orders=29, rejected=29, slippage_bps=(99.0,) * 29, returns=(-0.5,) * 19, virtual_returns=(0.0,) * 19,
        strengths=(199, 0, 0, 0, 0, 0),
    )  # fmt: skip
    assert tripped(few) == []
    unknown = structs.replace(EVIDENCE, drawdown_band=None, edge_bps=None, strengths=())
    assert tripped(facts(drawdown=9.0, slippage_bps=(99.0,) * 30, strengths=(0, 0, 0, 0, 0, 250)), unknown) == []


def test_one_denial_is_nothing_where_none_was_to_be_expected_and_two_are() -> None:
    none = structs.replace(EVIDENCE, denial_ratio=0.0)
    assert missed(Stage.SHADOW, facts(virtual_denied=1), none) == []
    assert missed(Stage.SHADOW, facts(virtual_denied=2), none) == ["virtual_denied"]


@pytest.mark.parametrize("stage", [Stage.PAPER, Stage.CANARY, Stage.LIVE])
def test_too_few_pairs_of_orders_say_nothing_of_slippage(stage: Stage) -> None:
    said = missed(stage, facts(slippage_excess_bps=(0.0,) * 29))
    assert said[0] == "paired_orders"
    assert all("slippage" in name for name in said[1:])
    assert len(said) == (3 if stage is Stage.PAPER else 2)


def test_a_mean_that_is_not_known_well_enough_is_not_within_its_band() -> None:
    spread = tuple(np.tile([-60.0, 60.0], 100).tolist())
    assert missed(Stage.PAPER, facts(slippage_excess_bps=spread)) == [
        "slippage_error_low_bps", "slippage_error_high_bps",
    ]  # fmt: skip
    assert missed(Stage.CANARY, facts(slippage_excess_bps=spread)) == ["slippage_excess_bps"]
    narrow = tuple(np.tile([-1.0, 1.0], 100).tolist())
    assert missed(Stage.PAPER, facts(slippage_excess_bps=narrow)) == []
    assert missed(Stage.CANARY, facts(slippage_excess_bps=narrow)) == []


def test_the_interval_of_paper_fills_is_that_of_the_normal_distribution() -> None:
    values = np.tile([1.0, 3.0], 50)
    asked = {c.name: c.value for c in judge(Stage.PAPER, facts(slippage_excess_bps=tuple(values)), EVIDENCE, RULES)[1]}
    reach = 1.959964 * values.std(ddof=1) / 10
    assert asked["slippage_error_low_bps"] == pytest.approx(2 - reach, abs=1e-6)
    assert asked["slippage_error_high_bps"] == pytest.approx(2 + reach, abs=1e-6)


def test_a_guard_trips_only_where_no_luck_explains_it() -> None:
    noisy = tuple(np.random.default_rng(1).normal(-MARGIN, 0.02, 100).tolist())
    assert tripped(facts(returns=noisy, virtual_returns=(0.0,) * 100)) == []
    awful = tuple(np.random.default_rng(1).normal(-0.02, 0.02, 100).tolist())
    assert tripped(facts(returns=awful, virtual_returns=(0.0,) * 100)) == ["return_excess"]
    spread = np.tile([-30.0, 30.0], 50)
    assert tripped(facts(slippage_bps=tuple((spread + 9).tolist()))) == []
    assert tripped(facts(slippage_bps=tuple((spread + 40).tolist()))) == ["slippage_over_edge_bps"]


def test_a_perfect_strategy_goes_all_the_way_and_stops_there() -> None:
    way, asked = [], judge(Stage.RESEARCH, FACTS, EVIDENCE, RULES)
    for _ in range(9):
        if asked.met:
            way.append((str(asked.gate), asked.stage, asked.share))
            asked = judge(asked.stage, FACTS, EVIDENCE, RULES, share=asked.share)
    assert way == [
        ("G1", Stage.SHADOW, 0.0), ("G2", Stage.PAPER, 1.0), ("G3", Stage.CANARY, 0.05), ("G4", Stage.LIVE, 0.25),
        ("G5", Stage.LIVE, 0.5), ("G5", Stage.LIVE, 1.0),
    ]  # fmt: skip
    assert (asked.stage, asked.share, asked.criteria) == (Stage.LIVE, 1.0, ())
    assert judge(Stage.RETIRED, FACTS, EVIDENCE, RULES).criteria == ()


def test_the_stability_index_by_hand() -> None:
    assert drift((50, 50), (0.5, 0.5)) == 0
    assert drift((75, 25), (0.5, 0.5)) == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5))
    assert 0 < drift((100, 0), (0.99, 0.01)) < math.inf


def test_strengths_are_counted_by_the_ends_of_their_bins() -> None:
    said = np.array([[-1.0, -0.9], [-0.5, 0.0], [np.nan, 1e-9], [0.5, 0.51], [1.0, np.nan]])
    assert counted(said).tolist() == [1, 2, 1, 2, 2, 2]
    assert len(counted(said)) == len(STRENGTH_BINS) + 1


COUNTS = {"sessions": -1, "signals_differing": 1, "sections": -1, "bars": -1, "virtual_denied": 1, "rejected": 1,
          "breaches": 1, "breaks": 1}  # fmt: skip
"""Facts that count, and whether more of them is worse."""


@given(
    st.sampled_from([Stage.SHADOW, Stage.CANARY, Stage.LIVE]),
    st.fixed_dictionaries({name: st.integers(0, 3) for name in COUNTS}),
    st.fixed_dictionaries({name: st.integers(0, 3) for name in COUNTS}),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
    st.lists(st.integers(-9, 9), min_size=25, max_size=40),
)
def test_what_worse_facts_meet_better_ones_meet_too(
    stage: Stage, start: dict[str, int], by: dict[str, int], moved: tuple[int, int, int], noise: list[int]
) -> None:
    lost, bps, thousandths = moved
    base = {name: max(getattr(FACTS, name) - sign * 2 + sign * start[name], 0) for name, sign in COUNTS.items()}
    better = facts(
        **base, slippage_excess_bps=tuple(n / 4 for n in noise) * 2, slippage_bps=tuple(6 + n / 4 for n in noise) * 2,
        returns=tuple(n / 4000 for n in noise), virtual_returns=(0.0,) * len(noise), loss=Decimal(1999),
        drawdown=0.0999,
    )  # fmt: skip
    worse = structs.replace(
        better, **{name: max(base[name] + sign * by[name], 0) for name, sign in COUNTS.items()},
        slippage_excess_bps=tuple(x + bps for x in better.slippage_excess_bps),
        slippage_bps=tuple(x + bps for x in better.slippage_bps),
        returns=tuple(x - thousandths / 1000 for x in better.returns),
        loss=better.loss + lost, drawdown=better.drawdown + lost / 10_000,
    )  # fmt: skip
    assert set(missed(stage, better)) <= set(missed(stage, worse))
    assert set(tripped(better)) <= set(tripped(worse))
