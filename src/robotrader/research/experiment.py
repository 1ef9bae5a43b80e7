"""Live A/B tests: what is registered before the start, who trades when, and what may be said.

An observation is the metric of arm B minus that of arm A, over one session where both see the same session (`paired`),
else over one pair of neighbouring blocks of sessions, in which each arm (and each instrument in each arm) has one turn.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from math import ceil, inf, isfinite
from typing import Literal, get_args

import numpy as np
from msgspec import Struct

from robotrader.data.panel import Floats
from robotrader.model import ConfigError, DataError, InstrumentId
from robotrader.research.significance import Interval
from robotrader.strategy.sequential import Boundary, p_values, running_intervals, sample_size, winsorised

_FEWEST = 30  # observations: with 20, losses in lumps give more wrong verdicts than alpha

Metric = Literal["slippage_bps", "fill_rate", "reject_rate", "parity", "daily_return"]
Direction = Literal["superior", "non_inferior"]
Allocation = Literal["day_block", "symbol_hash", "paired"]
_LESS_IS_BETTER = ("slippage_bps", "reject_rate")
_UNBOUNDED = ("slippage_bps", "daily_return")  # winsorised; of the others, shares, rare cases are what is looked for


class Decision(StrEnum):
    """What may be said."""

    INSUFFICIENT = "insufficient"
    CONTINUE = "continue"
    A_BETTER = "a_better"
    B_BETTER = "b_better"
    NON_INFERIOR = "non_inferior"
    INFERIOR = "inferior"
    ENDED_WITHOUT_DIFFERENCE = "ended_without_difference"


class Registration(Struct, frozen=True, kw_only=True):
    """A test as registered before its first session; nothing in it changes afterwards.

    Parameters
    ----------
    arms : tuple of str
        A, what is there, and B, what may replace it.
    direction : str
        Superior: either arm may prove the better one; non_inferior: whether B is no worse by more than the margin.
    allocation : str
        One arm a block of sessions, each arm half of each stratum's instruments, or both arms everything (in shadow).
    margin, minimum_effect : float
        In units of the metric. The margin belongs to non_inferior; the effect is the smallest worth finding.
    alpha : float
        Chance of a wrong verdict, however often one looks.
    maximum_sessions, minimum_observations : int
        No verdict is given on what comes after so many sessions, nor on fewer observations.
    block_sessions : int
        Length of a block; unused where paired.
    strata : tuple of tuple of InstrumentId
        Instruments that are alike: each arm gets half of each. Those of no stratum go by hash alone.

    Raises
    ------
    ConfigError
        A test that could not be judged.
    """

    id: str
    arms: tuple[str, str]
    metric: Metric
    direction: Direction
    allocation: Allocation
    minimum_effect: float
    maximum_sessions: int
    margin: float = 0.0
    alpha: float = 0.05
    minimum_observations: int = _FEWEST
    block_sessions: int = 1
    strata: tuple[tuple[InstrumentId, ...], ...] = ()

    def __post_init__(self) -> None:
        named = [name for stratum in self.strata for name in stratum]
        kinds = ((self.metric, Metric), (self.direction, Direction), (self.allocation, Allocation))
        margin_fits = (self.margin > 0) is (self.direction == "non_inferior") and 0 <= self.margin < inf
        for wanted, fits, found in (
            ("a metric, direction and allocation that exist", all(one in get_args(kind) for one, kind in kinds),
             [one for one, _ in kinds]),
            ("an id and two different arms", self.id and all(self.arms) and len(set(self.arms)) == 2, self.arms),
            ("0 < minimum_effect", 0 < self.minimum_effect < inf, self.minimum_effect),
            ("0 < alpha <= 0.2", 0 < self.alpha <= 0.2, self.alpha),
            ("a margin above 0 for non_inferior, 0 for superior", margin_fits, self.margin),
            ("block_sessions of at least 1", self.block_sessions >= 1, self.block_sessions),
            (f"minimum_observations of at least {_FEWEST}", self.minimum_observations >= _FEWEST,
             self.minimum_observations),
            ("maximum_sessions that leave room for minimum_observations",
             self.maximum_observations >= self.minimum_observations, self.maximum_sessions),
            ("each instrument in one stratum", len(set(named)) == len(named), self.strata),
        ):  # fmt: skip
            if not fits:
                raise ConfigError(f"experiment {self.id!r}: expected {wanted}, found {found}; register it anew")

    @property
    def days_apart(self) -> int:
        """Return the length of one observation: a session, or the weekdays of a pair of blocks."""
        return 1 if self.allocation == "paired" else 2 * max(self.block_sessions, 1)

    @property
    def maximum_observations(self) -> int:
        """Return how many observations the maximum duration can bring."""
        return self.maximum_sessions // self.days_apart


class Verdict(Struct, frozen=True, kw_only=True):
    """What may be said after `n` observations.

    `effect` (B minus A, in units of the metric) and its always valid interval: None where there is nothing to say yet.
    `p` is the always valid p-value of no difference, or of one just at the margin. `n_needed` are the observations that
    a fixed-n test would need for the minimum effect, by the deviation so far; peeking takes about twice as many.
    """

    effect: float | None
    interval: Interval | None
    decision: Decision
    n: int
    n_needed: int | None
    p: float


def arm_of(registration: Registration, session: date, instrument: InstrumentId) -> tuple[str, ...]:
    """Return the arms that trade an instrument in a session.

    Blocks count weekdays, so that no calendar is asked; a weekend belongs to its Friday. Two neighbouring blocks are a
    pair with an order drawn from the id: whoever has the first block has not the second.
    """
    if registration.allocation == "paired":
        return registration.arms
    day = _weekday(session)
    pair = day // registration.days_apart
    turn = day // registration.block_sessions + _bits(registration.id, "pair", pair)
    if registration.allocation == "symbol_hash":
        turn += _side(registration, instrument, pair)
    return (registration.arms[turn % 2],)


def differences(registration: Registration, measured: Iterable[tuple[date, str, float]]) -> Floats:
    """Return the observations, in order of time, from what was measured: session, arm and value of the metric.

    Values of one arm within one session (paired) or one pair of blocks are averaged; where an arm has none, there is
    no observation. A pair that is not over yet is left out: what was once observed must not change.

    Raises
    ------
    DataError
        An arm that is not registered.
    """
    units: defaultdict[int, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    apart, latest = registration.days_apart, 0
    for session, arm, value in measured:
        if arm not in registration.arms:
            raise DataError(f"experiment {registration.id!r}: expected arms {registration.arms}, found {arm!r}")
        day = session.toordinal() if registration.allocation == "paired" else _weekday(session)
        units[day // apart][registration.arms.index(arm)].append(value)
        latest = max(latest, day)
    both = (units[unit] for unit in sorted(units) if (unit + 1) * apart <= latest + 1)
    return np.array([np.mean(b) - np.mean(a) for a, b in both if a and b], dtype=np.float64)


def judge(registration: Registration, observed: Floats, *, sessions: int | None = None) -> Verdict:
    """Say what the observations prove; ask as often as you like.

    Parameters
    ----------
    observed : float64, shape (n,)
        B minus A, in order of time; what exceeds the maximum duration is left out.
    sessions : int
        Sessions since the start, where some brought no observation.

    Raises
    ------
    DataError
        An observation that is not finite.
    """
    if not np.isfinite(observed).all():
        raise DataError(f"experiment {registration.id!r}: expected finite differences, found {observed}")
    taken = observed[: registration.maximum_observations]
    n, fewest = len(taken), registration.minimum_observations
    if n < fewest:
        return Verdict(effect=None, interval=None, decision=Decision.INSUFFICIENT, n=n, n_needed=None, p=1.0)
    clean = winsorised(taken, fewest) if registration.metric in _UNBOUNDED else taken
    boundary = Boundary(alpha=registration.alpha, burn_in=fewest, horizon=registration.maximum_observations)
    better = -1.0 if registration.metric in _LESS_IS_BETTER else 1.0
    low, high = (float(path[-1]) for path in running_intervals(clean, boundary))
    ended = n == registration.maximum_observations or (sessions or 0) >= registration.maximum_sessions
    gain = (low, high) if better > 0 else (-high, -low)
    needed = sample_size(registration.minimum_effect, float(clean.std(ddof=1)), alpha=registration.alpha)
    varied = isfinite(low)
    return Verdict(
        effect=float(clean.mean()), interval=(low, high) if varied else None, n=n,
        n_needed=ceil(needed) if varied else None, decision=_decision(registration, gain, ended=ended),
        p=float(p_values(clean, boundary, -better * registration.margin)[-1]),
    )  # fmt: skip


def _decision(registration: Registration, gain: Interval, *, ended: bool) -> Decision:
    either = registration.direction == "superior"
    if gain[0] > -registration.margin:
        return Decision.B_BETTER if either else Decision.NON_INFERIOR
    if gain[1] < -registration.margin:
        return Decision.A_BETTER if either else Decision.INFERIOR
    return Decision.ENDED_WITHOUT_DIFFERENCE if ended else Decision.CONTINUE


def _weekday(session: date) -> int:
    weeks, day = divmod(session.toordinal() - 1, 7)  # day 1 was a Monday
    return 5 * weeks + min(day, 4)


def _side(registration: Registration, instrument: InstrumentId, pair: int) -> int:
    """Return 0 or 1: every other instrument of a stratum, in an order drawn anew for each pair of blocks."""
    for stratum in registration.strata:
        if instrument in stratum:
            drawn = sorted(stratum, key=lambda name: _bits(registration.id, name, pair))
            return drawn.index(instrument)
    return _bits(registration.id, instrument, pair)


def _bits(*parts: str | int) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:8], "big")
