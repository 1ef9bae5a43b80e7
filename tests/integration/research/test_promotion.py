"""The evidence of gates G0 and G1: a planted edge is found, luck, costs and too little room are not passed."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import structs

from robotrader import bootstrap
from robotrader.bootstrap.explore import Explorer, Study, sweep
from robotrader.bootstrap.promotion import around, as_change, gather, until_ruin
from robotrader.bootstrap.research import Costs
from robotrader.bootstrap.tasks import Source, data_of, forget
from robotrader.data.seeded import SeedSpec
from robotrader.model import BarSpec, ConfigError, Dossier, Gate, LifecycleRules, Stage, StageFacts, StrategyId
from robotrader.model import StrategyConfig as Config
from robotrader.research.executors import Workers
from robotrader.research.trials import Purpose
from robotrader.strategy.checks import RULES
from robotrader.strategy.gates import judge
from tests.integration.research import planted

D = Decimal
CHEAP = Costs(participation=0.1, half_spread_bps=D(1), impact=D("0.1"))
ASKED = LifecycleRules(capital=D(1_000_000))


def study(state: Path, name: str, kind: str = "Following", *, costs: Costs = CHEAP, capital: int = 100_000,
          parameters: Any = ()) -> Study:  # fmt: skip
    source = Source(name=name, state=str(state))
    config = Config(id=StrategyId("planted"), source=f"{planted.__file__}:{kind}", universe=data_of(source).panel.ids,
                    capital=D(capital), sizer="all_in", parameters=dict(parameters))  # fmt: skip
    return Study(source=source, config=config, costs=costs)


def missed(evidence: Dossier) -> tuple[Gate, list[str]]:
    asked = judge(Stage.RESEARCH, StageFacts(), evidence, ASKED)
    return asked.gate, [c.name for c in asked.criteria if not c.met]


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars with an edge for which no cost of `CHEAP` is too high."""
    return Path(planted.write_bars(tmp_path_factory.mktemp("edge") / "bars.csv", edge=0.0015))


@pytest.fixture(scope="module")
def found(edge: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dossier, Path, list[tuple[str, int]]]:
    state, told = tmp_path_factory.mktemp("state"), list[tuple[str, int]]()
    made = gather(study(state, str(edge)), progress=lambda what, done: told.append((what, done)))
    return made, state, told


def test_a_planted_edge_meets_the_gate(found: tuple[Dossier, Path, Any]) -> None:
    evidence, state, told = found
    assert missed(evidence) == (Gate.RESEARCH, [])
    assert {f"rule_{rule}" for rule in RULES} <= evidence.figures.keys()
    assert (evidence.strategy, evidence.version, evidence.source_hash != "") == ("planted", "3", True)
    assert evidence.data_hash == data_of(Source(name=evidence.data, state=str(state))).loaded.data_hash
    assert evidence.edge_bps is not None
    assert 10 < evidence.edge_bps < 60
    assert evidence.drawdown_band is not None
    assert 0.02 < evidence.drawdown_band < 0.2
    assert [share > 0.3 for share in evidence.strengths] == [True, False, False, False, True, False]
    assert sum(evidence.strengths) == pytest.approx(1)
    assert [done for what, done in told if what == "rules"] == list(range(len(RULES)))
    assert max(done for what, done in told if what == "sets") == 3
    assert msgspec.json.decode(as_change(evidence), type=Dossier) == evidence
    assert len(bootstrap.recorded_trials(state, "planted")[0]) == 5


def test_one_stretch_in_a_hundred_falls_deeper_than_its_band(edge: Path, found: tuple[Dossier, Path, Any]) -> None:
    evidence, state, _ = found
    made = study(state, str(edge))
    panel = data_of(made.source).panel
    equity = bootstrap.backtest([made.config], panel, costs=CHEAP).equity
    made_so_far = np.cumsum(equity[1:] / equity[:-1] - 1)
    stretches = np.lib.stride_tricks.sliding_window_view(made_so_far, evidence.band_sessions + 1)
    deepest = (np.maximum.accumulate(stretches, axis=1) - stretches).max(axis=1)
    assert 0 < (deepest > evidence.drawdown_band).mean() < 0.03


def test_luck_that_was_looked_for_is_not_passed(tmp_path: Path) -> None:
    """Of forty sets on bars without any edge, the best one in hindsight."""
    name = planted.write_bars(tmp_path / "bars.csv", edge=0.0, seed=11)
    free, space = structs.replace(CHEAP, half_spread_bps=D(0), impact=D(0)), {"bars": tuple(range(2, 42))}
    with bootstrap.trial_ledger(tmp_path) as ledger, Workers("inline") as workers:
        best = sweep(Explorer(study(tmp_path, name, costs=free), ledger, workers, purpose=Purpose.SWEEP), space).best
    assert best is not None
    assert best.figure("sharpe") > 0.5
    evidence = gather(study(tmp_path, name, costs=free, parameters=best.parameters), space)
    assert {"deflated_sharpe", "overfitting", "spa_p"} <= set(missed(evidence)[1])


def test_twice_the_costs_kill_a_thin_edge(edge: Path, found: tuple[Dossier, Path, Any], tmp_path: Path) -> None:
    dear = structs.replace(CHEAP, half_spread_bps=D(25), commission="none")
    made = study(tmp_path, str(edge), costs=dear)
    assert bootstrap.backtest([made.config], data_of(made.source).panel, costs=dear).final.equity > 150_000
    evidence = gather(made)
    assert "return_costs_x2" in missed(evidence)[1]
    assert evidence.edge_bps == pytest.approx(found[0].edge_bps, rel=0.5)  # before costs it is the same edge


def test_an_edge_that_no_large_capital_can_use_lacks_room(edge: Path, tmp_path: Path) -> None:
    evidence = gather(study(tmp_path, str(edge), capital=1_000_000_000))
    assert "capacity_ratio" in missed(evidence)[1]


def test_what_is_always_long_must_beat_holding(tmp_path: Path) -> None:
    """It earns what the market does, which is no skill; nothing was chosen, so that nothing can be overfitted."""
    name = planted.write_bars(tmp_path / "bars.csv", edge=0.0, drift=0.002)
    evidence = gather(study(tmp_path, name, "Holding"))
    assert evidence.figures["overfitting"] == 0
    assert (evidence.figures["deflated_sharpe"] or 0) > 0.95
    assert "spa_p" in missed(evidence)[1]


def test_bars_of_a_quarter_of_an_hour(tmp_path: Path) -> None:
    bootstrap.seed(SeedSpec(seed=3, symbols=("AAA", "BBB"), spec=BarSpec.MINUTE_15, bars=2_600), tmp_path)
    forget()
    evidence = gather(study(tmp_path, "seed", "FollowingQuarters", parameters={"bars": 30}))
    assert evidence.drawdown_band is not None
    assert None not in {evidence.figures[name] for name in ("deflated_sharpe", "overfitting", "spa_p")}
    with pytest.raises(ConfigError, match="declares bars of 1d, seed has 15m"):
        gather(study(tmp_path, "seed"))


def test_a_grid_around_a_strategy_keeps_to_its_ranges() -> None:
    own = Config(id=StrategyId("x"), source="mean_reversion", universe=(), capital=D(1), parameters={"low": 30.0})
    assert around(own) == {"rsi_bars": (2, 4), "low": (15.0, 30.0, 50.0), "trend_bars": (100, 200, 400)}
    assert around(structs.replace(own, source=f"{planted.__file__}:Holding", parameters={})) == {}


def test_below_nothing_a_loss_is_no_gain() -> None:
    """Equity of 1, 0.5, -0.5, -1 has returns of -0.5, -2 and +1."""
    ruined = np.array([[-0.5, 0.1], [-2.0, -0.2], [1.0, 0.3], [np.nan, 0.1]])
    assert until_ruin(ruined).tolist() == [[-0.5, 0.1], [-1.0, -0.2], [0.0, 0.3], [0.0, 0.1]]
