"""Inference that may be looked at every day: what a stream of differences proves so far, whenever one stops.

Time is the last axis; all other axes are streams of their own. Test and interval are the two sides of one thing: the
p-value is at most alpha just when the running interval leaves the null out. Both take the variance from the data, so
that they hold as observations grow in number; hence the burn-in, before which nothing is said.

References
----------
Robbins (1970), Statistical Methods Related to the Law of the Iterated Logarithm. Johari, Koomen, Pekelis, Walsh (2022),
Always Valid Inference: Continuous Monitoring of A/B Tests. Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024),
Time-Uniform Central Limit Theory and Asymptotic Confidence Sequences.
"""

from math import log
from statistics import NormalDist

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats

_TIE = 1e-12
_CLIP = 10.0  # deviations: beyond is a broken number or a broken day


class Boundary(Struct, frozen=True, kw_only=True):
    """How sure a verdict must be, and when looking begins.

    `alpha` counts both sides; `burn_in` observations, at least 2, come before the first look; the interval is tightest
    at about `horizon` observations, and valid at all.
    """

    alpha: float
    burn_in: int
    horizon: int

    @property
    def mixing(self) -> float:
        """Return the variance of the effects that the mixture expects, in variances of an observation (tau² / s²)."""
        surprise = -2 * log(self.alpha)
        return (surprise + log(surprise) + 1) / self.horizon


def winsorised(differences: Floats, burn_in: int) -> Floats:
    """Pull outliers in, each to ten deviations around the mean of all before it, so that no past ever changes.

    The burn-in stays as it is, and so does what follows a stream that has not varied: its first rare event is news.
    Tighter limits make one-sided lumps look like an effect (see the calibration).
    """
    _, mean, variance = _running(differences)
    past, reach = mean[..., burn_in - 1 : -1], _CLIP * np.sqrt(variance[..., burn_in - 1 : -1])
    reach = np.where(reach > 0, reach, np.inf)
    later = np.clip(differences[..., burn_in:], past - reach, past + reach)
    return np.concatenate([differences[..., :burn_in], later], axis=-1)


def p_values(differences: Floats, boundary: Boundary, null: float = 0.0) -> Floats:
    """Return, after each observation, the always valid p-value of a mean of `null` (mSPRT).

    In words: the likelihood of the data under effects drawn from a normal distribution around the null, divided by that
    under the null itself; with n observations of mean m and variance s², and tau² the variance of those effects, it is
    sqrt(s² / (s² + n tau²)) exp(n² tau² (m - null)² / (2 s² (s² + n tau²))). The p-value is 1 / the highest ratio yet.
    """
    counts, mean, variance = _usable(differences, boundary)
    spread = 1 + counts * boundary.mixing
    ratio = (counts * (mean - null)) ** 2 * boundary.mixing / (2 * variance * spread) - np.log(spread) / 2
    found: Floats = np.minimum.accumulate(np.exp(-np.maximum(ratio, 0.0)), axis=-1)
    return found


def intervals(differences: Floats, boundary: Boundary) -> tuple[Floats, Floats]:
    """Return, after each observation, the interval that holds the mean (asymptotic confidence sequence, at any one n).

    In words: mean ± deviation sqrt(2 (n r² + 1) / (n² r²) log(sqrt(n r² + 1) / alpha)), r² being `mixing`; endless
    during the burn-in, and where nothing has varied.
    """
    counts, mean, variance = _usable(differences, boundary)
    spread = 1 + counts * boundary.mixing
    units = 2 * spread / (counts**2 * boundary.mixing) * (np.log(spread) / 2 - log(boundary.alpha))
    reach = np.sqrt(units * variance)
    return mean - reach, mean + reach


def running_intervals(differences: Floats, boundary: Boundary) -> tuple[Floats, Floats]:
    """Return the intersection of all intervals so far: it never widens.

    Where the next one would leave nothing (a mean that drifts), it stays as it was.
    """
    low, high = intervals(differences, boundary)
    low, high = np.maximum.accumulate(low, axis=-1), np.minimum.accumulate(high, axis=-1)
    last = np.maximum(np.count_nonzero(low <= high, axis=-1, keepdims=True) - 1, 0)
    at = np.minimum(np.arange(low.shape[-1]), last)
    return np.take_along_axis(low, at, axis=-1), np.take_along_axis(high, at, axis=-1)


def sample_size(effect: float, deviation: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return how many observations a one-sided test at one fixed n needs to see an effect.

    In words: ((z of 1 - alpha + z of the power) deviation / effect)². Looking every day costs more.
    """
    normal = NormalDist()
    return ((normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)) * deviation / effect) ** 2


def _running(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return number, mean and variance of all values so far."""
    off = values - values[..., :1]  # a large mean would swallow the variance
    counts = np.arange(1.0, values.shape[-1] + 1)
    mean = off.cumsum(axis=-1) / counts
    variance = ((off * off).cumsum(axis=-1) - counts * mean**2) / np.maximum(counts - 1, 1)
    return counts, mean + values[..., :1], np.maximum(variance, 0.0)


def _usable(differences: Floats, boundary: Boundary) -> tuple[Floats, Floats, Floats]:
    """Return the same with an endless variance where it is not known yet, or nothing has varied."""
    counts, mean, variance = _running(differences)
    known = (counts >= boundary.burn_in) & (variance > _TIE * mean**2)
    return counts, mean, np.where(known, variance, np.inf)
