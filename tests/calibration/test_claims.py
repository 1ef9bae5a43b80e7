"""A sample of the calibration, and that a claim can fail; `make calibration` tries all on 1,000 seeds."""

import numpy as np
import pytest

from robotrader.research import significance, trials
from robotrader.research.trials import Deflation
from tests.calibration import claims
from tests.calibration.claims import CLAIMS, Claim, judge, wilson
from tests.calibration.worlds import persistent

SEEDS = 30
SLOW = {"PBO": 10, "90 %": 12}  # seeds of what takes longer


def seeds_of(claim: Claim) -> int:
    return next((seeds for begin, seeds in SLOW.items() if claim.text.startswith(begin)), SEEDS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.text)
def test_a_claim_holds_on_the_first_seeds(claim: Claim) -> None:
    found = judge(claim, seeds_of(claim))
    assert found.keeps(claim), found


def claim(text: str) -> Claim:
    (found,) = [c for c in CLAIMS if c.text.startswith(text)]
    return found


def test_best_ofs_that_are_not_deflated_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def undeflated(returns: np.ndarray, _trials: int, alike: trials.Likeness) -> Deflation:
        return trials.deflate(returns, 1, alike)

    monkeypatch.setattr("tests.calibration.worlds.deflate", undeflated)
    for text in (
        "the best of 100 trials without",
        "the best of 10 trials",
        "the best of 100 trials that correlate by 0.7",
    ):
        assert not judge(claim(text), SEEDS).keeps(claim(text))


def test_trials_that_are_taken_for_one_because_they_are_alike_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(significance, "effective_trials", lambda _trials, _correlation: 1.0)
    text = "the best of 100 trials that correlate by 0.7"
    assert not judge(claim(text), 100).keeps(claim(text))


def test_a_yardstick_that_nothing_reaches_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = significance.expected_maximum_sharpe
    monkeypatch.setattr(significance, "expected_maximum_sharpe", lambda n, v=1.0: 1.5 * expected(n, v))
    monkeypatch.setattr(claims, "expected_maximum_sharpe", lambda n, v=1.0: 1.5 * expected(n, v))
    for text in ("one true Sharpe ratio", "highest Sharpe ratio of 100"):
        assert not judge(claim(text), SEEDS).keeps(claim(text))


def test_intervals_for_independent_days_fail_on_days_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(significance, "block_length", lambda _returns: 1.0)
    dependent = Claim(text="", seen=claims.covered(lambda r, n: persistent(r, n, 0.6), "sharpe", days=250), low=0.85)
    assert not judge(dependent, 60).keeps(dependent)


def test_the_interval_of_a_rate_is_wilsons() -> None:
    # by hand: z² / n = 0.06635, (0.1 + 0.03317 ± 0.08409) / 1.06635
    assert wilson(0.1, 100) == pytest.approx((0.0460, 0.2038), abs=1e-4)
    low, high = wilson(0.0, 1000)
    assert low == pytest.approx(0)
    assert high == pytest.approx(0.00659, abs=1e-5)
