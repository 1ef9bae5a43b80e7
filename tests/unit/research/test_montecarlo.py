"""What chance is let loose on a result, by hand where a hand can reach."""

from decimal import Decimal

import numpy as np
import pytest

from robotrader.model import Commission, Fill, Parameter, Side, StrategyId
from robotrader.research.montecarlo import bootstrapped, jittered, paid_twice, scenario, shuffled_trades
from tests import builders as make

DECLARED = {
    "length": Parameter(default=50, low=2, high=55, doc=""), "level": Parameter(default=0.5, low=0, high=1, doc=""),
}  # fmt: skip


def test_shuffled_trades_show_every_drawdown_that_another_order_would_have_had() -> None:
    """Of +50, -20 and -30: at worst both losses come first, at best they are apart, the larger one from 130."""
    found = shuffled_trades(np.array([50.0, -20.0, -30.0]), 100.0, seed=1, draws=500)
    assert found.quantiles["max_drawdown"]["p05"] == pytest.approx(-0.5)
    assert found.quantiles["max_drawdown"]["p95"] == pytest.approx(-30 / 130)
    assert list(found.quantiles) == ["max_drawdown"]
    assert found == shuffled_trades(np.array([50.0, -20.0, -30.0]), 100.0, seed=1, draws=500)


def test_one_trade_has_no_other_order() -> None:
    assert shuffled_trades(np.array([5.0]), 100.0, seed=1, draws=500).runs == 0


def test_a_bootstrap_of_equal_days_finds_only_them() -> None:
    found = bootstrapped(np.full(252, 0.001), seed=1, draws=50)
    assert found.quantiles["cagr"] == pytest.approx(dict.fromkeys(("p05", "p50", "p95"), 1.001**252 - 1))
    assert found.losing == 0


def test_jittered_parameters_are_ten_to_twenty_percent_off_and_stay_in_range() -> None:
    found = jittered({"length": 50}, DECLARED, seed=2, count=200)
    lengths, levels = {s["length"] for s in found}, np.array([s["level"] for s in found])
    assert lengths == {*range(40, 46), 55}
    assert ((np.abs(levels / 0.5 - 1) >= 0.1) & (np.abs(levels / 0.5 - 1) <= 0.2)).all()
    assert len({tuple(s.values()) for s in found}) == len(found) == 200
    assert found == jittered({"length": 50}, DECLARED, seed=2, count=200)


def test_parameters_too_small_to_be_off_are_no_set() -> None:
    assert jittered({}, {"length": Parameter(default=2, low=2, high=9, doc="")}, seed=0, count=50) == []


def test_commissions_are_paid_again_at_their_fills() -> None:
    ts = np.array([10, 20, 30])
    fills = [
        Fill(exec_id=f"{n}", revision=1, order_id=make.order().id, strategy=StrategyId("s"), instrument=make.SPY.id,
             side=Side.BUY, quantity=1, price=Decimal(1), ts_event=at)
        for n, at in enumerate((15, 30))
    ]  # fmt: skip
    paid = [Commission(exec_id=f"{n}", revision=1, amount=Decimal(amount)) for n, amount in enumerate((2, 3))]
    assert paid_twice(ts, np.array([100.0, 90.0, 80.0]), fills, paid).tolist() == [100, 88, 75]


def test_a_scenario_leaves_out_what_was_never_there() -> None:
    found = scenario("x", [{"sharpe": 1.0, "total_return": -0.1}, {"sharpe": float("nan"), "total_return": 0.1}], "")
    assert (found.runs, found.losing) == (2, 0.5)
    assert found.quantiles["sharpe"] == {"p05": 1, "p50": 1, "p95": 1}
    assert "cagr" not in found.quantiles
