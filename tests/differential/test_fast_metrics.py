"""Ratios against empyrical's: its import takes longer than a backtest."""

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robotrader.research.metrics import beta, measure, monthly, rolling, tails
from tests import builders as make


@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.sampled_from([0.0, 0.3, 1.0]))
def test_ratios_are_those_of_empyrical(seed: int, days: int, quiet: float) -> None:
    random = np.random.default_rng(seed)
    returns = random.normal(0.0005, 0.01, days) * (random.random(days) >= quiet)
    found = measure(
        make.T0 + make.DAY * np.arange(days), (1_000.0 * np.cumprod(1 + returns)).astype(np.float64), 1_000.0
    )
    theirs = {"sharpe": empyrical.sharpe_ratio, "sortino": empyrical.sortino_ratio, "cagr": empyrical.cagr,
              "volatility": empyrical.annual_volatility, "max_drawdown": empyrical.max_drawdown}  # fmt: skip
    for name, ratio in theirs.items():
        ours, other = getattr(found, name), float(ratio(returns))
        if ours is None:
            assert not returns.any() or not np.isfinite(other)
        else:
            assert ours == pytest.approx(other, rel=1e-6, abs=1e-12), name


@given(st.integers(0, 2**32 - 1), st.integers(3, 400))
def test_what_a_tearsheet_adds_is_that_of_empyrical(seed: int, days: int) -> None:
    random = np.random.default_rng(seed)
    returns, benchmark = random.normal(0.0005, 0.01, (2, days))
    window = max(days // 3, 2)
    found = rolling(returns, window)
    ours = {**tails(returns), "beta": beta(returns, benchmark)}
    theirs = {"value_at_risk": empyrical.value_at_risk(returns), "beta": empyrical.beta(returns, benchmark),
              "expected_shortfall": empyrical.conditional_value_at_risk(returns)}  # fmt: skip
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs)
    sharpe, volatility = (
        roll(returns, window) for roll in (empyrical.roll_sharpe_ratio, empyrical.roll_annual_volatility)
    )
    assert found["sharpe"][window - 1 :] == pytest.approx(sharpe)
    assert found["volatility"][window - 1 :] == pytest.approx(volatility)
    when = pd.date_range("2024-01-25", periods=days, freq="D")
    curve = np.concatenate(([1.0], np.cumprod(1 + returns)))
    by_month = empyrical.aggregate_returns(pd.Series(returns, when), "monthly")
    assert list(monthly(when.as_unit("ns").asi8, curve).values()) == pytest.approx(by_month.tolist())
