"""A sample of the calibration of live A/B tests, and that a claim can fail; the target tries 1,000 seeds."""

import math

import numpy as np
import pytest

from robotrader.data.panel import Floats
from robotrader.research import experiment
from robotrader.strategy import sequential
from robotrader.strategy.sequential import Boundary
from tests.calibration.experiments import CLAIMS, Claim, find

SEEDS = 60


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.text)
def test_a_claim_holds_on_the_first_seeds(claim: Claim) -> None:
    found = find(claim, SEEDS)
    assert found.holds, found


def fails(begin: str) -> bool:
    claim = next(c for c in CLAIMS if c.text.startswith(begin))
    return not find(claim, 200).holds


def test_an_interval_for_one_look_is_found_when_one_looks_every_day(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_look(observed: Floats, boundary: Boundary) -> tuple[Floats, Floats]:
        counts = np.arange(1, len(observed) + 1)
        reach = np.where(counts < boundary.burn_in, np.inf, 1.96 * observed.std() / np.sqrt(counts))
        mean = observed.cumsum() / counts
        return np.maximum.accumulate(mean - reach), np.minimum.accumulate(mean + reach)

    monkeypatch.setattr(experiment, "running_intervals", one_look)
    assert fails("no difference, looked at every day")
    assert fails("B worse by just the margin")


def test_an_interval_that_is_too_narrow_or_too_wide_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequential, "log", lambda x: math.log(x) / 3)
    assert fails("an effect of 0.3")
    monkeypatch.setattr(sequential, "log", lambda x: math.log(x) * 4)
    assert fails("B better by the minimum effect, found in 2")


def test_a_verdict_on_too_few_observations_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment.Registration, "maximum_observations", 1000)
    monkeypatch.setattr("tests.calibration.experiments.judge", lambda r, x: experiment.judge(r, np.tile(x, 4)))
    assert fails("29 observations")
