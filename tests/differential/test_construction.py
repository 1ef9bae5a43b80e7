"""Weights on real bars against solvers that we did not write: skfolio's, and a general minimiser of SciPy's."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize  # type: ignore[import-untyped]

from robotrader import bootstrap
from robotrader.data.panel import Floats
from robotrader.portfolio.construction import covariance, min_variance, risk_parity


@pytest.fixture(scope="module")
def returns(tmp_path_factory: pytest.TempPathFactory) -> Floats:
    """Return those of four shares over 13 years, and of each of them two weeks and ten weeks late: twelve names."""
    close = bootstrap.load_data("sample:all", state=tmp_path_factory.mktemp("state")).panel.close
    close = close[~np.isnan(close).any(axis=1)]
    steps = close[1:] / close[:-1] - 1
    return np.hstack([steps[50:], steps[40:-10], steps[:-50]])


def fitted(model: Any, returns: Floats) -> Floats:
    """Return the weights of one of skfolio's models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries below it
        return np.asarray(model.fit(returns).weights_)


@pytest.mark.parametrize("start", [0, 1_000, 2_000])
@pytest.mark.parametrize("names", [2, 4, 12])
def test_weights_are_those_of_skfolio(returns: Floats, start: int, names: int) -> None:
    from skfolio.optimization import MeanRisk, RiskBudgeting

    window = returns[start : start + 252, :names]
    sample = np.cov(window, rowvar=False)
    assert risk_parity(sample) == pytest.approx(fitted(RiskBudgeting(), window), abs=2e-4)
    least, theirs = min_variance(sample), fitted(MeanRisk(), window)
    assert least == pytest.approx(theirs, abs=1e-3)
    assert least @ sample @ least <= theirs @ sample @ theirs


@pytest.mark.parametrize("start", [0, 500, 1_500])
def test_weights_on_a_shrunk_covariance_are_those_of_a_general_minimiser(returns: Floats, start: int) -> None:
    cov = covariance(returns[start : start + 62])
    scaled, names = cov / cov.max(), len(cov)
    whole: Any = {"type": "eq", "fun": lambda w: w.sum() - 1}
    least = minimize(lambda w: w @ scaled @ w, np.full(names, 1 / names), bounds=[(0, 1)] * names, constraints=[whole],
                     method="SLSQP", options={"ftol": 1e-14, "maxiter": 1_000})  # fmt: skip
    assert min_variance(cov) == pytest.approx(least.x, abs=1e-4)

    def parity(w: Floats) -> float:
        return float(w @ scaled @ w / 2 - np.log(w).sum() / names)

    even = minimize(parity, np.ones(names), bounds=[(1e-6, None)] * names, method="L-BFGS-B",
                    options={"ftol": 1e-15, "gtol": 1e-10})  # fmt: skip
    assert risk_parity(cov) == pytest.approx(even.x / even.x.sum(), abs=1e-5)
