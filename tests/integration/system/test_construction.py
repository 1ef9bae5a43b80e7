"""Names that are sized together: black box, and in a backtest as over the wire."""

import asyncio
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from robotrader import bootstrap
from robotrader.cli.parity import compare, wire_run
from robotrader.model import Hold, StrategyConfig, StrategyId, Submit
from robotrader.portfolio.construction import construct
from tests.integration.system.running import robotrader


def test_the_wire_sizes_names_together_as_the_backtest_does_and_says_with_what_numbers(tmp_path: Path) -> None:
    panel = bootstrap.first_sessions(bootstrap.load_data("sample:all", state=tmp_path).panel, 150)
    config = StrategyConfig(
        id=StrategyId("together"), source="momentum", universe=panel.ids, capital=Decimal(1_000_000),
        sizer="risk_parity:0.05", parameters={"lookback": 5, "top": 3}, turnover_buffer=0.05, cluster_correlation=0.7,
        drawdown_throttle="0.001:0.5,0.005:0.25",
    )  # fmt: skip
    backtest = bootstrap.backtest([config], panel, limits="paper", costs=bootstrap.Costs(), keep_commands=True)
    found, differences = compare(backtest, asyncio.run(wire_run([config], panel, tmp_path / "wire")))
    assert not differences, differences[:5]
    assert found["fills"] == len(backtest.fills) > 5
    made = [c.decision for c in backtest.commands if isinstance(c, Submit | Hold) and c.decision]
    last = max(d.signal.ts_event for d in made)
    said = {d.signal.instrument: d.target.sizing for d in made if d.signal.ts_event == last and d.signal.strength}
    row = int(np.searchsorted(panel.ts, last))
    closes = panel.close[row - 62 : row + 1, [panel.ids.index(iid) for iid in said]]
    shares = construct(closes[1:] / closes[:-1] - 1, [1] * len(said), method="risk_parity", cluster_correlation=0.7)
    assert len(said) == 3
    assert [float(sizing["weight"]) for sizing in said.values()] == pytest.approx([s.weight for s in shares], abs=1e-9)
    assert {d.target.sizing["throttle"] for d in made} >= {"1", "0.5"}
    assert all("unbuffered" in d.target.sizing for d in made)


def test_a_backtest_takes_a_construction_and_its_options(tmp_path: Path) -> None:
    command = ("backtest", "momentum", "--data", "sample:all", "-p", "top=3", "--sizer")
    plain = robotrader(*command, "risk_parity:1", state=tmp_path).json
    buffered = robotrader(*command, "risk_parity:1", "--turnover-buffer", "0.2", state=tmp_path).json
    throttled = robotrader(*command, "risk_parity:1", "--drawdown-throttle", "0.05:0.5,0.10:0.25", state=tmp_path).json
    clustered = robotrader(*command, "equal:1", "--cluster-correlation", "0.3", state=tmp_path).json
    assert plain["engine"] == "event"
    assert 0 < buffered["turnover"] < plain["turnover"]
    assert plain["max_drawdown"] < throttled["max_drawdown"] < 0
    assert len({run["fills_hash"] for run in (plain, buffered, throttled, clustered)}) == 4
    refused = robotrader(*command, "risk_parity:1", "--engine", "fast", state=tmp_path)
    assert refused.code == 5
    assert "all names together" in refused.err
