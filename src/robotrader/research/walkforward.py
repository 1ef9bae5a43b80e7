"""Judge a choice of parameters where it was not made: walk-forward, and combinatorial purged cross-validation.

Rules without fitted state learn in one way only: by being chosen. What must not reach the choice is an outcome that
ends where the choice is judged. The label of a day is what became of the position held on it: it ends on the day on
which that position was changed. Days before a boundary whose label ends at it or after it are purged; an embargo keeps
as many days more apart. Every window starts flat: bars before it feed averages, and are not traded.

References
----------
López de Prado (2018), Advances in Financial Machine Learning, chapters 7 and 12.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats, Times
from robotrader.model import ConfigError
from robotrader.research.metrics import ratios

Choice = Mapping[str, int | float]


class Fold(NamedTuple):
    """Days, numbered from the first of all data: first of the training, first and last + 1 of the test."""

    train: int
    test: int
    stop: int


class Walked(Struct, frozen=True, kw_only=True):
    """What a walk-forward found: `folds` as they are reported, the joined test days and what was earned on them.

    `is_sharpe` is the mean over folds of the chosen set's, `oos_sharpe` that of all test days; `degradation` is the
    share of the former that was lost. `paths` are the Sharpe ratios of combinatorial cross-validation. `grid` has the
    daily returns of all sets that ran, over all data: float64 of shape (n_days, n_sets).
    """

    folds: tuple[dict[str, Any], ...]
    oos_sharpe: float | None
    is_sharpe: float | None
    degradation: float | None
    parameter_stability: float | None
    ts: Any
    returns: Any
    sets: int
    grid: Any
    paths: tuple[float, ...] | None = None


def folds(days: int, *, warmup: int, train: int, test: int, anchored: bool) -> list[Fold]:
    """Return the folds of so many days, the last test perhaps shorter; `warmup` days at the start belong to none.

    Raises
    ------
    ConfigError
        There are too few days for one fold.
    """
    starts = range(warmup + train, days, test)
    if not starts:
        raise ConfigError(f"one fold takes {warmup} days of warm-up, {train} of training and a test; there are {days}")
    return [Fold(warmup if anchored else start - train, start, min(start + test, days)) for start in starts]


def label_ends(strengths: Floats, days: Times, purge: int | None) -> Times:
    """Return the day on which the outcome of each day's position was known, shape (n_days,), ascending.

    Parameters
    ----------
    strengths : float64, shape (n_bars, n_instruments)
        As traded; NaN keeps the last.
    days : int64, shape (n_days,)
        The last row of each day.
    purge : int or None
        So many days later. None: the day of the fill of the next change of any strength; the same day where nothing
        was held; n_days where it never came.
    """
    if purge is not None:
        return np.arange(len(days)) + purge
    last = np.maximum.accumulate(np.where(np.isnan(strengths), 0, np.arange(len(strengths))[:, None]), axis=0)
    held = np.nan_to_num(np.take_along_axis(strengths, last, axis=0))
    changes = np.flatnonzero((held[1:] != held[:-1]).any(axis=1)) + 1
    before = np.maximum(days - 1, 0)  # the position during a row was decided before it
    later = np.searchsorted(changes, days)
    filled = np.append(changes + 1, len(strengths))[later]
    ends = np.searchsorted(days, filled)
    return np.where(held[before].any(axis=1), ends, np.arange(len(days)))


def known_in_time(ends: Times, stop: int, embargo: int) -> int:
    """Return how many days, from the first on, have a label that ended `embargo` days before the day `stop`."""
    return int(np.searchsorted(ends, stop - embargo))


def stability(chosen: Sequence[Choice], space: Mapping[str, Sequence[int | float]]) -> float | None:
    """Return how little the choice moved from fold to fold: 1 never, 0 from one end of each range to the other.

    The mean over parameters with a choice and over steps; None where there was nothing to choose, or one fold.
    """
    moves = [
        abs(values.index(after[name]) - values.index(before[name])) / (len(values) - 1)
        for name, values in space.items() if len(values) > 1
        for before, after in pairwise(chosen)
    ]  # fmt: skip
    return 1 - sum(moves) / len(moves) if moves else None


def best_of(values: Sequence[float]) -> int | None:
    """Return where the highest value is, the first of equals; None where all are NaN."""
    known = np.asarray(values, dtype=np.float64)
    return int(np.nanargmax(known)) if np.isfinite(known).any() else None


def ratio_of(returns: Floats, metric: str) -> float:
    """Return one ratio of daily returns; NaN where there are too few."""
    curve = np.cumprod(np.concatenate(([1.0], 1 + returns.astype(np.float64))), dtype=np.float64)
    return float(ratios(curve[:, None])[metric][0]) if len(returns) else float("nan")


class Combined(NamedTuple):
    """What combinatorial cross-validation found: daily returns, shape (n_paths, n_days), and each split's set."""

    paths: Floats
    chosen: list[int]


def splitter(days: int, ends: Times, *, groups: int, tests: int, embargo: int) -> Any:
    """Return purgedcv's splitter of so many days, `tests` of `groups` blocks at a time, by when their labels ended.

    Raises
    ------
    ConfigError
        The numbers do not fit, or the extra is missing.
    """
    try:
        from purgedcv import CombinatorialPurgedCV  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError("--cpcv needs the extra research: pip install robotrader[research]") from None
    begin, end = np.arange(days).astype("M8[D]"), (np.minimum(ends, days) + 1).astype("M8[D]")
    try:
        return CombinatorialPurgedCV(
            groups, tests, prediction_times=begin, evaluation_times=end, embargo_observations=embargo
        )
    except ValueError as error:
        raise ConfigError(f"--cpcv N,K takes K of N blocks of days as a test: {error}") from error


def combine(returns: Floats, ends: Times, metric: str, *, groups: int, tests: int, embargo: int) -> Combined:
    """Choose the best set on what each split trains with, and join what it came to elsewhere to paths.

    Parameters
    ----------
    returns : float64, shape (n_sets, n_days)
        Of runs that start flat in each block.
    ends : int64, shape (n_sets, n_days)
        When the labels ended, as numbers of days.

    Raises
    ------
    ConfigError
        The numbers do not fit, no set can be judged, or the extra is missing.
    """
    count = returns.shape[1]
    splitters = [splitter(count, own, groups=groups, tests=tests, embargo=embargo) for own in ends]
    chosen, seen = [], []
    for parts in zip(*(s.split(np.zeros((count, 1))) for s in splitters), strict=True):
        best = best_of([ratio_of(own[train], metric) for own, (train, _) in zip(returns, parts, strict=True)])
        if best is None:
            raise ConfigError(
                "--cpcv: nothing is left to choose by: take fewer blocks, or a smaller --purge, --embargo"
            )
        chosen.append(best)
        seen.append(returns[best][parts[best][1]])
    return Combined(splitters[0].reconstruct_paths(seen), chosen)
