"""What is promised, as data: each claim is seen once per seed, and its rate or mean must lie within bounds."""

from collections.abc import Callable, Iterator
from math import inf, sqrt
from statistics import NormalDist

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats
from robotrader.research.significance import (
    bootstrap_intervals,
    effective_trials,
    expected_maximum_sharpe,
    moments,
    probabilistic_sharpe,
    probability_of_overfitting,
)
from tests.calibration.worlds import (
    YEAR,
    Random,
    best,
    clustered,
    deflated,
    drifting,
    noise,
    persistent,
    sharpes,
)

SURE = 0.95
Z99 = NormalDist().inv_cdf(0.995)


class Claim(Struct, frozen=True, kw_only=True):
    """A promise about a rate (`seen` returns a bool) or a mean (a float): its true value lies in [low, high]."""

    text: str
    seen: Callable[[Random], float]
    low: float = -inf
    high: float = inf

    @property
    def bound(self) -> str:
        """Return the bounds for people."""
        if self.low == -inf or self.high == inf:
            return f"≤ {self.high:.3g}" if self.low == -inf else f"≥ {self.low:.3g}"
        return f"{self.low:.3g} to {self.high:.3g}"


class Finding(Struct, frozen=True, kw_only=True):
    """What the seeds showed: the rate or mean, and its 99 % interval."""

    value: float
    low: float
    high: float

    def keeps(self, claim: Claim) -> bool:
        """Tell whether the interval does not lie beyond the bounds."""
        return self.low <= claim.high and self.high >= claim.low


def judge(claim: Claim, seeds: int) -> Finding:
    """Try a claim on the first `seeds` seeds."""
    seen = [claim.seen(np.random.default_rng(seed)) for seed in range(seeds)]
    rate = float(np.mean(seen))
    if all(isinstance(one, bool) for one in seen):
        return Finding(value=rate, **dict(zip(("low", "high"), wilson(rate, seeds), strict=True)))
    reach = Z99 * float(np.std(seen, ddof=1)) / sqrt(seeds)
    return Finding(value=rate, low=rate - reach, high=rate + reach)


def wilson(rate: float, count: int) -> tuple[float, float]:
    """Return the 99 % interval of a rate (Wilson 1927)."""
    square = Z99**2 / count
    centre, reach = rate + square / 2, Z99 * sqrt(rate * (1 - rate) / count + square / (4 * count))
    return (centre - reach) / (1 + square), (centre + reach) / (1 + square)


def _proven(returns: Floats) -> bool:
    found = moments(returns)
    return found is not None and probabilistic_sharpe(found) >= SURE


def _passes(draw: Callable[[Random], Floats]) -> Callable[[Random], bool]:
    def seen(random: Random) -> bool:
        found = deflated(draw(random)).deflated_sharpe
        return found is not None and found >= SURE

    return seen


def _skilled(random: Random) -> Floats:
    returns = noise(random, 5 * YEAR, 100)
    returns[:, 0] = drifting(returns[:, 0], 2.0)
    return returns


DAYS = 500
NOISE: tuple[tuple[str, Callable[[Random], Floats]], ...] = (
    ("2 trials", lambda r: noise(r, DAYS, 2)),
    ("10 trials", lambda r: noise(r, DAYS, 10)),
    ("100 trials", lambda r: noise(r, DAYS, 100)),
    ("100 trials that correlate by 0.3", lambda r: noise(r, DAYS, 100, alike=0.3)),
    ("100 trials that correlate by 0.7", lambda r: noise(r, DAYS, 100, alike=0.7)),
    ("100 trials that correlate by 0.9", lambda r: noise(r, DAYS, 100, alike=0.9)),
    ("100 trials that correlate by 0.99", lambda r: noise(r, DAYS, 100, alike=0.99)),
    ("100 trials in 2 groups of like ones (0.9)", lambda r: noise(r, DAYS, 100, alike=0.9, groups=2)),
    ("100 trials in 10 groups of like ones (0.9)", lambda r: noise(r, DAYS, 100, alike=0.9, groups=10)),
    ("50 trials with fat tails (Student, 3 degrees)", lambda r: r.standard_t(3, (DAYS, 50))),
    ("50 trials with losses that come in lumps (skewness −2)", lambda r: 1 - r.exponential(1, (DAYS, 50))),
    ("50 trials with gains that come in lumps (skewness 2)", lambda r: r.exponential(1, (DAYS, 50)) - 1),
)


def _deflation() -> Iterator[Claim]:
    yield Claim(text="one strategy without skill: PSR ≥ 0.95", low=0.05, high=0.05,
                seen=lambda r: _proven(noise(r, DAYS, 1)[:, 0]))  # fmt: skip
    yield Claim(text="the same where days correlate by 0.1 (PSR and DSR take them as independent)", high=0.07,
                seen=lambda r: _proven(persistent(r, DAYS, 0.1)))  # fmt: skip
    yield Claim(text="the best of 100 without skill, not deflated: PSR ≥ 0.95 (why there is a ledger)", low=0.99,
                seen=lambda r: _proven(best(noise(r, DAYS, 100))))  # fmt: skip
    for text, draw in NOISE:
        yield Claim(text=f"the best of {text} without skill: DSR ≥ 0.95", high=0.05, seen=_passes(draw))
    yield Claim(
        text="one true Sharpe ratio of 2 among 100 trials, 5 years: DSR ≥ 0.95", low=0.5, seen=_passes(_skilled)
    )
    yield Claim(text="100 like trials (0.7) with a true Sharpe ratio of 2, 5 years: DSR ≥ 0.95", low=0.95,
                seen=_passes(lambda r: drifting(noise(r, 5 * YEAR, 100, alike=0.7), 2.0)))  # fmt: skip


def _highest(trials: int, alike: float = 0.0, groups: int = 1) -> Callable[[Random], float]:
    def seen(random: Random) -> float:
        pairs = (trials // groups - 1) / (trials - 1)  # the share of pairs that are of one group
        expected = expected_maximum_sharpe(effective_trials(trials, alike * pairs))
        return float(sharpes(noise(random, DAYS, trials, alike=alike, groups=groups)).max()) * sqrt(DAYS) / expected

    return seen


def _maxima() -> Iterator[Claim]:
    for trials in (3, 10, 100):
        yield Claim(text=f"highest Sharpe ratio of {trials} trials / expected maximum", low=0.97, high=1.0,
                    seen=_highest(trials))  # fmt: skip
    yield Claim(text="the same of 100 that correlate by 0.7", low=0.97, high=1.0, seen=_highest(100, 0.7))
    yield Claim(text="the same of 100 in 10 groups of like ones (0.9)", high=1.0, seen=_highest(100, 0.9, 10))


def _overfitting() -> Iterator[Claim]:
    yield Claim(text="PBO of 20 trials without skill", low=0.48, high=0.52,
                seen=lambda r: probability_of_overfitting(noise(r, DAYS, 20)))  # fmt: skip
    yield Claim(text="PBO of one true Sharpe ratio of 2 among 100 trials, 5 years", high=0.2,
                seen=lambda r: probability_of_overfitting(_skilled(r)))  # fmt: skip


TRUE_SHARPE, DAILY = 0.8, 0.01


def covered(draw: Callable[[Random, int], Floats], figure: str, days: int = 1000) -> Callable[[Random], bool]:
    """Tell whether the interval of a figure holds the truth; of a drawdown: that of as many more days."""

    def seen(random: Random) -> bool:
        returns, others = (DAILY * drifting(draw(random, days), TRUE_SHARPE) for _ in range(2))
        found = bootstrap_intervals(returns, seed=int(random.integers(2**31)), draws=400)
        curve = np.cumprod(1 + others)
        mean = DAILY * TRUE_SHARPE / sqrt(YEAR)
        truth = {
            "sharpe": TRUE_SHARPE,
            "cagr": np.expm1(YEAR * (np.log1p(mean) - DAILY**2 / 2)),
            "max_drawdown": min(float((curve / np.maximum.accumulate(curve)).min()) - 1, 0.0),
        }[figure]
        low, high = getattr(found, figure)
        return bool(low <= truth <= high)

    return seen


def _intervals() -> Iterator[Claim]:
    plain: Callable[[Random, int], Floats] = lambda r, n: r.standard_normal(n)  # noqa: E731 - one of a table
    for text, draw, figure, low, high in (
        ("of the Sharpe ratio holds it: independent days", plain, "sharpe", 0.9, 0.9),
        ("of CAGR holds it: independent days", plain, "cagr", 0.9, 0.9),
        ("of the Sharpe ratio holds it: fat tails", lambda r, n: r.standard_t(4, n) / sqrt(2), "sharpe", 0.88, 0.92),
        ("of the Sharpe ratio holds it: days that correlate by 0.1", lambda r, n: persistent(r, n, 0.1), "sharpe",
         0.87, 0.92),
        ("of the Sharpe ratio holds it: days that correlate by 0.3", lambda r, n: persistent(r, n, 0.3), "sharpe",
         0.85, 0.92),
        ("of the Sharpe ratio holds it: volatility in waves", clustered, "sharpe", 0.87, 0.92),
        ("of the maximum drawdown holds that of the next 4 years", plain, "max_drawdown", 0.8, 0.9),
    ):  # fmt: skip
        yield Claim(text=f"90 % interval {text}", seen=covered(draw, figure), low=low, high=high)


CLAIMS: tuple[Claim, ...] = (*_deflation(), *_maxima(), *_overfitting(), *_intervals())
