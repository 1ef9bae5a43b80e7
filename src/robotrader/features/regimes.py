"""Which market it is: whether it trends, how much it shakes, how sure that is, and whether it is still that of before.

All arrays are (n_bars, n_instruments). Row t uses rows <= t, and a fixed number of them. A window that misses a bar
leaves its row unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from robotrader.features.windows import Floats, trailing
from robotrader.model import ConfigError

Mask = NDArray[np.bool_]

_DIGITS = 9
"""Decimals of a figure that is compared: the last bits depend on where in memory a window lies."""
_BINS = 5


class Trend(IntEnum):
    """Where the price goes."""

    DOWN = -1
    SIDEWAYS = 0
    UP = 1


class Volatility(IntEnum):
    """How much the price moves, measured by its own history."""

    CALM = -1
    NORMAL = 0
    STRESSED = 1


class RegimeRules(Struct, frozen=True, kw_only=True):
    """How regimes are told: a state begins at its first bound and ends at its second, which is nearer to the middle.

    `trend_enter` and `trend_leave` bound the t-value of the slope over `trend_bars`; `stress_enter` and `stress_leave`
    the rank, in [0, 1], of the volatility of `volatility_bars` among the last `history` ones, and one minus them CALM.
    Between its bounds a state stays as it was, for `memory` bars at most.

    Raises
    ------
    ConfigError
        Bounds in the wrong order, or a length below 2 (a memory below 1).
    """

    trend_bars: int = 126
    trend_enter: float = 1.0
    trend_leave: float = 0.5
    volatility_bars: int = 20
    history: int = 252
    stress_enter: float = 0.9
    stress_leave: float = 0.8
    memory: int = 20

    def __post_init__(self) -> None:
        """Raise `ConfigError` for what cannot be."""
        if not (0 < self.trend_leave < self.trend_enter and 0.5 < self.stress_leave < self.stress_enter <= 1):
            raise ConfigError("regimes: 0 < trend_leave < trend_enter and 0.5 < stress_leave < stress_enter <= 1")
        if min(self.trend_bars, self.volatility_bars, self.history, self.memory + 1) < 2:
            raise ConfigError("regimes: windows must be of 2 bars or more, the memory of 1 or more")

    @property
    def warmup_bars(self) -> int:
        """Return how many bars, the last included, decide what is said of the last one."""
        return max(self.trend_bars + 1, self.volatility_bars + self.history) + self.memory - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regimes:
    """States as the numbers of `Trend` and `Volatility`, NaN where unknown, and how sure they are.

    A confidence lies in [0, 1]: 0 where the state would end or another begin, 1 as far off as the two bounds are from
    each other, 0 where the state is unknown.
    """

    trend: Floats
    trend_confidence: Floats
    volatility: Floats
    volatility_confidence: Floats

    @property
    def confidence(self) -> Floats:
        """Return how sure both states are: the lower of their confidences."""
        lower: Floats = np.minimum(self.trend_confidence, self.volatility_confidence)
        return lower


class Policy(Struct, frozen=True, kw_only=True):
    """What part of its strength, in [0, 1], a strategy trades with in each state; all of it where none is named."""

    trend: Mapping[Trend, float] = {}
    volatility: Mapping[Volatility, float] = {}

    def __post_init__(self) -> None:
        """Raise `ConfigError` for a part that is none."""
        for part in (*self.trend.values(), *self.volatility.values()):
            if not 0 <= part <= 1:
                raise ConfigError(f"regimes: the part traded in a state must lie in [0, 1], found {part}")


class Backed(NamedTuple):
    """Strengths, and where they are those of the baseline."""

    strengths: Floats
    fell_back: Mask


def regimes(close: Floats, rules: RegimeRules) -> Regimes:
    """Return the states of each instrument at each close (prices above 0, NaN where a bar is missing)."""
    slope, rank = slope_t(close, rules.trend_bars), volatility_rank(close, rules.volatility_bars, rules.history)
    trend = _states(slope, middle=0, enter=rules.trend_enter, leave=rules.trend_leave, memory=rules.memory)
    volatility = _states(rank, middle=0.5, enter=rules.stress_enter - 0.5, leave=rules.stress_leave - 0.5,
                         memory=rules.memory)  # fmt: skip
    return Regimes(trend=trend[0], trend_confidence=trend[1],
                   volatility=volatility[0], volatility_confidence=volatility[1])  # fmt: skip


def slope_t(close: Floats, bars: int) -> Floats:
    """Return the t-value of the least-squares slope of the log price over `bars` returns.

    Its error is that of a random walk without drift: the usual one, of independent prices, finds trends in any walk.
    The slope is a weighted sum of the returns; a price that stands still has the slope 0.
    """
    window = trailing(_returns(close), bars)
    offsets = np.arange(bars + 1) - bars / 2
    weights = np.cumsum(offsets[::-1])[::-1][1:]
    error = np.sqrt(np.einsum("tnb,tnb->tn", window, window) / bars * (weights @ weights))
    pushed = np.einsum("tnb,b->tn", window, weights)
    value: Floats = np.divide(pushed, error, out=np.where(np.isnan(error), np.nan, 0.0), where=error > 0)
    return value.round(_DIGITS)


def volatility_rank(close: Floats, bars: int, history: int) -> Floats:
    """Return the share, in (0, 1), of the last `history` volatilities of `bars` returns that the newest is above.

    An equal one, itself too, counts half.
    """
    window = trailing(_returns(close), bars)
    realised = np.sqrt(np.einsum("tnb,tnb->tn", window, window) / bars).round(_DIGITS)
    before, now = trailing(realised, history), realised[..., None]
    rank: Floats = ((before < now).sum(axis=-1) + (before <= now).sum(axis=-1)) / (2 * history)
    rank[np.isnan(before.max(axis=-1))] = np.nan
    return rank


def stability_index(close: Floats, *, recent: int, reference: int) -> Floats:
    """Return the population stability index of the `recent` returns against the `reference` ones before them.

    Over fifths of the reference, each count raised by a half; NaN where a bar is missing. It needs
    `recent + reference + 1` bars.
    """
    windows = trailing(_returns(close).round(_DIGITS), recent + reference)
    columns = [_divergence(windows[:, k], reference) for k in range(close.shape[1])]  # one by one: they are sorted
    return np.stack(columns, axis=1) if columns else np.empty(close.shape)


def drifted(close: Floats, *, recent: int, reference: int, bound: float) -> Mask:
    """Tell where the stability index is above `bound`, or unknown."""
    return np.asarray(~(stability_index(close, recent=recent, reference=reference) <= bound))


def conditioned(strengths: Floats, regimes: Regimes, policy: Policy) -> Floats:
    """Return strengths times the parts of their states; NaN where a state is unknown.

    A part of 0 is out, also where a NaN would have kept a position.
    """
    part = _parts(regimes.trend, policy.trend) * _parts(regimes.volatility, policy.volatility)
    scaled: Floats = np.where(part == 0, 0.0, strengths * part)
    return scaled


def fallback(primary: Floats, baseline: Floats, regimes: Regimes, *, least_confidence: float, drift: Mask) -> Backed:
    """Return the strengths of `baseline` where a state is less sure than that or inputs drifted, else of `primary`."""
    fell_back = drift | (regimes.confidence < least_confidence)
    return Backed(np.where(fell_back, baseline, primary), fell_back)


def _returns(close: Floats) -> Floats:
    out = np.full(close.shape, np.nan)
    out[1:] = np.diff(np.log(close), axis=0)
    return out


def _states(values: Floats, *, middle: float, enter: float, leave: float, memory: int) -> tuple[Floats, Floats]:
    """Return 1, 0 or -1, and how sure that is; the bounds are distances from the middle, to both sides."""
    sides = (values - middle).round(_DIGITS), (middle - values).round(_DIGITS)
    above, below = (_latched(side, enter=round(enter, _DIGITS), leave=round(leave, _DIGITS), memory=memory)
                    for side in sides)  # fmt: skip
    unknown = np.isnan(values)
    states = np.where(unknown, np.nan, above[0].astype(np.float64) - below[0])
    return states, np.where(unknown, 0.0, np.minimum(above[1], below[1]))


def _latched(values: Floats, *, enter: float, leave: float, memory: int) -> tuple[Mask, Floats]:
    """Tell where a state is on that begins at `enter` and ends below `leave`, and how sure it is that it is, or not.

    Each row looks for the last value outside the bounds among `memory` rows: a state that ran on from the first row
    would depend on all of them. Found none, it is off.
    """
    row = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where((values >= enter) | (values < leave), row, -memory), axis=0)
    began = np.take_along_axis(values, np.maximum(last, 0), axis=0) >= enter
    on = began & (row - last < memory)
    inside = np.clip((values - leave) / (enter - leave), 0, 1)
    return on, np.where(on, inside, 1 - inside)


def _divergence(window: Floats, reference: int) -> Floats:
    """Return the stability index of each row's window, (n_bars, reference + recent), whose first part it is held to."""
    index, full = np.full(len(window), np.nan), ~np.isnan(window.max(axis=-1))
    old, new = window[full, :reference], window[full, reference:]
    edges = np.sort(old, axis=-1)[:, [reference * k // _BINS for k in range(1, _BINS)]]
    expected, found = _shares(old, edges), _shares(new, edges)
    index[full] = ((found - expected) * np.log(found / expected)).sum(axis=-1).round(_DIGITS)
    return index


def _shares(values: Floats, edges: Floats) -> Floats:
    below = [np.count_nonzero(values < edges[:, k : k + 1], axis=-1) for k in range(edges.shape[1])]
    ends = np.zeros(len(values), np.int64), np.full(len(values), values.shape[1])
    counts = np.diff(np.stack((ends[0], *below, ends[1])), axis=0).T
    return np.asarray((counts + 0.5) / (values.shape[1] + 0.5 * _BINS))


def _parts(states: Floats, parts: Mapping[Trend, float] | Mapping[Volatility, float]) -> Floats:
    out = np.where(np.isnan(states), np.nan, 1.0)
    for state, part in parts.items():
        out[states == state] = part
    return out
