"""`python -m tests.calibration.experiments`: do live A/B tests hold what they promise? 1,000 fixed seeds each.

All seeds of a claim are drawn and judged at once, a row each; `--write` puts the table into docs/guide/experiments.md.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from math import sqrt
from statistics import NormalDist

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from robotrader.data.panel import Floats
from robotrader.research.experiment import Decision, Registration, judge
from robotrader.strategy.sequential import Boundary, running_intervals, sample_size, winsorised
from tests.calibration.claims import wilson
from tests.calibration.worlds import YEAR
from tests.page import write

DAYS = 2 * YEAR
BURN_IN = 30
POWER = 0.8
Z_ONE_SIDED = NormalDist().inv_cdf(0.95)
SKEWED = sqrt((np.e - 1) * np.e)  # the deviation of exp(normal)
Flags = NDArray[np.bool_]  # one a seed
Draw = Callable[[int, int], Floats]  # seeds, days: rows of differences without a difference, of about unit deviation


class Claim(Struct, frozen=True, kw_only=True):
    """A promise about how often something is seen: `seen` tells it of each of the first seeds."""

    text: str
    seen: Callable[[int], Flags]
    low: float = 0.0
    high: float = 1.0

    @property
    def bound(self) -> str:
        """Return the bounds for people."""
        if self.low == self.high:
            return f"{self.low:.3g}"
        if self.low > 0 and self.high < 1:
            return f"{self.low:.3g} to {self.high:.3g}"
        return f"≥ {self.low:.3g}" if self.low > 0 else f"≤ {self.high:.3g}"


class Finding(Struct, frozen=True, kw_only=True):
    """The share of the seeds, its 99 % interval (Wilson), and whether that is not beyond the bounds."""

    rate: float
    interval: tuple[float, float]
    holds: bool


def find(claim: Claim, seeds: int) -> Finding:
    """Try a claim."""
    rate = float(np.mean(claim.seen(seeds)))
    low, high = wilson(rate, seeds)
    return Finding(rate=rate, interval=(low, high), holds=low <= claim.high and high >= claim.low)


def rows(seeds: int, draw: Callable[[np.random.Generator], Floats]) -> Floats:
    """Draw a row for each seed."""
    return np.array([draw(np.random.default_rng(seed)) for seed in range(seeds)])


def calm(seeds: int, days: int) -> Floats:
    """Draw independent normal differences."""
    return rows(seeds, lambda r: r.standard_normal(days))


def persistent(seeds: int, days: int, memory: float) -> Floats:
    """Draw days that remember: first-order autoregressions of unit deviation."""
    drawn = calm(seeds, days)
    for day in range(1, days):
        drawn[:, day] = memory * drawn[:, day - 1] + sqrt(1 - memory**2) * drawn[:, day]
    return drawn


def stormy(seeds: int, days: int) -> Floats:
    """Draw fat tails (Student, 4 degrees) times a volatility that comes in waves (its logarithm remembers 0.97)."""
    tails = rows(seeds, lambda r: np.random.default_rng([int(r.integers(2**31)), 1]).standard_t(4, days) / sqrt(2))
    return tails * np.exp(0.6 * persistent(seeds, days, 0.97) - 0.36)


def lumpy(seeds: int, days: int) -> Floats:
    """Draw losses that come in lumps (skewness -2)."""
    return rows(seeds, lambda r: 1 - r.exponential(1.0, days))


def heavy(seeds: int, days: int) -> Floats:
    """Draw losses in heavy lumps (lognormal, skewness -6)."""
    return rows(seeds, lambda r: (sqrt(np.e) - r.lognormal(0.0, 1.0, days)) / SKEWED)


def rare(seeds: int, days: int) -> Floats:
    """Draw differences of two reject rates of 1 % of 20 orders a day each, in their common deviation."""
    return rows(seeds, lambda r: np.diff(r.binomial(20, 0.01, (2, days)), axis=0)[0] / sqrt(2 * 20 * 0.01 * 0.99))


WORLDS: tuple[tuple[str, Draw], ...] = (
    ("normal days", calm),
    ("fat tails, volatility in waves", stormy),
    ("losses in lumps (skewness −2)", lumpy),
    ("rare events (1 % of 20 orders a day)", rare),
)


def registration(draw: Draw, margin: float = 0.0, days: int = DAYS) -> Registration:
    """Register a test of paired days; rates are not winsorised."""
    return Registration(
        id="calibration", arms=("a", "b"), metric="fill_rate" if draw is rare else "daily_return",
        direction="non_inferior" if margin else "superior", margin=margin, allocation="paired", minimum_effect=0.2,
        maximum_sessions=days,
    )  # fmt: skip


def decided(draw: Draw, *wanted: Decision, shift: float = 0.0, margin: float = 0.0,
            days: int = DAYS) -> Callable[[int], Flags]:  # fmt: skip
    """Tell of each seed whether one of these verdicts was reached on any day: a verdict once reached stays."""
    registered = registration(draw, margin, max(days, BURN_IN))

    def seen(seeds: int) -> Flags:
        return np.array([judge(registered, row).decision in wanted for row in draw(seeds, days) + shift])

    return seen


def peeking_t_test(seeds: int) -> Flags:
    """Tell of each seed whether |t| exceeded 1.96 on any day after the burn-in."""
    drawn = stormy(seeds, DAYS)
    counts = np.arange(1, DAYS + 1)
    mean, square = drawn.cumsum(axis=1) / counts, (drawn**2).cumsum(axis=1) / counts
    t = mean / np.sqrt((square - mean**2) / np.maximum(counts - 1, 1), where=counts > 1, out=np.ones_like(mean))
    return np.asarray((np.abs(t[:, BURN_IN:]) > 1.96).any(axis=1), dtype=np.bool_)


def covered(draw: Draw, effect: float) -> Callable[[int], Flags]:
    """Tell of each seed whether the running interval held the true effect on every day of two years."""

    def seen(seeds: int) -> Flags:
        drawn = draw(seeds, DAYS) + effect
        clean = drawn if draw is rare else winsorised(drawn, BURN_IN)
        low, high = running_intervals(clean, Boundary(alpha=0.05, burn_in=BURN_IN, horizon=DAYS))
        return np.asarray((low[:, -1] <= effect) & (effect <= high[:, -1]), dtype=np.bool_)

    return seen


def _verdicts() -> Iterator[Claim]:
    differ = (Decision.A_BETTER, Decision.B_BETTER)
    yield Claim(text="no difference, a t-test looked at every day until beyond ±1.96 (why not to): fat tails, "
                "volatility in waves", seen=peeking_t_test, low=0.3)  # fmt: skip
    for text, draw in WORLDS:
        yield Claim(text=f"no difference, looked at every day: A or B better; {text}", high=0.05,
                    seen=decided(draw, *differ))  # fmt: skip
        yield Claim(text=f"B worse by just the margin: non-inferior; {text}", high=0.05,
                    seen=decided(draw, Decision.NON_INFERIOR, shift=-0.2, margin=0.2))  # fmt: skip
        yield Claim(text=f"an effect of 0.3 deviations lies in the running interval, always; {text}", low=0.95,
                    seen=covered(draw, 0.3))  # fmt: skip
    for text, draw, high in (
        ("days that correlate by 0.1", lambda n, days: persistent(n, days, 0.1), 0.07),
        ("losses in heavy lumps (skewness −6)", heavy, 0.15),
    ):
        yield Claim(text=f"no difference, but known to be too sure: {text}", high=high, seen=decided(draw, *differ))
    yield Claim(text="29 observations of an effect of 3 deviations: insufficient", low=0.995,
                seen=decided(calm, Decision.INSUFFICIENT, shift=3.0, days=BURN_IN - 1))  # fmt: skip
    fixed = round(sample_size(0.2, 1.0))
    for times, low, high in ((1, 0.3, 0.6), (2, 0.75, 1.0)):
        yield Claim(text=f"B better by the minimum effect, found in {times} × n_needed; normal days", low=low,
                    high=high, seen=decided(calm, Decision.B_BETTER, shift=0.2, days=times * fixed))  # fmt: skip


def sharpe_told(difference: float, correlation: float) -> Callable[[int], Flags]:
    """Tell of each seed whether a fixed-n test sees a difference of Sharpe ratios in the years of the table."""
    days = round(YEAR * years_to_tell(difference, correlation))

    def z(random: np.random.Generator) -> Floats:
        a, own = random.standard_normal((2, days))
        b = correlation * a + sqrt(1 - correlation**2) * own + difference / sqrt(YEAR)
        sharpes = [x.mean() / x.std(ddof=1) for x in (a, b)]
        return np.array((sharpes[1] - sharpes[0]) * sqrt(days / (2 - 2 * np.corrcoef(a, b)[0, 1])))

    return lambda seeds: rows(seeds, z) > Z_ONE_SIDED


def slippage_told(effect: float) -> Callable[[int], Flags]:
    """Tell of each seed whether a fixed-n test sees a difference of slippage (deviation 8 bp) in so many orders."""
    orders = round(sample_size(effect, 8 * sqrt(2)))

    def z(random: np.random.Generator) -> Floats:
        a, b = 8 * random.standard_normal((2, orders)) + np.array([[effect], [0.0]])
        return np.array((a.mean() - b.mean()) / sqrt((a.var(ddof=1) + b.var(ddof=1)) / orders))

    return lambda seeds: rows(seeds, z) > Z_ONE_SIDED


def years_to_tell(difference: float, correlation: float) -> float:
    """Return the years until a difference of annual Sharpe ratios is seen (Memmel 2003, small ratios)."""
    return sample_size(difference, sqrt(2 - 2 * correlation))


def _power() -> Iterator[Claim]:
    for difference in (0.5, 1.0):
        for correlation in (0.0, 0.5, 0.9, 0.99):
            years = f"{years_to_tell(difference, correlation):.2g} years"
            yield Claim(text=f"Sharpe ratios {difference} apart, arms that correlate by {correlation}: seen in {years}",
                        low=POWER, high=POWER, seen=sharpe_told(difference, correlation))  # fmt: skip
    for effect in (1.0, 2.0):
        orders = f"{sample_size(effect, 8 * sqrt(2)):.0f} orders an arm"
        yield Claim(text=f"slippage {effect:.0f} bp lower (deviation 8 bp): seen in {orders}", low=POWER, high=POWER,
                    seen=slippage_told(effect))  # fmt: skip


CLAIMS: tuple[Claim, ...] = (*_verdicts(), *_power())


def main() -> int:
    """Try all claims; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="write docs/guide/experiments.md")
    options = parser.parse_args()
    started, failed = time.perf_counter(), 0
    lines = ["| claim | promised | found | 99 % interval | holds |", "|---|---|---|---|---|"]
    for claim in CLAIMS:
        found = find(claim, options.seeds)
        failed += not found.holds
        span = " to ".join(f"{end:.3f}" for end in found.interval)
        lines.append(f"| {claim.text} | {claim.bound} | {found.rate:.3f} | {span} | {'yes' if found.holds else 'NO'} |")
        sys.stderr.write(lines[-1] + "\n")
    if options.write:
        write("guide/experiments.md", "calibration", f"{options.seeds:,} seeds each.\n\n" + "\n".join(lines))
    counts = {"passed": len(CLAIMS) - failed, "failed": failed, "seeds": options.seeds}
    seconds = round(time.perf_counter() - started, 1)
    sys.stdout.write(json.dumps({"target": "experiments", **counts, "seconds": seconds}) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
