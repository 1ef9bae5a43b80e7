"""How much of a track record is luck: what a Sharpe ratio proves, and what is left of it after many trials.

Sharpe ratios here are per period (a day), not annualised; kurtosis is 3 for a normal distribution.

References
----------
Bailey, López de Prado (2012), The Sharpe Ratio Efficient Frontier; (2014), The Deflated Sharpe Ratio. Bailey, Borwein,
López de Prado, Zhu (2014), Pseudo-Mathematics and Financial Charlatanism; (2017), The Probability of Backtest
Overfitting. Politis, Romano (1994), The Stationary Bootstrap. Politis, White (2004), Automatic Block-Length Selection,
as corrected by Patton, Politis, White (2009). Owen, Steck (1962), Moments of Order Statistics from the Equicorrelated
Multivariate Normal Distribution. Hansen (2005), A Test for Superior Predictive Ability.
"""

import math
from itertools import combinations, islice
from statistics import NormalDist

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats
from robotrader.model import DataError
from robotrader.research.metrics import ratios

Interval = tuple[float, float]

_NORMAL = NormalDist()
_EULER = 0.5772156649015329
_TIE = 1e-12
_COMBINATIONS_AT_ONCE = 512


class Moments(Struct, frozen=True, kw_only=True):
    """Sharpe ratio (standard deviation of a sample, as shown everywhere), skewness and kurtosis of `count` returns."""

    sharpe: float
    skew: float = 0.0
    kurtosis: float = 3.0
    count: int


class Intervals(Struct, frozen=True, kw_only=True):
    """Bootstrap intervals of the annual Sharpe ratio, of CAGR and of maximum drawdown; None: nothing to say.

    `block` is the mean length of the blocks drawn, in periods.
    """

    sharpe: Interval | None
    cagr: Interval | None
    max_drawdown: Interval | None
    block: float


def moments(returns: Floats) -> Moments | None:
    """Return the moments of returns, shape (n,); None where they do not differ, or one is not finite."""
    if len(returns) < 2 or not _TIE < np.ptp(returns) < np.inf:
        return None
    count, mean = len(returns), returns.mean()
    off = returns - mean
    square = off * off  # powers of arrays are ten times slower
    variance = float(square.mean())
    return Moments(
        sharpe=float(mean) / (variance * count / (count - 1)) ** 0.5, skew=float(square @ off) / count / variance**1.5,
        kurtosis=float(square @ square) / count / variance**2, count=count,
    )  # fmt: skip


def probabilistic_sharpe(found: Moments, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio lies above a benchmark (PSR)."""
    error = _spread(found) / math.sqrt(found.count - 1)
    return _NORMAL.cdf((found.sharpe - benchmark) / error)


def minimum_track_record(found: Moments, benchmark: float = 0.0, confidence: float = 0.95) -> float | None:
    """Return how many returns it takes until PSR reaches a confidence (MinTRL); None: it never does."""
    if found.sharpe <= benchmark:
        return None
    return 1 + (_spread(found) * _NORMAL.inv_cdf(confidence) / (found.sharpe - benchmark)) ** 2


def _spread(found: Moments) -> float:
    square = 1 - found.skew * found.sharpe + (found.kurtosis - 1) / 4 * found.sharpe**2
    if square <= 0:
        raise DataError(f"moments of returns must fit together (kurtosis >= skew² + 1); found {found}")
    return math.sqrt(square)


def expected_maximum_sharpe(trials: float, variance: float = 1.0) -> float:
    """Return the Sharpe ratio that the best of independent trials without skill is expected to show.

    `variance` is that of the trials' Sharpe ratios. The approximation is 8 % too low at 2 trials, and from 3 on at most
    2 % too high.
    """
    if trials <= 1:
        return 0.0
    high = (1 - _EULER) * _NORMAL.inv_cdf(1 - 1 / trials) + _EULER * _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * max(high, 0.0)


def deflated_sharpe(found: Moments, trials: float, variance: float) -> float:
    """Return the probability that a Sharpe ratio is no child of having tried so often (DSR)."""
    return probabilistic_sharpe(found, expected_maximum_sharpe(trials, variance))


def minimum_backtest_length(trials: float, target: float) -> float:
    """Return the years in which the best of trials without skill is expected to show an annual Sharpe of `target`.

    A shorter backtest with that Sharpe ratio shows nothing (MinBTL). `target` must be positive.
    """
    return (expected_maximum_sharpe(trials) / target) ** 2


def effective_trials(trials: int, correlation: float) -> float:
    """Return how many independent trials would be expected to have as good a best one as these correlated ones.

    The best of equally correlated normal variables lies sqrt(1 - correlation) times as far out as that of independent
    ones (Owen and Steck). `correlation` is the mean over all pairs of trials; groups of like trials with the same mean
    come out too high, never too low.
    """
    if trials <= 1 or correlation <= 0:
        return float(trials)
    wanted = math.sqrt(1 - min(correlation, 1.0)) * expected_maximum_sharpe(trials)
    low, high = 1.0, float(trials)
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if expected_maximum_sharpe(middle) < wanted else (low, middle)
    return high


def probability_of_overfitting(returns: Floats, splits: int = 16) -> float:
    """Return how often the best trial of one half of the time is below the median in the other half (PBO by CSCV).

    Parameters
    ----------
    returns : float64, shape (n_periods, n_trials)
        All finite; every trial that was looked at, on one time axis.
    splits : int
        Even: blocks of time, of which every choice of half is tried.

    Raises
    ------
    DataError
        Fewer than two trials, fewer periods than twice the blocks, or a return that is not finite.
    """
    periods, trials = returns.shape
    if trials < 2 or periods < 2 * splits or not np.isfinite(returns).all():
        raise DataError(f"overfitting needs two trials and {2 * splits} finite returns each; found {returns.shape}")
    parts = np.array_split(returns, splits)
    blocks = (
        np.array([len(part) for part in parts], dtype=np.float64), np.array([part.sum(axis=0) for part in parts]),
        np.array([(part**2).sum(axis=0) for part in parts]),
    )  # fmt: skip
    chosen, below, count = combinations(range(splits), splits // 2), 0, 0
    while rows := list(islice(chosen, _COMBINATIONS_AT_ONCE)):
        seen = np.zeros((len(rows), splits))
        np.put_along_axis(seen, np.array(rows), 1.0, axis=1)
        here, there = (_sharpes(half, *blocks) for half in (seen, 1 - seen))
        best = (here >= here.max(axis=1, keepdims=True) - _TIE).argmax(axis=1)
        away = there - np.take_along_axis(there, best[:, None], axis=1)
        rank = (away < -_TIE).sum(axis=1) + (1 + (np.abs(away) <= _TIE).sum(axis=1)) / 2
        below += int((rank < (trials + 1) / 2).sum())
        count += len(rows)
    return below / count


def _sharpes(seen: Floats, lengths: Floats, sums: Floats, squares: Floats) -> Floats:
    """Return Sharpe ratios of choices of blocks, shape (n_choices, n_trials); 0 where nothing varied."""
    count = (seen @ lengths)[:, None]
    mean, square = seen @ sums / count, seen @ squares / count
    variance = (square - mean**2) * count / (count - 1)
    varied = variance > _TIE * square  # a constant leaves rounding
    return np.where(varied, mean / np.sqrt(np.where(varied, variance, 1.0)), 0.0)


def block_length(returns: Floats) -> float:
    """Return the mean block length for a stationary bootstrap of returns (Politis and White, corrected), at least 1."""
    count = len(returns)
    off = returns - returns.mean()
    if count < 4 or not np.ptp(returns):
        return 1.0
    near = max(5, math.ceil(math.sqrt(math.log10(count))))
    longest = min(math.ceil(math.sqrt(count)) + near, count - 1)
    covariance = np.array([float(off[lag:] @ off[: count - lag]) / count for lag in range(longest + 1)])
    loud = np.abs(covariance[1:] / covariance[0]) >= 2 * math.sqrt(math.log10(count) / count)
    quiet = [m for m in range(longest) if not loud[m : m + near].any()]
    reach = min(2 * max(quiet[0] if quiet else int(np.flatnonzero(loud)[-1]) + 1, 1), longest)
    lags = np.arange(-reach, reach + 1)
    window = np.minimum(1.0, 2 * (1 - np.abs(lags) / reach)) * covariance[np.abs(lags)]
    slope, level = float(window @ np.abs(lags)), float(window.sum())
    length = (slope**2 / level**2 * count) ** (1 / 3) if level > 0 else 1.0
    return min(max(length, 1.0), math.ceil(min(3 * math.sqrt(count), count / 3)))


def stationary_bootstrap(returns: Floats, *, seed: int, draws: int, block: float) -> Floats:
    """Draw samples of returns in blocks of random length, shape (n, draws); time runs on from the end to the start."""
    random, count = np.random.default_rng(seed), len(returns)
    begins = random.random((draws, count), dtype=np.float32) < 1 / block
    begins[:, 0] = True
    at = np.flatnonzero(begins)
    from_begin = random.integers(count, size=len(at)) - at
    rows = np.repeat(from_begin, np.diff(at, append=begins.size)) + np.arange(begins.size)
    return returns[rows % count].reshape(draws, count).T


def superior_ability(excess: Floats, *, seed: int, draws: int = 1000, block: float | None = None) -> float:
    """Return the p-value of the best of many against a benchmark (Hansen's SPA, studentised, the consistent version).

    The null: none of them has a mean above 0. The best studentised mean is compared with what the stationary bootstrap
    shows of it once every mean is taken away; a trial that is worse than chance explains keeps its own, so that adding
    bad ones neither helps nor harms.

    Parameters
    ----------
    excess : float64, shape (n_periods, n_trials)
        Returns less the benchmark's; what never varies proves nothing.
    block : float, optional
        Mean length of the blocks; the longest that `block_length` says of one of the trials unless given.
    """
    varied = excess[:, np.ptp(excess, axis=0) > _TIE]
    count, trials = varied.shape
    if count < 2 or not trials:
        return 1.0
    length = max(map(block_length, varied.T)) if block is None else block
    rows = stationary_bootstrap(np.arange(count, dtype=np.float64), seed=seed, draws=draws, block=length)
    means, drawn = varied.mean(axis=0), np.array([one[rows.astype(np.int64)].mean(axis=0) for one in varied.T])
    errors = drawn.std(axis=1)
    hopeless = means <= -errors * math.sqrt(2 * math.log(max(math.log(count), 1.0)))
    chance = ((drawn - np.where(hopeless, 0.0, means)[:, None]) / errors[:, None]).max(axis=0)
    seen = max(float((means / errors).max()), 0.0)
    return float((1 + np.count_nonzero(np.maximum(chance, 0.0) >= seen)) / (1 + draws))


def drawdown_band(returns: Floats, *, sessions: int, seed: int, draws: int = 2000, level: float = 0.99) -> float:
    """Return the drawdown (a ratio) that so many sessions drawn from these daily returns exceed but rarely."""
    drawn = stationary_bootstrap(returns, seed=seed, draws=draws, block=block_length(returns))[:sessions]
    curve = np.cumsum(np.concatenate([np.zeros((1, draws)), drawn]), axis=0)
    return float(np.quantile((np.maximum.accumulate(curve, axis=0) - curve).max(axis=0), level))


def bootstrap_intervals(
    returns: Floats, *, seed: int, draws: int = 1000, block: float | None = None, level: float = 0.9
) -> Intervals:
    """Return intervals that hold the middle `level` of what a stationary block bootstrap of daily returns shows.

    Those of the maximum drawdown say what another stretch of equal length would show. `block` as `block_length` says
    unless given.
    """
    length = block_length(returns) if block is None else block
    drawn = stationary_bootstrap(returns, seed=seed, draws=draws, block=length)
    found = ratios(np.cumprod(np.concatenate([np.ones((1, draws)), 1 + drawn]), axis=0))
    tail = (1 - level) / 2
    return Intervals(
        block=length,
        **{name: _interval(found[name], tail) for name in ("sharpe", "cagr", "max_drawdown")},
    )  # fmt: skip


def _interval(values: Floats, tail: float) -> Interval | None:
    said = values[np.isfinite(values)]
    return (float(np.quantile(said, tail)), float(np.quantile(said, 1 - tail))) if len(said) else None
