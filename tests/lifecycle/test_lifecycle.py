"""The proof of the lifecycle with shorter stages; `make lifecycle` has those of the defaults."""

from pathlib import Path

import pytest
from msgspec import structs

from robotrader.model import Gate, Stage
from tests.lifecycle.__main__ import failures
from tests.lifecycle.proof import RULES, Proof, prove

EDGE_UNTIL = 34
SHORT = structs.replace(RULES, sessions=6, ramp_sessions=5, fewest_orders=30)


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    return prove(tmp_path_factory.mktemp("lifecycle"), sessions=EDGE_UNTIL + 11, edge_until=EDGE_UNTIL, rules=SHORT)


def test_only_the_good_strategy_gets_to_real_money_and_is_taken_back_when_its_edge_is_gone(proof: Proof) -> None:
    assert failures(proof, EDGE_UNTIL) == []


def test_every_decision_names_its_gate_and_what_it_looked_at(proof: Proof) -> None:
    assert {j.gate for j in proof.judged} >= {*Gate} - {Gate.OPERATOR}
    for judged in proof.judged:
        assert judged.criteria, judged
        missed = [c.name for c in judged.criteria if not c.met]
        assert bool(missed) == (judged.gate is Gate.GUARD or not judged.reason.endswith("is met")), judged
        assert all(name in judged.reason for name in missed)


@pytest.mark.parametrize(("strategy", "stage"), [("greedy", Stage.PAPER), ("crashing", Stage.LIVE)])
def test_a_strategy_that_gets_further_than_it_may_is_noticed(proof: Proof, strategy: str, stage: Stage) -> None:
    told = structs.replace(proof.of(strategy)[-1], stage=stage)
    assert failures(structs.replace(proof, judged=[*proof.judged, told]), EDGE_UNTIL)


def test_an_order_of_another_strategy_is_noticed(proof: Proof, tmp_path: Path) -> None:
    stolen = dict.fromkeys(proof.orders, "overfit")
    assert any("overfit" in text for text in failures(structs.replace(proof, orders=stolen), EDGE_UNTIL))
